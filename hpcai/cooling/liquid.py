"""Direct liquid cooling: cold plates, a coolant distribution unit, a tower, and a chiller for when that is too warm.

Heat goes from the chips into the cold plates, by the coolant to the heat exchanger of the coolant distribution unit
(CDU), into facility water and out through the tower. A chiller takes over only what the tower cannot: while the wet
bulb and the tower's approach stay below the facility water's setpoint it stands. A share of the heat goes to the air of
the room and is taken out by coolers on the same facility water. Compiled, exact over a step for what stores heat.

References: EnergyPlus Engineering Reference, "Liquid-to-liquid heat exchangers" (effectiveness-NTU, counterflow), and
"Variable Speed Cooling Towers"; the share of heat in the liquid as in the Frontier model of ExaDigiT (0.945).
"""

from __future__ import annotations

from importlib import resources
from math import exp, isnan
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field

from hpcai.configuration import read_mapping, validated
from hpcai.cooling.chiller import chiller_power
from hpcai.cooling.coil import WATER_CP
from hpcai.cooling.interface import Point
from hpcai.cooling.parameters import LIQUID, Chiller, NonNegative, Number, Part, Positive, Share, Tower, as_record, flat
from hpcai.cooling.tower import tower
from hpcai.cooling.zone import relax
from hpcai.errors import InputError
from hpcai.jit import jit

Floats = NDArray[np.float64]

LIQUID_SETPOINTS: Final = (
    Point("supply", "°C", "coolant to the cold plates", 15.0, 50.0),
    Point("flow", "1", "coolant, as a share of the pump's design flow", 0.2, 1.0),
)
"""What a liquid-cooled plant is told; nan leaves a point to the plant's own control."""

LIQUID_READINGS: Final = (
    Point("supply", "°C", "coolant to the cold plates"),
    Point("back", "°C", "coolant from the cold plates"),
    Point("plate", "°C", "cold plates"),
    Point("facility", "°C", "facility water to the heat exchanger"),
    Point("flow", "kg/s", "coolant"),
    Point("it", "W", "machines"),
    Point("cdu", "W", "pumps of coolant and facility water"),
    Point("room", "W", "fans of the room's coolers"),
    Point("chiller", "W", "compressor"),
    Point("tower", "W", "fan of the cooling tower"),
    Point("pumps", "W", "pump of the tower's water"),
    Point("hvac", "W", "all that cools: cdu, room, chiller, tower, pumps"),
    Point("site", "W", "everything: it and hvac"),
    Point("wet_bulb", "°C", "outdoor air"),
)

LIQUID_LEDGER: Final = (
    "it",
    "plates",
    "coolant_pump",
    "exchanged",
    "room_heat",
    "room_fans",
    "facility_pump",
    "chiller_heat",
    "compressor",
    "tower_pump",
    "tower_heat",
)
"""Flows of heat in a step, W: from the plates, through the heat exchanger, into room coolers, out of the tower."""


class ColdPlates(Part):
    """Cold plates of all machines: C dT/dt = Q - G(m) (T - T_coolant)."""

    design_power: Positive  # W of the machines at full load
    idle_share: Share = 0.0  # of it at no load
    liquid_share: Share = 0.945  # of the heat that goes into the liquid
    capacity: Positive  # J/K
    conductance: Positive  # W/K at design flow; ~ flow^0.8


class Distribution(Part):
    """The coolant distribution unit."""

    supply: Number = 32.0  # °C, setpoint of its own
    flow_low: Annotated[float, Field(gt=0, le=1)] = 0.3  # smallest share of the design flow
    rise: Positive = 10.0  # K that the coolant may warm; the flow follows it
    design_flow: Positive  # kg/s of coolant, and of facility water
    pump_power: NonNegative  # W of the coolant's pump at design flow; affinity law
    facility_pump_power: NonNegative  # W of the facility water's pump; likewise
    conductance: Positive  # W/K of the heat exchanger
    room_fan_share: NonNegative = 0.03  # W of fans per W taken out of the room


class LiquidParameters(Part):
    """A liquid-cooled plant."""

    name: str
    plates: ColdPlates
    distribution: Distribution
    chiller: Chiller
    tower: Tower
    tower_flow: Positive  # kg/s
    tower_pump_power: NonNegative  # W
    tower_exchange: Positive = 2.0  # K between the tower's water and the facility water


def load_liquid_plant(source: str | Path = LIQUID) -> LiquidParameters:
    """Return the liquid-cooled plant that ships with hpcai, or of a YAML file. Raises InputError if there is none."""
    if str(source) == LIQUID:
        text = (resources.files("hpcai.cooling") / "presets" / f"{LIQUID}.yaml").read_text("utf-8")
        return validated(LiquidParameters, yaml.safe_load(text), "plant liquid")
    if not Path(source).is_file():
        raise InputError(f"plant {str(source)!r}: expected a YAML file or 'liquid'")
    return validated(LiquidParameters, read_mapping(source), f"plant {source}")


def liquid_arrays(plant: LiquidParameters) -> NDArray[np.void]:
    """Return ``plant`` as a record (1,) for ``liquid_step``."""
    return as_record([dict(flat(plant))])


@jit
def taken_up(p: np.void, plate: float, supply: float, flow: float, heat: float, dt: float) -> tuple[float, float]:
    """Return the plates' temperature at the end of a step (°C) and the heat that the coolant took from them (W).

    The coolant passes plates of one temperature: it takes m cp (1 - exp(-G / m cp)) (T_plate - T_supply).
    """
    carried = flow * WATER_CP
    conductance = p["plates_conductance"] * (flow / p["distribution_design_flow"]) ** 0.8
    contact = carried * (1.0 - exp(-conductance / carried))
    rate = contact / p["plates_capacity"]
    end, mean = relax(plate, rate, heat / p["plates_capacity"] + rate * supply, dt)
    return end, contact * (mean - supply)


@jit
def exchanger(conductance: float, flow: float) -> float:
    """Return the effectiveness of a counterflow heat exchanger with one flow (kg/s) on both sides: NTU / (1 + NTU)."""
    units = conductance / (flow * WATER_CP)
    return units / (1.0 + units)


@jit
def own_flow(p: np.void, heat: float) -> float:
    """Return the coolant's flow (kg/s) with which ``heat`` (W) warms it by the rise allowed."""
    design = p["distribution_design_flow"]
    return float(min(design, max(p["distribution_flow_low"] * design, heat / (WATER_CP * p["distribution_rise"]))))


@jit
def facility(p: np.void, heat: float, wanted: float, wet_bulb: float) -> tuple[float, float, float, float]:
    """Return facility water that can be had (°C), powers of compressor and tower fan, heat the chiller takes (W).

    Args:
        p: the plant.
        heat: that facility water brings, W.
        wanted: facility water, °C.
        wet_bulb: outdoor, °C.
    """
    flows = (p["tower_design_flow"] / p["tower_flow"], p["tower_slowest"], p["tower_free"])
    curve = (p["tower_polynomial_0"], p["tower_polynomial_1"], p["tower_polynomial_2"], p["tower_polynomial_3"])
    pump = p["tower_pump_power"]
    least = wanted - p["tower_exchange"]
    cold, fan = tower(heat + pump, wet_bulb, least, p["tower_flow"], p["tower_design_power"], flows, curve)
    direct = cold + p["tower_exchange"]
    if direct <= wanted + 1e-9:
        return wanted, 0.0, fan, 0.0
    compressor, able = 0.15 * heat, 0.0
    for _ in range(3):
        cold, fan = tower(
            heat + compressor + pump,
            wet_bulb,
            max(p["tower_lowest"], wet_bulb),
            p["tower_flow"],
            p["tower_design_power"],
            flows,
            curve,
        )
        compressor, able = chiller_power(
            heat,
            cold,
            wanted,
            p["chiller_capacity"],
            p["chiller_cop"],
            (p["chiller_design_condenser"], p["chiller_design_water"], p["chiller_rise"]),
            (
                (p["chiller_capacity_curve_0"], p["chiller_capacity_curve_1"], p["chiller_capacity_curve_2"]),
                (p["chiller_power_curve_0"], p["chiller_power_curve_1"], p["chiller_power_curve_2"]),
                (p["chiller_part_load_curve_0"], p["chiller_part_load_curve_1"], p["chiller_part_load_curve_2"]),
            ),
            p["chiller_least_part_load"],
        )
    if heat > able:  # too small for the heat: it stands, and the water is as the tower makes it
        cold, fan = tower(heat + pump, wet_bulb, least, p["tower_flow"], p["tower_design_power"], flows, curve)
        return direct, 0.0, fan, 0.0
    return wanted, compressor, fan, heat


@jit
def liquid_step(
    plant: NDArray[np.void],
    state: Floats,
    setpoints: Floats,
    load: float,
    wet_bulb: float,
    dt: float,
    readings: Floats,
    ledger: Floats,
) -> None:
    """Go a step of ``dt`` seconds on.

    Args:
        plant: (1,), see ``liquid_arrays``.
        state: (1,), temperature of the plates, °C; overwritten.
        setpoints: (len(LIQUID_SETPOINTS),), nan for what the plant decides.
        load: of the machines, 0..1.
        wet_bulb: outdoor, °C.
        dt: s.
        readings: (len(LIQUID_READINGS),), written.
        ledger: (len(LIQUID_LEDGER),), written.
    """
    p = plant[0]
    idle = p["plates_idle_share"]
    machines = p["plates_design_power"] * (idle + (1.0 - idle) * load)
    into_plates = p["plates_liquid_share"] * machines
    room_heat = machines - into_plates
    wanted = p["distribution_supply"] if isnan(setpoints[0]) else setpoints[0]
    design = p["distribution_design_flow"]
    flow = own_flow(p, into_plates) if isnan(setpoints[1]) else setpoints[1] * design
    share = flow / design
    coolant_pump, facility_pump = (
        p["distribution_pump_power"] * share**3,
        p["distribution_facility_pump_power"] * share**3,
    )
    room_fans = p["distribution_room_fan_share"] * room_heat
    effectiveness = exchanger(p["distribution_conductance"], flow)
    beyond = (1.0 - effectiveness) / (effectiveness * flow * WATER_CP)  # K of facility water below supply per W
    at_wanted = taken_up(p, state[0], wanted, flow, into_plates, dt)[1] + coolant_pump
    needed = wanted - at_wanted * beyond
    other = room_heat + room_fans + facility_pump
    water, compressor, fan, chilled = facility(p, max(0.0, at_wanted) + other, needed, wet_bulb)
    # Facility water is supply - beyond x heat, and the heat linear in supply: two points tell where it is `water`.
    at_warmer = taken_up(p, state[0], wanted + 1.0, flow, into_plates, dt)[1] + coolant_pump
    supply = wanted + (water - needed) / (1.0 - (at_warmer - at_wanted) * beyond)
    end, taken = taken_up(p, state[0], supply, flow, into_plates, dt)
    exchanged = taken + coolant_pump
    rejected = exchanged + other
    tower_pump = p["tower_pump_power"]
    state[0] = end
    readings[0] = supply
    readings[1] = supply + taken / (flow * WATER_CP)
    readings[2] = end
    readings[3] = water
    readings[4] = flow
    readings[5] = machines
    readings[6] = coolant_pump + facility_pump
    readings[7] = room_fans
    readings[8] = compressor
    readings[9] = fan
    readings[10] = tower_pump
    readings[11] = readings[6] + readings[7] + readings[8] + readings[9] + readings[10]
    readings[12] = machines + readings[11]
    readings[13] = wet_bulb
    ledger[0] = machines
    ledger[1] = taken
    ledger[2] = coolant_pump
    ledger[3] = exchanged
    ledger[4] = room_heat
    ledger[5] = room_fans
    ledger[6] = facility_pump
    ledger[7] = rejected if chilled > 0 else 0.0
    ledger[8] = compressor
    ledger[9] = tower_pump
    ledger[10] = rejected + compressor + tower_pump
