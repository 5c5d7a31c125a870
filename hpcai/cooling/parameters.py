"""The parameters of a plant: what a YAML preset says, checked, and as arrays for compiled functions.

A preset describes the ``east`` side in full and of the ``west`` side what differs; under ``it_curves`` stands, for each
way in which the power of machines follows their air, what differs from the rest. Units stand with each field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Self, cast

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpcai.configuration import read_mapping, validated
from hpcai.errors import InputError

ItCurve = Literal["stock", "flat"]
"""How the power of machines follows their inlet temperature: ``stock``, as the preset's machines do, or not at all."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Quadratic = tuple[Number, Number, Number]
Cubic = tuple[Number, Number, Number, Number]

LIQUID: Final = "liquid"  # the preset of hpcai.cooling.liquid


class Part(BaseModel):
    """Base of the parts: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Machines(Part):
    """See ``machines.machines_power``."""

    design_power: Positive  # W, processors and fans at full load
    fan_share: Share = 0.0
    supply_efficiency: Share = 1.0
    power: Cubic = (0.0, 1.0, 0.0, 0.0)
    airflow: Cubic = (1.0, 0.0, 0.0, 0.0)
    fan_exponent: Positive = 1.0
    recirculation: Share = 0.1  # share of the air at the inlets that comes from the zone


class Fan(Part):
    """See ``fan.fan_power``."""

    design_flow: Positive  # kg/s
    design_power: Positive  # W, with air of 1.2 kg/m3
    heat_share: Share = 1.0  # of its power that warms the air
    polynomial: Cubic = (0.0, 0.0, 0.0, 1.0)


class Economizer(Part):
    """See ``mixing.outdoor_share``."""

    least: Share = 0.0  # share of outdoor air
    lowest: Number = -20.0  # °C
    highest: Number = 23.0  # °C
    highest_dew_point: Number = 13.5  # °C


class DirectCooler(Part):
    """See ``evaporative.direct``; an effectiveness of 0 stands for none."""

    effectiveness: Share = 0.0
    lowest: Number = 16.0  # °C
    highest_wet_bulb: Number = 20.0  # °C
    pump_power: NonNegative = 30.0  # W


class IndirectCooler(Part):
    """See ``evaporative.indirect``; effectivenesses of 0 stand for none."""

    dry: Share = 0.0
    wet: Share = 0.0
    wetting_from: Number = 22.0  # °C
    highest_wet_bulb: Number = 24.0  # °C
    fan_power: NonNegative = 0.0  # W
    pump_power: NonNegative = 0.0  # W


class Expansion(Part):
    """See ``coil.direct_expansion``; a capacity of 0 stands for none."""

    capacity: NonNegative = 0.0  # W
    cop: Positive = 3.0


class Coil(Part):
    """See ``coil.chilled_water``; a water flow of 0 stands for none."""

    conductance: Positive = 19400.0  # W/K of the air side at design flow
    water_flow: NonNegative = 0.0  # kg/s at most
    effectiveness: Annotated[float, Field(gt=0, le=1)] = 0.85  # of the water side


class Zone(Part):
    """See ``side.step_side``."""

    capacity: Positive  # J/K of the air and what warms with it
    air_mass: Positive  # kg, holds the moisture
    envelope: NonNegative = 0.0  # W/K to outdoors
    plenum: NonNegative = 0.0  # W/K from the floor to the supply air under it
    floor: NonNegative = 0.0  # W/K from the air of the zone to the floor
    floor_capacity: Positive = 1e7  # J/K
    ground: NonNegative = 0.0  # W/K from the ground to the floor
    ground_temperature: Number = 20.0  # °C
    lights: NonNegative = 0.0  # W


class Control(Part):
    """The plant's own control of a side, see ``control.own_supply``."""

    zone: Number = 23.0  # °C
    supply_low: Number = 12.0  # °C
    supply_high: Number = 18.0  # °C
    gain: Positive = 3200.0  # W per K that the zone is too warm
    airflow_low: Annotated[float, Field(gt=0, le=1)] = 0.4  # share of design


class Side(Part):
    """A side: its zone, machines and air handler."""

    machines: Machines
    fan: Fan
    zone: Zone
    economizer: Economizer = Economizer()
    direct: DirectCooler = DirectCooler()
    indirect: IndirectCooler = IndirectCooler()
    expansion: Expansion = Expansion()
    coil: Coil = Coil()
    control: Control = Control()


class Chiller(Part):
    """See ``chiller.chiller_power``."""

    capacity: Positive  # W, nominal
    cop: Positive = 5.0
    design_condenser: Number = 29.44  # °C
    design_water: Number = 6.667  # °C
    rise: Positive = 2.682759
    capacity_curve: Quadratic = (0.944836, -0.0570088, -0.00185486)
    power_curve: Quadratic = (1.907846, -1.204987, 0.2634623)
    part_load_curve: Quadratic = (0.03303, 0.6852, 0.2818)
    least_part_load: Annotated[float, Field(gt=0, le=1)] = 0.15
    entering: Share = 0.0  # weight of the entering water in the temperature that the curves are read at
    water: Number = 7.0  # °C, setpoint of its own


class Tower(Part):
    """See ``tower.tower``."""

    design_power: Positive  # W of the fan
    design_flow: Positive  # kg/s of water
    slowest: Annotated[float, Field(gt=0, le=1)] = 0.2
    free: Annotated[float, Field(ge=0, lt=1)] = 0.125  # share of the lowest speed's capacity without the fan
    polynomial: Cubic = (-0.00931516301535329, 0.0512333965844443, -0.0838364671381841, 1.04191823356909)
    lowest: Number = 10.0  # °C, setpoint never below; else it follows the wet bulb
    free_drop: NonNegative = 0.0  # K, see ``plant.hunt``; 0 stands for a tower that does not hunt
    loop_capacity: NonNegative = 0.0  # J/K of the condenser water
    heater: NonNegative = 0.0  # W/K of the basin below `heater_below` while no water runs
    heater_below: Number = 4.5  # °C
    free_cooling: Share = 0.0  # effectiveness of a heat exchanger that precools chilled water; 0 stands for none


class Pumps(Part):
    """The power of both pumps goes with their flow (EnergyPlus Engineering Reference, "Pumps", linear curve)."""

    chilled_power: NonNegative  # W at design flow
    chilled_flow: Positive  # kg/s, design
    chilled_heat: Share = 1.0  # share of its power that warms the water
    condenser_power: NonNegative  # W; constant flow while the chiller runs
    condenser_flow: Positive  # kg/s
    condenser_heat: Share = 1.0
    stray: Share = 0.0  # share of time the condenser pump runs for nothing while economizers mix, ~ (outdoor air)^1.5


class PlantParameters(Part):
    """A plant of two sides, one chiller and one tower."""

    name: str
    east: Side
    west: Side
    chiller: Chiller
    tower: Tower
    pumps: Pumps

    @model_validator(mode="before")
    @classmethod
    def _complete_west(cls, data: Any) -> Any:
        """Let the west side say only what differs from the east."""
        if isinstance(data, Mapping) and isinstance(data.get("east"), Mapping):
            return {**data, "west": merged(data["east"], data.get("west") or {})}
        return data

    def changed(self, values: Mapping[str, float]) -> Self:
        """Return the same plant but for ``values`` by dotted name: 'chiller.cop'; 'side.zone.envelope' for both sides.

        Raises InputError if there is no such parameter or a value is out of its range.
        """
        data = self.model_dump()
        for name, value in values.items():
            for full in _both_sides(name):
                *path, last = full.split(".")
                part: Any = data
                for key in path:
                    part = part[_key(part, key, name)]
                part[_key(part, last, name)] = value
        return validated(type(self), data, f"plant {self.name}")

    def value(self, name: str) -> float:
        """Return a parameter by dotted name, see ``changed``; of 'side.' that of the east."""
        part: Any = self.model_dump()
        for key in _both_sides(name)[0].split("."):
            part = part[_key(part, key, name)]
        return float(part)


def _both_sides(name: str) -> list[str]:
    return [f"{side}{name[4:]}" for side in ("east", "west")] if name.startswith("side.") else [name]


def _key(part: Any, key: str, name: str) -> Any:
    """Return ``key`` as a key of ``part``, a number if that is a list; raises InputError if it has none such."""
    if isinstance(part, (tuple, list)) and key.isdecimal() and int(key) < len(part):
        return int(key)
    if isinstance(part, dict) and key in part:
        part[key] = list(part[key]) if isinstance(part[key], tuple) else part[key]
        return key
    raise InputError(f"plant parameter {name!r}: there is no {key!r}")


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with what ``over`` says, mappings within mappings alike."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        result[key] = merged(cast(Any, below), value) if both else value
    return result


class Arrays(NamedTuple):
    """A plant for compiled functions: records whose fields are named part_field or part_field_i."""

    sides: NDArray[np.void]  # (2,)
    water: NDArray[np.void]  # (1,) chiller, tower, pumps


def flat(part: BaseModel) -> Iterator[tuple[str, float]]:
    """Yield every number in ``part`` with its name: part_field, or part_field_i of a tuple."""
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, BaseModel):
            yield from ((f"{name}_{key}", number) for key, number in flat(value))
        elif isinstance(value, tuple):
            yield from ((f"{name}_{i}", number) for i, number in enumerate(value))
        elif not isinstance(value, str):
            yield name, float(value)


def as_record(parts: list[dict[str, float]]) -> NDArray[np.void]:
    """Return ``parts``, numbers by name, as records (len(parts),)."""
    made: NDArray[np.void] = np.array([tuple(part.values()) for part in parts], dtype=[(k, "f8") for k in parts[0]])
    return made


def as_arrays(plant: PlantParameters) -> Arrays:
    """Return ``plant`` as arrays."""
    shared = {f"{name}_{key}": x for name in ("chiller", "tower", "pumps") for key, x in flat(getattr(plant, name))}
    return Arrays(as_record([dict(flat(plant.east)), dict(flat(plant.west))]), as_record([shared]))


def preset_names() -> list[str]:
    """Return the names of the air-cooled plants that ship with hpcai."""
    folder = resources.files("hpcai.cooling") / "presets"
    names = {entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    return sorted(names - {LIQUID})


def load_plant(source: str | Path, it_curve: str = "stock") -> PlantParameters:
    """Return the plant that ``source`` names, a preset or a YAML file, with one of its curves of machine power.

    A file may say what it is ``based_on``, a preset or another file, and then only what differs.

    Raises InputError if there is no such plant or curve, or the file does not describe a plant.
    """
    return validated(PlantParameters, plant_mapping(source, it_curve), f"plant {source}")


def plant_mapping(source: str | Path, it_curve: str) -> dict[str, Any]:
    """Return what the preset or file says once ``it_curve`` is chosen; see ``load_plant``."""
    if str(source) in preset_names():
        text = (resources.files("hpcai.cooling") / "presets" / f"{source}.yaml").read_text("utf-8")
        data: dict[str, Any] = yaml.safe_load(text)
    elif Path(source).is_file():
        data = read_mapping(source)
        if (base := data.pop("based_on", None)) is not None:
            return merged(plant_mapping(base, it_curve), data)
    else:
        raise InputError(f"plant {str(source)!r}: expected a YAML file or a preset ({', '.join(preset_names())})")
    curves = data.pop("it_curves", {"stock": {}})
    if it_curve not in curves:
        raise InputError(f"it_curve {it_curve!r}: expected {' or '.join(curves)}")
    return merged(data, curves[it_curve] or {})
