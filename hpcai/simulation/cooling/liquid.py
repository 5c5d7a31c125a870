"""The liquid-cooled plant with its weather, behind the interface of every plant."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hpcai.cooling.interface import OWN, READING_INDEX, READINGS, SETPOINT_INDEX, SIDES, checked
from hpcai.cooling.liquid import (
    LIQUID_LEDGER,
    LIQUID_READINGS,
    LIQUID_SETPOINTS,
    LiquidParameters,
    liquid_arrays,
    liquid_step,
    load_liquid_plant,
    own_flow,
)
from hpcai.errors import InputError
from hpcai.simulation.cooling.fast import SETTLING, WeatherColumns, weather_rows

Floats = NDArray[np.float64]

_SUPPLY: Final = [SETPOINT_INDEX[f"{side}_supply"] for side in SIDES]
_FLOW: Final = [SETPOINT_INDEX[f"{side}_airflow"] for side in SIDES]
_COLDEST: Final = LIQUID_SETPOINTS[0].low  # °C, of coolant
_HALF: Final = 1.0 / len(SIDES)
_SAYS: Final = {  # reading, or that of each side: what of the plant's own makes it up, with the share of it
    "supply": {"supply": 1.0},
    "inlet": {"facility": 1.0},
    "zone": {"back": 1.0},
    "airflow": {"flow": _HALF},
    "fan": {"room": _HALF},
    "pumps": {"cdu": 1.0, "pumps": 1.0},
    **{name: {name: 1.0} for name in ("chiller", "tower", "hvac", "it", "site", "wet_bulb")},
}
_IT: Final = [READING_INDEX[f"{side}_it"] for side in SIDES]


def _shares() -> Floats:
    """Return the matrix (readings, plant's own readings) that makes readings of the plant's own."""
    made_of = [_SAYS.get(point.name) or _SAYS.get(point.name.partition("_")[2], {}) for point in READINGS]
    return np.array([[parts.get(own.name, 0.0) for own in LIQUID_READINGS] for parts in made_of])


_SHARES: Final = _shares()


class LiquidPlant:
    """A plant of ``hpcai.cooling.liquid`` under recorded weather; implements hpcai.cooling.interface.Plant.

    One circuit of coolant serves both sides, whose machines are alike. In the words of the interface:

    * ``supply`` is the coolant to the cold plates, ``airflow`` its flow: the means of what both sides are told. Coolant
      is never colder than 15 °C, and flows at least as fast as keeps its rise within what the plant allows. All other
      setpoints do nothing: the chiller makes the facility water that the coolant needs when the tower cannot.
    * Of readings, ``supply`` is the coolant to the plates, ``inlet`` the facility water to the heat exchanger, ``zone``
      the coolant that comes back, ``airflow`` half of its flow, ``fan`` half of the room's coolers; ``pumps`` are those
      of coolant, facility water and tower; ``evaporative`` is 0, and there are no lights.
    """

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
        self._ledger, self._said = np.zeros(len(LIQUID_LEDGER)), np.zeros(len(LIQUID_READINGS))
        self.now = 0
        self.state = np.array([self.parameters.distribution.supply])  # °C of the plates

    def reset(self, start: int = 0) -> Floats:
        """Begin at step ``start``, settled under the plant's own control; see hpcai.cooling.interface.Plant."""
        if not 0 <= start < self.steps:
            raise InputError(f"start {start}: expected a step of the weather, 0 to {self.steps - 1}")
        self.now = start
        half = np.full((1, len(SIDES)), 0.5)
        for _ in range(SETTLING):
            self._go(start, OWN, half[0])
        return np.asarray(self._readings(start, self._said[None], half)[0])

    def step(self, setpoints: Floats, it_load: Floats) -> Floats:
        """Go one step on; see hpcai.cooling.interface.Plant. Raises InputError also past the end of the weather."""
        return np.asarray(self.rollout(setpoints[None], it_load[None])[0])

    def rollout(self, setpoints: Floats, it_load: Floats) -> Floats:
        """Go on for as many steps as there are loads; see hpcai.cooling.interface.Plant."""
        setpoints, it_load = checked(setpoints, it_load)
        start, steps = self.now, len(it_load)
        if start + steps > self.steps:
            raise InputError(f"{steps} steps from step {start} on: the weather has {self.steps} steps")
        said = np.empty((steps, len(LIQUID_READINGS)))
        for i in range(steps):
            self._go(start + i, setpoints[i % len(setpoints)], it_load[i])
            said[i] = self._said
        self.now += steps
        return self._readings(start, said, it_load)

    def _go(self, row: int, setpoints: Floats, load: Floats) -> None:
        """Go one step on under the weather of ``row``."""
        into_plates = self.parameters.plates.liquid_share * float(self._machines(load).sum())
        least = own_flow(self._plant[0], into_plates) / self.parameters.distribution.design_flow
        told = np.maximum((_COLDEST, least), (_mean(setpoints[_SUPPLY]), _mean(setpoints[_FLOW])))
        share, wet_bulb = float(load.mean()), self.weather[row, 2]
        liquid_step(self._plant, self.state, told, share, wet_bulb, self.step_length, self._said, self._ledger)

    def _machines(self, load: Floats) -> Floats:
        """Return the power of the machines of each side under loads (..., 2), W."""
        plates = self.parameters.plates
        return np.asarray(plates.design_power * _HALF * (plates.idle_share + (1.0 - plates.idle_share) * load))

    def _readings(self, start: int, said: Floats, load: Floats) -> Floats:
        """Return what was said (steps, len(LIQUID_READINGS)) from step ``start`` on, in the order of READINGS."""
        readings: Floats = said @ _SHARES.T
        readings[:, _IT] = self._machines(load)
        readings[:, READING_INDEX["dry_bulb"]] = self.weather[start : start + len(said), 0]
        return readings

    @property
    def said(self) -> dict[str, float]:
        """The plant's own readings of the last step, by the names of hpcai.cooling.liquid.LIQUID_READINGS."""
        return {point.name: float(value) for point, value in zip(LIQUID_READINGS, self._said, strict=True)}

    @property
    def ledger(self) -> dict[str, float]:
        """Every flow of heat in the last step, by the names of hpcai.cooling.liquid.LIQUID_LEDGER, W."""
        return dict(zip(LIQUID_LEDGER, self._ledger.tolist(), strict=True))

    def close(self) -> None:
        """Nothing to let go of."""


def _mean(values: Floats) -> float:
    """Return the mean of what is told; nan if nothing is."""
    told = values[~np.isnan(values)]
    return float(told.mean()) if told.size else np.nan
