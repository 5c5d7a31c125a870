"""What a step of cooling is worth: its energy, and how far the inlets were beyond their limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from hpcai.cooling.interface import READING_INDEX, SIDES, Floats
from hpcai.simulation.cooling.limits import limits_of

_INLETS = tuple(READING_INDEX[f"{side}_inlet"] for side in SIDES)
_COUNTED = {name: READING_INDEX[name] for name in ("hvac", "site")}


class CoolingReward(BaseModel):
    """``-energy - hot_weight * hot - cold_weight * cold`` of a step.

    ``energy`` is the power of the site, or of all that cools, over the design power of the machines, as a share of
    ``scale``, times price or carbon intensity over its mean where the case has a rate. ``hot`` and ``cold`` are the
    K by which the inlets of the worse side are beyond the limits, and ``margin`` more. With ``lagrangian`` the weight
    of heat is a multiplier that rises while episodes have more than ``budget`` K of heat a step in the mean, and
    falls to zero otherwise (Ray, Achiam, Amodei, Benchmarking Safe Exploration in Deep RL, 2019, section 5).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    energy: Literal["site", "hvac"] = "site"
    scale: Annotated[float, Field(gt=0)] = 0.1  # of the design power
    high: float = 27.0  # °C, ASHRAE recommended for air; see also reward_settings
    low: float = 18.0
    margin: Annotated[float, Field(ge=0)] = 0.3  # K within the high limit that count as beyond it
    hot_weight: Annotated[float, Field(ge=0)] = 2.0
    cold_weight: Annotated[float, Field(ge=0)] = 0.0
    lagrangian: bool = False
    budget: Annotated[float, Field(ge=0)] = 0.0  # K a step
    multiplier_rate: Annotated[float, Field(gt=0)] = 1.0

    def beyond(self, readings: Floats) -> tuple[float, float]:
        """Return by how many K the worse side's inlets are too hot (margin counted) and too cold."""
        inlets = [readings[i] for i in _INLETS]
        return max(0.0, max(inlets) - self.high + self.margin), max(0.0, self.low - min(inlets))

    def cost(self, readings: Floats, design: float, rate: float) -> float:
        """Return the energy of a step as above; ``design`` in W, ``rate`` over its mean."""
        return float(readings[_COUNTED[self.energy]]) / (design * self.scale) * rate

    def next_multiplier(self, multiplier: float, hot: float) -> float:
        """Return the multiplier after an episode with ``hot`` K a step in the mean."""
        return float(np.maximum(0.0, multiplier + self.multiplier_rate * (hot - self.budget)))


def reward_settings(plant: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a reward with the limits of ``plant`` where ``given`` says none."""
    limits = limits_of(plant)
    return {"high": limits.high, "low": limits.low} | dict(given)
