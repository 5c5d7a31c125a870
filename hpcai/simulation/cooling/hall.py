"""A machine hall through time: a plant, its weather, the load of its machines, and what power costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from hpcai.cooling.controllers.controller import Controller, Fixed
from hpcai.cooling.interface import READINGS, SETPOINTS, Floats, Plant
from hpcai.cooling.observation import SURROUNDINGS
from hpcai.errors import InputError


@dataclass(frozen=True)
class Record:
    """What happened step by step, in one stretch or several."""

    steps: NDArray[np.int64]  # (steps,), counted from the beginning of the weather
    step_length: float  # s
    setpoints: Floats  # (steps, len(SETPOINTS))
    readings: Floats  # (steps, len(READINGS))

    @classmethod
    def joined(cls, records: Sequence[Record]) -> Record:
        """Return several stretches of one plant as one record."""
        parts = [(record.steps, record.setpoints, record.readings) for record in records]
        steps, setpoints, readings = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return cls(steps, records[0].step_length, setpoints, readings)


class Hall:
    """Plays controllers against a plant; ``begin`` and ``step`` for who would rather do so himself."""

    def __init__(self, plant: Plant, surroundings: Floats, it_load: Floats, begin: datetime) -> None:
        """Take what is known before each step (steps, len(SURROUNDINGS)) and the load of each side (steps, 2)."""
        self.plant, self.surroundings, self.it_load, self.start = plant, surroundings, it_load, begin
        self.steps = min(plant.steps, len(it_load))
        self.now = 0
        self._observation = np.empty(len(READINGS) + len(SURROUNDINGS))

    def begin(self, start: int = 0) -> Floats:
        """Begin at step ``start`` and return what a controller sees, (len(OBSERVED),).

        Raises InputError if there is no such step.
        """
        if not 0 <= start < self.steps:
            raise InputError(f"start {start}: expected a step from 0 to {self.steps - 1}")
        self.now = start
        return self._observe(self.plant.reset(start))

    def step(self, setpoints: Floats) -> Floats:
        """Go one step on and return what a controller sees then; raises as the plant does."""
        readings = self.plant.step(setpoints, self.it_load[self.now])
        self.now += 1
        return self._observe(readings)

    def _observe(self, readings: Floats) -> Floats:
        self._observation[: readings.size] = readings
        self._observation[readings.size :] = self.surroundings[min(self.now, self.steps - 1)]
        return self._observation.copy()

    def play(self, controller: Controller, start: int = 0, steps: int | None = None) -> Record:
        """Let ``controller`` rule for ``steps``, to the end if None."""
        steps = self.steps - start if steps is None else steps
        if type(controller) is Fixed:  # it does not look, so that the plant need not wait to be looked at
            return self._hold(controller.points, start, steps)
        setpoints, readings = np.empty((steps, len(SETPOINTS))), np.empty((steps, len(READINGS)))
        controller.reset()
        observation = self.begin(start)
        for i in range(steps):
            setpoints[i] = controller.setpoints(observation)
            observation = self.step(setpoints[i])
            readings[i] = observation[: len(READINGS)]
        return Record(start + np.arange(steps), self.plant.step_length, setpoints, readings)

    def _hold(self, points: Floats, start: int, steps: int) -> Record:
        """Play the same setpoints at all steps."""
        self.begin(start)
        readings = self.plant.rollout(points[None], self.it_load[start : start + steps])
        self.now += steps
        return Record(start + np.arange(steps), self.plant.step_length, np.tile(points, (steps, 1)), readings)
