"""The weather and the price to come: from files where there are any, else as they are now."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from hpcai.arrays import changed_at
from hpcai.cooling.interface import Floats
from hpcai.errors import InputError
from hpcai.records.grid_signal import GridSignal, read_grid_signal
from hpcai.records.weather import Weather, read_weather

_DAY: Final = 24


class Forecast:
    """Outdoor air in the next hours. A file is read again when it has been written again."""

    def __init__(self, path: str | Path | None, step: float) -> None:
        """Take any weather table that hpcai reads, in steps of so many seconds; None: the weather stays.

        Raises InputError if it cannot be read.
        """
        self._path, self._step, self._changed = path, step, 0
        self._weather: Weather | None = None
        self.why = "" if path is not None else "no forecast is given"
        """Why the weather of now stands for that to come; empty if it does not."""
        if path is not None:
            self._read()

    def _read(self) -> None:
        assert self._path is not None
        changed = changed_at(self._path, "forecast")
        if changed != self._changed:
            self._weather, self._changed = read_weather(self._path).at(self._step), changed

    def at(self, times: Floats, dry_bulb: float, wet_bulb: float) -> tuple[Floats, Floats]:
        """Return dry and wet bulb (°C) at Unix ``times``; as now where the file has nothing to say, see ``why``."""
        if self._path is not None:
            try:
                self._read()
                assert self._weather is not None
                since = self._weather.since_start(times)
                frame = self._weather.frame
                self.why = ""
                return (
                    np.interp(since, frame["time"], frame["dry_bulb"]),
                    np.interp(since, frame["time"], frame["wet_bulb"]),
                )
            except InputError as error:
                self.why = str(error)
        return np.full(len(times), dry_bulb), np.full(len(times), wet_bulb)


class Rate:
    """Price or carbon intensity over its mean, now and over the coming day; 1 without a file."""

    def __init__(self, path: str | Path | None) -> None:
        """Raises InputError if the file cannot be read."""
        self._signal: GridSignal | None = None if path is None else read_grid_signal(path)

    def at(self, now: float) -> tuple[float, float]:
        """Return both at Unix time ``now``. Raises InputError if a series of less than a year does not reach so far."""
        if self._signal is None:
            return 1.0, 1.0
        hours: Floats = now + 3600.0 * np.arange(_DAY, dtype=np.float64)
        values = self._signal.at(hours) / self._signal.frame["value"].mean()
        return float(values[0]), float(values.mean())
