"""The point map: which register is which reading or setpoint, as data."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpcai.configuration import read_mapping, validated
from hpcai.cooling.interface import READINGS, SETPOINT_INDEX, SETPOINTS, SIDES, Point
from hpcai.live.cooling.registers import FITS, Register

LOADS: Final = tuple(f"{side}_load" for side in SIDES)
_READINGS: Final = {point.name: point for point in READINGS}
_LIMITS: Final = {"°C": (-10.0, 70.0), "kg/s": (0.0, 1e4), "W": (-1e3, 1e9), "1": (-0.05, 1.5)}
_OUTDOOR: Final = {"dry_bulb": (-60.0, 60.0), "wet_bulb": (-60.0, 40.0)}

Number = Annotated[float, Field(allow_inf_nan=False)]


class Sensor(Register):
    """A reading's register; beyond ``low`` and ``high`` it is not believed, nor, if ``frozen``, where it stands still.

    None: the bounds of its kind; temperatures alone are watched for standing still.
    """

    low: Number | None = None
    high: Number | None = None
    frozen: bool | None = None


class Setpoint(Register):
    """A setpoint's register, what may be written to it, and ``own``, which gives it back to the plant."""

    table: Literal["holding"] = "holding"
    low: Number | None = None  # None: as hpcai.cooling.interface
    high: Number | None = None
    rate: Annotated[float, Field(gt=0)] | None = None  # units a minute
    own: Number | None = None


class Flag(Register):
    """The register that says who is in control."""

    table: Literal["holding"] = "holding"
    ours: Number = 1.0
    own: Number = 0.0


class Permit(Register):
    """A register of the plant's: only while it holds ``value`` anything is written."""

    value: Number = 1.0


class Heartbeat(Register):
    """A register that goes from 0 to 1 and back in each good cycle."""

    table: Literal["holding"] = "holding"


class PointMap(BaseModel):
    """All registers of a site. ``unit`` and ``word_order`` hold where a register does not say otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    readings: dict[str, Sensor] = {}
    constants: dict[str, Number] = {}  # readings that are always the same, such as evaporative: 0
    loads: dict[str, Sensor] = {}
    design_power: Annotated[float, Field(gt=0)] | None = None  # W, of all machines at full load
    idle_power: Annotated[float, Field(ge=0)] = 0.0  # W, of all machines without work
    setpoints: Annotated[dict[str, Setpoint], Field(min_length=1)]
    release: Flag | None = None
    enable: Permit | None = None
    heartbeat: Heartbeat | None = None

    @model_validator(mode="before")
    @classmethod
    def _lay_defaults(cls, fields: Any) -> Any:
        """Give every register the map's own unit and word order, unless it has one."""
        if not isinstance(fields, dict):
            return fields
        common = {key: fields[key] for key in ("unit", "word_order") if key in fields}
        laid = {key: value for key, value in fields.items() if key not in common}
        for key in ("readings", "loads", "setpoints"):
            if isinstance(laid.get(key), dict):
                laid[key] = {name: _with(common, of) for name, of in laid[key].items()}
        return laid | {key: _with(common, laid[key]) for key in ("release", "enable", "heartbeat") if key in laid}

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _known("readings", self.readings, _READINGS)
        _known("constants", self.constants, _READINGS)
        _known("loads", self.loads, LOADS)
        _known("setpoints", self.setpoints, SETPOINT_INDEX)
        for name in self.readings.keys() & self.constants.keys():
            raise ValueError(f"{name}: expected a reading or a constant, found both")
        if self.design_power is not None and self.idle_power >= self.design_power:
            raise ValueError(f"idle_power {self.idle_power:g}: expected less than design_power {self.design_power:g}")
        for name, setpoint in self.setpoints.items():
            _check_setpoint(name, setpoint, self.release is not None)
        if self.release is not None and not (
            self.release.holds(self.release.ours) and self.release.holds(self.release.own)
        ):
            raise ValueError(f"release: ours or own does not fit {FITS[self.release.type]}")
        _check_apart(self.written)
        return self

    @property
    def written(self) -> dict[str, Register]:
        """Registers that are written, by name."""
        flags = {"release": self.release, "heartbeat": self.heartbeat}
        return {**self.setpoints, **{name: flag for name, flag in flags.items() if flag is not None}}

    @property
    def read(self) -> dict[str, Register]:
        """Registers that are read in each cycle, by kind and name, such as reading.east_inlet."""
        groups: dict[str, Mapping[str, Register]] = {
            "reading": self.readings,
            "load": self.loads,
            "setpoint": self.setpoints,
            "flag": {name: flag for name, flag in self._flags.items() if flag is not None},
        }
        return {f"{kind}.{name}": register for kind, group in groups.items() for name, register in group.items()}

    @property
    def _flags(self) -> dict[str, Register | None]:
        return {"enable": self.enable, "release": self.release}

    def bounds(self, name: str) -> tuple[float, float]:
        """Return the range of a setpoint."""
        setpoint, point = self.setpoints[name], SETPOINTS[SETPOINT_INDEX[name]]
        return _or(setpoint.low, point.low), _or(setpoint.high, point.high)

    def believed(self, name: str) -> tuple[float, float]:
        """Return the range in which a reading or load is believed."""
        sensor = self.readings.get(name) or self.loads[name]
        kind = _OUTDOOR.get(name) or _LIMITS[_READINGS[name].unit if name in _READINGS else "1"]
        return _or(sensor.low, kind[0]), _or(sensor.high, kind[1])

    @property
    def watched(self) -> list[str]:
        """Readings that have to move."""
        return [
            name
            for name, sensor in self.readings.items()
            if (sensor.frozen if sensor.frozen is not None else _READINGS[name].unit == "°C")
        ]


def _with(common: Mapping[str, Any], of: Any) -> Any:
    return {**common, **of} if isinstance(of, dict) else of


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _known(section: str, names: Iterable[str], expected: Iterable[str]) -> None:
    for name in names:
        if name not in expected:
            near = difflib.get_close_matches(str(name), list(expected), n=1)
            raise ValueError(
                f"{section}: unknown {name!r}; "
                + (f"did you mean {near[0]!r}?" if near else f"one of {list(expected)}")
            )


def _check_setpoint(name: str, setpoint: Setpoint, released: bool) -> None:
    """Raise ValueError unless a setpoint has a range that the plant and its register can take, and a way back."""
    point: Point = SETPOINTS[SETPOINT_INDEX[name]]
    low, high = _or(setpoint.low, point.low), _or(setpoint.high, point.high)
    if not point.low <= low <= high <= point.high:
        raise ValueError(f"setpoints.{name}: expected low <= high from {point.low:g} to {point.high:g} {point.unit}, "
                         f"found {low:g} to {high:g}")  # fmt: skip
    if setpoint.own is None and not released:
        raise ValueError(f"setpoints.{name}: expected own, what gives it back to the plant, or a release register")
    for value in (low, high, *([] if setpoint.own is None else [setpoint.own])):
        if not setpoint.holds(value):
            raise ValueError(f"setpoints.{name}: {value:g} {point.unit} does not fit {FITS[setpoint.type]}")


def _check_apart(registers: Mapping[str, Register]) -> None:
    """Raise ValueError if two that are written share a register."""
    taken: dict[tuple[int, int], str] = {}
    for name, register in registers.items():
        for address in range(register.address, register.address + register.count):
            other = taken.setdefault((register.unit, address), name)
            if other != name:
                raise ValueError(f"{name}: register {address} of unit {register.unit} is {other}'s")


def load_points(path: str | Path) -> PointMap:
    """Return the point map in a YAML file. Raises InputError, one line, if it is none."""
    return validated(PointMap, read_mapping(path), str(path))
