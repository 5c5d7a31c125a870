"""The cooling tower with a variable-speed fan. Compiled."""

from __future__ import annotations

from math import sqrt

from hpcai.jit import jit


@jit
def york_terms(wet_bulb: float, water_range: float) -> tuple[float, float, float]:
    """Return the approach (K) of a YorkCalc tower as a quadratic of the liquid-to-gas ratio: c0 + c1 LG + c2 LG².

    EnergyPlus Engineering Reference, "Variable Speed Cooling Towers", YorkCalc: 27 published coefficients on powers of
    wet bulb (°C), range (K) and liquid-to-gas ratio, each over its design value.
    """
    w, r = wet_bulb, water_range
    c0 = (
        -0.359741205
        - 0.055053608 * w
        + 0.0023850432 * w * w
        + r * (0.173926877 - 0.0248473764 * w + 0.00048430224 * w * w)
        + r * r * (-0.005589849456 + 0.0005770079712 * w - 0.00001342427256 * w * w)
    )
    c1 = (
        2.84765801111111
        - 0.121765149 * w
        + 0.0014599242 * w * w
        + r * (1.680428651 - 0.0166920786 * w - 0.0007190532 * w * w)
        + r * r * (-0.025485194448 + 0.0000487491696 * w + 0.00002719234152 * w * w)
    )
    c2 = (
        -0.0653766255555556
        - 0.002278167 * w
        + 0.0002500254 * w * w
        + r * (-0.0910565458 + 0.00318176316 * w + 0.000038621772 * w * w)
        + r * r * (-0.0034285382352 + 0.00000856589904 * w - 0.000001516821552 * w * w)
    )
    return c0, c1, c2


@jit
def tower(
    heat: float,
    wet_bulb: float,
    setpoint: float,
    water_flow: float,
    design_power: float,
    flows: tuple[float, float, float],
    polynomial: tuple[float, float, float, float],
) -> tuple[float, float]:
    """Return the temperature of the water that leaves (°C) and the fan's power (W).

    At full speed the water comes as near to the wet bulb as the YorkCalc approach says; if that is colder than
    ``setpoint`` the fan slows down, and below its lowest speed it cycles with free convection between.

    Args:
        heat: to reject, W.
        wet_bulb: outdoor, °C.
        setpoint: leaving water wanted, °C.
        water_flow: kg/s.
        design_power: of the fan, W.
        flows: design water flow over the actual one, lowest fan speed (0..1), share of the capacity without fan.
        polynomial: fan power by speed.
    """
    design_ratio, slowest, free = flows
    if heat <= 0:
        return max(setpoint, wet_bulb), 0.0
    water_range = heat / (water_flow * 4190.0)
    w = min(max(wet_bulb, -34.4), 26.6667)
    c0, c1, c2 = york_terms(w, min(max(water_range, 1.1111), 22.2222))
    liquid = 1.0 / design_ratio
    approach = min(40.0, max(0.2, c0 + liquid * (c1 + liquid * c2)))
    p0, p1, p2, p3 = polynomial
    if wet_bulb + approach >= setpoint:
        return wet_bulb + approach, design_power * (p0 + p1 + p2 + p3)
    wanted = setpoint - wet_bulb
    a, b, c = c2, c1, c0 - wanted  # the liquid-to-gas ratio at which the approach is just what is wanted
    root = b * b - 4 * a * c
    ratio = 8.0
    if root >= 0 and abs(a) > 1e-12:
        found = (-b + sqrt(root)) / (2 * a)
        ratio = found if found > 0 else ratio
    speed = min(1.0, liquid / min(max(ratio, liquid), 8.0))
    if speed >= slowest:
        return setpoint, design_power * (p0 + speed * (p1 + speed * (p2 + speed * p3)))
    lowest = p0 + slowest * (p1 + slowest * (p2 + slowest * p3))
    part = max(0.0, (speed / slowest - free) / (1.0 - free))
    return setpoint, design_power * lowest * part
