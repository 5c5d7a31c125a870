"""What a controller sees before each step: the plant's readings, and what is known of weather, load, time and prices.

The same vector is made for the environments, for replays and live, so a policy is served what it learned from.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.cooling.interface import READINGS, SIDES, Floats, Point
from hpcai.records.weather import WeatherArrays

AHEAD: Final = (1, 3, 6)  # h, of the forecasts

_SCALES: Final = {"°C": (-10.0, 45.0), "kg/s": (0.0, 10.0)}  # of readings; powers are scaled by the site's


def _range(point: Point, design: float) -> tuple[float, float]:
    return _SCALES.get(point.unit, (0.0, design))


SURROUNDINGS: Final = (
    *(Point(f"{side}_load", "1", "load of the machines over the step that ended", 0.0, 1.0) for side in SIDES),
    *(Point(f"{side}_trend", "1", "that less the load an hour before", -1.0, 1.0) for side in SIDES),
    *(
        Point(f"{what}_{hours}h", "°C", f"outdoor air in {hours} h, as forecast", -10.0, 45.0)
        for what in ("dry_bulb", "wet_bulb")
        for hours in AHEAD
    ),
    Point("hour_sin", "1", "sine of the time of day", -1.0, 1.0),
    Point("hour_cos", "1", "cosine of the time of day", -1.0, 1.0),
    Point("year_sin", "1", "sine of the day of the year", -1.0, 1.0),
    Point("year_cos", "1", "cosine of the day of the year", -1.0, 1.0),
    Point("rate", "1", "price or carbon intensity of the coming step, over its mean", 0.0, 3.0),
    Point("rate_day", "1", "mean of it over the coming 24 h, over its mean", 0.0, 3.0),
)
"""What is known besides the plant's readings, in order."""

OBSERVED: Final = (*READINGS, *SURROUNDINGS)
"""What a controller sees, in order: float64 in the units given."""

OBSERVED_INDEX: Final = {point.name: i for i, point in enumerate(OBSERVED)}


def surroundings(
    weather: WeatherArrays, it_load: Floats, step_length: float, start: datetime, rate: Floats | None = None
) -> Floats:
    """Return what is known besides readings before each step, (steps, len(SURROUNDINGS)).

    Forecasts are the weather that comes, so perfect; at the end of the weather they stay at the last.

    Args:
        weather: its values at the end of each step, (steps,).
        it_load: load of each side over each step, (steps, 2).
        step_length: s.
        start: local time at the beginning of the first step.
        rate: price or carbon intensity over each step, (steps,); None: the same at all times.
    """
    steps = len(it_load)
    hour = round(3600.0 / step_length)
    now = np.arange(steps)
    past = np.maximum(now - 1, 0)
    ago = np.maximum(now - 1 - hour, 0)
    load, before = it_load[past], it_load[ago]
    ahead = [np.minimum(now - 1 + hours * hour, steps - 1) for hours in AHEAD]
    seconds = (start - datetime(start.year, 1, 1)).total_seconds() + step_length * now
    day, year = 2 * np.pi * seconds / 86400.0, 2 * np.pi * seconds / (365.25 * 86400.0)
    of_rate = np.ones(steps) if rate is None else rate / rate.mean()
    return np.column_stack(
        [
            load,
            load - before,
            *(values[rows] for values in (weather.dry_bulb, weather.wet_bulb) for rows in ahead),
            *(np.sin(day), np.cos(day), np.sin(year), np.cos(year)),
            of_rate,
            _mean_ahead(of_rate, 24 * hour),
        ]
    )


def _mean_ahead(values: Floats, steps: int) -> Floats:
    """Return the mean of each value and those that follow it, ``steps`` in all or as many as there are."""
    sums = np.concatenate(([0.0], np.cumsum(values)))
    first = np.arange(values.size)
    end = np.minimum(first + steps, values.size)
    return (sums[end] - sums[first]) / (end - first)


class Scaling:
    """Observations as networks take them: float32, about -1..1 where values are usual."""

    def __init__(self, design: float) -> None:
        """Take the design power of the machines of the site, W, as the scale of powers."""
        ranges = np.array([_range(point, 1.5 * design) for point in READINGS])
        ranges = np.vstack([ranges, [(point.low, point.high) for point in SURROUNDINGS]])
        for i, point in enumerate(READINGS):
            if point.unit == "W" and point.name not in ("it", "site"):
                ranges[i] = 0.0, 0.75 * design if point.name.endswith("_it") else 0.2 * design
        self.middle: Floats = ranges.mean(axis=1)
        self.half: Floats = (ranges[:, 1] - ranges[:, 0]) / 2

    def __call__(self, observation: Floats) -> NDArray[np.float32]:
        """Return (..., len(OBSERVED)) of the same shape, cut off at -3..3."""
        return np.clip((observation - self.middle) / self.half, -3.0, 3.0).astype(np.float32)
