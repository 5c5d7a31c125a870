"""The fast plant as a model to look ahead with: what candidates would lead to, from what is observed now.

Knows what a controller knows: readings, forecasts, the load so far. The weather is taken to go in straight lines from
forecast to forecast, the load to be what it is or what it was a day before, whichever is more, and the air's humidity
indoors to be that outdoors, where a plant that recirculates may differ. Predicted inlets are corrected by how far off
the last ones were; ``error`` says how far off they still are.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Final

import numpy as np

from hpcai.cooling.air import density, dew_point, humidity_of_wet_bulb
from hpcai.cooling.interface import READING_INDEX, READINGS, SIDES, Floats
from hpcai.cooling.observation import AHEAD, OBSERVED_INDEX
from hpcai.cooling.parameters import PlantParameters, as_arrays, load_plant
from hpcai.cooling.plant import LEDGER
from hpcai.cooling.rollout import roll_many
from hpcai.cooling.side import AIRFLOW, FLOOR, HUMIDITY, ROWS, STATE, SUPPLY, WATER, ZONE

_HOUR: Final = 3600.0
_DAY: Final = 86400.0
_INLETS: Final = [READING_INDEX[f"{side}_inlet"] for side in SIDES]
_LOADS: Final = [OBSERVED_INDEX[f"{side}_load"] for side in SIDES]
_TOWER_APPROACH: Final = 1.0  # K, of condenser water that is not observed
_LEARNING: Final = 0.3  # of the correction and of the mean error, a step
_FLOOR_LAG: Final = 0.02  # share by which the floor's temperature nears its steady one in a step, as it is not known


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
        self._past: deque[Floats] = deque(maxlen=round(_DAY / step_length))
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self._floor: Floats | None = None
        self._past.clear()
        self._bias = np.zeros(len(SIDES))
        self._said: Floats | None = None  # inlets predicted for the step that is over, not corrected
        self.error = 0.0  # K, running mean of how far corrected predictions of the warmer side were off

    def observe(self, observation: Floats) -> None:
        """Take in what is seen before a step, (len(OBSERVED),), once for each step."""
        self._load = self._expected(np.clip(observation[_LOADS], 0.0, 1.0))
        self._weather = self._forecast(observation)
        self._state = self._observed(observation, float(self._weather[0, 1]))
        if self._said is not None:
            off = observation[_INLETS] - self._said - self._bias
            self.error += _LEARNING * (float(np.abs(off).max()) - self.error)
            self._bias += _LEARNING * off

    def told(self, setpoints: Floats) -> None:
        """Remember what the plant was told, (len(SETPOINTS),), to learn from what follows."""
        self._said = self.predict(setpoints[None])[0, 0, _INLETS]

    def predict(self, candidates: Floats) -> Floats:
        """Return readings (candidates, horizon, len(READINGS)) from what was observed last on.

        Args:
            candidates: setpoints (candidates, len(SETPOINTS)), to which each stays.
        """
        states = np.repeat(self._state[None], len(candidates), axis=0)
        readings = np.empty((len(candidates), self.horizon, len(READINGS)))
        roll_many(
            self._plant,
            states,
            np.ascontiguousarray(candidates[:, None, :]),
            self._load,
            self._weather,
            0,
            self._density,
            self.step_length,
            readings,
            self._ledger,
        )
        return readings

    def inlets(self, readings: Floats) -> Floats:
        """Return the inlets of predicted readings, (..., sides), corrected."""
        return np.asarray(readings[..., _INLETS] + self._bias)

    def _expected(self, now: Floats) -> Floats:
        """Return the load of each step ahead, (horizon, 2), and remember that of now."""
        load = np.repeat(now[None], self.horizon, axis=0)
        # A load is seen when its step is over, so that of a day before the coming step is the second oldest.
        if len(self._past) == self._past.maxlen:
            for i in range(min(self.horizon, len(self._past) - 1)):
                load[i] = np.maximum(load[i], self._past[i + 1])
        self._past.append(now)
        return load

    def _observed(self, observation: Floats, humidity: float) -> Floats:
        """Return the plant's state (ROWS, len(STATE)) as far as it can be observed; the floor lags."""
        state = np.zeros((ROWS, len(STATE)))
        for i, side in enumerate(SIDES):
            state[i, ZONE] = observation[READING_INDEX[f"{side}_zone"]]
            state[i, AIRFLOW] = observation[READING_INDEX[f"{side}_airflow"]]
            state[i, SUPPLY] = observation[READING_INDEX[f"{side}_supply"]]
        steady = np.array([self._steady_floor(i, state[i]) for i in range(len(SIDES))])
        self._floor = steady if self._floor is None else self._floor + _FLOOR_LAG * (steady - self._floor)
        state[: len(SIDES), FLOOR] = self._floor
        state[: len(SIDES), HUMIDITY] = humidity
        coldest = self.parameters.tower.lowest
        state[WATER, 0] = max(coldest, observation[READING_INDEX["wet_bulb"]] + _TOWER_APPROACH)
        return state

    def _steady_floor(self, side: int, state: Floats) -> float:
        """Return the floor's temperature (°C) once heat from the zone, the ground and the supply air is in balance."""
        zone = (self.parameters.east, self.parameters.west)[side].zone
        conductance = zone.floor + zone.ground + zone.plenum
        warmed = zone.floor * state[ZONE] + zone.ground * zone.ground_temperature + zone.plenum * state[SUPPLY]
        return float(warmed / conductance) if conductance > 0 else float(state[ZONE])

    def _forecast(self, observation: Floats) -> Floats:
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
