"""One step of the fast plant: two sides on one chiller, one cooling tower and two pumps. Compiled.

A step is a function of parameters, state, setpoints, weather, load and its length; it writes the new state, the
readings of ``interface.READINGS`` and a ledger of every flow of heat and water, from which a test adds up that none is
lost.
"""

from __future__ import annotations

from math import inf, isnan
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.cooling.air import heat_capacity
from hpcai.cooling.chiller import chiller_power
from hpcai.cooling.coil import WATER_CP
from hpcai.cooling.handler import Outdoor, Stages
from hpcai.cooling.interface import READING_INDEX
from hpcai.cooling.parameters import Arrays
from hpcai.cooling.side import AIRFLOW, FLOOR, HUMIDITY, SUPPLY, WATER, ZONE, SideStep, decide, step_side
from hpcai.cooling.tower import tower
from hpcai.jit import jit

Floats = NDArray[np.float64]

WEATHER: Final = ("dry_bulb", "humidity_ratio", "wet_bulb", "dew_point", "pressure")
"""Columns of the weather as ``step`` takes it: °C, kg/kg, °C, °C, Pa."""

LEDGER: Final = (
    *(f"{side}_{name}" for side in ("east", "west") for name in SideStep._fields),
    "coils",  # heat from both chilled-water coils, W
    "chilled_pump_heat",
    "free_cooling",  # heat past the chiller, from chilled to condenser water
    "chiller_heat",  # taken out of the chilled water by the chiller
    "compressor",
    "condenser_pump_heat",
    "tower_heat",  # given to the outdoors
    "chilled_water",  # °C, entering the coils
    "condenser_water",  # °C, entering the chiller
)
"""What ``step`` writes into its ledger, W unless said otherwise there or in ``side.SideStep``."""

_SIDE: Final = len(SideStep._fields)
_EVAPORATIVE: Final = READING_INDEX["evaporative"]


@jit
def stages_of(setpoints: Floats, supply: float, economizer: float, water: float, most_heat: float) -> Stages:
    """Return the setpoints of a side's stages; an evaporative cooler or coil left alone aims at the supply setpoint."""
    direct = supply if isnan(setpoints[0]) else setpoints[0]
    indirect = supply if isnan(setpoints[1]) else setpoints[1]
    expansion = supply if isnan(setpoints[2]) else setpoints[2]
    return Stages(direct, indirect, expansion, supply, economizer, water, most_heat)


class Condensed(NamedTuple):
    """What chiller, tower and condenser water did in a step; means over it, W and °C."""

    compressor: float
    free_cooling: float
    able: float  # heat that chiller and free cooling could take
    tower_fan: float
    tower_heat: float
    entering: float  # condenser water at the chiller, °C
    loop: float  # condenser water at the end, °C


class Circulated(NamedTuple):
    """What pumps and condenser did in a step; means over it, W."""

    pump: float  # of the chilled water
    condenser_pump: float
    heater: float  # of the tower's basin
    condensed: Condensed


@jit
def reject(w: np.void, heat: float, loop: float, wet_bulb: float, dt: float) -> tuple[float, float, float, float]:
    """Return fan power and heat of the tower (W), water at the condenser on average and at the end (°C).

    The condenser water has a capacity: while it is colder than the tower could make it, it takes the heat itself and
    bypasses the tower, for a part of the step or all of it; when it is warmer the tower takes its surplus at once.
    """
    flow = w["pumps_condenser_flow"]
    flows = (w["tower_design_flow"] / flow, w["tower_slowest"], w["tower_free"])
    curve = (w["tower_polynomial_0"], w["tower_polynomial_1"], w["tower_polynomial_2"], w["tower_polynomial_3"])
    wanted = max(w["tower_lowest"], wet_bulb)
    cold, fan = tower(heat, wet_bulb, wanted, flow, w["tower_design_power"], flows, curve)
    if cold > wanted and w["tower_free_drop"] > 0:
        return hunt(w, heat, loop, wanted, cold, fan, dt)
    missing = w["tower_loop_capacity"] * (cold - loop)
    if missing >= heat * dt:
        end = loop + heat * dt / w["tower_loop_capacity"]
        return 0.0, 0.0, 0.5 * (loop + end), end
    on = 1.0 - max(0.0, missing) / (heat * dt)
    return fan * on, heat - missing / dt, cold if on >= 1.0 else on * cold + (1.0 - on) * 0.5 * (loop + cold), cold


@jit
def hunt(
    w: np.void, heat: float, loop: float, wanted: float, cold: float, fan: float, dt: float
) -> tuple[float, float, float, float]:
    """Return what ``reject`` does, for a tower that hunts for a setpoint it cannot reach, as EnergyPlus 25.2 has it.

    The setpoint is the wet bulb. Water that comes back below it bypasses the tower; water that comes back nearer to it
    than the approach falls by ``free_drop`` in free convection, the fan off; only warmer water makes the fan work.
    """
    capacity = w["tower_loop_capacity"]
    back = loop + heat / (w["pumps_condenser_flow"] * WATER_CP)
    if back <= wanted:
        end = loop + heat * dt / capacity
        return 0.0, 0.0, 0.5 * (loop + end), end
    if back <= cold:
        end = loop - w["tower_free_drop"]
        return 0.0, heat + capacity * w["tower_free_drop"] / dt, 0.5 * (loop + end), end
    return fan, heat - capacity * (cold - loop) / dt, cold, cold


@jit
def idle(w: np.void, stray: float, heat: float, loop: float, wet_bulb: float, dt: float) -> Condensed:
    """Return what happens in a step without a load: the condenser water stays as it is, but for ``stray`` of the time.

    Then its pump runs, bringing ``heat`` (W), and warm water cools down in the tower without the fan.
    """
    drop = stray * max(0.0, loop - max(w["tower_lowest"], wet_bulb))
    return Condensed(0.0, 0.0, 0.0, 0.0, heat + w["tower_loop_capacity"] * drop / dt, loop, loop - drop)


@jit
def condense(w: np.void, heat: float, back: float, water: float, loop: float, wet_bulb: float, dt: float) -> Condensed:
    """Return what it takes to bring chilled water down again.

    Chiller and tower need each other's result; two rounds bring the condenser water within about 0.01 K.

    Args:
        w: chiller, tower and pumps.
        heat: to take out of the chilled water, W.
        back: chilled water that comes back, °C.
        water: chilled water wanted, °C.
        loop: condenser water as the step begins, °C.
        wet_bulb: outdoor, °C.
        dt: s.
    """
    pump_heat = w["pumps_condenser_power"] * w["pumps_condenser_heat"]
    curve_water = water + w["chiller_entering"] * (back - water)
    compressor, able, free = 0.15 * heat, 0.0, 0.0
    entering = loop
    for _ in range(2):
        _, _, entering, _ = reject(w, heat + compressor + pump_heat, loop, wet_bulb, dt)
        free = 0.0
        if w["tower_free_cooling"] > 0 and back > entering:
            free = min(heat, w["tower_free_cooling"] * heat * (back - entering) / max(back - water, 1e-6))
        compressor, able = chiller_power(
            heat - free,
            entering,
            curve_water,
            w["chiller_capacity"],
            w["chiller_cop"],
            (w["chiller_design_condenser"], w["chiller_design_water"], w["chiller_rise"]),
            (
                (w["chiller_capacity_curve_0"], w["chiller_capacity_curve_1"], w["chiller_capacity_curve_2"]),
                (w["chiller_power_curve_0"], w["chiller_power_curve_1"], w["chiller_power_curve_2"]),
                (w["chiller_part_load_curve_0"], w["chiller_part_load_curve_1"], w["chiller_part_load_curve_2"]),
            ),
            w["chiller_least_part_load"],
        )
    fan, tower_heat, entering, end = reject(w, heat + compressor + pump_heat, loop, wet_bulb, dt)
    return Condensed(compressor, free, able + free, fan, tower_heat, entering, end)


@jit
def circulate(w: np.void, e: SideStep, v: SideStep, water: float, loop: float, out: Outdoor, dt: float) -> Circulated:
    """Return what the water does for the coils of both sides, with chilled water at ``water`` (°C).

    A chiller that cannot take it all is not limited here: see ``step``.
    """
    heat, flow = e.coil + v.coil, e.water + v.water
    if heat > 0:
        pump = w["pumps_chilled_power"] * flow / w["pumps_chilled_flow"]
        back = water + heat / (WATER_CP * flow)
        taken = heat + pump * w["pumps_chilled_heat"]
        return Circulated(
            pump, w["pumps_condenser_power"], 0.0, condense(w, taken, back, water, loop, out.wet_bulb, dt)
        )
    mixing = 0.0 < e.outdoor_share < 1.0 or 0.0 < v.outdoor_share < 1.0
    stray = w["pumps_stray"] * (0.5 * (e.outdoor_share + v.outdoor_share)) ** 1.5 if mixing else 0.0
    pump = w["pumps_condenser_power"] * stray
    heater = w["tower_heater"] * max(0.0, w["tower_heater_below"] - out.dry_bulb)
    return Circulated(0.0, pump, heater, idle(w, stray, pump * w["pumps_condenser_heat"], loop, out.wet_bulb, dt))


@jit
def step(
    plant: Arrays,
    state: Floats,
    setpoints: Floats,
    load: Floats,
    weather: Floats,
    density: float,
    dt: float,
    readings: Floats,
    ledger: Floats,
) -> None:
    """Go a step of ``dt`` seconds on.

    Args:
        plant: its parameters.
        state: (side.ROWS, len(side.STATE)), overwritten.
        setpoints: (len(SETPOINTS),), nan for what the plant decides.
        load: (2,) of each side's machines, 0..1.
        weather: (len(WEATHER),) of the step.
        density: of the air that the fans blow, kg/m3.
        dt: s.
        readings: (len(READINGS),), written.
        ledger: (len(LEDGER),), written.
    """
    w, east, west = plant.water[0], plant.sides[0], plant.sides[1]
    out = Outdoor(weather[0], weather[1], weather[2], weather[3], weather[4])
    water = w["chiller_water"] if isnan(setpoints[10]) else setpoints[10]
    economizer = 1.0 if isnan(setpoints[11]) else setpoints[11]
    loop = state[WATER, 0]
    supply_e, flow_e = decide(east, state[0], setpoints[0:5], load[0], out, heat_capacity(state[0, HUMIDITY]))
    supply_w, flow_w = decide(west, state[1], setpoints[5:10], load[1], out, heat_capacity(state[1, HUMIDITY]))
    most_e = most_w = inf
    for attempt in range(2):
        stages_e = stages_of(setpoints[0:5], supply_e, economizer, water, most_e)
        stages_w = stages_of(setpoints[5:10], supply_w, economizer, water, most_w)
        e = step_side(east, state[0], load[0], flow_e, stages_e, out, density, dt)
        v = step_side(west, state[1], load[1], flow_w, stages_w, out, density, dt)
        c = circulate(w, e, v, water, loop, out, dt)
        heat, pump_heat = e.coil + v.coil, c.pump * w["pumps_chilled_heat"]
        if attempt == 1 or heat <= 0 or heat + pump_heat <= c.condensed.able:
            break
        part = max(0.0, c.condensed.able - pump_heat) / heat  # more than the chiller can take: share what it can
        most_e, most_w = part * e.coil, part * v.coil
    end_side(state[0], e)
    end_side(state[1], v)
    state[WATER, 0] = c.condensed.loop
    write_readings(readings, e, v, c, out)
    write_ledger(ledger, e, v)
    write_water(ledger, w, e.coil + v.coil, c, water)


@jit
def write_readings(readings: Floats, e: SideStep, v: SideStep, c: Circulated, out: Outdoor) -> None:
    """Write interface.READINGS."""
    write_side(readings, 0, e)
    write_side(readings, 6, v)
    k = _EVAPORATIVE
    readings[k] = e.evaporative + v.evaporative
    readings[k + 1] = c.condensed.compressor + e.expansion + v.expansion
    readings[k + 2] = c.condensed.tower_fan + c.heater
    readings[k + 3] = c.pump + c.condenser_pump
    readings[k + 4] = e.fan + v.fan + readings[k] + readings[k + 1] + readings[k + 2] + readings[k + 3]
    readings[k + 5] = e.machines + v.machines
    readings[k + 6] = readings[k + 4] + readings[k + 5] + e.lights + v.lights
    readings[k + 7] = out.dry_bulb
    readings[k + 8] = out.wet_bulb


@jit
def write_water(ledger: Floats, w: np.void, heat: float, c: Circulated, water: float) -> None:
    """Write the flows of the water into a ledger."""
    j = 2 * _SIDE
    pump_heat = c.pump * w["pumps_chilled_heat"]
    ledger[j] = heat
    ledger[j + 1] = pump_heat
    ledger[j + 2] = c.condensed.free_cooling
    ledger[j + 3] = heat + pump_heat - c.condensed.free_cooling
    ledger[j + 4] = c.condensed.compressor
    ledger[j + 5] = c.condenser_pump * w["pumps_condenser_heat"]
    ledger[j + 6] = c.condensed.tower_heat
    ledger[j + 7] = water
    ledger[j + 8] = c.condensed.entering


@jit
def end_side(state: Floats, side: SideStep) -> None:
    """Write the end of a step into the state of its side."""
    state[ZONE] = side.zone
    state[FLOOR] = side.floor
    state[HUMIDITY] = side.humidity
    state[AIRFLOW] = side.airflow
    state[SUPPLY] = side.supply


@jit
def write_side(readings: Floats, at: int, side: SideStep) -> None:
    """Write the six readings of a side from index ``at`` on."""
    readings[at] = side.supply
    readings[at + 1] = side.inlet
    readings[at + 2] = side.zone
    readings[at + 3] = side.airflow
    readings[at + 4] = side.machines
    readings[at + 5] = side.fan


@jit
def write_ledger(ledger: Floats, east: SideStep, west: SideStep) -> None:
    """Write what happened on both sides into a ledger."""
    for i, value in enumerate(east):
        ledger[i] = value
    for i, value in enumerate(west):
        ledger[_SIDE + i] = value
