"""Which jobs are replayed together: parts of a log that never overlap in time, and windows of a part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcai.errors import InputError


@dataclass(frozen=True)
class Window:
    """Jobs ``first`` to ``last - 1`` of the replayable jobs, in order of submission."""

    number: int
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first


def draw_windows(
    bounds: tuple[int, int], shape: tuple[int, int] | None, seed: int, where: str
) -> tuple[list[Window], list[str]]:
    """Return the windows to replay, in order of time, and what there is to say about them.

    ``bounds`` are the rows of the part, ``shape`` the number of windows and the jobs in each (None: the whole
    part as one window). Starts are drawn without replacement by a generator seeded with ``seed``. Raises
    InputError, naming the log by ``where``, if the part is shorter than one window.
    """
    first, last = bounds
    if shape is None:
        if first == last:
            raise InputError(f"{where}: the part has no job that could be replayed")
        return [Window(0, first, last)], []
    count, length = shape
    starts = last - first - length + 1
    if starts < 1:
        raise InputError(
            f"{where}: the part has {last - first} jobs, fewer than one window of {length}; "
            "give smaller windows, another part, or --windows all"
        )
    notes = []
    if starts < count:
        notes.append(f"{starts} windows instead of {count}: the part has {last - first} jobs")
    chosen = np.random.default_rng(seed).choice(starts, size=min(count, starts), replace=False)
    return [Window(i, first + int(s), first + int(s) + length) for i, s in enumerate(np.sort(chosen))], notes


def overlap(windows: list[Window]) -> int:
    """Return how many consecutive windows share jobs on average, rounded up; 1 if none do.

    Windows that overlap are not independent; the bootstrap resamples that many neighbours together.
    """
    covered, reached = 0, 0
    for window in windows:
        covered += window.last - max(window.first, reached) if window.last > reached else 0
        reached = max(reached, window.last)
    total = sum(len(window) for window in windows)
    return -(-total // covered)
