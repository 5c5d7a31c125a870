"""What a controller sees live: the vector of hpcai.cooling.observation, from readings since the last decision."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Final

import numpy as np

from hpcai.cooling.interface import READINGS, SIDES, Floats
from hpcai.cooling.observation import AHEAD, OBSERVED, OBSERVED_INDEX, SURROUNDINGS, surroundings
from hpcai.errors import InputError
from hpcai.live.cooling.clock import Clock
from hpcai.live.cooling.forecast import Forecast, Rate
from hpcai.live.cooling.points import LOADS, PointMap
from hpcai.records.weather import WeatherArrays

Values = dict[str, float]

_SUMS: Final = {
    "it": tuple(f"{side}_it" for side in SIDES),
    "hvac": (*(f"{side}_fan" for side in SIDES), "evaporative", "chiller", "tower", "pumps"),
    "site": ("it", "hvac"),
}
"""Readings that may be sums of others, in the order in which they are made."""
_POWERS: Final = frozenset(point.name for point in READINGS if point.unit == "W")
_FIRST: Final = len(READINGS)


def with_sums(values: Mapping[str, float]) -> Values:
    """Return readings and those that follow from them."""
    found = dict(values)
    for name, parts in _SUMS.items():
        if name not in found and all(part in found for part in parts):
            found[name] = sum(found[part] for part in parts)
    return found


class Observer:
    """Collects readings; powers are means over the step, all else is as it is at its end, as in training."""

    def __init__(
        self, points: PointMap, step: float, clock: Clock, forecast: Forecast, rate: Rate, design: float | None
    ) -> None:
        """Take the length of a step (s), and the machines' design power (W) where the point map has none."""
        self._points, self._step, self._clock = points, step, clock
        self._forecast, self._rate = forecast, rate
        self._design = points.design_power or design
        self._hour = round(3600.0 / step)
        self._seen: list[Values] = []
        self._loads: list[tuple[float, tuple[float, ...]]] = []  # Unix time at the end of a step, load of each side

    def check_has(self, needs: Collection[str]) -> None:
        """Raise InputError, naming all, if readings that a controller looks at are neither mapped nor known."""
        names = with_sums(dict.fromkeys([*self._points.readings, *self._points.constants], 0.0))
        missing = [point.name for point in READINGS if point.name in needs and point.name not in names]
        if any(load in needs for load in LOADS) and set(self._points.loads) != set(LOADS):
            missing += [f"{side}_it" for side in SIDES if f"{side}_it" not in names]
            if self._design is None:
                missing.append("loads or design_power")
        if missing:
            raise InputError(f"points: the bundle's controller needs {', '.join(dict.fromkeys(missing))}")

    def add(self, values: Mapping[str, float]) -> None:
        """Take readings and loads of a cycle by name."""
        self._seen.append({**values, **self._points.constants})

    def forget(self) -> None:
        """Begin the step anew: what was read before a fallback says nothing of now. Loads are remembered."""
        self._seen.clear()

    def take(self) -> Floats:
        """Return what is seen at the end of a step, (len(OBSERVED),), nan what nobody knows, and begin the next."""
        now = self._clock.now()
        values = with_sums({name: self._of_step(name) for name in self._seen[-1]})
        self._seen.clear()
        observation = np.full(len(OBSERVED), np.nan)
        for name, value in values.items():
            if name in OBSERVED_INDEX:
                observation[OBSERVED_INDEX[name]] = value
        self._loads.append((now, tuple(self._load(side, values) for side in SIDES)))
        self._loads = [entry for entry in self._loads if now - entry[0] < 2 * 3600.0 + self._step]
        observation[_FIRST:] = self._surroundings(now, values)
        return observation

    def _of_step(self, name: str) -> float:
        if name not in _POWERS and name not in LOADS:
            return self._seen[-1][name]
        return float(np.mean([values[name] for values in self._seen]))

    def _load(self, side: str, values: Mapping[str, float]) -> float:
        """Return the load of a side, 0..1: as the site says, or by the power between idle and full."""
        if f"{side}_load" in values:
            return float(np.clip(values[f"{side}_load"], 0.0, 1.0))
        power = values.get(f"{side}_it", np.nan)
        if self._design is None:
            return np.nan
        idle, design = self._points.idle_power / len(SIDES), self._design / len(SIDES)
        return float(np.clip((power - idle) / (design - idle), 0.0, 1.0))

    def _surroundings(self, now: float, values: Mapping[str, float]) -> Floats:
        """Return what is known besides readings, by the function that made it for training.

        The series that it takes begin an hour ago, which is as far as it looks back, and reach to the last forecast.
        """
        row = self._hour + 1
        steps = row + max(AHEAD) * self._hour + 1
        ends: Floats = now + self._step * (np.arange(steps, dtype=np.float64) + 1 - row)
        times = [time for time, _ in self._loads]
        of_sides = zip(*(loads for _, loads in self._loads), strict=True)
        load = np.column_stack([np.interp(ends, times, loads) for loads in of_sides])
        weather = dict.fromkeys(WeatherArrays._fields, np.zeros(steps))
        dry, wet = (values.get(name, np.nan) for name in ("dry_bulb", "wet_bulb"))
        weather["dry_bulb"], weather["wet_bulb"] = self._forecast.at(ends, dry, wet)
        start = self._clock.local(now) - timedelta(seconds=row * self._step)
        known: Floats = surroundings(WeatherArrays(**weather), load, self._step, start)[row]
        known[[_AT["rate"], _AT["rate_day"]]] = self._rate.at(now)
        return known


_AT: Final = {point.name: i for i, point in enumerate(SURROUNDINGS)}
