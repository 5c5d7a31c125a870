"""What every plant is told and what it says: setpoints in, readings out, for a hall of two sides.

A plant cools two sides (zones) of a machine hall, east and west, each with an air handler of its own, from one chiller
and one cooling tower. The fast plant, the EnergyPlus building and a real site behind Modbus all speak this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from hpcai.errors import InputError

Floats = NDArray[np.float64]

SIDES: Final = ("east", "west")


@dataclass(frozen=True)
class Point:
    """A setpoint or a reading: its name, unit and meaning; for a setpoint the range that a plant can be told."""

    name: str
    unit: str
    meaning: str
    low: float = -np.inf
    high: float = np.inf


def _of_side(side: str) -> tuple[Point, ...]:
    return (
        Point(f"{side}_dec", "°C", "air after the direct evaporative cooler", 10.0, 35.0),
        Point(f"{side}_iec", "°C", "air after the indirect evaporative cooler", 10.0, 35.0),
        Point(f"{side}_coil", "°C", "air after the DX coil, where the plant has one", 10.0, 35.0),
        Point(f"{side}_supply", "°C", "air supplied to the side, after the chilled-water coil", 10.0, 35.0),
        Point(f"{side}_airflow", "1", "supply air, as a share of the fan's design flow", 0.25, 1.0),
    )


SETPOINTS: Final = (
    *_of_side("east"),
    *_of_side("west"),
    Point("chilled_water", "°C", "water leaving the chiller", 5.0, 18.0),
    Point("economizer", "1", "largest share of outdoor air that the economizers may mix in", 0.0, 1.0),
)
"""Every setpoint, in order. nan leaves a point to the plant's own control."""

OWN: Final = np.full(len(SETPOINTS), np.nan)
"""All left to the plant's own control: its default controller."""

READINGS: Final = (
    *(
        point
        for side in SIDES
        for point in (
            Point(f"{side}_supply", "°C", "air supplied to the side"),
            Point(f"{side}_inlet", "°C", "air at the inlets of the machines"),
            Point(f"{side}_zone", "°C", "air of the side, which returns to its air handler"),
            Point(f"{side}_airflow", "kg/s", "air supplied to the side"),
            Point(f"{side}_it", "W", "machines, their fans and their power supplies"),
            Point(f"{side}_fan", "W", "fan of the air handler"),
        )
    ),
    Point("evaporative", "W", "evaporative coolers of both sides"),
    Point("chiller", "W", "compressor"),
    Point("tower", "W", "fan of the cooling tower"),
    Point("pumps", "W", "pumps of chilled water and of condenser water"),
    Point("hvac", "W", "all that cools: fans, evaporative coolers, chiller, tower, pumps"),
    Point("it", "W", "machines of both sides"),
    Point("site", "W", "everything: it, hvac, lights"),
    Point("dry_bulb", "°C", "outdoor air"),
    Point("wet_bulb", "°C", "outdoor air, thermodynamic wet-bulb temperature"),
)
"""Every reading of a step, in order: powers are means over it, temperatures and flows as at its end."""

SETPOINT_INDEX: Final = {point.name: i for i, point in enumerate(SETPOINTS)}
READING_INDEX: Final = {point.name: i for i, point in enumerate(READINGS)}


_LOW: Final = np.array([point.low for point in SETPOINTS])
_HIGH: Final = np.array([point.high for point in SETPOINTS])


def check_commands(setpoints: Floats, it_load: Floats) -> None:
    """Raise InputError, naming the first culprit, unless a plant can be told these.

    Args:
        setpoints: (len(SETPOINTS),), nan for a point left to the plant.
        it_load: (2,), 0..1.
    """
    if setpoints.shape != _LOW.shape:
        raise InputError(f"setpoints: expected {_LOW.size} of them, found shape {setpoints.shape}")
    if it_load.shape != (len(SIDES),) or not ((it_load >= 0.0) & (it_load <= 1.0)).all():
        raise InputError(f"it_load {it_load.tolist()}: expected a share of the design load of each side, 0 to 1")
    outside = (setpoints < _LOW) | (setpoints > _HIGH)
    if outside.any():
        point = SETPOINTS[int(np.argmax(outside))]
        found = setpoints[SETPOINT_INDEX[point.name]]
        raise InputError(f"setpoint {point.name} {found:g} {point.unit}: expected {point.low:g} to {point.high:g}")


def checked(setpoints: Floats, it_load: Floats) -> tuple[Floats, Floats]:
    """Return rows of setpoints, as many as loads or one, and of loads as they are passed on; raises as for one step."""
    setpoints = np.ascontiguousarray(setpoints, dtype=np.float64)
    it_load = np.ascontiguousarray(it_load, dtype=np.float64)
    if len(setpoints) not in (1, len(it_load)):
        raise InputError(f"expected setpoints and load of one length, found {len(setpoints)} and {len(it_load)}")
    within = setpoints.shape[1:] == _LOW.shape and it_load.shape[1:] == (len(SIDES),)
    i = 0
    if within:
        bad = ((setpoints < _LOW) | (setpoints > _HIGH)).any(axis=1) | ~((it_load >= 0) & (it_load <= 1)).all(axis=1)
        if not bad.any():
            return setpoints, it_load
        i = int(np.argmax(bad))
    check_commands(setpoints[min(i, len(setpoints) - 1)], it_load[i])
    return setpoints, it_load


class Plant(Protocol):
    """A plant with its weather, stepped in time."""

    step_length: float  # s
    steps: int  # to the end of its weather
    design_power: float  # W, of the machines of both sides at full load

    def reset(self, start: int = 0) -> Floats:
        """Begin at step ``start`` of the weather and return the readings (len(READINGS),) there, powers as they begin.

        Raises InputError if the weather has no such step.
        """

    def step(self, setpoints: Floats, it_load: Floats) -> Floats:
        """Go one step on and return its readings (len(READINGS),).

        Args:
            setpoints: (len(SETPOINTS),), nan where the plant's own control is to decide.
            it_load: load of the machines of each side, (2,), as a share of their design load, 0..1.

        Raises:
            InputError: if a setpoint is outside its range, or the load outside 0..1.
            PlantError: if the plant broke down.
        """

    def rollout(self, setpoints: Floats, it_load: Floats) -> Floats:
        """Go on for as many steps as there are loads (steps, 2) and return their readings, (steps, len(READINGS)).

        ``setpoints`` is (steps, len(SETPOINTS)), or (1, len(SETPOINTS)) for the same at all steps. Raises as ``step``.
        """

    def close(self) -> None:
        """Let go of processes and files."""


def simple(supply: float, airflow: float = np.nan, chilled_water: float = np.nan, economizer: float = np.nan) -> Floats:
    """Return setpoints (len(SETPOINTS),) with both sides alike and one temperature for all stages of the air."""
    side = [supply] * 4 + [airflow]
    return np.array([*side, *side, chilled_water, economizer])
