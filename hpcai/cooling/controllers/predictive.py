"""Model-predictive control: before each step the setpoints with the least energy that the fast plant predicts.

Setpoints are held over the horizon, since a hall forgets them within an hour, and searched by the cross-entropy method
(Rubinstein and Kroese, 2004), which needs no derivatives of a plant full of thresholds; the search begins from the
last setpoints, those of an hour of like weather being seldom far off. With the plant that it predicts as the plant
that it controls it is the upper reference for learned controllers.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from hpcai.cooling.action import Actions, Scheme
from hpcai.cooling.foresight import Foresight
from hpcai.cooling.interface import READING_INDEX, Floats

_ELITE: Final = 0.15  # of the candidates
_WIDE: Final = (1.0, 0.3)  # of a search that begins anew, and of one that goes on
_NARROWEST: Final = 0.02


class Predictive:
    """Chooses setpoints by looking ahead; ``action`` is what it chose last, (size,) in -1..1."""

    def __init__(
        self,
        foresight: Foresight,
        *,
        limit: float = 27.0,
        margin: float = 0.2,
        energy: Literal["hvac", "site"] = "hvac",
        penalty: float = 0.2,
        scheme: Scheme = "simple",
        candidates: int = 96,
        rounds: int = 5,
        seed: int = 0,
    ) -> None:
        """Look ahead with ``foresight``.

        Args:
            foresight: the model.
            limit: of the inlets, °C.
            margin: K that it keeps from the limit.
            energy: what is to be low.
            penalty: for each K beyond, as a share of the machines' design power.
            scheme: of the actions among which it chooses.
            candidates: of a round.
            rounds: of a search.
            seed: of the search.
        """
        self._foresight, self._limit, self._counted = foresight, limit - margin, READING_INDEX[energy]
        sides = (foresight.parameters.east, foresight.parameters.west)
        self._penalty = penalty * sum(side.machines.design_power for side in sides)
        self._candidates, self._rounds, self._seed = candidates, rounds, seed
        self._actions = Actions(scheme)
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._rng = np.random.default_rng(self._seed)
        self.action: Floats | None = None
        self._foresight.reset()

    def cost(self, readings: Floats) -> Floats:
        """Return what predictions (candidates, horizon, len(READINGS)) are worth, (candidates,); low is good."""
        beyond = np.maximum(self._foresight.inlets(readings).max(axis=2) - self._limit, 0.0).mean(axis=1)
        return np.asarray(readings[:, :, self._counted].mean(axis=1) + self._penalty * beyond)

    def setpoints(self, observation: Floats) -> Floats:
        """Return the best that was found."""
        self._foresight.observe(observation)
        anew = self.action is None
        mean = np.zeros(self._actions.size) if self.action is None else self.action
        spread = np.full(self._actions.size, _WIDE[0] if anew else _WIDE[1])
        best, least = mean, np.inf
        for _ in range(self._rounds * (2 if anew else 1)):
            drawn = np.clip(self._rng.normal(mean, spread, (self._candidates, self._actions.size)), -1.0, 1.0)
            drawn[0] = best
            cost = self.cost(self._foresight.predict(self._actions.setpoints(drawn)))
            order = np.argsort(cost, kind="stable")
            elite = drawn[order[: max(int(_ELITE * self._candidates), 2)]]
            mean, spread = elite.mean(axis=0), np.maximum(elite.std(axis=0), _NARROWEST)
            if cost[order[0]] < least:
                best, least = drawn[order[0]], float(cost[order[0]])
        self.action = best
        chosen = self._actions.setpoints(best)
        self._foresight.told(chosen)
        return chosen
