"""The supply fan: power by the flow. Compiled."""

from __future__ import annotations

from hpcai.jit import jit


@jit
def fan_power(share: float, design_power: float, polynomial: tuple[float, float, float, float]) -> float:
    """Return the power (W) of a fan at ``share`` (0..1) of its design flow.

    EnergyPlus Engineering Reference, "Fan:VariableVolume": a polynomial of the flow share, c0 + c1 f + c2 f² + c3 f³;
    (0, 0, 0, 1) is the affinity law.
    """
    c0, c1, c2, c3 = polynomial
    return design_power * (c0 + share * (c1 + share * (c2 + share * c3)))
