"""Adds up what a step of the fast plant says of its flows, side by side with the change of its state."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcai.cooling.air import VAPORISATION
from hpcai.cooling.parameters import PlantParameters

Floats = NDArray[np.float64]


def imbalances(
    plant: PlantParameters, before: Floats, after: Floats, flows: dict[str, float], dt: float
) -> list[float]:
    """Return what is left over of heat and water in each balance, relative to the largest flow in it."""
    left = []
    for i, side in enumerate(("east", "west")):
        zone = getattr(plant, side).zone
        f = {name.removeprefix(f"{side}_"): x for name, x in flows.items() if name.startswith(f"{side}_")}
        stored = zone.capacity * (after[i, 0] - before[i, 0]) + zone.floor_capacity * (after[i, 1] - before[i, 1])
        gains = [f["machines"], f["lights"], f["envelope"], f["ground"], f["fan_heat"], f["outdoor_heat"]]
        losses = [f["evaporation"], f["indirect"], f["expanded"], f["sensible"], stored / dt]
        left.append(relative(gains, losses))
        water = zone.air_mass * (after[i, 2] - before[i, 2]) / dt
        throughput = f["airflow"] * 0.01  # kg/s of water in the supply air, about
        left.append(relative([f["outdoor_water"], f["evaporated"]], [f["condensed"], water], throughput))
        left.append(relative([f["sensible"], VAPORISATION * f["condensed"]], [f["coil"]]))
        left.append(relative([f["evaporation"]], [VAPORISATION * f["evaporated"]]))
    left.append(relative([flows["east_coil"], flows["west_coil"]], [flows["coils"]]))
    left.append(relative([flows["coils"], flows["chilled_pump_heat"]], [flows["chiller_heat"], flows["free_cooling"]]))
    rejected = [flows[name] for name in ("chiller_heat", "free_cooling", "compressor", "condenser_pump_heat")]
    stored = plant.tower.loop_capacity * (after[2, 0] - before[2, 0]) / dt
    left.append(relative(rejected, [flows["tower_heat"], stored]))
    return left


def relative(gains: list[float], losses: list[float], scale: float = 1.0) -> float:
    """Return the difference of two sums by their largest term."""
    return abs(sum(gains) - sum(losses)) / max(scale, *(abs(x) for x in (*gains, *losses)))
