"""Weather as delimited text: what Open-Meteo offers for download, and logs of weather stations."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from hpcai.errors import FormatError, InputError
from hpcai.records.readers._observed import Floats, Observed, ascending_times, check_rows, numbered_rows
from hpcai.records.readers.epw import Site

_NAMES: Final = {  # quantity: names of its column, in lower case and without a unit
    "dry_bulb": ("temperature_2m", "temp", "temperature", "dry_bulb"),
    "dew_point": ("dew_point_2m", "dewpoint_2m", "dew point", "dew_point"),
    "relative_humidity": ("relative_humidity_2m", "relativehumidity_2m", "humidity", "relative_humidity"),
    "pressure": ("surface_pressure", "pressure"),
    "wind_speed": ("wind_speed_10m", "windspeed_10m", "wind speed", "wind_speed"),
}
_UNITS: Final = {  # unit, by default the first: factor to SI
    "dry_bulb": {"°c": 1.0},
    "dew_point": {"°c": 1.0},
    "relative_humidity": {"%": 0.01, "1": 1.0},
    "pressure": {"hpa": 100.0, "mb": 100.0, "pa": 1.0},
    "wind_speed": {"km/h": 1 / 3.6, "m/s": 1.0},
}
_ALLOWED: Final = {
    "dry_bulb": (-90.0, 70.0),
    "dew_point": (-90.0, 70.0),
    "relative_humidity": (0.0, 1.1),
    "pressure": (31000.0, 120000.0),
    "wind_speed": (0.0, 120.0),
}


def read_weather_csv(path: Path, text: str) -> tuple[Observed, Site]:
    """Return the readings in a table with a column of local times, counted from its first step, and their site.

    A table of Open-Meteo may begin with a line of its coordinates; others do not say where they are from. Raises
    FormatError or InputError, one line with file, line, what was found and what was expected.
    """
    lines = text.splitlines()
    about, first = _about(path, lines)
    heading, *rows = numbered_rows(path, lines, first)
    names = [_plain(name) for name in heading[1]]
    if "time" not in names or not set(names) & set(_NAMES["dry_bulb"]):
        found = ", ".join(heading[1][:4])
        expected = "an EPW file, or time and temperature"
        raise FormatError(f"{path}: line {heading[0]}: found columns {found}, expected {expected}")
    check_rows(path, len(names), rows)
    numbers = np.array([number for number, _ in rows])
    seconds, zone = ascending_times(path, numbers, [row[names.index("time")] for _, row in rows])
    if zone:
        raise InputError(f"{path}: line {numbers[0]}: found a time with a zone, expected local time without one")
    step = _step(seconds)
    begin = np.ceil(seconds[0] / step) * step
    observed = Observed(path, seconds - begin, numbers)
    for quantity, known in _NAMES.items():
        place = next((names.index(name) for name in known if name in names), None)
        if place is not None:
            texts = [row[place] for _, row in rows]
            observed.values[quantity] = _values(path, numbers, texts, quantity, heading[1][place])
    whole = (np.floor(seconds[-1] / step) + 1) * step - begin
    start = datetime(1970, 1, 1) + pd.Timedelta(seconds=float(begin)).to_pytimedelta()
    return observed, replace(about, start=start, duration=float(whole), step=step)


def _plain(name: str) -> str:
    return re.sub(r"\s*\(.*\)\s*$", "", name).strip().lower()


def _about(path: Path, lines: list[str]) -> tuple[Site, int]:
    """Return what the table says of its site, and the index of the line with its headings."""
    site: dict[str, Any] = {"latitude": np.nan, "longitude": np.nan, "utc_offset": np.nan, "elevation": np.nan}
    heading = 0
    if len(lines) > 2 and lines[0].startswith("latitude,"):
        names, values = lines[0].split(","), lines[1].split(",")
        said = dict(zip(names, values, strict=False))
        try:
            site = {name: float(said[name]) for name in ("latitude", "longitude", "elevation")}
            site["utc_offset"] = float(said["utc_offset_seconds"]) / 3600
        except (KeyError, ValueError):
            raise InputError(
                f"{path}: line 2: found {lines[1]!r}, expected latitude, longitude, elevation, offset"
            ) from None
        heading = next((i for i, line in enumerate(lines) if i > 1 and line.startswith("time,")), 0)
    return Site(location="", start=datetime(1970, 1, 1), duration=0, step=0, typical=False, **site), heading


def _step(seconds: Floats) -> float:
    """Return the usual time between readings (s), rounded to whole minutes that divide an hour."""
    usual = float(np.median(np.diff(seconds))) / 60
    return 60.0 * min((1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60), key=lambda minutes: abs(minutes - usual))


def _values(path: Path, numbers: Any, texts: list[str], quantity: str, heading: str) -> Floats:
    said = re.search(r"\((.*)\)\s*$", heading)
    units = _UNITS[quantity]
    unit = said.group(1).strip().lower() if said else next(iter(units))
    if unit not in units:
        raise InputError(f"{path}: found unit {unit!r} in column {heading!r}, expected {' or '.join(units)}")
    values: Floats = np.array(pd.to_numeric(pd.Series(texts), errors="coerce"), np.float64)
    values *= units[unit]
    low, high = _ALLOWED[quantity]
    for i in np.flatnonzero(~((values >= low) & (values <= high))):
        if not (np.isnan(values[i]) and texts[i].strip().lower() in ("", "nan", "null", "none", "--")):
            raise InputError(
                f"{path}: line {numbers[i]}: found {texts[i]!r} for {quantity.replace('_', ' ')}, "
                f"expected a number from {low / units[unit]:g} to {high / units[unit]:g} {unit}"
            )
    return values
