"""Whether sensors can be believed: numbers, within what is physical, and not standing still."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from hpcai.errors import HpcaiError
from hpcai.live.cooling.points import LOADS, PointMap

_ALL_FROZEN: Final = 3
"""Times the cycles after which one sensor is frozen, after which all of them are."""


class NotBelievedError(HpcaiError):
    """Sensors say what cannot be."""


class Sensors:
    """Judges readings cycle by cycle."""

    def __init__(self, points: PointMap, frozen: int) -> None:
        """A watched reading that is the same for ``frozen`` cycles, while half of the others move, stands still."""
        self._points, self._frozen = points, frozen
        self._watched = points.watched
        self._still: dict[str, int] = {}  # cycles since it moved
        self._last: dict[str, float] = {}

    def check(self, values: Mapping[str, float]) -> None:
        """Take readings and loads of a cycle by name. Raises NotBelievedError, naming the first that cannot be."""
        for name in self._watched:
            moved = name not in self._last or values[name] != self._last[name]
            self._still[name] = 0 if moved else self._still[name] + 1
            self._last[name] = values[name]
        for name, value in values.items():
            if name in self._points.readings or name in LOADS:
                self._check_value(name, value)
        self._check_moves()

    def _check_value(self, name: str, value: float) -> None:
        low, high = self._points.believed(name)
        if math.isnan(value):
            raise NotBelievedError(f"{name}: not a number")
        if not low <= value <= high:
            raise NotBelievedError(f"{name}: {value:g}, beyond {low:g} to {high:g}")

    def _check_moves(self) -> None:
        frozen = [name for name, cycles in self._still.items() if cycles >= self._frozen]
        others = len(self._still) - 1
        if others and len(self._still) - len(frozen) >= others / 2 and frozen:
            raise NotBelievedError(f"{frozen[0]}: the same for {self._frozen} cycles while others move")
        if self._still and min(self._still.values()) >= _ALL_FROZEN * self._frozen:
            raise NotBelievedError(f"no sensor has moved for {_ALL_FROZEN * self._frozen} cycles")
