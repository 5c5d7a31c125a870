"""The machine hall of a site, step by step under a load that nobody knows before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.cooling.controllers.controller import Controller
from hpcai.cooling.interface import OWN, READING_INDEX, READINGS, SIDES, Floats
from hpcai.cooling.observation import OBSERVED_INDEX, SURROUNDINGS, Scaling, surroundings
from hpcai.errors import InputError
from hpcai.records.calendar import DAY
from hpcai.records.weather import Weather
from hpcai.simulation.cooling.case import CoolingCase

INLETS: Final = [READING_INDEX[f"{side}_inlet"] for side in SIDES]
_AHEAD: Final = DAY  # s of weather beyond the end, for forecasts
_LOADS: Final = [OBSERVED_INDEX[f"{side}_{what}"] for what in ("load", "trend") for side in SIDES]


def stretch(weather: Weather, begin: float, duration: float) -> Weather:
    """Return the weather from ``begin`` (s from its start) on for ``duration``; after its end it begins anew."""
    frame, step = weather.frame, weather.step
    first = np.floor(begin / step) * step - step  # a reading before the beginning, to go on from
    time = np.arange(first, begin + duration + step, step)
    known = frame["time"].to_numpy()
    wrapped = known[0] + np.mod(time - known[0], len(known) * step)
    rows = np.round((wrapped - known[0]) / step).astype(np.int64)
    return replace(
        weather,
        start=weather.start + timedelta(seconds=begin),
        duration=duration,
        frame=frame.iloc[rows].reset_index(drop=True).assign(time=time - begin),
    )


class TickedHall:
    """A plant under its weather, told every ``every`` steps by a controller; its load is told after each step."""

    def __init__(self, case: CoolingCase, weather: Weather, controller: Controller, steps: int, every: int = 1) -> None:
        """Take the weather from the first step on, of at least ``steps`` steps and a day.

        Raises InputError if the plant cannot be had: that of EnergyPlus has a clock and weather of its own.
        """
        if case.plant == "energyplus":
            raise InputError("cooling of a site: expected the fast or the liquid-cooled plant, found energyplus")
        if every < 1:
            raise InputError(f"controller every {every} steps: expected at least 1")
        self.case, self.weather, self.controller, self.steps, self.every = case, weather, controller, steps, every
        sky = weather.at(case.step_length)
        self.plant = case.plant_under(sky)
        nothing = np.zeros((self.plant.steps, len(SIDES)))
        rate = case.rates(case.rate, self.plant.steps, weather)
        self.surroundings = surroundings(sky.arrays(), nothing, case.step_length, weather.start, rate)
        self._scaling = Scaling(self.plant.design_power)
        self.loads = np.zeros((steps, len(SIDES)))
        self.setpoints = OWN.copy()
        self.now = 0
        self._hour = round(3600.0 / case.step_length)
        self._seen = np.empty(len(READINGS) + len(SURROUNDINGS))

    def begin(self, load: Floats) -> None:
        """Settle the plant where its weather begins; the machines' load is ``load`` (sides,) there."""
        self.now, self.loads[0] = 0, load
        self.controller.reset()
        self._see(self.plant.reset(0))

    def step(self, load: Floats) -> Floats:
        """Go one step on under ``load`` (sides,), return the readings, (len(READINGS),); raises as the plant does."""
        self.loads[self.now] = load
        readings = self.plant.step(self.setpoints, load)
        self.now += 1
        self._see(readings)
        return readings

    @property
    def due(self) -> bool:
        """Whether the controller is to be asked before the next step."""
        return self.now % self.every == 0 and self.now < self.steps

    def control(self) -> None:
        """Ask the controller."""
        self.setpoints = np.asarray(self.controller.setpoints(self.observation), dtype=np.float64).copy()

    @property
    def observation(self) -> Floats:
        """What a controller sees now, (len(OBSERVED),)."""
        return self._seen.copy()

    @property
    def scaled(self) -> NDArray[np.float32]:
        """The same as networks take it, (len(OBSERVED),)."""
        return self._scaling(self._seen)

    @property
    def inlets(self) -> Floats:
        """Temperatures at the machines' inlets, (sides,), °C."""
        return self._seen[INLETS]

    def _see(self, readings: Floats) -> None:
        self._seen[: len(READINGS)] = readings
        self._seen[len(READINGS) :] = self.surroundings[self.now]
        past = self.loads[max(self.now - 1, 0)]
        self._seen[_LOADS] = [*past, *(past - self.loads[max(self.now - 1 - self._hour, 0)])]
