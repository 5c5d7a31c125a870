"""A side of the plant over one step: its own control, machines, zone and air handler in balance. Compiled.

The air of the zone obeys a linear equation between changes of its setpoints and load, which is solved exactly
(``zone.relax``); its mean over the step is the return air that the air handler works on. Where the handler cannot hold
its setpoint, what it supplies depends on what it gets back: the two are brought together by the secant method, and
what is left of their difference stays in the zone, so that no energy and no water is lost however the search ends.
"""

from __future__ import annotations

from math import exp, isnan
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.cooling.air import STANDARD_DENSITY, heat_capacity
from hpcai.cooling.control import own_airflow, own_supply
from hpcai.cooling.fan import fan_power
from hpcai.cooling.handler import Air, Handled, Outdoor, Stages, handle
from hpcai.cooling.machines import machines_power
from hpcai.cooling.zone import relax
from hpcai.jit import jit

Floats = NDArray[np.float64]

STATE: Final = ("zone", "floor", "humidity", "airflow", "supply")
"""State of a side: temperature of air and floor (°C), humidity (kg/kg), supply air (kg/s) and its temperature (°C)."""

ZONE, FLOOR, HUMIDITY, AIRFLOW, SUPPLY = range(len(STATE))

ROWS: Final = 3
"""Rows of a plant's state: east, west, and the condenser water, whose temperature (°C) stands first."""

WATER: Final = 2

_TOLERANCE: Final = 1e-6  # K
_MOST: Final = 8  # of the search
_LEAP: Final = 5.0  # K that a guess may lie off what the last one led to


class SideStep(NamedTuple):
    """What happened on a side in a step: means over it in W and kg/s but for temperatures and state as at its end."""

    zone: float  # °C
    floor: float  # °C
    humidity: float  # kg/kg
    airflow: float  # kg/s
    supply: float  # °C, into the zone
    inlet: float  # °C
    machines: float
    fan: float
    evaporative: float
    expansion: float  # compressor of the DX coil
    coil: float  # heat to the chilled water, with the latent part
    water: float  # chilled water, kg/s
    lights: float
    fan_heat: float  # to the air
    envelope: float  # heat from outdoors into the zone
    plenum: float  # heat from the floor into the supply air
    floor_heat: float  # heat from the zone into the floor
    ground: float  # heat from the ground into the floor
    outdoor_share: float  # of outdoor air in the supply air
    outdoor_heat: float  # sensible heat that outdoor air brings
    outdoor_water: float  # water that outdoor air brings, kg/s
    evaporation: float  # sensible heat that evaporates water in the supply air
    evaporated: float  # that water, kg/s
    indirect: float  # heat to the secondary air
    expanded: float  # heat to the DX coil
    sensible: float  # sensible heat to the chilled water
    condensed: float  # water left on the coil, kg/s


@jit
def machines_at(s: np.void, load: float, inlet: float) -> float:
    """Return the power (W) of a side's machines."""
    return machines_power(
        load,
        inlet,
        s["machines_design_power"],
        s["machines_fan_share"],
        s["machines_supply_efficiency"],
        (s["machines_power_0"], s["machines_power_1"], s["machines_power_2"], s["machines_power_3"]),
        (s["machines_airflow_0"], s["machines_airflow_1"], s["machines_airflow_2"], s["machines_airflow_3"]),
        s["machines_fan_exponent"],
    )


@jit
def plenum_contact(s: np.void, flow: float, cp: float) -> float:
    """Return the share of the way to the floor's temperature that the supply air goes under it."""
    return 1.0 - exp(-s["zone_plenum"] / (flow * cp))


@jit
def decide(s: np.void, state: Floats, setpoints: Floats, load: float, out: Outdoor, cp: float) -> tuple[float, float]:
    """Return supply temperature (°C) and airflow (kg/s) of a side: its setpoints, or its own control where nan."""
    zone, design = state[ZONE], s["fan_design_flow"]
    mixed = s["machines_recirculation"]
    need = (
        machines_at(s, load, (1 - mixed) * state[SUPPLY] + mixed * zone)
        + s["zone_lights"]
        + s["zone_envelope"] * (out.dry_bulb - zone)
        + s["zone_floor"] * (state[FLOOR] - zone)
        + s["control_gain"] * (zone - s["control_zone"])
    )
    supply = setpoints[3]
    flow = state[AIRFLOW] if isnan(setpoints[4]) else setpoints[4] * design
    if isnan(supply):
        supply = own_supply(zone, need, flow, cp, s["control_supply_low"], s["control_supply_high"])
    if isnan(setpoints[4]):
        entering = supply + plenum_contact(s, flow, cp) * (state[FLOOR] - supply)
        flow = own_airflow(s["control_zone"], entering, need, design, cp, s["control_airflow_low"])
    return supply, flow


@jit
def zone_air(
    s: np.void, state: Floats, load: float, supply: float, flow: float, floor: float, out: Outdoor, cp: float, dt: float
) -> tuple[float, float, float, float]:
    """Return the zone's temperature at the end and on average (°C), the entering air (°C) and the machines' power (W).

    C dT/dt = IT + lights + UA (T_out - T) + UA_floor (T_floor - T) + m cp (T_entering - T).
    """
    entering = supply + plenum_contact(s, flow, cp) * (floor - supply)
    mixed = s["machines_recirculation"]
    machines = machines_at(s, load, (1 - mixed) * entering + mixed * state[ZONE])
    rate = flow * cp + s["zone_envelope"] + s["zone_floor"]
    source = (
        machines + s["zone_lights"] + s["zone_envelope"] * out.dry_bulb + s["zone_floor"] * floor + flow * cp * entering
    )
    end, mean = relax(state[ZONE], rate / s["zone_capacity"], source / s["zone_capacity"], dt)
    return end, mean, entering, machines


@jit
def floor_mean(s: np.void, state: Floats, supply: float, flow: float, cp: float, dt: float) -> float:
    """Return the floor's temperature (°C) on average over a step with the zone as it begins."""
    to_plenum = flow * cp * plenum_contact(s, flow, cp)
    rate = (s["zone_floor"] + s["zone_ground"] + to_plenum) / s["zone_floor_capacity"]
    warmed = s["zone_floor"] * state[ZONE] + s["zone_ground"] * s["zone_ground_temperature"] + to_plenum * supply
    source = warmed / s["zone_floor_capacity"]
    return relax(state[FLOOR], rate, source, dt)[1]


@jit
def settle(
    s: np.void, state: Floats, load: float, air: Air, stages: Stages, out: Outdoor, dt: float
) -> tuple[Handled, float, float, float]:
    """Return what the air handler does, the return air (°C, kg/kg) it does it to, and the floor's mean temperature."""
    back, damp = state[ZONE], state[HUMIDITY]
    handled = handle(s, air, back, damp, stages, out)
    floor = floor_mean(s, state, handled.supply, air.flow, air.cp, dt)
    vapour_rate = air.flow / s["zone_air_mass"]
    before, before_found, slope = back, back, 0.0
    for i in range(_MOST):
        found = zone_air(s, state, load, handled.supply, air.flow, floor, out, air.cp, dt)[1]
        damp_found = relax(state[HUMIDITY], vapour_rate, vapour_rate * handled.humidity, dt)[1]
        if abs(found - back) < _TOLERANCE and abs(damp_found - damp) < 1e-3 * _TOLERANCE:
            break
        if i > 0 and abs(back - before) > 1e-9:
            slope = min(0.9, max(-2.0, (found - before_found) / (back - before)))
        before, before_found = back, found
        back = min(found + _LEAP, max(found - _LEAP, (found - slope * back) / (1.0 - slope)))
        damp = damp_found
        handled = handle(s, air, back, damp, stages, out)
    return handled, back, damp, floor


@jit
def step_side(
    s: np.void, state: Floats, load: float, flow: float, stages: Stages, out: Outdoor, density: float, dt: float
) -> SideStep:
    """Return a step of ``dt`` seconds of side ``s`` from ``state`` (len(STATE),), which stays as it is."""
    cp = heat_capacity(state[HUMIDITY])
    share = flow / s["fan_design_flow"]
    fan = fan_power(
        share,
        s["fan_design_power"] * STANDARD_DENSITY / density,
        (s["fan_polynomial_0"], s["fan_polynomial_1"], s["fan_polynomial_2"], s["fan_polynomial_3"]),
    )
    fan_heat = s["fan_heat_share"] * fan
    carried = flow * cp
    air = Air(flow, share, fan_heat / carried, cp)
    h, back, damp, floor = settle(s, state, load, air, stages, out, dt)
    end, mean, entering, machines = zone_air(s, state, load, h.supply, flow, floor, out, cp, dt)
    end += carried * (mean - back) * dt / s["zone_capacity"]
    vapour_rate = flow / s["zone_air_mass"]
    moist, moist_mean = relax(state[HUMIDITY], vapour_rate, vapour_rate * h.humidity, dt)
    moist += vapour_rate * (moist_mean - damp) * dt
    plenum = carried * (entering - h.supply)
    floor_heat = s["zone_floor"] * (mean - floor)
    ground = s["zone_ground"] * (s["zone_ground_temperature"] - floor)
    mixed = s["machines_recirculation"]
    return SideStep(
        zone=end,
        floor=state[FLOOR] + (floor_heat + ground - plenum) * dt / s["zone_floor_capacity"],
        humidity=moist,
        airflow=flow,
        supply=entering,
        inlet=(1 - mixed) * entering + mixed * end,
        machines=machines,
        fan=fan,
        evaporative=h.evaporative_power,
        expansion=h.expansion_power,
        coil=h.coil_heat,
        water=h.water_flow,
        lights=s["zone_lights"],
        fan_heat=fan_heat,
        envelope=s["zone_envelope"] * (out.dry_bulb - mean),
        plenum=plenum,
        floor_heat=floor_heat,
        ground=ground,
        outdoor_share=h.outdoor_share,
        outdoor_heat=carried * h.outdoor_share * (out.dry_bulb - back),
        outdoor_water=flow * h.outdoor_share * (out.humidity - damp),
        evaporation=carried * h.direct_drop,
        evaporated=flow * h.evaporated,
        indirect=carried * h.indirect_drop,
        expanded=carried * h.expansion_drop,
        sensible=carried * h.coil_drop,
        condensed=flow * h.condensed,
    )
