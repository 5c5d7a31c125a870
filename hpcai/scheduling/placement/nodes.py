"""The room of a cluster of nodes at the grain of a GPU: what is free where, and taking and giving back of it.

CPUs and GPUs are counted in thousandths, memory in bytes. A node's GPUs and CPUs are dealt out evenly to its NUMA
sockets, in order; a pod's CPUs come from the sockets of its GPUs first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.jit import jit
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.placement.pods import MOST_GPUS, MOST_SOCKETS, sort_of

GIB = 2**30
MOST_GROUPS = 62  # of nodes that jobs may be bound to, in a mask of 64 bits


class Nodes(NamedTuple):
    """What is free and what there is; N nodes, G the most GPUs of a node, S the most sockets."""

    cpu: NDArray[np.int64]  # (N,) free thousandths
    memory: NDArray[np.int64]  # (N,) free bytes
    gpu: NDArray[np.int64]  # (N, G) free thousandths of each GPU; 0 where a node has no such GPU
    socket_cpu: NDArray[np.int64]  # (N, S) free thousandths of CPUs of each socket
    holds: NDArray[np.int64]  # (N, G + 2) pods on the node by sort: without GPU, a share, 1 GPU, 2 GPUs, ...
    cpus: NDArray[np.int64]  # (N,) all of it, free or not
    memories: NDArray[np.int64]  # (N,)
    gpus: NDArray[np.int64]  # (N,) number of GPUs
    kind: NDArray[np.int64]  # (N,) bit of its GPU kind, 0 without GPUs
    kind_share: NDArray[np.float64]  # (N,) part of the cluster's GPUs that are of its kind
    group: NDArray[np.int64]  # (N,) bit of its node group
    socket: NDArray[np.int64]  # (N, G) socket of each GPU
    leaf: NDArray[np.int64]  # (N,) leaf switch
    leaf_gpu: NDArray[np.int64]  # (leaves,) free thousandths of GPUs under each
    leaf_gpus: NDArray[np.int64]  # (leaves,) all of them
    speed: NDArray[np.float64]  # (N,) of its GPUs, the fastest = 1
    traffic: NDArray[np.float64]  # (N + leaves,) on NICs and uplinks, 1: as much as they carry; kept by whoever knows
    room: NDArray[np.int64]  # (2, N) to work in: tasks of a gang by node and by leaf
    most: NDArray[np.float64]  # (3,) most CPUs, memory and GPUs of a node, in the units above


def make_nodes(machine: Machine) -> Nodes:
    """Return the empty nodes of ``machine``, in order of its groups, ``nodes_per_switch`` under each leaf switch.

    Raises InputError if it is counted by processor, or if a node has more than 62 GPUs or 8 sockets.
    """
    groups = machine.groups
    if not groups or max(group.gpus for group in groups) > MOST_GPUS or max(g.sockets for g in groups) > MOST_SOCKETS:
        raise InputError(
            f"machine {machine.name}: expected nodes, with at most {MOST_GPUS} GPUs and {MOST_SOCKETS} sockets each"
        )
    each = [group for group in groups for _ in range(group.count)]
    kinds = gpu_kinds(machine)
    n, g = len(each), max(1, *(group.gpus for group in groups), 0)
    gpus = np.array([group.gpus for group in each])
    cpus = np.array([group.cpus * MILLI for group in each])
    memories = np.array([int(group.memory_gib * GIB) for group in each])
    sockets = np.array([group.sockets for group in each])
    slot, socket = np.arange(g)[None, :], np.arange(sockets.max())[None, :]
    kind = np.array([1 << kinds.index(group.gpu_kind) if group.gpus else 0 for group in each])
    of_kind = np.array([gpus[kind == own].sum() for own in kind])
    leaf = np.arange(n) // (machine.network.nodes_per_switch if machine.network else n)
    shares = cpus[:, None] * (socket + 1) // sockets[:, None] - cpus[:, None] * socket // sockets[:, None]
    under = np.bincount(leaf, weights=gpus * MILLI).astype(np.int64)
    speed = np.array([group.gpu_speed for group in each])
    return Nodes(
        cpu=cpus.copy(),
        memory=memories.copy(),
        gpu=np.where(slot < gpus[:, None], MILLI, 0),
        socket_cpu=np.where(socket < sockets[:, None], shares, 0),
        holds=np.zeros((n, g + 2), dtype=np.int64),
        cpus=cpus,
        memories=memories,
        gpus=gpus,
        kind=kind,
        kind_share=of_kind / max(gpus.sum(), 1),
        group=np.repeat(_group_bits(len(groups)), [group.count for group in groups]),
        socket=np.minimum(slot * sockets[:, None] // np.maximum(gpus, 1)[:, None], sockets[:, None] - 1),
        leaf=leaf,
        leaf_gpu=under,
        leaf_gpus=under.copy(),
        speed=speed / speed.max(),
        traffic=np.zeros(n + len(under)),
        room=np.zeros((2, n), dtype=np.int64),
        most=np.maximum(np.array([cpus.max(), memories.max(), gpus.max() * MILLI]), 1).astype(np.float64),
    )


def _group_bits(groups: int) -> NDArray[np.int64]:
    """Return a bit for each group; none where there are too many for a mask, as where each node is one of its own."""
    return np.array([1 << g if groups <= MOST_GROUPS else 0 for g in range(groups)], dtype=np.int64)


def gpu_kinds(machine: Machine) -> list[str]:
    """Return the GPU kinds of a machine in order of its groups; a kind's place is its bit in masks."""
    return list(dict.fromkeys(group.gpu_kind for group in machine.groups if group.gpus))


@jit
def fits(nodes: Nodes, n: int, pod: Any) -> bool:
    """Return whether ``pod`` fits on node ``n`` now."""
    if pod.cpu > nodes.cpu[n] or pod.memory > nodes.memory[n] or not may_be_on(nodes, n, pod):
        return False
    if pod.gpu == 0:
        return True
    wanted = max(pod.gpu // MILLI, 1)
    least = min(pod.gpu, MILLI)
    for g in range(nodes.gpus[n]):
        if nodes.gpu[n, g] >= least:
            wanted -= 1
            if wanted == 0:
                return True
    return False


@jit
def may_be_on(nodes: Nodes, n: int, pod: Any) -> bool:
    """Return whether node ``n`` is of a group and has GPUs of a kind that ``pod`` asks for, if it does."""
    return bool(pod.barred & nodes.group[n] == 0 and (pod.gpu == 0 or pod.kinds & nodes.kind[n] != 0))


@jit
def take(nodes: Nodes, n: int, pod: Any, mask: int, held: Any) -> None:
    """Put ``pod`` on the GPUs ``mask`` of node ``n``; ``held`` (PLACE) notes it for :func:`remove`."""
    held.node = n
    held.gpus = mask
    nodes.cpu[n] -= pod.cpu
    nodes.memory[n] -= pod.memory
    nodes.holds[n, sort_of(pod)] += 1
    left = pod.cpu
    for own in (True, False):  # the sockets of its GPUs, then any
        for s in range(nodes.socket_cpu.shape[1]):
            if own:
                held.cpu[s] = 0
            if own and not touches(nodes, n, mask, s):
                continue
            part = min(left, nodes.socket_cpu[n, s])
            nodes.socket_cpu[n, s] -= part
            held.cpu[s] += part
            left -= part
    hold_gpus(nodes, n, mask, min(pod.gpu, MILLI))


@jit
def remove(nodes: Nodes, pod: Any, held: Any) -> None:
    """Give back what ``pod`` holds where ``held`` says that it is, which then says nowhere."""
    give_back(nodes, pod, held)
    held.node = -1


@jit
def give_back(nodes: Nodes, pod: Any, held: Any) -> None:
    """Give back what ``pod`` holds where ``held`` says that it is."""
    n = held.node
    nodes.cpu[n] += pod.cpu
    nodes.memory[n] += pod.memory
    nodes.holds[n, sort_of(pod)] -= 1
    for s in range(nodes.socket_cpu.shape[1]):
        nodes.socket_cpu[n, s] += held.cpu[s]
    hold_gpus(nodes, n, held.gpus, -min(pod.gpu, MILLI))


@jit
def hold_gpus(nodes: Nodes, n: int, mask: int, each: int) -> None:
    """Take ``each`` thousandths (give back if negative) of every GPU of ``mask``."""
    for g in range(nodes.gpus[n]):
        if (mask >> g) & 1:
            nodes.gpu[n, g] -= each
            nodes.leaf_gpu[nodes.leaf[n]] -= each


@jit
def touches(nodes: Nodes, n: int, mask: int, s: int) -> bool:
    """Return whether a GPU of ``mask`` is on socket ``s``."""
    found = 0
    for g in range(nodes.gpus[n]):
        found += (mask >> g) & 1 and nodes.socket[n, g] == s
    return found > 0


@jit
def sockets_of(nodes: Nodes, n: int, mask: int) -> int:
    """Return on how many sockets the GPUs of ``mask`` are."""
    count = 0
    for s in range(nodes.socket_cpu.shape[1]):
        if touches(nodes, n, mask, s):
            count += 1
    return count


@jit
def free_gpu(nodes: Nodes, n: int) -> int:
    """Return the thousandths of GPUs free on node ``n``."""
    free = 0
    for g in range(nodes.gpus[n]):
        free += nodes.gpu[n, g]
    return free
