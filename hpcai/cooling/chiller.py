"""The electric chiller. Compiled."""

from __future__ import annotations

from hpcai.jit import jit

Curve = tuple[float, float, float]


@jit
def chiller_power(
    heat: float,
    condenser: float,
    water: float,
    capacity: float,
    cop: float,
    design: tuple[float, float, float],
    curves: tuple[Curve, Curve, Curve],
    least_part_load: float,
) -> tuple[float, float]:
    """Return the compressor's power (W) and the heat that the chiller could take (W).

    EnergyPlus Engineering Reference, "Electric Chiller Model Based on Condenser Entering Temperature" of
    Chiller:Electric (BLAST): dT = (T_cond - T_cond,design) / rise - (T_water - T_water,design); capacity, full-load
    power and part-load power are quadratics. Below its least part load the machine cycles.

    Args:
        heat: taken from the water, W.
        condenser: water entering the condenser, °C.
        water: chilled water, °C; EnergyPlus 25.2 reads the curves at the water that enters.
        capacity: nominal, W.
        cop: nominal.
        design: condenser °C, chilled water °C, temperature rise coefficient.
        curves: capacity by dT, full-load power by capacity, part-load power by part load.
        least_part_load: below it the compressor is on for a share of the time.
    """
    a, b, c = curves
    delta = (condenser - design[0]) / design[2] - (water - design[1])
    delta = max(delta, -0.5 * a[1] / a[2]) if a[2] < 0 else delta  # colder condensers do not lower the capacity
    able = max(0.05, a[0] + delta * (a[1] + delta * a[2]))
    if heat <= 0:
        return 0.0, able * capacity
    part = heat / (able * capacity)
    cycling = min(1.0, part / least_part_load)
    held = min(1.0, max(least_part_load, part))
    full = b[0] + able * (b[1] + able * b[2])
    return able * capacity / cop * full * (c[0] + held * (c[1] + held * c[2])) * cycling, able * capacity
