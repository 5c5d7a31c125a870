"""From what a controller wants to what is written: ranges, and no setpoint faster than it may move."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from hpcai.cooling.interface import SETPOINT_INDEX, Floats
from hpcai.live.cooling.points import PointMap


class Steering:
    """Moves setpoints from where they stand to where a controller wants them."""

    def __init__(self, points: PointMap) -> None:
        """Take ranges and rates from the point map."""
        self._points = points
        self._at: dict[str, float] = {}

    def begin(self, found: Mapping[str, float]) -> None:
        """Begin at what stands in the registers, by name, or at the nearest that may be written."""
        self._at = {name: self._within(name, value) for name, value in found.items() if math.isfinite(value)}

    def wanted(self, told: Floats) -> dict[str, float]:
        """Return a controller's setpoints (len(SETPOINTS),) by name, within their ranges.

        One that it leaves to the plant is the plant's own value, or left as it is where there is none.
        """
        wanted = {}
        for name, setpoint in self._points.setpoints.items():
            value = float(told[SETPOINT_INDEX[name]])
            if math.isfinite(value):
                wanted[name] = self._within(name, value)
            elif setpoint.own is not None:
                wanted[name] = setpoint.own
        return wanted

    def toward(self, wanted: Mapping[str, float], seconds: float) -> dict[str, float]:
        """Return what is to be written now, ``seconds`` after the last time."""
        for name, value in wanted.items():
            rate, at = self._points.setpoints[name].rate, self._at.get(name, value)
            most = math.inf if rate is None else rate * seconds / 60.0
            self._at[name] = at + float(np.clip(value - at, -most, most))
        return {name: self._at[name] for name in wanted}

    def _within(self, name: str, value: float) -> float:
        low, high = self._points.bounds(name)
        return min(max(value, low), high)
