"""How warm it may get where the cooling of the machines begins: air at their inlets, or the facility water of racks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class Limits:
    """Bounds of what the plants call inlets, °C."""

    low: float
    high: float


LimitsName = Literal["recommended", "A1", "A2", "W17", "W27", "W32", "W40", "W45"]

CLASSES: Final[dict[LimitsName, Limits]] = {
    "recommended": Limits(18.0, 27.0),
    "A1": Limits(15.0, 32.0),
    "A2": Limits(10.0, 35.0),
    "W17": Limits(2.0, 17.0),
    "W27": Limits(2.0, 27.0),
    "W32": Limits(2.0, 32.0),
    "W40": Limits(2.0, 40.0),
    "W45": Limits(2.0, 45.0),
}
"""ASHRAE TC 9.9, Thermal Guidelines for Data Processing Environments, 5th edition (2021): of air, table 2.1; of the
facility water of liquid-cooled machines, classes W."""


def limits_of(plant: str, name: LimitsName = "recommended") -> Limits:
    """Return the limits of that name; what is recommended is for air, in a liquid-cooled plant W32 stands for it."""
    return CLASSES["W32" if plant == "liquid" and name == "recommended" else name]
