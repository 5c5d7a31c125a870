"""The fast plant as a model to look ahead with: what candidates would lead to, from what is observed now.

Knows what a controller knows: readings, forecasts, the load so far. The load is taken to stay, the weather to go in
straight lines from forecast to forecast, and the air's humidity indoors to be that outdoors, where a plant that
recirculates may differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from hpcai.cooling.air import density, dew_point, humidity_of_wet_bulb
from hpcai.cooling.interface import READING_INDEX, READINGS, SIDES, Floats
from hpcai.cooling.observation import AHEAD, OBSERVED_INDEX
from hpcai.cooling.parameters import PlantParameters, as_arrays, load_plant
from hpcai.cooling.plant import LEDGER
from hpcai.cooling.rollout import roll_many
from hpcai.cooling.side import AIRFLOW, FLOOR, HUMIDITY, STATE, SUPPLY, ZONE

_HOUR: Final = 3600.0
_INLETS: Final = [READING_INDEX[f"{side}_inlet"] for side in SIDES]
_LOADS: Final = [OBSERVED_INDEX[f"{side}_load"] for side in SIDES]
_FLOOR_LAG: Final = 0.02  # share by which the floor's temperature follows the zone's in a step, if it is not known


class Foresight:
    """Predictions of a plant that is like a fast plant of some parameters."""

    def __init__(
        self,
        plant: str | Path | PlantParameters = "two-zone",
        *,
        it_curve: str = "flat",
        step_length: float = 900.0,
        pressure: float = 101_325.0,
        horizon: int = 4,
    ) -> None:
        """Look ``horizon`` steps ahead; raises InputError if there is no such plant.

        Args:
            plant: a preset, a YAML file, or parameters.
            it_curve: of a preset or file: stock or flat.
            step_length: s.
            pressure: of the air at the site, Pa.
            horizon: steps.
        """
        self.parameters = plant if isinstance(plant, PlantParameters) else load_plant(plant, it_curve)
        self.horizon, self.step_length, self._pressure = horizon, step_length, pressure
        self._plant = as_arrays(self.parameters)
        self._density = float(density(20.0, pressure))
        self._ledger = np.empty((1, len(LEDGER)))
        self._floor: Floats | None = None

    def reset(self) -> None:
        """Forget what was seen."""
        self._floor = None

    def predict(self, observation: Floats, candidates: Floats) -> Floats:
        """Return readings (candidates, horizon, len(READINGS)) if setpoints stay at those of each candidate.

        Args:
            observation: (len(OBSERVED),), of now.
            candidates: setpoints (candidates, len(SETPOINTS)).
        """
        weather = self._weather(observation)
        states = np.repeat(self._state(observation, float(weather[0, 1]))[None], len(candidates), axis=0)
        readings = np.empty((len(candidates), self.horizon, len(READINGS)))
        roll_many(
            self._plant,
            states,
            np.ascontiguousarray(candidates[:, None, :]),
            np.clip(observation[_LOADS], 0.0, 1.0)[None],
            weather,
            0,
            self._density,
            self.step_length,
            readings,
            self._ledger,
        )
        return readings

    def inlets(self, readings: Floats) -> Floats:
        """Return the inlets of predicted readings, (..., sides)."""
        return readings[..., _INLETS]

    def _state(self, observation: Floats, humidity: float) -> Floats:
        """Return the plant's state (2, len(STATE)) as far as it can be observed; the floor follows the zone slowly."""
        state = np.empty((len(SIDES), len(STATE)))
        for i, side in enumerate(SIDES):
            state[i, ZONE] = observation[READING_INDEX[f"{side}_zone"]]
            state[i, AIRFLOW] = observation[READING_INDEX[f"{side}_airflow"]]
            state[i, SUPPLY] = observation[READING_INDEX[f"{side}_supply"]]
        zones = state[:, ZONE]
        self._floor = zones.copy() if self._floor is None else self._floor + _FLOOR_LAG * (zones - self._floor)
        state[:, FLOOR] = self._floor
        state[:, HUMIDITY] = humidity
        return state

    def _weather(self, observation: Floats) -> Floats:
        """Return the weather of each step ahead, (horizon, len(WEATHER)), from now and the forecasts."""
        at = (np.arange(self.horizon) + 1) * self.step_length / _HOUR
        known = np.array([0.0, *AHEAD])
        dry, wet = (
            np.interp(at, known, observation[[OBSERVED_INDEX[what], *(OBSERVED_INDEX[f"{what}_{h}h"] for h in AHEAD)]])
            for what in ("dry_bulb", "wet_bulb")
        )
        rows = np.empty((self.horizon, 5))
        for i, (t, w) in enumerate(zip(dry.tolist(), np.minimum(wet, dry).tolist(), strict=True)):
            humidity = max(humidity_of_wet_bulb(t, w, self._pressure), 1e-5)
            rows[i] = t, humidity, w, dew_point(humidity, self._pressure), self._pressure
        return rows
