"""The load of machines over a year, as a share of their design load: a constant, a daily pattern, or a record."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.errors import InputError
from hpcai.records.readers._source import read_text

Floats = npt.NDArray[np.float64]

DAILY: Final = ((0.0, 0.5), (6.0, 0.75), (8.0, 1.0), (18.0, 0.8))
"""Hours and the load from there on: the schedule of EnergyPlus's two-zone data centre."""

_COLUMNS: Final = ("cpu_load", "load", "it_load")
_HOUR: Final = 3600.0


def read_it_load(source: float | str | Path, steps: int, step_length: float, start: datetime) -> Floats:
    """Return the load over each step, (steps,), 0..1.

    Args:
        source: a number for a constant, ``daily`` for the pattern DAILY, or a table of delimited text, plain or
            compressed, with a column cpu_load, load or it_load of one value (0..1) an hour; one shorter than the
            steps is repeated.
        steps: how many.
        step_length: s.
        start: local time at the beginning of the first.

    Raises:
        InputError: for a file that cannot be read, or a value outside 0..1.
    """
    if isinstance(source, (int, float)):
        return np.full(steps, _checked(float(source), "it_load"))
    if source == "daily":
        begin = start.hour + start.minute / 60.0
        hours = np.round((begin + np.arange(steps) * step_length / _HOUR) % 24.0, 6)
        rows = np.searchsorted([hour for hour, _ in DAILY], hours, side="right") - 1
        return np.array([load for _, load in DAILY])[rows]
    hourly = _hourly(Path(source))
    return hourly[(np.arange(steps) * step_length // _HOUR).astype(np.int64) % hourly.size]


def _checked(value: float, where: str) -> float:
    if not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise InputError(f"{where} {value:g}: expected a share of the design load, 0 to 1")
    return value


def _hourly(path: Path) -> Floats:
    from io import StringIO

    try:
        table = pd.read_csv(StringIO(read_text(path, "loads")[0]))
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{path}: expected a table of delimited text: {error}") from error
    column = next((name for name in _COLUMNS if name in table), None)
    if column is None or table.empty:
        raise InputError(f"{path}: expected a column {', '.join(_COLUMNS)} with one load an hour, found none")
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64)
    for row in np.flatnonzero(~((values >= 0.0) & (values <= 1.0)))[:1]:
        raise InputError(f"{path}: line {row + 2}: expected a load from 0 to 1, found {table[column].iloc[row]}")
    return np.asarray(values)
