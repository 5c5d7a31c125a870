"""The setpoints that a learned policy moves, as numbers in -1..1, and how they become setpoints of a plant."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np

from hpcai.cooling.interface import SETPOINT_INDEX, SETPOINTS, SIDES, Floats
from hpcai.errors import InputError

Scheme = Literal["simple", "staged", "stages"]
"""``simple``: supply temperature (all stages of the air alike) and airflow of each side, chilled water, economizer.
``staged``: the same, and by how much the chilled-water coils' setpoints lie above those of the stages before them, so
that the coils do not wake for the last tenth of a degree.
``stages``: the five points per side of Li et al. (arXiv:1709.05077, section IV): after the direct and the indirect
evaporative cooler, after the DX coil, after the chilled-water coil (supply), and the airflow; the rest is the plant's
own control.
"""

_RANGES: Final = {  # low, high, and the grid that values lie on
    "temperature": (14.0, 28.0, 0.1),
    "airflow": (0.25, 1.0, 0.05),
    "chilled_water": (6.0, 16.0, 0.5),
    "economizer": (0.0, 1.0, 0.1),
    "coil_offset": (0.0, 1.5, 0.1),
}
"""A plant is told whole steps of a grid: airflow that changes by a hair at every step keeps its coils and pumps awake
(in EnergyPlus the condenser pump then runs at full power for a watt)."""
_STAGES: Final = ("dec", "iec", "coil", "supply")


class Actions:
    """A scheme of actions: ``size`` numbers, named in ``names``, each the middle of its range at 0.

    ``targets`` are the places of the setpoints that they move, ``sources`` by which number each is moved, and
    ``added`` the number that is added to that, or -1.
    """

    def __init__(self, scheme: Scheme = "simple") -> None:
        """Raise InputError if there is no such scheme."""
        if scheme not in get_args(Scheme):
            raise InputError(f"actions {scheme!r}: expected {' or '.join(get_args(Scheme))}")
        self.scheme = scheme
        moved = _MOVED[scheme]()
        self.names = tuple(moved)
        self.size = len(moved)
        ranges = [_RANGES[_kind(name)] for name in self.names]
        columns: list[Floats] = [np.array(column) for column in zip(*ranges, strict=True)]
        self.low, self.high, self.grid = columns
        targets = [(SETPOINT_INDEX[point], i) for i, points in enumerate(moved.values()) for point in points]
        self.targets = np.array([to for to, _ in targets])
        self.sources = np.array([of for _, of in targets])
        offset = self.names.index("coil_offset") if "coil_offset" in self.names else -1
        coils = [SETPOINT_INDEX[f"{side}_supply"] for side in SIDES]
        self.added = np.array([offset if to in coils else -1 for to in self.targets])

    def values(self, action: Floats) -> Floats:
        """Return what the points of actions (..., size) in -1..1 mean, (..., size), in their units."""
        share = (np.clip(action, -1.0, 1.0) + 1.0) / 2.0
        return np.asarray(self.low + np.round(share * (self.high - self.low) / self.grid) * self.grid)

    def setpoints(self, action: Floats) -> Floats:
        """Return the setpoints (..., len(SETPOINTS)) that actions (..., size) in -1..1 stand for; nan: the plant's."""
        told = np.full((*action.shape[:-1], len(SETPOINTS)), np.nan)
        values = self.values(action)
        told[..., self.targets] = values[..., self.sources]
        offset = self.added >= 0
        told[..., self.targets[offset]] += values[..., self.added[offset]]
        return told

    def action(self, setpoints: Floats) -> Floats:
        """Return the action (size,) nearest to setpoints (len(SETPOINTS),); nan where these are nan."""
        values = np.full(self.size, np.nan)
        plain = self.added < 0
        values[self.sources[plain]] = setpoints[self.targets[plain]]
        for target, source, offset in zip(self.targets, self.sources, self.added, strict=True):
            if offset >= 0:
                values[offset] = setpoints[target] - values[source]
        return np.clip(2.0 * (values - self.low) / (self.high - self.low) - 1.0, -1.0, 1.0)


def _kind(name: str) -> str:
    """Return the key of a number's range: its name without the side, or temperature."""
    kind = name.removeprefix("east_").removeprefix("west_")
    return kind if kind in _RANGES else "temperature"


def _simple() -> dict[str, tuple[str, ...]]:
    """Return the setpoints that each number of the simple scheme moves, by its name."""
    supply = {f"{side}_supply": tuple(f"{side}_{stage}" for stage in _STAGES) for side in SIDES}
    airflow = {f"{side}_airflow": (f"{side}_airflow",) for side in SIDES}
    return supply | airflow | {"chilled_water": ("chilled_water",), "economizer": ("economizer",)}


def _staged() -> dict[str, tuple[str, ...]]:
    return _simple() | {"coil_offset": ()}


def _li() -> dict[str, tuple[str, ...]]:
    return {f"{side}_{point}": (f"{side}_{point}",) for side in SIDES for point in (*_STAGES, "airflow")}


_MOVED: Final = {"simple": _simple, "staged": _staged, "stages": _li}
