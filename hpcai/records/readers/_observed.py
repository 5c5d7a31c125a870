"""Readings taken at instants, as a file gives them, laid on a regular grid: small gaps are filled and counted."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from datetime import UTC, datetime
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


def numbered_rows(path: Path, lines: list[str], first: int, delimiter: str = ",") -> list[tuple[int, list[str]]]:
    """Return the rows of delimited text from line ``first`` (from 0) on, each with the number of its last line.

    The first is the heading. Raises InputError if there is none, or the text is not delimited.
    """
    reader = csv.reader(lines[first:], delimiter=delimiter)
    try:
        rows = [(first + reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise InputError(f"{path}: line {first + reader.line_num}: found {error}, expected delimited text") from error
    if not rows:
        raise InputError(f"{path}: found no heading, expected names of columns")
    return rows


def check_rows(path: Path, width: int, rows: list[tuple[int, list[str]]]) -> None:
    """Raise InputError if a row has not ``width`` fields, or there are not two."""
    for number, row in rows:
        if len(row) != width:
            raise InputError(f"{path}: line {number}: found {len(row)} fields, expected {width}")
    if len(rows) < 2:
        raise InputError(f"{path}: found {len(rows)} rows, expected at least 2")


def ascending_times(path: Path, lines: Integers, texts: list[str]) -> tuple[Floats, bool]:
    """Return times in ISO 8601 as Unix seconds, without a zone as if UTC, and whether they name a zone.

    Raises InputError with the line of one that is none, is not later than the one before, or alone lacks a zone.
    """
    times: list[datetime] = []
    for line, text in zip(lines, texts, strict=True):
        try:
            time = datetime.fromisoformat(text.strip())
        except ValueError:
            raise InputError(
                f"{path}: line {line}: found {text!r} for the time, expected such as 2023-01-01T00:00"
            ) from None
        if times and (time.tzinfo is None) != (times[0].tzinfo is None):
            raise InputError(f"{path}: line {line}: found time {text!r}, expected all or none with a zone")
        if times and time <= times[-1]:
            raise InputError(f"{path}: line {line}: found time {text!r} again or out of order, expected a later one")
        times.append(time)
    zone = times[0].tzinfo is not None
    origin = datetime(1970, 1, 1, tzinfo=UTC if zone else None)
    return np.array([(time - origin).total_seconds() for time in times]), zone
