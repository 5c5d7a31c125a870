"""The liquid-cooled plant with its weather, a step at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcai.cooling.liquid import (
    LIQUID_LEDGER,
    LIQUID_READINGS,
    LIQUID_SETPOINTS,
    LiquidParameters,
    liquid_arrays,
    liquid_step,
    load_liquid_plant,
)
from hpcai.errors import InputError
from hpcai.simulation.cooling.fast import WeatherColumns, weather_rows

Floats = NDArray[np.float64]

_LOW = np.array([point.low for point in LIQUID_SETPOINTS])
_HIGH = np.array([point.high for point in LIQUID_SETPOINTS])


class LiquidPlant:
    """A plant of ``hpcai.cooling.liquid`` under recorded weather; setpoints and readings are its own."""

    def __init__(
        self,
        weather: WeatherColumns | Mapping[str, Any],
        plant: str | Path | LiquidParameters = "liquid",
        *,
        step_length: float = 900.0,
    ) -> None:
        """Raise InputError if weather or plant cannot be used.

        Args:
            weather: a value of each quantity for each step; see ``fast.weather_rows``.
            plant: the preset 'liquid', a YAML file, or parameters.
            step_length: s.
        """
        if not step_length > 0:
            raise InputError(f"step_length {step_length:g} s: expected a positive length")
        self.parameters = plant if isinstance(plant, LiquidParameters) else load_liquid_plant(plant)
        self.step_length = float(step_length)
        self.weather = weather_rows(weather)
        self.steps = len(self.weather)
        self.design_power = self.parameters.plates.design_power
        self._plant = liquid_arrays(self.parameters)
        self._ledger = np.zeros(len(LIQUID_LEDGER))
        self.now = 0
        self.state = np.array([self.parameters.distribution.supply])

    def reset(self, start: int = 0) -> None:
        """Begin at step ``start`` of the weather, plates as warm as the coolant. Raises InputError past its end."""
        if not 0 <= start < self.steps:
            raise InputError(f"start {start}: expected a step of the weather, 0 to {self.steps - 1}")
        self.now = start
        self.state = np.array([self.parameters.distribution.supply])

    def step(self, setpoints: Floats, it_load: float) -> Floats:
        """Go one step on and return its readings (len(LIQUID_READINGS),).

        Args:
            setpoints: (len(LIQUID_SETPOINTS),), nan where the plant's own control is to decide.
            it_load: load of the machines, 0..1.

        Raises InputError if one is out of range, or at the end of the weather.
        """
        if not 0.0 <= it_load <= 1.0:
            raise InputError(f"it_load {it_load}: expected a share of the design load, 0 to 1")
        outside = (setpoints < _LOW) | (setpoints > _HIGH)
        if outside.any():
            i = int(np.argmax(outside))
            point = LIQUID_SETPOINTS[i]
            raise InputError(
                f"setpoint {point.name} {setpoints[i]:g} {point.unit}: expected {point.low:g} to {point.high:g}"
            )
        if self.now >= self.steps:
            raise InputError(f"step {self.now}: the weather has {self.steps} steps")
        readings = np.empty(len(LIQUID_READINGS))
        wet_bulb = self.weather[self.now, 2]
        liquid_step(self._plant, self.state, setpoints, it_load, wet_bulb, self.step_length, readings, self._ledger)
        self.now += 1
        return readings

    @property
    def ledger(self) -> dict[str, float]:
        """Every flow of heat in the last step, by the names of hpcai.cooling.liquid.LIQUID_LEDGER, W."""
        return dict(zip(LIQUID_LEDGER, self._ledger.tolist(), strict=True))
