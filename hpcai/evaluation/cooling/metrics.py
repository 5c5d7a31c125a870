"""What a record of a plant amounts to: energies, cost, carbon, PUE, and time outside the limits."""

from __future__ import annotations

from typing import Final

import numpy as np

from hpcai.cooling.interface import READING_INDEX, SIDES, Floats
from hpcai.simulation.cooling.hall import Record
from hpcai.simulation.cooling.limits import CLASSES, Limits

POWERS: Final = ("it", "hvac", "site", "fan", "evaporative", "chiller", "tower", "pumps")


def inlets(readings: Floats) -> Floats:
    """Return the inlet temperatures (steps, sides)."""
    return readings[:, [READING_INDEX[f"{side}_inlet"] for side in SIDES]]


def power(readings: Floats, name: str) -> Floats:
    """Return a power by its name in POWERS, W, (steps,)."""
    if name == "fan":
        return np.asarray(readings[:, [READING_INDEX[f"{side}_fan"] for side in SIDES]].sum(axis=1))
    return readings[:, READING_INDEX[name]]


def summary(
    record: Record, limits: Limits = CLASSES["recommended"], price: Floats | None = None, carbon: Floats | None = None
) -> dict[str, float]:
    """Return the metrics of a record; see docs/cooling.md.

    A step is hot, or cold, if an inlet of either side is beyond the limit at its end; degree-hours count the side
    that is further beyond.

    Args:
        record: what happened.
        limits: of the inlets.
        price: of electricity over each step, per MWh, (steps,).
        carbon: its carbon intensity, gCO2/kWh, (steps,).
    """
    hours = record.step_length / 3600.0
    of = {f"{name}_kwh": float(power(record.readings, name).sum()) * hours / 1000.0 for name in POWERS}
    of["pue"] = of["site_kwh"] / of["it_kwh"]
    kwh = power(record.readings, "site") * hours / 1000.0
    if price is not None:
        of["cost"] = float(kwh @ price) / 1000.0
    if carbon is not None:
        of["carbon_kg"] = float(kwh @ carbon) / 1000.0
    at_inlets = inlets(record.readings)
    above = np.maximum(at_inlets - limits.high, 0.0).max(axis=1)
    below = np.maximum(limits.low - at_inlets, 0.0).max(axis=1)
    for name, beyond in (("hot", above), ("cold", below)):
        of[f"{name}_minutes"] = float((beyond > 0.0).sum()) * hours * 60.0
        of[f"{name}_degree_hours"] = float(beyond.sum()) * hours
    of["inlet_max"] = float(at_inlets.max())
    of["inlet_mean"] = float(at_inlets.mean())
    changes = np.abs(np.diff(record.setpoints, axis=0))
    of["setpoint_changes"] = float(np.nanmean(changes)) if np.isfinite(changes).any() else 0.0
    return of
