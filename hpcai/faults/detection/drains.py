"""Which nodes to take away: those of highest risk, for a while, never more than may be held at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class DrainRule:
    """Drains a node of risk ``threshold`` or more for ``hold`` s; of all at most the share ``most``, or ``count``."""

    threshold: float
    hold: float
    most: float
    count: int | None = None

    def budget(self, nodes: int) -> int:
        """Return how many of so many nodes may be drained at a time: the share rounded down, but at least one."""
        return max(int(self.most * nodes), 1) if self.count is None else self.count

    def drain(self, risk: Floats, held: int, nodes: int) -> Mask:
        """Return which to drain now of those asked about, bool[asked].

        Args:
            risk: of each, float64[asked]; nan is no risk.
            held: nodes that are drained already.
            nodes: all there are.
        """
        wanted = np.flatnonzero(np.nan_to_num(risk, nan=-np.inf) >= self.threshold)
        first = wanted[np.argsort(-risk[wanted], kind="stable")][: max(self.budget(nodes) - held, 0)]
        chosen = np.zeros(len(risk), dtype=np.bool_)
        chosen[first] = True
        return chosen
