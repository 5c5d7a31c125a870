"""Monte-Carlo workload inflation: pods come one after the other and stay, until more is offered than there is."""

from __future__ import annotations

from typing import Any

from hpcai.jit import jit
from hpcai.scheduling.placement.nodes import Nodes
from hpcai.scheduling.placement.policies import Rule, place_pod


@jit
def inflate(nodes: Nodes, types: Any, pods: Any, rule: Rule, held: Any, taken: Any) -> None:
    """Place pods of ``types`` (POD) in the order ``pods`` (P,); one that fits nowhere is passed over.

    ``held`` (PLACE (P,)) says where each is; ``taken`` (P,) the thousandths of GPUs held after each.
    """
    total = 0
    for i in range(pods.shape[0]):
        if place_pod(nodes, types[pods[i]], pods[i], rule, held[i]):
            total += types[pods[i]].gpu
        taken[i] = total
