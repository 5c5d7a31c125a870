"""Rules that drain nodes: one interface, ``drain(node_risk) -> bool[n_nodes]``, and what a gang prefers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hpcai.errors import InputError

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class DrainPolicy(Protocol):
    """Decides which nodes to keep free."""

    def drain(self, node_risk: Floats) -> Mask:
        """Return which nodes are drained, bool[n_nodes], by what speaks against each, float64[n_nodes]."""
        ...


@dataclass(frozen=True)
class NoDrain:
    """No node is drained."""

    def drain(self, node_risk: Floats) -> Mask:
        """Return that none is."""
        return np.zeros(len(node_risk), dtype=np.bool_)


@dataclass(frozen=True)
class Threshold:
    """Nodes of ``least`` or more are drained, be that a rate (1/s) or a number of recent faults; worst first.

    No more than the share ``most`` of all nodes is drained at a time.
    """

    least: float
    most: float = 1.0

    def __post_init__(self) -> None:
        if not (self.least > 0 and 0 < self.most <= 1):
            raise InputError(f"threshold {self.least}, most {self.most}: expected above 0, and in (0, 1]")

    def drain(self, node_risk: Floats) -> Mask:
        """Return those at the threshold or above; ties go to the first."""
        worst = np.argsort(-node_risk, kind="stable")[: int(self.most * len(node_risk))]
        drained = np.zeros(len(node_risk), dtype=np.bool_)
        drained[worst] = node_risk[worst] >= self.least
        return drained
