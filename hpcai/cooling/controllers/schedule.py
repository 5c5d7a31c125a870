"""Setpoints by the time of day."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hpcai.cooling.controllers.controller import named
from hpcai.cooling.interface import Floats
from hpcai.cooling.observation import OBSERVED_INDEX
from hpcai.errors import InputError

_SIN, _COS = OBSERVED_INDEX["hour_sin"], OBSERVED_INDEX["hour_cos"]


class Schedule:
    """Setpoints that change at given hours of the day."""

    def __init__(self, hours: Mapping[float, Mapping[str, float]]) -> None:
        """Take setpoints by name for each hour at which they begin; before the first those of the last hold.

        Raises InputError if there are none, or an hour is not within 0 to 24.
        """
        if not hours or not all(0.0 <= hour < 24.0 for hour in hours):
            raise InputError(f"schedule with hours {sorted(hours)}: expected one or more, from 0 to below 24")
        self._begin = np.array(sorted(hours))
        self._points = [named(dict(hours[hour])) for hour in sorted(hours)]

    def reset(self) -> None:
        """Nothing to forget."""

    def setpoints(self, observation: Floats) -> Floats:
        """Return those of the hour."""
        hour = np.arctan2(observation[_SIN], observation[_COS]) * 12.0 / np.pi % 24.0
        hour = round(float(hour) * 3600.0, 3) / 3600.0  # 6:00 must not come out as a hair before
        return self._points[int(np.searchsorted(self._begin, hour, side="right")) - 1]
