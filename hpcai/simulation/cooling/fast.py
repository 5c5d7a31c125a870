"""The fast plant with its weather: a step at a time, or a whole stretch of setpoints in machine code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hpcai.cooling.air import (
    density,
    dew_point,
    heat_capacity,
    humidity_of_relative,
    humidity_of_wet_bulb,
    wet_bulb,
)
from hpcai.cooling.interface import OWN, READINGS, SIDES, check_commands, checked
from hpcai.cooling.parameters import PlantParameters, as_arrays, load_plant
from hpcai.cooling.plant import LEDGER, WEATHER, step
from hpcai.cooling.rollout import roll
from hpcai.cooling.side import ROWS, STATE
from hpcai.errors import InputError

Floats = NDArray[np.float64]

SETTLING = 96  # steps before the first, of its weather and half the load, that bring the state near its course


class WeatherColumns(Protocol):
    """What the plant needs of weather, a value for each step: hpcai.records.weather.WeatherArrays has it."""

    @property
    def dry_bulb(self) -> Any:
        """Temperature, °C."""

    @property
    def wet_bulb(self) -> Any:
        """Wet bulb, °C."""

    @property
    def pressure(self) -> Any:
        """Pressure, Pa."""


def weather_rows(weather: WeatherColumns | Mapping[str, Any]) -> Floats:
    """Return weather as (steps, len(WEATHER)).

    ``weather`` has, by key or attribute, dry_bulb (°C), pressure (Pa) and at least one of wet_bulb (°C),
    humidity_ratio (kg/kg) and relative_humidity (0..1). Raises InputError if something is missing, not finite, or
    the lengths differ.
    """

    def column(name: str) -> Floats | None:
        found = weather.get(name) if isinstance(weather, Mapping) else getattr(weather, name, None)
        return None if found is None else np.atleast_1d(np.asarray(found, dtype=np.float64))

    dry, pressure, wet = column("dry_bulb"), column("pressure"), column("wet_bulb")
    ratio, relative = column("humidity_ratio"), column("relative_humidity")
    if dry is None or pressure is None or (wet is None and ratio is None and relative is None):
        raise InputError("weather: expected dry_bulb, pressure and wet_bulb, humidity_ratio or relative_humidity")
    dry, pressure = np.broadcast_arrays(dry, pressure)
    if ratio is None and relative is not None:
        ratio = _each(humidity_of_relative, dry, relative, pressure)
    if ratio is None:
        ratio = _each(humidity_of_wet_bulb, dry, wet, pressure)
    if wet is None:
        wet = _each(_wet_bulb, dry, ratio, pressure)
    if not dry.shape == ratio.shape == wet.shape:
        raise InputError(f"weather: expected columns of one length, found {dry.size}, {ratio.size} and {wet.size}")
    rows = np.column_stack((dry, ratio, wet, _each(dew_point, ratio, pressure), pressure))
    if not np.isfinite(rows).all():
        bad = int(np.argmin(np.isfinite(rows).all(axis=1)))
        raise InputError(f"weather: step {bad}: expected numbers, found {dict(zip(WEATHER, rows[bad], strict=True))}")
    return rows


def _each(function: Any, *columns: Any) -> Floats:
    return np.array([function(*values) for values in zip(*(c.tolist() for c in columns), strict=True)])


def _wet_bulb(dry: float, ratio: float, pressure: float) -> float:
    return float(wet_bulb(dry, ratio, pressure, heat_capacity(ratio)))


class FastPlant:
    """A plant of ``hpcai.cooling`` under recorded weather; implements hpcai.cooling.interface.Plant."""

    def __init__(
        self,
        weather: WeatherColumns | Mapping[str, Any],
        plant: str | Path | PlantParameters = "two-zone",
        *,
        it_curve: str = "stock",
        step_length: float = 900.0,
    ) -> None:
        """Raise InputError if weather or plant cannot be used.

        Args:
            weather: a value of each quantity for each step; see ``weather_rows``. Of a
                hpcai.records.weather.Weather it is ``weather.at(step_length).arrays()``.
            plant: a preset, a YAML file, or parameters.
            it_curve: how the machines' power follows their air, of a preset or file: stock or flat.
            step_length: s.
        """
        if not step_length > 0:
            raise InputError(f"step_length {step_length:g} s: expected a positive length")
        self.parameters = plant if isinstance(plant, PlantParameters) else load_plant(plant, it_curve)
        self.step_length = float(step_length)
        self.weather = weather_rows(weather)
        self.steps = len(self.weather)
        machines = [side.machines for side in (self.parameters.east, self.parameters.west)]
        self.design_power = sum(m.design_power * (2.0 - m.supply_efficiency) for m in machines)
        self.arrays = as_arrays(self.parameters)
        self.density = float(density(20.0, float(self.weather[:, 4].mean())))
        self._ledger = np.zeros((1, len(LEDGER)))
        self.now = 0
        self.state = np.zeros((ROWS, len(STATE)))

    def reset(self, start: int = 0) -> Floats:
        """Begin at step ``start``, settled under the plant's own control; see hpcai.cooling.interface.Plant."""
        if not 0 <= start < self.steps:
            raise InputError(f"start {start}: expected a step of the weather, 0 to {self.steps - 1}")
        self.now = start
        flows = [side.fan.design_flow for side in (self.parameters.east, self.parameters.west)]
        self.state = np.array([*([23.0, 20.0, 0.007, flow, 16.0] for flow in flows), [20.0, 0, 0, 0, 0]])
        readings = np.empty((SETTLING, len(READINGS)))
        still = np.repeat(self.weather[start : start + 1], SETTLING, axis=0)
        half = np.full((1, len(SIDES)), 0.5)
        roll(
            self.arrays,
            self.state,
            OWN[None],
            half,
            still,
            0,
            self.density,
            self.step_length,
            readings,
            self._ledger,
        )
        last: Floats = readings[-1]
        return last

    def step(self, setpoints: Floats, it_load: Floats) -> Floats:
        """Go one step on; see hpcai.cooling.interface.Plant. Raises InputError also past the end of the weather."""
        check_commands(setpoints, it_load)
        if self.now >= self.steps:
            raise InputError(f"step {self.now}: the weather has {self.steps} steps")
        readings = np.empty(len(READINGS))
        step(
            self.arrays,
            self.state,
            setpoints,
            it_load,
            self.weather[self.now],
            self.density,
            self.step_length,
            readings,
            self._ledger[0],
        )
        self.now += 1
        return readings

    @property
    def ledger(self) -> dict[str, float]:
        """Every flow of heat and water in the last step, by the names of hpcai.cooling.plant.LEDGER."""
        return dict(zip(LEDGER, self._ledger[0].tolist(), strict=True))

    def rollout(self, setpoints: Floats, it_load: Floats) -> Floats:
        """Go on for as many steps as there are loads; see hpcai.cooling.interface.Plant."""
        setpoints, it_load = checked(setpoints, it_load)
        steps = len(it_load)
        self._check_stretch(steps)
        readings = np.empty((steps, len(READINGS)))
        roll(
            self.arrays,
            self.state,
            setpoints,
            it_load,
            self.weather,
            self.now,
            self.density,
            self.step_length,
            readings,
            self._ledger,
        )
        self.now += steps
        return readings

    def close(self) -> None:
        """Nothing to let go of."""

    def _check_stretch(self, steps: int) -> None:
        if self.now + steps > self.steps:
            raise InputError(f"{steps} steps from step {self.now} on: the weather has {self.steps}")
