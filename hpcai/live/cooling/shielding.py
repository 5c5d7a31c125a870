"""A bundle's controller behind the safety shield, whose model is a fast plant that is like the site."""

from __future__ import annotations

from typing import Final

import numpy as np

from hpcai.cooling.controllers.shield import Shield
from hpcai.cooling.foresight import Foresight
from hpcai.cooling.interface import Floats
from hpcai.cooling.observation import OBSERVED
from hpcai.live.cooling.policy import CoolingPolicy

_MILD: Final = {"°C": 20.0, "kg/s": 3.0, "W": 1e4, "1": 0.5}
"""What is predicted from once at the start, by unit, so that all is compiled before a decision is due."""


class Shielded(CoolingPolicy):
    """A policy whose setpoints are moved, no further than needed, to where the model sees no inlet above a limit."""

    def __init__(self, policy: CoolingPolicy, plant: str, limit: float, step: float) -> None:
        """Guard ``policy`` by a preset or file of the fast plant, at ``limit`` (°C), for decisions ``step`` s apart.

        Raises InputError if there is no such plant.
        """
        self.bundle, self.parameters, self.design_power = policy.bundle, policy.parameters, policy.design_power
        self.needs = tuple(point.name for point in OBSERVED)
        self.controller = self._shield = Shield(policy, Foresight(plant, step_length=step), limit=limit)
        self.setpoints(np.array([_MILD[point.unit] for point in OBSERVED]))
        self.reset()

    def setpoints(self, observation: Floats) -> Floats:
        """Return what became of the policy's setpoints; ``notes`` says whether they were moved."""
        before = self._shield.moved
        told = super().setpoints(observation)
        moved, distrusts = self._shield.moved > before, self._shield.distrusts
        self.notes = {"shield": "rules" if distrusts else "moved" if moved else "as told"}
        return told
