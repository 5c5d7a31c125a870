"""Rules as building engineers write them: trim and respond of ASHRAE Guideline 36, section 5.1.14.

Each side's supply temperature is trimmed upwards a little at each step, which saves chiller and evaporative coolers,
until its machines' inlets come near their limit and send requests; then the response is stronger than the trim. The
airflow is trimmed down and responds to the same requests; the chilled water is trimmed up and responds to a coil that
no longer reaches its setpoint (5.1.14.4: plant requests). The economizer closes when outdoor air is warmer than the
air that returns (5.1.17.4, differential dry bulb).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hpcai.cooling.controllers.controller import SHORT, between
from hpcai.cooling.interface import OWN, SETPOINT_INDEX, SIDES, Floats
from hpcai.cooling.observation import OBSERVED_INDEX


@dataclass(frozen=True)
class Loop:
    """Trim and respond of one setpoint: where it begins, its bounds, and its changes per step and per request."""

    start: float
    low: float
    high: float
    trim: float
    respond: float  # per request, opposite to the trim
    most: float  # of the response in a step

    def next(self, value: float, requests: float) -> float:
        """Return the setpoint after a step with so many requests."""
        response = np.sign(self.respond) * min(abs(self.respond) * requests, self.most)
        return between(self.low, value + (response if requests > 0 else self.trim), self.high)


@dataclass
class TrimRespond:
    """Supply temperature, airflow and chilled water by requests; a request for each ``band`` K above the limit."""

    limit: float = 26.0  # °C at the inlets from which on they ask for cooler air
    band: float = 0.25  # K of one request
    supply: Loop = field(default_factory=lambda: Loop(22.0, 15.0, 26.0, trim=0.1, respond=-0.3, most=1.5))
    airflow: Loop = field(default_factory=lambda: Loop(0.8, 0.25, 1.0, trim=-0.01, respond=0.03, most=0.15))
    chilled_water: Loop = field(default_factory=lambda: Loop(7.0, 6.0, 14.0, trim=0.1, respond=-0.5, most=2.0))

    def __post_init__(self) -> None:
        """Begin."""
        self.reset()

    def reset(self) -> None:
        """Begin with the starting setpoints."""
        self._supply = [self.supply.start] * len(SIDES)
        self._airflow = [self.airflow.start] * len(SIDES)
        self._chilled = self.chilled_water.start

    def setpoints(self, observation: Floats) -> Floats:
        """Return them after the requests of the step that ended."""
        told = OWN.copy()
        unmet = 0.0
        for i, side in enumerate(SIDES):
            requests = max(0.0, np.ceil((observation[OBSERVED_INDEX[f"{side}_inlet"]] - self.limit) / self.band))
            unmet += float(observation[OBSERVED_INDEX[f"{side}_supply"]] > self._supply[i] + 0.5)
            self._supply[i] = self.supply.next(self._supply[i], requests)
            self._airflow[i] = self.airflow.next(self._airflow[i], requests)
            for name in SHORT["supply"]:
                if name.startswith(side):
                    told[SETPOINT_INDEX[name]] = self._supply[i]
            told[SETPOINT_INDEX[f"{side}_airflow"]] = self._airflow[i]
        self._chilled = self.chilled_water.next(self._chilled, unmet)
        told[SETPOINT_INDEX["chilled_water"]] = self._chilled
        returns = min(observation[OBSERVED_INDEX[f"{side}_zone"]] for side in SIDES)
        told[SETPOINT_INDEX["economizer"]] = float(observation[OBSERVED_INDEX["dry_bulb"]] < returns)
        return told
