"""What cools the machines of a site: a plant under a controller, taken to be as large as the machines are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpcai.cooling.controllers.controller import Controller, Fixed
from hpcai.cooling.interface import READINGS, SIDES
from hpcai.cooling.observation import surroundings
from hpcai.simulation.cooling.case import CoolingCase
from hpcai.simulation.cooling.hall import Hall
from hpcai.simulation.cooling.limits import Limits, limits_of

Floats = npt.NDArray[np.float64]


class SiteCooling:
    """A plant and its controller. Machines load it by the share that they draw of the most they can."""

    def __init__(self, case: CoolingCase, controller: Controller | None = None) -> None:
        """Take the plant of ``case``, whose load does not matter here; by default it is left to its own control.

        Raises InputError if a file cannot be used.
        """
        self.case, self.weather = case, case.read_weather()
        self._controller = controller or Fixed()
        self._sky = self.weather.at(case.step_length)
        self._plant = case.plant_under(self._sky)

    @property
    def design_power(self) -> float:
        """Power of the machines of the plant's own building at full load, W."""
        return self._plant.design_power

    @property
    def limits(self) -> Limits:
        """The limits of the machines' inlets."""
        return limits_of(self.case.plant)

    def scale(self, maximum: float) -> float:
        """Return by how much the plant's powers are multiplied for machines that can draw ``maximum`` (W)."""
        return maximum / self.design_power

    def play(self, load: Floats, begin: int) -> Floats:
        """Return the readings (steps, len(READINGS)) under ``load`` (steps,), 0..1, from step ``begin`` on.

        After the weather's end its year begins anew, and so do plant and controller. Raises PlantError if the plant
        breaks down.
        """
        parts, done = [np.empty((0, len(READINGS)))], 0
        while done < len(load):
            stretch = load[done : done + self._plant.steps - begin]
            parts.append(self._stretch(stretch, begin))
            begin, done = 0, done + len(stretch)
        return np.concatenate(parts)

    def _stretch(self, load: Floats, begin: int) -> Floats:
        """Return the readings of a stretch within the weather, before which the load was as in its first step."""
        every = np.full((self._plant.steps, len(SIDES)), load[0])
        every[begin : begin + len(load)] = load[:, None]
        known = surroundings(self._sky.arrays(), every, self._plant.step_length, self.weather.start)
        hall = Hall(self._plant, known, every, self.weather.start)
        try:
            return hall.play(self._controller, begin, len(load)).readings
        finally:
            self._plant.close()
