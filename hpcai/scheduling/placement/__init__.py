"""On which node, and on which of its GPUs: the room of a cluster of nodes, and placements as interchangeable scores.

Stands alone: no queue and no clock. ``make_nodes`` and ``make_pods`` give the arrays, ``place_pod`` and
``place_gang`` choose by a policy of ``POLICIES`` and take, ``remove`` gives back. docs/placement.md has the formulas.
"""

from hpcai.scheduling.placement.features import FEATURES, KINDS_OF_POD, WEIGHTS
from hpcai.scheduling.placement.fragmentation import cluster_fragmentation, fragmentation
from hpcai.scheduling.placement.gangs import place_gang
from hpcai.scheduling.placement.inflation import inflate
from hpcai.scheduling.placement.learned_gangs import GANG_FEATURES, GANG_WEIGHTS
from hpcai.scheduling.placement.nodes import Nodes, fits, make_nodes, remove, take
from hpcai.scheduling.placement.pods import PLACE, POD, Pods, make_pods, make_target
from hpcai.scheduling.placement.policies import POLICIES, Rule, choose, make_rule, place_pod

__all__ = [
    "FEATURES",
    "GANG_FEATURES",
    "GANG_WEIGHTS",
    "KINDS_OF_POD",
    "PLACE",
    "POD",
    "POLICIES",
    "WEIGHTS",
    "Nodes",
    "Pods",
    "Rule",
    "choose",
    "cluster_fragmentation",
    "fits",
    "fragmentation",
    "inflate",
    "make_nodes",
    "make_pods",
    "make_rule",
    "make_target",
    "place_gang",
    "place_pod",
    "remove",
    "take",
]
