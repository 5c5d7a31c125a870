"""A gang placed node by node at the least weighted sum of features: closeness, what is left over, speed, traffic.

The weights are learned (hpcai train gang-placement); single pods and gangs have weights of their own.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hpcai.jit import jit
from hpcai.scheduling.placement.features import asked_for, is_empty
from hpcai.scheduling.placement.nodes import Nodes, free_gpu

GANG_FEATURES: Final = (
    "short",  # 1 if the node cannot take all pods that are left to place
    "taken",  # the part of these that it takes
    "rest",  # GPUs that would then be free on it / most GPUs of a node
    "leaf_short",  # 1 if its leaf switch has no room for all pods that are left
    "leaf_taken",  # the part of these that has room there
    "leaf_rest",  # GPUs that would then be free there / GPUs there
    "new_leaf",  # 1 if the gang has pods already, none of them there
    "opens_node",  # 1 if the node is empty
    "slow",  # 1 - speed of its GPUs / that of the fastest
    "asked_for",  # part of the workload that asks for its GPU kind by name / the kind's part of all GPUs
    "nic",  # traffic on its NICs / what they can carry
    "uplink",  # traffic on the uplinks of its leaf switch / what they can carry
)
SIZES_OF_GANG: Final = ("single", "gang")
GANG_WEIGHTS: Final = tuple(f"{size}.{feature}" for size in SIZES_OF_GANG for feature in GANG_FEATURES)


@jit
def best_node(nodes: Nodes, pod: Any, rule: Any, left: int, placed: int, leaf: int) -> int:
    """Return the node for the next of ``left`` pods, -1 if there is none.

    ``nodes.room`` says how many of these each node and each leaf switch has room for; ``placed`` pods of the gang
    are placed, the last of them under ``leaf``.
    """
    best, least = -1, np.inf
    first = 0 if left + placed == 1 else len(GANG_FEATURES)
    for n in range(nodes.cpu.shape[0]):
        if nodes.room[0, n] > 0:
            look_at_node(nodes, n, pod, rule, left, placed, leaf)
            cost = 0.0
            for k in range(len(GANG_FEATURES)):
                cost += rule.weights[first + k] * rule.seen[k]
            if cost < least:
                best, least = n, cost
    return best


@jit
def look_at_node(nodes: Nodes, n: int, pod: Any, rule: Any, left: int, placed: int, leaf: int) -> None:
    """Write to ``rule.seen`` the features of node ``n`` for a gang of which ``left`` pods are to be placed."""
    seen, own = rule.seen, nodes.leaf[n]
    here, there = min(nodes.room[0, n], left), min(nodes.room[1, own], left)
    seen[0] = 1.0 if here < left else 0.0
    seen[1] = here / left
    seen[2] = (free_gpu(nodes, n) - here * pod.gpu) / nodes.most[2]
    seen[3] = 1.0 if there < left else 0.0
    seen[4] = there / left
    seen[5] = (nodes.leaf_gpu[own] - there * pod.gpu) / max(nodes.leaf_gpus[own], 1)
    seen[6] = 1.0 if placed > 0 and own != leaf else 0.0
    seen[7] = 1.0 if is_empty(nodes, n) else 0.0
    seen[8] = 1.0 - nodes.speed[n]
    seen[9] = asked_for(rule.target, nodes.kind[n]) / nodes.kind_share[n] if nodes.gpus[n] > 0 else 0.0
    seen[10] = nodes.traffic[n]
    seen[11] = nodes.traffic[nodes.cpu.shape[0] + own]
