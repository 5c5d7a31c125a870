"""How far a run has come, on stderr: a bar on a terminal, sparse lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from hpcai.evaluation.humanise import duration
from hpcai.evaluation.progress import LINE_EVERY

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

BAR_EVERY: Final = 0.5  # s


class Spending(Protocol):
    """What uses up a budget."""

    @property
    def spent(self) -> float:
        """Share of the budget that is used up, 0..1."""


class LearningProgress:
    """Shows the share of a budget that is used, the time left and the score; a context manager."""

    def __init__(self, clock: Spending, quiet: bool, what: str = "learning") -> None:
        self._clock, self._quiet, self._what = clock, quiet, what
        self._began, self._at_beginning = time.monotonic(), clock.spent
        self._said = 0.0
        self._bar = _bar(what) if sys.stderr.isatty() and not quiet else None

    @property
    def due(self) -> bool:
        """Whether it is time to say something."""
        return not self._quiet and time.monotonic() - self._said >= (BAR_EVERY if self._bar else LINE_EVERY)

    def show(self, state: str) -> None:
        """Say how far the run is and how good, such as 'validation 0.93 of saf', if it is time."""
        if not self.due:
            return
        now, spent = time.monotonic(), self._clock.spent
        self._said = now
        gone = spent - self._at_beginning
        left = f"about {duration((now - self._began) / gone * (1 - spent))} left" if gone > 0 else "just begun"
        if self._bar is None:
            print(f"{self._what}: {spent:.0%}, {left}; {state}", file=sys.stderr)
        else:
            self._bar.update(self._bar.task_ids[0], completed=spent, state=f"{left}; {state}")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def _bar(what: str) -> RichProgress:
    from rich import progress
    from rich.console import Console

    bar = progress.Progress(
        progress.TextColumn(what),
        progress.BarColumn(),
        progress.TaskProgressColumn(),
        progress.TextColumn("{task.fields[state]}"),
        console=Console(stderr=True),
        transient=True,
    )
    bar.add_task(what, total=1.0, state="")
    return bar
