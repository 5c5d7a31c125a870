"""Direct and indirect evaporative coolers of an air handler. Compiled."""

from __future__ import annotations

from hpcai.cooling.air import VAPORISATION, wet_bulb
from hpcai.jit import jit


@jit
def direct(
    air: float,
    humidity: float,
    setpoint: float,
    effectiveness: float,
    limits: tuple[float, float],
    pressure: float,
    cp: float,
) -> tuple[float, float, float]:
    """Return temperature (°C) and humidity (kg/kg) after a direct evaporative cooler, and its part load (0..1).

    EnergyPlus Engineering Reference, "Direct Research Special": the air nears its wet bulb, T = T_db - e (T_db - T_wb),
    at constant enthalpy, no further than ``setpoint``; off below the lowest dry-bulb and above the highest wet-bulb
    temperature of the entering air that ``limits`` name.
    """
    lowest, highest_wet_bulb = limits
    if air <= setpoint or air < lowest or effectiveness <= 0:
        return air, humidity, 0.0
    bulb = wet_bulb(air, humidity, pressure, cp)
    reachable = effectiveness * (air - bulb)
    if bulb > highest_wet_bulb or reachable <= 1e-6:
        return air, humidity, 0.0
    drop = min(reachable, air - setpoint)
    return air - drop, humidity + cp * drop / VAPORISATION, drop / reachable


@jit
def indirect(
    air: float,
    setpoint: float,
    flow_share: float,
    outdoor: float,
    outdoor_wet_bulb: float,
    effectiveness: tuple[float, float],
    limits: tuple[float, float],
    powers: tuple[float, float],
) -> tuple[float, float]:
    """Return the temperature (°C) after an indirect evaporative cooler and its power (W).

    EnergyPlus Engineering Reference, "Indirect Research Special": outdoor air on the secondary side, dry while it is
    cold, wet when its dry bulb is above the first and its wet bulb below the second of ``limits``, and not at all when
    it is warmer than the air to cool (as EnergyPlus 25.2 does); the secondary fan slows down to hold ``setpoint``. Fan
    speed by effectiveness and power by speed follow the model's own curves:
    speed ~ modifier^1.25 dry and ~ modifier^(3 + 2.3 (modifier - 0.5)) wet, fan power ~ speed^2.6, the pump at
    0.4 of its power below half speed.

    Args:
        air: entering air, °C.
        setpoint: leaving air wanted, °C.
        flow_share: supply air by its design flow; less of it raises the effectiveness when wet.
        outdoor: outdoor dry-bulb temperature, °C.
        outdoor_wet_bulb: °C.
        effectiveness: dry (towards the dry bulb) and wet (towards the wet bulb) at design flow.
        limits: dry bulb above which water runs, wet bulb above which it does not, °C.
        powers: design power of the secondary fan and of the pump, W.
    """
    dry, wet = effectiveness
    wetting_from, highest_wet_bulb = limits
    fan, pump = powers
    if air - setpoint <= 1e-3 or outdoor >= air or dry <= 0:
        return air, 0.0
    need = air - setpoint
    if outdoor <= wetting_from:
        lift = air - outdoor
        drop = min(need, dry * lift)
        speed = min(1.0, flow_share * (drop / (dry * lift)) ** 1.25 * 0.8)
        power = fan * (1.0 if drop < need else speed**2.6)
        return air - drop, power
    lift = air - outdoor_wet_bulb
    if lift <= 0 or outdoor_wet_bulb > highest_wet_bulb:
        return air, 0.0
    best = min(1.15 * wet, wet * (1 + 0.09 * (1 / max(flow_share, 0.1) - 1)) * 1.07)
    drop = min(need, best * lift)
    if drop < need:
        return air - drop, fan + pump
    modifier = drop / (wet * lift)
    speed = min(1.0, flow_share * modifier ** (3.0 + 2.3 * (modifier - 0.5)) / 1.4)
    return air - drop, fan * speed**2.6 + pump * (0.4 if speed < 0.5 else 1.0)
