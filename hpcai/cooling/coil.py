"""The coils of an air handler: chilled water and direct expansion. Compiled."""

from __future__ import annotations

from math import exp

from hpcai.cooling.air import VAPORISATION, saturation_humidity
from hpcai.jit import jit

WATER_CP = 4190.0  # J/(kg K)


@jit
def contact_factor(flow: float, design_flow: float, conductance: float, cp: float) -> float:
    """Return the share of the air that leaves a coil as if from its surface, 1 - bypass factor.

    1 - exp(-UA / (m cp)) with UA ~ m^0.78 on the air side (EnergyPlus Engineering Reference, "Chilled-Water-Based Air
    Cooling Coil"). ``conductance`` is UA at ``design_flow`` (kg/s), W/K.
    """
    return 1.0 - exp(-conductance * (flow / design_flow) ** 0.78 / (flow * cp))


@jit
def leaving(air: float, humidity: float, surface: float, contact: float, pressure: float) -> tuple[float, float]:
    """Return temperature (°C) and humidity (kg/kg) of air after a coil whose surface is at ``surface`` (°C).

    The air moves on a straight line towards saturation at the surface, and dries only where that is drier
    (EnergyPlus Engineering Reference, "Chilled-Water-Based Air Cooling Coil", coil outlet conditions).
    """
    saturated = saturation_humidity(surface, pressure)
    return air - contact * (air - surface), humidity - contact * max(0.0, humidity - saturated)


@jit
def chilled_water(
    air: float,
    humidity: float,
    setpoint: float,
    flow: float,
    contact: float,
    water: float,
    most_water: float,
    effectiveness: float,
    most_heat: float,
    pressure: float,
    cp: float,
) -> tuple[float, float, float, float]:
    """Return leaving temperature (°C), humidity (kg/kg), heat to the water (W) and water flow (kg/s).

    The water flow follows the load so that the air leaves at ``setpoint``. The water warms towards the coil's
    surface, m_w cp_w e (T_surface - T_water) = Q, so that a wet coil needs no iteration; only where the flow or the
    heat would exceed its limit is the coldest surface that can be held found by bisection.

    Args:
        air: entering air, °C.
        humidity: of it, kg/kg.
        setpoint: leaving air wanted, °C.
        flow: air, kg/s.
        contact: see ``contact_factor``.
        water: entering water, °C.
        most_water: largest water flow, kg/s.
        effectiveness: of the water side.
        most_heat: largest heat the chiller can take from this coil, W.
        pressure: Pa.
        cp: of the air, J/(K kg).
    """
    if air - setpoint <= 1e-9 or air <= water or most_water <= 0:
        return air, humidity, 0.0, 0.0
    surface = air - (air - setpoint) / contact
    carried = most_water * WATER_CP * effectiveness
    cold, dry = leaving(air, humidity, surface, contact, pressure)
    heat = flow * (cp * (air - cold) + VAPORISATION * (humidity - dry))
    if surface <= water or heat > carried * (surface - water) or heat > most_heat:
        low, high = max(surface, water), air
        for _ in range(50):
            surface = 0.5 * (low + high)
            cold, dry = leaving(air, humidity, surface, contact, pressure)
            heat = flow * (cp * (air - cold) + VAPORISATION * (humidity - dry))
            if heat > carried * (surface - water) or heat > most_heat:
                low = surface
            else:
                high = surface
    return cold, dry, heat, min(most_water, heat / (WATER_CP * effectiveness * max(surface - water, 1e-6)))


@jit
def direct_expansion(
    air: float,
    setpoint: float,
    flow: float,
    outdoor: float,
    entering_wet_bulb: float,
    capacity: float,
    rated_cop: float,
    cp: float,
) -> tuple[float, float]:
    """Return the temperature (°C) after a direct-expansion coil and its compressor's power (W); sensible heat alone.

    EnergyPlus Engineering Reference, "Single-Speed Electric DX Air Cooling Coil": capacity and energy input ratio by
    entering wet-bulb and outdoor temperature, the two-zone model's curves; part-load factor 0.85 + 0.15 PLR.
    """
    if capacity <= 0 or air <= setpoint:
        return air, 0.0
    x, y = min(max(entering_wet_bulb, 12.78), 23.89), min(max(outdoor, 18.0), 46.11)
    able = capacity * (
        0.766956 + 0.0107756 * x - 4.14703e-05 * x * x + 0.00134961 * y - 0.000261144 * y * y + 0.000457488 * x * y
    )
    ratio = 0.297145 + 0.0430933 * x - 0.000748766 * x * x + 0.00597727 * y + 0.000482112 * y * y - 0.000956448 * x * y
    heat = min(able, flow * cp * (air - setpoint))
    part = heat / able
    return air - heat / (flow * cp), able * ratio / rated_cop * part / (0.85 + 0.15 * part)
