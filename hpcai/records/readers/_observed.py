"""Readings taken at instants, as a file gives them, laid on a regular grid: small gaps are filled and counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from hpcai.errors import InputError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LONGEST_GAP: Final = 6 * 3600.0  # s; what is missing for longer is not made up


@dataclass
class Observed:
    """Readings of one file: ``time`` (s, ascending, from wherever the reader counts) and the lines they stand in."""

    path: Path
    time: Floats
    lines: Integers
    values: dict[str, Floats] = field(default_factory=dict)  # by quantity; nan where the file says it is missing

    def on_grid(self, name: str, grid: Floats) -> tuple[Floats, int]:
        """Return a quantity at the instants of ``grid`` (s, ascending), and for how many of them it had to be made up.

        Between readings it goes in a straight line, before the first and after the last it stays as there. An
        instant is made up if no reading lies nearer to it than three quarters of the grid's step. Raises InputError
        if readings are missing for longer than LONGEST_GAP.
        """
        known = np.isfinite(self.values[name])
        time, lines = self.time[known], self.lines[known]
        if len(time) == 0:
            raise InputError(f"{self.path}: no reading of {name.replace('_', ' ')}, expected at least one")
        step = grid[1] - grid[0] if len(grid) > 1 else LONGEST_GAP
        self._check(name, time, lines, grid, step)
        after = np.searchsorted(time, grid)
        around = np.concatenate([[-np.inf], time, [np.inf]])
        nearest = np.minimum(grid - around[after], around[after + 1] - grid)
        made_up = nearest >= 0.75 * step
        return np.interp(grid, time, self.values[name][known]), int(made_up.sum())

    def _check(self, name: str, time: Floats, lines: Integers, grid: Floats, step: float) -> None:
        edges = np.concatenate([[grid[0] - step], time, [grid[-1] + step]])
        gaps = np.diff(edges) - step
        longest = int(np.argmax(gaps))
        if gaps[longest] > LONGEST_GAP:
            where = f"line {lines[longest - 1]}" if longest else f"line {lines[0]}"
            side = "after" if longest else "before"
            raise InputError(
                f"{self.path}: {where}: no {name.replace('_', ' ')} for {gaps[longest] / 3600:g} hours {side} it, "
                f"expected a gap of at most {LONGEST_GAP / 3600:g} hours"
            )
