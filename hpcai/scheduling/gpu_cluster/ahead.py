"""Rooms to think in: copies of the nodes in which jobs leave and come without anything happening.

A copy is a row of each array here. The first, one for each class, hold what would be free if everybody left whom a
job of that class could ever stop or shrink: who does not fit there need not be planned for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.jit import jit
from hpcai.scheduling.placement import Nodes

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
