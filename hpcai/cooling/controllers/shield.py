"""A safety shield: whatever a controller says is moved, no further than needed, to where the fast plant sees no harm.

Each proposal is tried on the model. If an inlet would pass its limit, the proposal is drawn towards what the rules
say, until the model is content (cf. Alshiekh et al., Safe Reinforcement Learning via Shielding, AAAI 2018). The model
is corrected by how far off its last predictions were, and if prediction and measurement still part it is no longer
believed: then the rules alone decide, until both agree again.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from hpcai.cooling.controllers.controller import Controller
from hpcai.cooling.controllers.trim_respond import TrimRespond
from hpcai.cooling.foresight import Foresight
from hpcai.cooling.interface import SETPOINTS, Floats

_SHARES: Final = np.linspace(0.0, 1.0, 9)  # of the way from the proposal to the rules
_LOW: Final = np.array([point.low for point in SETPOINTS])
_HIGH: Final = np.array([point.high for point in SETPOINTS])


class Shield:
    """A controller behind a shield; ``moved`` and ``fallen_back`` count the steps in which it had to act."""

    def __init__(
        self,
        controller: Controller,
        foresight: Foresight,
        *,
        limit: float = 27.0,
        margin: float = 0.2,
        tolerance: float = 1.5,
    ) -> None:
        """Guard ``controller``.

        Args:
            controller: who proposes.
            foresight: the model.
            limit: of the inlets, °C.
            margin: K that predictions must stay below it.
            tolerance: K by which predictions, corrected, may be off in the running mean; at more the rules decide,
                until it is half of that.
        """
        self._controller, self._foresight = controller, foresight
        self._safe = TrimRespond(limit=limit - max(margin, 0.5))
        self._limit, self._tolerance = limit - margin, tolerance
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._controller.reset()
        self._safe.reset()
        self._foresight.reset()
        self.distrusts = False
        self.moved = self.fallen_back = 0

    def setpoints(self, observation: Floats) -> Floats:
        """Return the proposal, or what became of it."""
        if not self.distrusts:
            self._safe.reset()  # rules that do not rule get no requests, and would trim themselves into the heat
        proposed, safe = self._controller.setpoints(observation), self._safe.setpoints(observation)
        self._foresight.observe(observation)
        self.distrusts = self._foresight.error > (self._tolerance / 2 if self.distrusts else self._tolerance)
        told = proposed
        if not np.isnan(proposed).all():  # the plant's own control needs no guard
            path = self._path(proposed, safe)
            inlets = self._foresight.inlets(self._foresight.predict(path))
            harmless = (inlets.max(axis=(1, 2)) <= self._limit).nonzero()[0]
            chosen = int(harmless[0]) if harmless.size else len(path) - 1
            if self.distrusts:
                self.fallen_back += 1
                chosen = len(path) - 1
            elif chosen:
                self.moved += 1
            told = path[chosen]
        self._foresight.told(told)
        return told

    def _path(self, proposed: Floats, safe: Floats) -> Floats:
        """Return setpoints (shares, len(SETPOINTS)) from the proposal to the rules'; a point left alone stays so."""
        target = np.where(np.isnan(safe), proposed, safe)
        begin = np.where(np.isnan(proposed), target, proposed)
        path = begin + _SHARES[:, None] * (target - begin)
        path[0] = proposed
        return np.asarray(np.clip(path, _LOW, _HIGH))
