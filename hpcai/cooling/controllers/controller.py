"""The interface of every controller, and the two that do not look: the plant's own control and fixed setpoints."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hpcai.cooling.interface import OWN, SETPOINT_INDEX, SETPOINTS, Floats
from hpcai.errors import InputError


class Controller(Protocol):
    """Says before each step what the plant is told."""

    def reset(self) -> None:
        """Forget the past: another episode begins."""

    def setpoints(self, observation: Floats) -> Floats:
        """Return setpoints (len(SETPOINTS),) in their units, nan where the plant's own control is to decide.

        Args:
            observation: (len(OBSERVED),) as :mod:`hpcai.cooling.observation` makes it.
        """


class Fixed:
    """The same setpoints at all times; none given, the plant's own control."""

    def __init__(self, **points: float) -> None:
        """Take setpoints by name; see :func:`named`."""
        self.points = named(points)

    def reset(self) -> None:
        """Nothing to forget."""

    def setpoints(self, observation: Floats) -> Floats:
        """Return them."""
        return self.points


SHORT = {
    "supply": tuple(f"{side}_{stage}" for side in ("east", "west") for stage in ("dec", "iec", "coil", "supply")),
    "airflow": ("east_airflow", "west_airflow"),
}
"""Names for several setpoints at once: both sides, and all stages of the air."""


def named(points: dict[str, float]) -> Floats:
    """Return setpoints (len(SETPOINTS),) by name, nan where none is given; SHORT names stand for several.

    Raises InputError for an unknown name or a value outside the point's range.
    """
    told = OWN.copy()
    for name, value in points.items():
        for point in SHORT.get(name, (name,)):
            if point not in SETPOINT_INDEX:
                expected = ", ".join([*SHORT, *SETPOINT_INDEX])
                raise InputError(f"setpoint {name!r}: expected one of {expected}")
            described = SETPOINTS[SETPOINT_INDEX[point]]
            if not described.low <= value <= described.high:
                raise InputError(
                    f"setpoint {name} {value:g} {described.unit}: expected {described.low:g} to {described.high:g}"
                )
            told[SETPOINT_INDEX[point]] = value
    return told


def between(low: float, value: float, high: float) -> float:
    """Return ``value``, or the bound that it is beyond."""
    return float(np.minimum(np.maximum(value, low), high))
