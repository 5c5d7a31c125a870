"""EnergyPlus weather files (EPW): 8 lines of header, then a row for every hour or part of one.

The format is that of the EnergyPlus Auxiliary Programs manual, "EnergyPlus Weather File (EPW) Data Dictionary". An
hour is named by its end, 1 to 24, and so are readings. A typical year is composed of months of different years:
the year of a row says where it was taken from, and time runs by month, day and hour alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from hpcai.errors import FormatError, InputError
from hpcai.records.readers._observed import Observed

HEADER: Final = 8  # lines

_QUANTITIES: Final = {  # name: field, missing from, lowest and highest that the format allows
    "dry_bulb": (6, 99.9, -70.0, 70.0),  # °C
    "dew_point": (7, 99.9, -70.0, 70.0),  # °C
    "relative_humidity": (8, 999.0, 0.0, 110.0),  # %
    "pressure": (9, 999999.0, 31000.0, 120000.0),  # Pa
    "wind_speed": (21, 999.0, 0.0, 40.0),  # m/s
}


@dataclass(frozen=True)
class Site:
    """Where and when a file's readings were taken."""

    location: str
    latitude: float  # °
    longitude: float  # °
    utc_offset: float  # h
    elevation: float  # m
    start: datetime  # local standard time of second 0
    duration: float  # s
    step: float  # s
    typical: bool  # months of different years


def is_epw(text: str) -> bool:
    """Whether ``text`` begins as an EPW file does."""
    return text.startswith("LOCATION,")


def read_epw(path: Path, text: str) -> tuple[Observed, Site]:
    """Return the readings in the text of an EPW file, counted from the start of its data period, and their site.

    Raises FormatError or InputError, one line with file, line, what was found and what was expected.
    """
    lines = text.splitlines()
    fields = _header(path, lines, "LOCATION", 10)
    period = _header(path, lines, "DATA PERIODS", 7)
    latitude, longitude, utc_offset, elevation = (
        _number(path, 1, fields[i], what)
        for i, what in ((6, "latitude"), (7, "longitude"), (8, "hours from UTC"), (9, "elevation"))
    )
    if period[1].strip() != "1":
        raise InputError(f"{path}: line {HEADER}: found {period[1].strip()} data periods, expected 1")
    per_hour = int(_number(path, HEADER, period[2], "records an hour"))
    if per_hour < 1 or 60 % per_hour:
        raise InputError(f"{path}: line {HEADER}: found {per_hour} records an hour, expected a divisor of 60")
    rows = [(number, line.split(",")) for number, line in enumerate(lines[HEADER:], HEADER + 1) if line.strip()]
    if not rows:
        raise InputError(f"{path}: found {HEADER} lines of header and no data, expected a row for every hour")
    first_year, leap = int(_number(path, rows[0][0], rows[0][1][0], "year")), _has_leap_day(rows)
    year = 2000 if leap else 2001  # any with as many days; only month, day and hour count
    begin, end = (_day(path, period[i], year) for i in (5, 6))
    duration = (end - begin).total_seconds() + 86400
    step = 3600.0 / per_hour
    observed = Observed(path, *_times(path, rows, year, begin, per_hour))
    for name, (place, missing, low, high) in _QUANTITIES.items():
        observed.values[name] = np.array([_reading(path, row, place, missing, low, high, name) for row in rows])
    observed.values["relative_humidity"] /= 100
    start = begin.replace(year=first_year if not leap or _is_leap(first_year) else year)
    typical = len({row[0] for _, row in rows}) > 2 or "TMY" in fields[4].upper() or "IWEC" in fields[4].upper()
    location = ", ".join(part.strip() for part in (fields[1], fields[2], fields[3]) if part.strip() not in ("", "-"))
    return observed, Site(location, latitude, longitude, utc_offset, elevation, start, duration, step, typical)


def _header(path: Path, lines: list[str], key: str, width: int) -> list[str]:
    number, line = next(
        ((i, line) for i, line in enumerate(lines[:HEADER], 1) if line.upper().startswith(key + ",")), (0, "")
    )
    if not number:
        raise FormatError(f"{path}: found no line {key} in the first {HEADER}, expected an EPW header")
    fields = line.split(",")
    if len(fields) < width:
        raise InputError(f"{path}: line {number}: found {len(fields)} fields in {key}, expected {width}")
    return fields


def _number(path: Path, line: int, text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InputError(f"{path}: line {line}: found {text.strip()!r} for {what}, expected a number")
    return value


def _reading(
    path: Path, row: tuple[int, list[str]], place: int, missing: float, low: float, high: float, name: str
) -> float:
    """Return a field as a number, nan if it carries the code for missing."""
    line, fields = row
    text = fields[place].strip()
    try:
        value = float(text) if text else np.nan
    except ValueError:
        raise InputError(
            f"{path}: line {line}: found {text!r} for {name.replace('_', ' ')}, expected a number"
        ) from None
    if np.isnan(value) or value >= missing:
        return np.nan
    if not low <= value <= high:
        expected = f"{low:g} to {high:g}, or {missing:g} for missing"
        raise InputError(f"{path}: line {line}: found {value:g} for {name.replace('_', ' ')}, expected {expected}")
    return value


def _times(
    path: Path, rows: list[tuple[int, list[str]]], year: int, begin: datetime, per_hour: int
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return the end of each row's part of an hour (s from ``begin``), which has to come later row by row."""
    seconds, lines, before, part = [], [], -np.inf, 0
    hour_before = ""
    for line, fields in rows:
        if len(fields) < 22:
            raise InputError(f"{path}: line {line}: found {len(fields)} fields, expected 35")
        hour = ",".join(fields[1:4])
        part = part + 1 if hour == hour_before else 1
        hour_before = hour
        month, day, of_day = (
            int(_number(path, line, fields[i], w)) for i, w in ((1, "month"), (2, "day"), (3, "hour"))
        )
        try:
            date = datetime(year, month, day)
        except ValueError:
            date = datetime(1, 1, 1)
        if date.year == 1 or not 1 <= of_day <= 24:
            raise InputError(f"{path}: line {line}: found {month}/{day} hour {of_day}, expected a day and hour 1 to 24")
        minutes = 60 * part / per_hour
        second = (date + timedelta(hours=of_day - 1, minutes=minutes) - begin).total_seconds()
        if second <= before or part > per_hour:
            raise InputError(
                f"{path}: line {line}: found {month}/{day} hour {of_day} again or out of order, expected a later hour"
            )
        before = second
        seconds.append(second)
        lines.append(line)
    return np.array(seconds), np.array(lines)


def _has_leap_day(rows: list[tuple[int, list[str]]]) -> bool:
    return any(len(row) > 2 and row[1].strip() == "2" and row[2].strip() == "29" for _, row in rows)


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _day(path: Path, text: str, year: int) -> datetime:
    try:
        month, day = (int(part) for part in text.split("/")[:2])
        return datetime(year, month, day)
    except ValueError:
        raise InputError(
            f"{path}: line {HEADER}: found {text.strip()!r} for a day of the data period, expected month/day"
        ) from None
