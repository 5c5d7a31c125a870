"""The load of machines over a year, as a share of their design load: a constant, a daily pattern, or a record."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.errors import InputError
from hpcai.records.calendar import DAY, WEEK, YEAR, at_like_time
from hpcai.records.readers._source import read_text

Floats = npt.NDArray[np.float64]

DAILY: Final = ((0.0, 0.5), (6.0, 0.75), (8.0, 1.0), (18.0, 0.8))
"""Hours and the load from there on: the schedule of EnergyPlus's two-zone data centre."""

LOAD: Final = "it_load"
_COLUMNS: Final = ("cpu_load", "load", LOAD)
_HOUR: Final = 3600.0


def read_it_load(
    source: float | str | Path, steps: int, step_length: float, start: datetime, utc_offset: float = 0.0
) -> Floats:
    """Return the load over each step, (steps,), 0..1.

    Args:
        source: a number for a constant, ``daily`` for the pattern DAILY, or a table, Parquet or delimited text, plain
            or compressed, with a column cpu_load, load or it_load (0..1). With dates in a column ``time``, UTC unless
            they say otherwise, rows are as far apart as these; without it has one value an hour from the first step on.
        steps: how many.
        step_length: s.
        start: local time at the beginning of the first.
        utc_offset: of local time, h.

    A table with dates serves other years by like weeks, as prices do, if it spans a year; one shorter is repeated: by
    whole weeks, or days if it has no week, so that its days of the week and its hours stay. One without is repeated
    as it is.

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
    table = _read(Path(source))
    parts = max(1, round(step_length / table.step))  # of a step, where the table is finer
    since = np.arange(steps * parts, dtype=np.float64) * (step_length / parts)
    unix_start = (start - datetime(1970, 1, 1)).total_seconds() - _HOUR * utc_offset
    return np.asarray(table.at(since, unix_start).reshape(steps, parts).mean(axis=1))


@dataclass(frozen=True)
class _Table:
    values: Floats
    step: float  # s
    first: float | None  # Unix time of the first row, if known

    def at(self, since: Floats, unix_start: float) -> Floats:
        """Return the values ``since`` (s) a beginning at Unix time ``unix_start``."""
        whole = self.step * len(self.values)
        if self.first is None:
            into = since % whole
        elif whole >= YEAR - WEEK:
            into = at_like_time(unix_start + since, self.first, self.first + whole, whole=WEEK) - self.first
        else:
            unit = next((unit for unit in (WEEK, DAY) if whole >= unit), whole)
            into = (unix_start + since - self.first) % (whole // unit * unit)
        return self.values[np.minimum(np.floor(into / self.step + 1e-9).astype(np.int64), len(self.values) - 1)]


def _checked(value: float, where: str) -> float:
    if not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise InputError(f"{where} {value:g}: expected a share of the design load, 0 to 1")
    return value


def _read(path: Path) -> _Table:
    table = _frame(path)
    column = next((name for name in _COLUMNS if name in table), None)
    if column is None or table.empty:
        raise InputError(f"{path}: expected a column {', '.join(_COLUMNS)} with loads, found none")
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64)
    for row in np.flatnonzero(~((values >= 0.0) & (values <= 1.0)))[:1]:
        raise InputError(f"{path}: line {row + 2}: expected a load from 0 to 1, found {table[column].iloc[row]}")
    if "time" not in table or pd.api.types.is_numeric_dtype(table["time"]):
        return _Table(values, _HOUR, None)
    seconds = _seconds(path, table["time"])
    apart = np.diff(seconds)
    for row in np.flatnonzero((apart != apart[:1]) | (apart <= 0))[:1]:
        raise InputError(f"{path}: line {row + 3}: expected a time {apart[0]:g} s after the last, found {apart[row]:g}")
    return _Table(values, float(apart[0]) if apart.size else _HOUR, float(seconds[0]))


def _frame(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(StringIO(read_text(path, "loads")[0]))
    except (ValueError, OSError, pd.errors.ParserError) as error:  # pyarrow's errors are of these kinds
        raise InputError(f"{path}: expected a table of loads: {str(error).splitlines()[0]}") from error


def _seconds(path: Path, times: pd.Series) -> Floats:
    try:
        stamps = pd.to_datetime(times, utc=True)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: time: expected dates, found others: {str(error).splitlines()[0]}") from error
    if stamps.isna().any():
        raise InputError(f"{path}: line {int(stamps.isna().argmax()) + 2}: expected a time, found none")
    return np.asarray((stamps - pd.Timestamp(0, tz="UTC")).dt.total_seconds())
