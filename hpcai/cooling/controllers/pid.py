"""Feedback: the airflow of each side holds the temperature at the machines' inlets."""

from __future__ import annotations

import numpy as np

from hpcai.cooling.controllers.controller import between, named
from hpcai.cooling.interface import SETPOINT_INDEX, SIDES, Floats
from hpcai.cooling.observation import OBSERVED_INDEX


class Pid:
    """A PID loop per side with fixed supply air: more air while the inlets are above ``target``.

    Discrete, in velocity form, which does not wind up at the bounds of the flow (Åström and Hägglund, Advanced PID
    Control, 2006, section 3.6). Gains are shares of the design flow for each K.
    """

    def __init__(
        self,
        target: float = 26.0,
        supply: float = 24.0,
        proportional: float = 0.15,
        integral: float = 0.05,
        derivative: float = 0.0,
        least: float = 0.25,
        **others: float,
    ) -> None:
        """Take target and supply temperature in °C, the gains per step, the least flow, and other fixed setpoints."""
        self.target, self.gains, self.least = target, (proportional, integral, derivative), least
        self._fixed = named({"supply": supply} | others)
        self._inlets = [OBSERVED_INDEX[f"{side}_inlet"] for side in SIDES]
        self._flows = [SETPOINT_INDEX[f"{side}_airflow"] for side in SIDES]
        self.reset()

    def reset(self) -> None:
        """Begin with full flow."""
        self._flow = [1.0] * len(SIDES)
        self._errors: list[tuple[float, float]] | None = None

    def setpoints(self, observation: Floats) -> Floats:
        """Return the fixed ones and the flows."""
        errors = [float(observation[inlet]) - self.target for inlet in self._inlets]
        before = self._errors or [(error, error) for error in errors]
        p, i, d = self.gains
        told = self._fixed.copy()
        for side, (error, (last, last_but_one)) in enumerate(zip(errors, before, strict=True)):
            change = p * (error - last) + i * error + d * (error - 2 * last + last_but_one)
            self._flow[side] = between(self.least, self._flow[side] + change, 1.0)
            told[self._flows[side]] = self._flow[side]
        self._errors = [(error, last) for error, (last, _) in zip(errors, before, strict=True)]
        return np.asarray(told)
