"""Rooms to think in: copies of the nodes in which jobs leave and come without anything happening."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.jit import jit
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.placement import Nodes
from hpcai.scheduling.placement.nodes import hold_gpus
from hpcai.scheduling.placement.pods import sort_of

if TYPE_CHECKING:
    from hpcai.scheduling.gpu_cluster.state import Cluster


class Ahead(NamedTuple):
    """K copies of what changes on the nodes (hpcai.scheduling.placement.Nodes)."""

    cpu: NDArray[np.int64]  # (K, N)
    memory: NDArray[np.int64]  # (K, N)
    gpu: NDArray[np.int64]  # (K, N, G)
    socket_cpu: NDArray[np.int64]  # (K, N, S)
    holds: NDArray[np.int64]  # (K, N, G + 2)
    leaf_gpu: NDArray[np.int64]  # (K, leaves)
    room: NDArray[np.int64]  # (K, 2, N)
    changed: NDArray[np.int64]  # (K,) CLOCK.changed when the copy was made, -1: never
    now: NDArray[np.float64]  # (K,) CLOCK.now then


def make_ahead(nodes: Nodes, copies: int) -> Ahead:
    """Return room for ``copies`` copies of ``nodes``."""

    def several(part: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.repeat(part[None], copies, axis=0)

    return Ahead(
        **{name: several(getattr(nodes, name)) for name in Ahead._fields[:-2]},
        changed=np.full(copies, -1, dtype=np.int64),
        now=np.full(copies, -np.inf),
    )


@jit
def copy_of(st: Cluster, k: int) -> Nodes:
    """Return copy ``k`` as nodes."""
    own, ahead = st.nodes, st.ahead
    return Nodes(
        ahead.cpu[k],
        ahead.memory[k],
        ahead.gpu[k],
        ahead.socket_cpu[k],
        ahead.holds[k],
        own.cpus,
        own.memories,
        own.gpus,
        own.kind,
        own.kind_share,
        own.group,
        own.socket,
        own.leaf,
        ahead.leaf_gpu[k],
        own.leaf_gpus,
        own.speed,
        own.traffic,
        ahead.room[k],
        own.most,
    )


@jit
def copy_nodes(source: Nodes, target: Nodes) -> None:
    """Make what is free on the nodes ``target`` the same as on ``source``."""
    for n in range(source.cpu.shape[0]):
        target.cpu[n], target.memory[n] = source.cpu[n], source.memory[n]
        for g in range(source.gpu.shape[1]):
            target.gpu[n, g] = source.gpu[n, g]
        for s in range(source.socket_cpu.shape[1]):
            target.socket_cpu[n, s] = source.socket_cpu[n, s]
        for k in range(source.holds.shape[1]):
            target.holds[n, k] = source.holds[n, k]
    for leaf in range(source.leaf_gpu.shape[0]):
        target.leaf_gpu[leaf] = source.leaf_gpu[leaf]


@jit
def hold(nodes: Nodes, pod: Any, place: Any, sign: int) -> None:
    """Take (``sign`` 1) or give back (-1) what ``pod`` has at a place, whether there is room or not.

    The sockets of its CPUs are left out: nothing goes by them.
    """
    n = place.node
    nodes.cpu[n] -= sign * pod.cpu
    nodes.memory[n] -= sign * pod.memory
    nodes.holds[n, sort_of(pod)] += sign
    hold_gpus(nodes, n, place.gpus, sign * min(pod.gpu, MILLI))


@jit
def hold_if_free(st: Cluster, nodes: Nodes, j: int) -> bool:
    """Take what job ``j`` has at its very places if all of it is free on ``nodes``; return whether it was."""
    work = st.work[j]
    first, last = work.entries, work.entries + st.run[j].tasks
    for k in range(first, last):
        hold(nodes, st.types[work.type], st.places[k], 1)
    for k in range(first, last):
        if not is_settled(nodes, st.places[k].node, st.places[k].gpus):
            for e in range(first, last):
                hold(nodes, st.types[work.type], st.places[e], -1)
            return False
    return True


@jit
def is_settled(nodes: Nodes, n: int, gpus: int) -> bool:
    """Return whether no more is taken than there is of node ``n`` and its GPUs ``gpus`` (bits)."""
    short = 0
    for g in range(nodes.gpus[n]):
        short += (gpus >> g) & 1 and nodes.gpu[n, g] < 0
    return bool(short == 0 and nodes.cpu[n] >= 0 and nodes.memory[n] >= 0)


@jit
def lower_to(least: Nodes, nodes: Nodes, n: int) -> None:
    """Lower what ``least`` says is free on node ``n`` to what ``nodes`` says."""
    least.cpu[n] = min(least.cpu[n], nodes.cpu[n])
    least.memory[n] = min(least.memory[n], nodes.memory[n])
    for g in range(nodes.gpus[n]):
        less = min(nodes.gpu[n, g] - least.gpu[n, g], 0)
        least.gpu[n, g] += less
        least.leaf_gpu[least.leaf[n]] += less
