"""Weather outdoors: one canonical table of instants, read from EPW files, Open-Meteo and weather stations.

EnergyPlus takes the readings of an EPW row as those at the end of its hour and goes in straight lines between them
(Engineering Reference, "Weather Data Hourly Interpolation"); a step of the simulation has the weather of its end.
:meth:`Weather.at` does the same, so that both plants see one weather. Dry bulb, dew point, relative humidity, pressure
and wind are interpolated; humidity ratio and wet bulb follow from dry bulb, relative humidity and pressure.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.errors import InputError
from hpcai.records.calendar import DAY, YEAR, at_like_time
from hpcai.records.readers._observed import Observed
from hpcai.records.readers._source import read_text, stem
from hpcai.records.readers.epw import Site, is_epw, read_epw
from hpcai.records.readers.weather_csv import read_weather_csv
from hpcai.records.schema import Column

Floats = npt.NDArray[np.float64]

WEATHER_COLUMNS: Final = (
    Column("time", "float64", "s", "instant, counted from the weather's start"),
    Column("dry_bulb", "float64", "°C", "temperature of the air"),
    Column("wet_bulb", "float64", "°C", "thermodynamic wet-bulb temperature"),
    Column("dew_point", "float64", "°C", "dew-point temperature"),
    Column("relative_humidity", "float64", "1", "relative humidity, 0..1"),
    Column("humidity_ratio", "float64", "kg/kg", "water per dry air"),
    Column("pressure", "float64", "Pa", "pressure at the site, not reduced to sea level"),
    Column("wind_speed", "float64", "m/s", "speed of the wind"),
)

DRIEST: Final = 0.01  # of relative humidity; drier air has no dew point that PsychroLib finds


class WeatherArrays(NamedTuple):
    """The columns of WEATHER_COLUMNS, each float64[instants] and contiguous; compiled functions take it as it is."""

    time: Floats
    dry_bulb: Floats
    wet_bulb: Floats
    dew_point: Floats
    relative_humidity: Floats
    humidity_ratio: Floats
    pressure: Floats
    wind_speed: Floats


@dataclass(frozen=True)
class Weather:
    """The weather at a site from ``start`` on for ``duration``.

    ``frame`` has the columns of WEATHER_COLUMNS and a row every ``step`` seconds. An EPW file has its first reading
    at the end of the first step, a station at the start. A ``typical`` year is composed of months of different years;
    of its ``start`` only month and day mean something. ``filled`` counts readings that were missing, by quantity.
    """

    name: str
    location: str
    latitude: float  # °, nan if unknown
    longitude: float  # °, nan if unknown
    utc_offset: float  # h, of local standard time
    elevation: float  # m
    start: datetime  # local standard time of second 0
    duration: float  # s
    step: float  # s between rows
    frame: pd.DataFrame
    typical: bool = False
    filled: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    sha256: dict[str, str] = field(default_factory=dict)

    def at(self, step_length: float) -> Weather:
        """Return the weather in steps of ``step_length`` seconds: a row for each whole step, at the step's end.

        As EnergyPlus does, see above. Before the first reading, in the first hour of an EPW file, it goes on from the
        reading 24 hours after the start, as in EnergyPlus; after the last it stays.
        """
        if not step_length > 0:
            raise InputError(f"weather {self.name}: found step {step_length:g} s, expected a positive length")
        steps = int(self.duration // step_length)
        time: Floats = step_length * np.arange(1.0, steps + 1)
        known = self.frame["time"].to_numpy()
        values = {}
        for name in ("dry_bulb", "dew_point", "relative_humidity", "pressure", "wind_speed"):
            of_name = self.frame[name].to_numpy()
            if known[0] > 0:
                before = np.interp(min(86400.0, known[-1]), known, of_name)
                values[name] = np.interp(time, np.append(0.0, known), np.append(before, of_name))
            else:
                values[name] = np.interp(time, known, of_name)
        return replace(self, step=step_length, frame=_complete(time, values))

    @property
    def unix_start(self) -> float:
        """Unix time of second 0; of a typical year in the year of its first reading."""
        return (self.start - datetime(1970, 1, 1)).total_seconds() - 3600 * self.utc_offset

    def since_start(self, times: Floats) -> Floats:
        """Return where Unix ``times`` lie in the weather (s from its start); another year has the weather of this one.

        Raises InputError if one lies outside and the weather is shorter than a year.
        """
        begin = self.unix_start
        outside = (times < begin) | (times >= begin + self.duration)
        if outside.any():
            if self.duration < YEAR - DAY:
                raise InputError(
                    f"weather {self.name}: found {self.duration / DAY:.0f} days from {self.start}, expected the log's "
                    f"{datetime.fromtimestamp(float(times[outside][0]), UTC):%Y-%m-%d %H:%M} UTC, or a year"
                )
            times = at_like_time(times, begin, begin + self.duration, whole=DAY)
        return times - begin

    def arrays(self) -> WeatherArrays:
        """Return the columns as arrays."""
        return WeatherArrays(
            *(np.ascontiguousarray(self.frame[column.name].to_numpy(np.float64)) for column in WEATHER_COLUMNS)
        )


def read_weather(
    path: str | Path,
    *,
    utc_offset: float | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
    elevation: float | None = None,
) -> Weather:
    """Return the weather in an EPW file or a table of an Open-Meteo download or a weather station, plain or compressed.

    What is given as offset (h), latitude, longitude (°) or elevation (m) goes before what the file says. Missing
    hours and readings are interpolated and counted if the gap is at most 6 hours; pressure that was never recorded
    is that of the standard atmosphere. Raises InputError, one line with file, line, found and expected.
    """
    path = Path(path)
    text, sha256 = read_text(path, "weather")
    observed, site = read_epw(path, text) if is_epw(text) else read_weather_csv(path, text)
    site = replace(
        site,
        utc_offset=site.utc_offset if utc_offset is None else utc_offset,
        latitude=site.latitude if latitude is None else latitude,
        longitude=site.longitude if longitude is None else longitude,
        elevation=site.elevation if elevation is None else elevation,
    )
    notes = []
    if np.isnan(site.utc_offset):
        site = replace(site, utc_offset=0.0)
        notes.append("the file does not say the offset of its local time from UTC, taken as 0")
    if np.isnan(site.elevation):
        site = replace(site, elevation=0.0)
        notes.append("the file does not say the elevation, taken as 0")
    frame, filled = _canonical(observed, site, notes)
    return Weather(
        name=stem(path),
        location=site.location,
        latitude=site.latitude,
        longitude=site.longitude,
        utc_offset=site.utc_offset,
        elevation=site.elevation,
        start=site.start,
        duration=site.duration,
        step=site.step,
        frame=frame,
        typical=site.typical,
        filled=filled,
        notes=notes,
        sha256={path.name: sha256},
    )


def _canonical(observed: Observed, site: Site, notes: list[str]) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the readings as a table on a regular grid, and how many had to be made up, by quantity."""
    first = 0.0 if observed.time[0] <= 0 else site.step  # a station reads at instants, EPW at the end of an hour
    time = np.arange(first, site.duration + (site.step / 2 if first else 0), site.step)
    _add_humidity(observed)
    values, filled = {}, {}
    for name in ("dry_bulb", "dew_point", "relative_humidity", "pressure", "wind_speed"):
        optional = name in ("pressure", "wind_speed")
        if not optional or np.isfinite(observed.values.get(name, np.empty(0))).any():
            values[name], filled[name] = observed.on_grid(name, time)
    if "pressure" not in values:
        from hpcai.records.moist_air import standard_pressure

        values["pressure"] = np.full(len(time), standard_pressure(site.elevation))
        notes.append(f"no pressure: that of the standard atmosphere at {site.elevation:g} m is taken")
    if "wind_speed" not in values:
        values["wind_speed"] = np.zeros(len(time))
        notes.append("no wind speed: taken as 0")
    return _complete(time, values), {name: count for name, count in filled.items() if count}


def _add_humidity(observed: Observed) -> None:
    """Derive relative humidity and dew point from each other, row by row, where one of the two is missing."""
    from hpcai.records import moist_air

    unknown = np.full(len(observed.time), np.nan)
    dry, dew, humid = (observed.values.get(name, unknown) for name in ("dry_bulb", "dew_point", "relative_humidity"))
    humid = np.clip(humid, DRIEST, 1.0)
    lacks_humidity = np.isfinite(dry) & np.isfinite(dew) & np.isnan(humid)
    humid = humid.copy()
    humid[lacks_humidity] = moist_air.relative_humidity(dry[lacks_humidity], dew[lacks_humidity])
    lacks_dew_point = np.isfinite(dry) & np.isfinite(humid) & np.isnan(dew)
    dew = dew.copy()
    dew[lacks_dew_point] = moist_air.dew_point(dry[lacks_dew_point], humid[lacks_dew_point])
    observed.values.update(dew_point=dew, relative_humidity=humid)


def _complete(time: Floats, values: dict[str, Floats]) -> pd.DataFrame:
    """Return the canonical table of ``values``, with humidity ratio and wet bulb."""
    from hpcai.records import moist_air

    dry, pressure = values["dry_bulb"], values["pressure"]
    ratio = moist_air.humidity_ratio(dry, values["relative_humidity"], pressure)
    derived = {"time": time, "humidity_ratio": ratio, "wet_bulb": moist_air.wet_bulb(dry, ratio, pressure)}
    table = values | derived
    return pd.DataFrame({column.name: table[column.name] for column in WEATHER_COLUMNS})


def describe(weather: Weather) -> dict[str, Any]:
    """Return what a weather is like, as plain data; unknown is None."""

    def known(value: float) -> float | None:
        return None if np.isnan(value) else value

    quantities = {}
    for column in WEATHER_COLUMNS[1:]:
        values = weather.frame[column.name].to_numpy()
        low, p10, median, p90, high = (float(q) for q in np.quantile(values, (0, 0.1, 0.5, 0.9, 1)))
        quantities[column.name] = {
            "unit": column.unit,
            "min": low,
            "p10": p10,
            "median": median,
            "mean": float(values.mean()),
            "p90": p90,
            "max": high,
            "filled": weather.filled.get(column.name, 0),
        }
    return {
        "name": weather.name,
        "location": weather.location,
        "latitude": known(weather.latitude),
        "longitude": known(weather.longitude),
        "utc_offset": weather.utc_offset,
        "elevation": weather.elevation,
        "start": weather.start.isoformat(sep=" "),
        "typical": weather.typical,
        "hours": weather.duration / 3600,
        "step": weather.step,
        "quantities": quantities,
        "notes": weather.notes,
        "sha256": weather.sha256,
    }
