"""Placements as interchangeable costs of putting a pod on a node: lowest cost first, then lowest index.

best-fit, dot-product, gpu-packing, gpu-clustering and fgd follow Weng et al. (USENIX ATC 2023) and their program,
https://github.com/hkust-adsl/kubernetes-scheduler-simulator; pack and spread Kubernetes' MostAllocated and
LeastAllocated. All of these have a whole score from 0 to 100 there, of which the cost is the negative. It matters:
what differs by less goes to the first node. fgd-exact is fgd without that rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.errors import InputError
from hpcai.jit import jit
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.placement.features import FEATURES, WEIGHTS, dot_product, kind_of, observe
from hpcai.scheduling.placement.fragmentation import fragmentation
from hpcai.scheduling.placement.learned_gangs import GANG_WEIGHTS
from hpcai.scheduling.placement.nodes import Nodes, fits, free_gpu, hold_gpus, sockets_of, take
from hpcai.scheduling.placement.pods import POD, sort_of

FIRST_FIT, BEST_FIT, PACK, SPREAD, DOT_PRODUCT, GPU_PACKING, GPU_CLUSTERING, RANDOM, TOPOLOGY, FGD = range(10)
FGD_EXACT, LEARNED, LEARNED_GANG = 10, 11, 12
POLICIES: Final = {
    "first-fit": FIRST_FIT,
    "best-fit": BEST_FIT,  # least left over
    "pack": PACK,  # most allocated
    "spread": SPREAD,  # least allocated
    "dot-product": DOT_PRODUCT,  # Tetris's alignment as OpenB has it: smallest first
    "gpu-packing": GPU_PACKING,  # GPUs in use, then nodes in use, then empty nodes
    "gpu-clustering": GPU_CLUSTERING,  # beside pods with as many GPUs
    "random-fit": RANDOM,
    "topology-aware": TOPOLOGY,  # fewest sockets, fullest leaf switch, fullest node; gangs: see gangs.py
    "fgd": FGD,  # fragmentation gradient descent, as a score of Kubernetes
    "fgd-exact": FGD_EXACT,  # least growth of fragmentation, however small the difference
    "learned": LEARNED,  # weighted features of a place
    "learned-gang": LEARNED_GANG,  # weighted features of nodes for a gang: see learned_gangs.py
}
LOOKING_AHEAD: Final = ("fgd", "fgd-exact", "learned", "learned-gang")  # go by the workload's task classes
NEVER_REMEMBERED: Final = ("random-fit", "topology-aware", "learned-gang")  # their costs change where the node does not
TOP: Final = 100  # the highest score of a node in Kubernetes
_TIER: Final = 1e6  # more than there are GPUs, in units of the largest node


class Rule(NamedTuple):
    """A policy and what it remembers; T pod types, N nodes."""

    policy: int
    target: NDArray[np.void]  # POD (M,) the workload's task classes
    weights: NDArray[np.float64]  # (WEIGHTS,) of the learned one, (GANG_WEIGHTS,) of learned-gang
    random: NDArray[np.uint64]  # (1,) state of its generator
    seen: NDArray[np.float64]  # (FEATURES,) room to work in
    cost: NDArray[np.float64]  # (T, N) costs found, nan where not known
    mask: NDArray[np.int64]  # (T, N) GPUs that go with them
    fragments: NDArray[np.float64]  # (N,) fragmentation of each node, nan where not known; (0,) if nothing is kept


def make_rule(
    name: str,
    target: NDArray[np.void] | None = None,
    *,
    weights: Mapping[str, float] | None = None,
    seed: int = 0,
    remember: tuple[int, int] = (0, 0),
) -> Rule:
    """Return a policy of ``POLICIES`` ready for use.

    Args:
        name: of the policy.
        target: the workload's task classes (pods.make_target), for LOOKING_AHEAD.
        weights: of WEIGHTS by name, for learned, or of GANG_WEIGHTS, for learned-gang; those not named are 0.
        seed: of random-fit.
        remember: number of pod types and nodes, if costs are to be kept between calls of :func:`choose`; whoever
            changes a node other than by :func:`place_pod` and :func:`place_gang` then calls :func:`forget`.

    Raises InputError if there is no such policy or weight, or what it goes by is not given.
    """
    if name not in POLICIES:
        raise InputError(f"placement {name!r}: expected one of {', '.join(POLICIES)}")
    if target is None and name in LOOKING_AHEAD:
        raise InputError(f"placement {name!r}: needs the task classes of the workload, found none")
    given = dict(weights or {})
    known = GANG_WEIGHTS if name == "learned-gang" else WEIGHTS
    unknown = [weight for weight in given if weight not in known]
    if unknown:
        raise InputError(f"placement {name!r}: unknown weight {unknown[0]!r}; expected such as {known[0]!r}")
    kept = (0, 0) if name in NEVER_REMEMBERED else remember
    return Rule(
        policy=POLICIES[name],
        target=np.zeros(0, dtype=POD) if target is None else target,
        weights=np.array([given.get(weight, 0.0) for weight in known]),
        random=np.random.SeedSequence(seed).generate_state(1, np.uint64).astype(np.uint64),
        seen=np.zeros(len(FEATURES)),
        cost=np.full(kept, np.nan),
        mask=np.zeros(kept, dtype=np.int64),
        fragments=np.full(kept[1], np.nan),
    )


@jit
def place_pod(nodes: Nodes, pod: Any, kind: int, rule: Rule, held: Any) -> bool:
    """Choose a place and take it, noted in ``held`` (PLACE); return whether there was one.

    ``kind`` is the pod's type if costs are remembered, else -1.
    """
    n, mask = choose(nodes, pod, kind, rule)
    held.node = n
    if n < 0:
        return False
    take(nodes, n, pod, mask, held)
    forget(rule, n)
    return True


@jit
def forget(rule: Rule, n: int) -> None:
    """Forget the costs of node ``n``, which has changed."""
    for t in range(rule.cost.shape[0]):
        rule.cost[t, n] = np.nan
    if rule.fragments.shape[0] > 0:
        rule.fragments[n] = np.nan


@jit
def choose(nodes: Nodes, pod: Any, kind: int, rule: Rule) -> tuple[int, int]:
    """Return the node and the bit mask of its GPUs that the policy prefers; node -1 if the pod fits on none."""
    best, best_mask, least = -1, 0, np.inf
    kept = kind >= 0 and rule.cost.shape[0] > 0
    for n in range(nodes.cpu.shape[0]):
        if kept and not np.isnan(rule.cost[kind, n]):
            cost, mask = rule.cost[kind, n], rule.mask[kind, n]
        else:
            cost, mask = np.inf, np.int64(0)
            if fits(nodes, n, pod):
                cost, mask = cost_on(nodes, n, pod, rule)
            if kept:
                rule.cost[kind, n], rule.mask[kind, n] = cost, mask
        if cost < least:
            best, best_mask, least = n, mask, cost
    return best, best_mask


@jit
def cost_on(nodes: Nodes, n: int, pod: Any, rule: Rule) -> tuple[float, int]:
    """Return the cost of ``pod`` on node ``n``, where it fits, and the bit mask of the GPUs it would have."""
    if FGD <= rule.policy <= LEARNED:
        return looked_ahead(nodes, n, pod, rule)
    mask = choose_gpus(nodes, n, pod, rule)
    return cost_with(nodes, n, pod, mask, rule), mask


@jit
def choose_gpus(nodes: Nodes, n: int, pod: Any, rule: Rule) -> int:
    """Return the bit mask of the GPUs that a pod which fits would have on node ``n``.

    A share goes to the fullest GPU on which it fits (first-fit: the first, spread: the emptiest, random-fit: any);
    whole GPUs are the first free ones (topology-aware: of the socket that has fewest, but enough, of them).
    """
    if pod.gpu == 0:
        return 0
    if pod.gpu >= MILLI:
        return whole_gpus(nodes, n, pod.gpu // MILLI, rule.policy in (TOPOLOGY, LEARNED_GANG))
    best, found = -1, 0
    for g in range(nodes.gpus[n]):
        room = nodes.gpu[n, g]
        if room < pod.gpu:
            continue
        found += 1
        if best < 0:
            best = g
        elif rule.policy == RANDOM:
            best = g if uniform(rule) * found < 1 else best
        elif rule.policy == SPREAD:
            best = g if room > nodes.gpu[n, best] else best
        elif rule.policy != FIRST_FIT:
            best = g if room < nodes.gpu[n, best] else best
    return int(np.int64(1) << best)


@jit
def whole_gpus(nodes: Nodes, n: int, wanted: int, by_socket: bool) -> int:
    """Return the bit mask of ``wanted`` free GPUs of node ``n``, of which there are enough."""
    socket, fewest = -1, nodes.gpus[n] + 1
    for s in range(nodes.socket_cpu.shape[1] if by_socket else 0):
        free = 0
        for g in range(nodes.gpus[n]):
            free += nodes.socket[n, g] == s and nodes.gpu[n, g] == MILLI
        if wanted <= free < fewest:
            socket, fewest = s, free
    mask = np.int64(0)
    for g in range(nodes.gpus[n]):
        if wanted > 0 and nodes.gpu[n, g] == MILLI and (socket < 0 or nodes.socket[n, g] == socket):
            mask |= np.int64(1) << g
            wanted -= 1
    return int(mask)


@jit
def cost_with(nodes: Nodes, n: int, pod: Any, mask: int, rule: Rule) -> float:
    """Return the cost of ``pod`` on the GPUs ``mask`` of node ``n`` for a policy that does not look ahead."""
    policy = rule.policy
    most_cpu, _, most_gpu = nodes.most
    if policy == BEST_FIT:
        left = (nodes.cpu[n] - pod.cpu) / most_cpu + (free_gpu(nodes, n) - pod.gpu) / most_gpu
        return -float(np.floor(TOP * (1 - left / 2)))
    if policy == PACK:
        return -float(np.floor(TOP * allocated(nodes, n, pod)))
    if policy == SPREAD:
        return -float(np.floor(TOP * (1 - allocated(nodes, n, pod))))
    if policy == DOT_PRODUCT:
        return -float(np.floor(TOP * (1 - dot_product(nodes, n, pod, 0) / 2)))
    if policy == GPU_PACKING:
        return -float(packing(nodes, n, pod, mask))
    if policy == GPU_CLUSTERING:
        return -float(clustering(nodes, n, pod))
    if policy == RANDOM:
        return uniform(rule)
    if policy in (TOPOLOGY, LEARNED_GANG):  # the latter where a pod joins its gang
        own = (free_gpu(nodes, n) + nodes.cpu[n] / most_cpu) / (2 * most_gpu)
        return float((sockets_of(nodes, n, mask) * _TIER + nodes.leaf_gpu[nodes.leaf[n]] / most_gpu) * most_gpu + own)
    return 0.0  # FIRST_FIT


@jit
def allocated(nodes: Nodes, n: int, pod: Any) -> float:
    """Return the mean part of CPUs, memory and GPUs (where there are any) that is taken once ``pod`` is there."""
    cpu = 1 - (nodes.cpu[n] - pod.cpu) / nodes.cpus[n]
    memory = 1 - (nodes.memory[n] - pod.memory) / nodes.memories[n]
    if nodes.gpus[n] == 0:
        return float((cpu + memory) / 2)
    gpu = 1 - (free_gpu(nodes, n) - pod.gpu) / (nodes.gpus[n] * MILLI)
    return float((cpu + memory + gpu) / 3)


@jit
def packing(nodes: Nodes, n: int, pod: Any, mask: int) -> int:
    """Return the score of gpu-packing, highest first.

    50 to 100 on GPUs in use, by tenths of them that are free; 33 to 50 if some are idle ones of a node in use; below
    on an idle node, the one with fewest GPUs first.
    """
    if pod.gpu == 0:
        return 0
    idle, begun, tenths = 0, 0, 0
    for g in range(nodes.gpus[n]):
        idle += nodes.gpu[n, g] == MILLI
        if (mask >> g) & 1:
            begun += nodes.gpu[n, g] == MILLI
            tenths += nodes.gpu[n, g] * TOP // MILLI
    if idle == nodes.gpus[n]:
        return max(TOP // 3 - idle, idle)
    return max(TOP // 2 - begun, TOP // 3) if begun > 0 else max(TOP - tenths // 10, TOP // 2)


@jit
def clustering(nodes: Nodes, n: int, pod: Any) -> int:
    """Return the score of gpu-clustering, highest first; a pod's like are those with as many GPUs, or with a share.

    By quarters of 100: only its like on the node, its like and others, no pod with a GPU, only others; within a
    quarter the node with fewest free GPUs first.
    """
    if pod.gpu == 0:
        return 0
    sort, others = sort_of(pod), 0
    for c in range(1, nodes.holds.shape[1]):
        if c != sort:
            others += nodes.holds[n, c]
    quarter = (2 if nodes.holds[n, sort] > 0 else 0) + (1 if others == 0 else 0)
    most_gpu = int(nodes.most[2])
    return quarter * (TOP // 4) + TOP // 4 * (most_gpu - free_gpu(nodes, n)) // most_gpu


@jit
def looked_ahead(nodes: Nodes, n: int, pod: Any, rule: Rule) -> tuple[float, int]:
    """Return the least cost of ``pod`` on node ``n`` with it in place, over the GPUs that a share may go to."""
    before = present(nodes, n, rule)
    if pod.gpu == 0 or pod.gpu >= MILLI:
        mask = whole_gpus(nodes, n, pod.gpu // MILLI, False)
        return cost_in_place(nodes, n, pod, mask, before, rule), mask
    least, best = np.inf, 0
    for g in range(nodes.gpus[n]):
        room = nodes.gpu[n, g]
        known = room < pod.gpu
        for earlier in range(g):  # a GPU as full as an earlier one changes nothing
            known |= nodes.gpu[n, earlier] == room
        if known:
            continue
        mask = int(np.int64(1) << g)
        cost = cost_in_place(nodes, n, pod, mask, before, rule)
        if cost < least:
            least, best = cost, mask
    return least, best


@jit
def present(nodes: Nodes, n: int, rule: Rule) -> float:
    """Return the fragmentation of node ``n`` as it is, from what is remembered if it is known."""
    if rule.fragments.shape[0] == 0:
        return fragmentation(nodes, n, rule.target)
    if np.isnan(rule.fragments[n]):
        rule.fragments[n] = fragmentation(nodes, n, rule.target)
    return float(rule.fragments[n])


@jit
def cost_in_place(nodes: Nodes, n: int, pod: Any, mask: int, before: float, rule: Rule) -> float:
    """Return the cost with ``pod`` on the GPUs ``mask``: the growth of fragmentation, or weighted features."""
    each = min(pod.gpu, MILLI)
    nodes.cpu[n] -= pod.cpu
    nodes.memory[n] -= pod.memory
    hold_gpus(nodes, n, mask, each)
    cost = 0.0
    if rule.policy != LEARNED:
        cost = fragmentation(nodes, n, rule.target) - before
        if rule.policy == FGD:
            cost = -float(np.floor(TOP / (1 + np.exp(cost))))
    else:
        observe(nodes, n, pod, mask, rule.target, before, rule.seen)
        first = kind_of(pod) * rule.seen.shape[0]
        for k in range(rule.seen.shape[0]):
            cost += rule.weights[first + k] * rule.seen[k]
    nodes.cpu[n] += pod.cpu
    nodes.memory[n] += pod.memory
    hold_gpus(nodes, n, mask, -each)
    return cost


@jit
def uniform(rule: Rule) -> float:
    """Return the next number in [0, 1) of the rule's generator (SplitMix64: Steele, Lea and Flood, 2014)."""
    rule.random[0] += np.uint64(0x9E3779B97F4A7C15)
    z = rule.random[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) / 9007199254740992.0
