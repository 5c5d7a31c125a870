"""How far a long run has come, on stderr: a bar on a terminal, sparse lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from hpcai.evaluation.humanise import duration

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

PATIENCE: Final = 2.0  # s; what is over sooner shows nothing
LINE_EVERY: Final = 15.0  # s between lines where there is no terminal


class Progress:
    """Counts steps of ``total``; a context manager, so that an interrupt leaves the terminal clean."""

    def __init__(self, total: int, what: str, quiet: bool) -> None:
        self._total, self._what, self._quiet = total, what, quiet
        self._done = 0
        self._began = self._said = time.monotonic()
        self._first: tuple[float, float] | None = None  # when the first sign of progress came, and how much
        self._bar = _bar(what, total) if sys.stderr.isatty() and not quiet else None

    def advance(self) -> None:
        """Count one step, and say so if it is time."""
        self.reach(self._done + 1)

    def reach(self, done: int) -> None:
        """Note that so many steps are done, and say so if it is time."""
        self._done = done
        self._show(done)

    def within(self, size: int) -> Callable[[int], None]:
        """Return what a long step calls with how far it has come, of ``size``."""
        return lambda done: self._show(self._done + done / max(size, 1))

    def _show(self, done: float) -> None:
        now = time.monotonic()
        if self._first is None:  # what was before may have been compilation, and tells nothing of the rest
            self._first = (now, done)
        begun, before = self._first
        if self._quiet or done <= before or now - self._began < PATIENCE:
            return
        if self._bar is not None:
            self._bar.start()
            self._bar.update(self._bar.task_ids[0], completed=done)
        elif now - self._said >= LINE_EVERY:
            self._said = now
            left = (now - begun) / (done - before) * (self._total - done)
            print(f"{self._what}: {int(done)} of {self._total}, about {duration(left)} left", file=sys.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def _bar(what: str, total: int) -> RichProgress:
    from rich import progress
    from rich.console import Console

    bar = progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    bar.add_task(what, total=total)
    return bar
