"""Which node suits the next pod of a gang, as a bundle says: the features of the simulator, the costs of its graph."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.jit import jit
from hpcai.live.bundle import Bundle
from hpcai.live.cluster.weighted import WeightedCosts
from hpcai.scheduling.placement import GANG_FEATURES, Nodes, Rule, make_rule
from hpcai.scheduling.placement.gangs import count_room
from hpcai.scheduling.placement.learned_gangs import SIZES_OF_GANG, look_at_node

Floats = NDArray[np.float64]


class Step(NamedTuple):
    """Where a gang stands: pods that are to be placed, those that are, and the leaf switch where it goes on."""

    left: int
    placed: int
    leaf: int

    @property
    def size(self) -> int:
        """The place in SIZES_OF_GANG of what is placed."""
        return 0 if self.left + self.placed == 1 else 1


class PlacementPolicy:
    """The policy of a bundle of the domain placement."""

    def __init__(self, bundle: Bundle) -> None:
        """Raises InputError if the bundle is another, or of another version."""
        self.weighted = WeightedCosts(bundle, "placement", GANG_FEATURES, SIZES_OF_GANG)

    def costs(self, features: Floats, step: Step) -> Floats:
        """Return the cost of each node; inf for one whose features are not numbers: it has no room."""
        costs = np.full(len(features), np.inf)
        roomy = ~np.isnan(features[:, 0])
        if roomy.any():
            costs[roomy] = self.weighted.costs(features[roomy], step.size)
        return costs


def count(nodes: Nodes, pod: NDArray[np.void], most: int) -> None:
    """Write to ``nodes.room`` how many such pods, at most ``most``, have room on each node and each leaf switch."""
    _count(nodes, pod, most)


def features_of(nodes: Nodes, pod: NDArray[np.void], target: NDArray[np.void], step: Step) -> Floats:
    """Return GANG_FEATURES of each node (nodes, features), nan where there is no room; after :func:`count`.

    ``pod`` is POD (1,), ``target`` the task classes of the workload.
    """
    seen = np.full((len(nodes.cpu), len(GANG_FEATURES)), np.nan)
    _look(nodes, pod, _RULE._replace(target=target), step.left, step.placed, step.leaf, seen)
    return seen


@jit
def _count(nodes: Nodes, pod: Any, most: int) -> None:
    count_room(nodes, pod[0], most)


@jit
def _look(nodes: Nodes, pod: Any, rule: Rule, left: int, placed: int, leaf: int, out: Any) -> None:
    for n in range(nodes.cpu.shape[0]):
        if nodes.room[0, n] > 0:
            look_at_node(nodes, n, pod[0], rule, left, placed, leaf)
            for k in range(out.shape[1]):
                out[n, k] = rule.seen[k]


_RULE: Final = make_rule("first-fit")  # a place to write features to
