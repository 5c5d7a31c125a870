"""A gang: like pods that are placed all together or not at all."""

from __future__ import annotations

from typing import Any

from hpcai.jit import jit
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.placement.learned_gangs import best_node
from hpcai.scheduling.placement.nodes import Nodes, fits, remove, take
from hpcai.scheduling.placement.policies import LEARNED_GANG, TOPOLOGY, Rule, choose_gpus, forget, place_pod


@jit
def place_gang(nodes: Nodes, pod: Any, kind: int, rule: Rule, held: Any) -> bool:
    """Place a pod like ``pod`` for each entry of ``held`` (PLACE); return whether all found a place, else take none.

    topology-aware takes the fewest leaf switches, then nodes, then sockets; learned-gang node after node as its
    weights have it; other policies place pod by pod.
    """
    if rule.policy == TOPOLOGY:
        return place_close(nodes, pod, rule, held)
    if rule.policy == LEARNED_GANG:
        return place_by_weights(nodes, pod, rule, held)
    for k in range(held.shape[0]):
        if not place_pod(nodes, pod, kind, rule, held[k]):
            for earlier in range(k):
                n = held[earlier].node
                remove(nodes, pod, held[earlier])
                forget(rule, n)
            return False
    return True


@jit
def place_close(nodes: Nodes, pod: Any, rule: Rule, held: Any) -> bool:
    """Place a gang on the fewest leaf switches: the roomiest first, the last one the tightest that is enough.

    Within a switch it takes nodes likewise.
    """
    of_leaf = nodes.room[1]
    leaves = nodes.leaf_gpu.shape[0]
    count_room(nodes, pod, held.shape[0])
    placed = 0
    while placed < held.shape[0]:
        leaf = roomiest(of_leaf[:leaves], held.shape[0] - placed)
        if of_leaf[leaf] == 0:
            for k in range(placed):
                remove(nodes, pod, held[k])
            return False
        placed = fill_leaf(nodes, leaf, pod, rule, held, placed)
        of_leaf[leaf] = 0
    return True


@jit
def place_by_weights(nodes: Nodes, pod: Any, rule: Rule, held: Any) -> bool:
    """Place a gang node after node, each the best by the learned weights, which takes as many pods as it can."""
    of_node, of_leaf = nodes.room
    count_room(nodes, pod, held.shape[0])
    placed, leaf = 0, -1
    while placed < held.shape[0]:
        n = best_node(nodes, pod, rule, held.shape[0] - placed, placed, leaf)
        if n < 0:
            for k in range(placed):
                remove(nodes, pod, held[k])
            return False
        leaf = nodes.leaf[n]
        of_leaf[leaf] -= of_node[n]
        of_node[n] = 0
        placed = fill_node(nodes, n, pod, rule, held, placed)
    return True


@jit
def count_room(nodes: Nodes, pod: Any, most: int) -> None:
    """Write to ``nodes.room`` how many pods like ``pod`` have room on each node, at most ``most``, and on each leaf."""
    of_node, of_leaf = nodes.room
    of_leaf[: nodes.leaf_gpu.shape[0]] = 0
    for n in range(of_node.shape[0]):
        of_node[n] = tasks_on(nodes, n, pod, most)
        of_leaf[nodes.leaf[n]] += of_node[n]


@jit
def fill_node(nodes: Nodes, n: int, pod: Any, rule: Rule, held: Any, placed: int) -> int:
    """Place pods on node ``n`` until all are or it is full; return how many are placed then."""
    while placed < held.shape[0] and fits(nodes, n, pod):
        take(nodes, n, pod, choose_gpus(nodes, n, pod, rule), held[placed])
        placed += 1
    return placed


@jit
def fill_leaf(nodes: Nodes, leaf: int, pod: Any, rule: Rule, held: Any, placed: int) -> int:
    """Place pods under ``leaf`` until all are or it is full; return how many are placed then."""
    of_node = nodes.room[0]
    while placed < held.shape[0]:
        best = -1
        for n in range(of_node.shape[0]):
            if nodes.leaf[n] == leaf and of_node[n] > 0:
                best = n if best < 0 or better(of_node[n], of_node[best], held.shape[0] - placed) else best
        if best < 0:
            break
        of_node[best] = 0
        placed = fill_node(nodes, best, pod, rule, held, placed)
    return placed


@jit
def roomiest(room: Any, wanted: int) -> int:
    """Return where the least that is enough for ``wanted`` is, else the most."""
    best = 0
    for i in range(1, room.shape[0]):
        if better(room[i], room[best], wanted):
            best = i
    return best


@jit
def better(room: int, than: int, wanted: int) -> bool:
    """Return whether ``room`` is enough and less than another that is, or more than one that is not."""
    if room >= wanted:
        return than < wanted or room < than
    return than < wanted and room > than


@jit
def has_count(nodes: Nodes, pod: Any, wanted: int) -> bool:
    """Return whether ``wanted`` pods like ``pod`` have room, on any nodes."""
    for n in range(nodes.cpu.shape[0]):
        wanted -= tasks_on(nodes, n, pod, wanted)
        if wanted <= 0:
            return True
    return False


@jit
def tasks_on(nodes: Nodes, n: int, pod: Any, most: int) -> int:
    """Return how many pods like ``pod`` fit on node ``n`` together, at most ``most``."""
    if not fits(nodes, n, pod):
        return 0
    if pod.cpu > 0:
        most = min(most, nodes.cpu[n] // pod.cpu)
    if pod.memory > 0:
        most = min(most, nodes.memory[n] // pod.memory)
    if pod.gpu > 0:
        found = 0
        for g in range(nodes.gpus[n]):
            found += max(nodes.gpu[n, g], 0) // min(pod.gpu, MILLI)  # below 0 where somebody has still to leave
        most = min(most, found // max(pod.gpu // MILLI, 1))
    return int(most)
