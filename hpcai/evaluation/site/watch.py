"""A site that can be watched in a terminal while it runs; needs Textual (pip install 'hpcai[watch]')."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from hpcai.errors import InputError
from hpcai.evaluation.humanise import duration, number
from hpcai.evaluation.site.config import SiteConfig
from hpcai.evaluation.site.inputs import prepare
from hpcai.simulation.site.site import OVER, Site
from hpcai.simulation.site.timeline import INDEX

try:
    from textual.app import App, ComposeResult
    from textual.binding import Binding, BindingType
    from textual.containers import Grid, Vertical
    from textual.widgets import Footer, RichLog, Sparkline, Static
except ImportError as error:
    raise InputError("twin watch: textual is not installed; pip install 'hpcai[watch]'") from error

SHOWN: Final = 240  # ticks of a line
FRAME: Final = 0.1  # s between pictures
BUSY: Final = 0.08  # s of them in which the site runs, at most
PANELS: Final = {
    "waiting": "jobs waiting",
    "gpus": "GPUs in use, %",
    "it": "IT, kW",
    "hvac": "cooling, kW",
    "inlet": "warmer inlet, °C",
    "limit": "GPU limit, %",
}


def numbers(site: Site) -> dict[str, float]:
    """Return the numbers of PANELS at the end of the latest tick."""
    row = site.timeline.last

    def of(name: str) -> float:
        return float(row[INDEX[name]])

    return {
        "waiting": of("waiting"),
        "gpus": 100 * of("gpus") / site.setting.machine.total_gpus,
        "it": (of("it_east") + of("it_west")) / 1e3,
        "hvac": of("hvac") / 1e3,
        "inlet": max(of("plant_east_inlet"), of("plant_west_inlet")),
        "limit": 100 * min(of("limit_east"), of("limit_west")),
    }


def summary(site: Site) -> str:
    """Return how far a site is, and what it came to so far, in a line."""
    at, totals = site.cluster.at[0], site.totals
    pue = totals.site / totals.it if totals.it else 1.0
    return (
        f"{duration(site.env.now)} of {duration(site.setting.duration)} · {site.flow.ended:,} jobs ended, "
        f"{int(at['running']):,} run, {int(site.flow.held[-1]):,} held back · {number(totals.site / 3.6e9)} MWh, "
        f"PUE {pue:.3f} · {site.flow.preemptions:,} preemptions, {site.flow.killed:,} killed by faults · "
        f"{int(site.faults.down.sum())} nodes down"
    )


class News:
    """What is worth a line since the latest look: nodes that fell or are back, jobs that faults killed."""

    def __init__(self, site: Site) -> None:
        self._site, self._down, self._killed = site, site.faults.down.copy(), site.flow.killed

    def since(self) -> Iterator[str]:
        """Return what is new, in lines."""
        down, when = self._site.faults.down, duration(self._site.env.now)
        for node in (down & ~self._down).nonzero()[0].tolist():
            yield f"{when}: node {node} fell"
        for node in (~down & self._down).nonzero()[0].tolist():
            yield f"{when}: node {node} is back"
        if self._site.flow.killed > self._killed:
            yield f"{when}: {self._site.flow.killed - self._killed} jobs killed"
        self._down, self._killed = down.copy(), self._site.flow.killed


class Watcher(App[None]):
    """Runs a site a little between two pictures, and draws its latest hours."""

    CSS = """
    Grid { grid-size: 3 2; grid-gutter: 1; height: 2fr; }
    Vertical { border: round $primary; padding: 0 1; }
    Sparkline { height: 1fr; }
    RichLog { height: 1fr; border: round $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pause", "pause"),
        Binding("plus", "faster", "faster"),
        Binding("minus", "slower", "slower"),
        Binding("q", "quit", "quit"),
    ]

    def __init__(self, config: SiteConfig, speed: float = 0.0) -> None:
        """Take a site; ``speed`` is in simulated s per s, 0 as fast as it goes. Raises InputError as prepare does."""
        super().__init__()
        prepared = prepare(config)
        self.site = Site(prepared.jobs, prepared.setting, asks_ticks=True, sink=_forget)
        self.speed, self.paused, self.over = speed, False, False
        self._of = config.name
        self._lines: dict[str, deque[float]] = {name: deque(maxlen=SHOWN) for name in PANELS}
        self._news = News(self.site)
        self._owed = 0.0  # simulated s that are due

    def compose(self) -> ComposeResult:
        """Return the widgets."""
        yield Static(self._of, id="summary")
        with Grid():
            for name, title in PANELS.items():
                with Vertical():
                    yield Static(title, id=f"{name}-now")
                    yield Sparkline([], id=name)
        yield RichLog(id="news", max_lines=200)
        yield Footer()

    def on_mount(self) -> None:
        """Begin."""
        self.set_interval(FRAME, self.show)

    def show(self) -> None:
        """Run for a while, and draw what has become of it."""
        if not self.query("#summary"):  # not there yet, or not any more
            return
        if not self.paused and not self.over:
            self._go_on()
        self.query_one("#summary", Static).update(f"{self._of}: {summary(self.site)}{self._state()}")
        for name, values in self._lines.items():
            self.query_one(f"#{name}", Sparkline).data = list(values)
            latest = number(values[-1]) if values else "–"
            self.query_one(f"#{name}-now", Static).update(f"{PANELS[name]}: {latest}")

    def _go_on(self) -> None:
        end, self._owed = time.monotonic() + BUSY, self._owed + self.speed * FRAME
        log = self.query_one("#news", RichLog)
        while time.monotonic() < end and (self.speed == 0 or self._owed >= self.site.setting.tick):
            self._owed = max(self._owed - self.site.setting.tick, 0.0)
            if self.site.advance() == OVER:
                self.over = True
                return
            for name, value in numbers(self.site).items():
                self._lines[name].append(value if value == value else 0.0)
            for line in self._news.since():
                log.write(line)

    def _state(self) -> str:
        if self.over:
            return " · over, q quits"
        how = "as fast as it goes" if self.speed == 0 else f"{self.speed:g} × real time"
        return " · paused" if self.paused else f" · {how}"

    def action_pause(self) -> None:
        """Stand still, or go on."""
        self.paused = not self.paused

    def action_faster(self) -> None:
        """Go twice as fast."""
        self.speed *= 2

    def action_slower(self) -> None:
        """Go half as fast; from as fast as it goes down to an hour a second."""
        self.speed = 3600.0 if self.speed == 0 else self.speed / 2


def _forget(rows: Any) -> None:
    """Keep nothing of the timeline."""
