"""Step time of data-parallel training on the GPUs of a job alone, and the links and traffic of its allreduce.

A step is ``compute + max(0, allreduce - overlap x compute)``. Compute is that of the slowest GPU kind of the job; with
``jitter`` it is also that of the slowest of its p GPUs: each takes a normally distributed time with that coefficient
of variation, and the step waits for the last. Traffic is averaged over the step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcai.cluster.network.collectives import Span, allreduce
from hpcai.cluster.network.fabric import Fabric, Room
from hpcai.jit import jit

MODEL = np.dtype(
    [
        ("samples", "f8"),  # per GPU and step
        ("compute", "f8"),  # s per step on a P100, with whatever does not grow with the number of GPUs
        ("jitter", "f8"),  # coefficient of variation of it between GPUs
        ("overlap", "f8"),  # part of it that the allreduce can hide behind
        ("size", "f8"),  # bytes to reduce per step: gradients in the precision they are sent in
        ("messages", "f8"),  # allreduce calls per step
        ("algorithm", "i8"),  # of collectives.ALGORITHMS
    ],
    align=True,
)


@jit
def train_step(
    fabric: Fabric, model: Any, node: NDArray[np.int64], gpus: NDArray[np.int64], room: Room
) -> tuple[float, float]:
    """Return seconds per step of a job alone, and the traffic (B/s, each way) it then puts on each link it uses.

    Args:
        fabric: of the machine.
        model: a record of MODEL.
        node: (n,) node of each task, in any order, a node as often as it has tasks.
        gpus: (n,) GPUs of each task; a share of a GPU counts as one, a task without as none.
        room: to work in.

    A job without GPUs computes as on one P100 and sends nothing.
    """
    return step_on(model, span_of(fabric, node, gpus, room))


@jit
def step_on(model: Any, span: Span) -> tuple[float, float]:
    """Return what :func:`train_step` does, of a job on ``span``."""
    compute = model.compute / span.speed
    seconds = compute * (1 + model.jitter * expected_most(span.gpus))
    if span.gpus < 2:
        return seconds, 0.0
    communication, sent = allreduce(model.algorithm, model.size, model.messages, span)
    seconds += max(0.0, communication - model.overlap * compute)
    if span.nodes < 2 or seconds <= 0:
        return seconds, 0.0
    return seconds, sent / seconds


@jit
def expected_most(n: int) -> float:
    """Return the expected largest of ``n`` standard normal numbers (David and Nagaraja, Order Statistics, 10.5).

    Asymptotic: 0.18 too much for 2, 0.10 for 8, 0.03 for 1,000; 0 for one, which is exact.
    """
    if n < 2:
        return 0.0
    root = np.sqrt(2 * np.log(n))
    return float(root - (np.log(np.log(n)) + np.log(4 * np.pi) - 2 * np.euler_gamma) / (2 * root))


@jit
def span_of(fabric: Fabric, node: NDArray[np.int64], gpus: NDArray[np.int64], room: Room) -> Span:
    """Return where the tasks' GPUs are; see :func:`train_step` for the arguments."""
    total, nodes, leaves, most = 0, 0, 0, 0
    inside, outside, uplink, hop, speed = np.inf, np.inf, np.inf, 0.0, np.inf
    for i in range(node.shape[0]):
        n = node[i]
        leaf = fabric.leaf[n]
        if gpus[i] > 0 and room.node[n] == 0:
            nodes += 1
            inside = min(inside, fabric.inside[n])
            outside = min(outside, fabric.capacity[n])
            hop = max(hop, fabric.hop[n])
            speed = min(speed, fabric.speed[n])
            if room.leaf[leaf] == 0:
                leaves += 1
                uplink = min(uplink, fabric.capacity[fabric.leaf.shape[0] + leaf])
        room.node[n] += gpus[i]
        room.leaf[leaf] += gpus[i]
        total += gpus[i]
        most = max(most, room.node[n])
    clear(fabric, node, room)
    if nodes < 2:
        outside = np.inf
    if leaves > 1:
        outside = min(outside, uplink)
    if most < 2:
        inside = np.inf  # no two GPUs on a node: nothing passes between them
    if nodes == 0:
        speed = 1.0
    return Span(total, nodes, leaves, most, inside, outside, hop, fabric.leaf_hop, fabric.spine_hop, speed)


@jit
def links_of(
    fabric: Fabric,
    node: NDArray[np.int64],
    gpus: NDArray[np.int64],
    room: Room,
    links: NDArray[np.int64],
    held: NDArray[np.float64],
) -> int:
    """Write the ids of the links that a job uses and its GPUs behind each; return how many.

    These are the NICs of its nodes if it has GPUs on more than one, and the uplinks of its leaf switches if on more
    than one. ``links`` and ``held`` need room for as many as it has nodes and leaves; the rest is as for
    :func:`train_step`.
    """
    count, leaves = 0, 0
    for i in range(node.shape[0]):
        n = node[i]
        if gpus[i] > 0 and room.node[n] == 0:
            links[count] = n
            count += 1
            leaves += room.leaf[fabric.leaf[n]] == 0
        room.node[n] += gpus[i]
        room.leaf[fabric.leaf[n]] += gpus[i]
    nodes = count
    for k in range(nodes):
        held[k] = room.node[links[k]]
        leaf = fabric.leaf[links[k]]
        if leaves > 1 and room.leaf[leaf] > 0:
            links[count] = fabric.leaf.shape[0] + leaf
            held[count] = room.leaf[leaf]
            room.leaf[leaf] = 0
            count += 1
    clear(fabric, node, room)
    return count if nodes > 1 else 0


@jit
def clear(fabric: Fabric, node: NDArray[np.int64], room: Room) -> None:
    """Put the room back to 0 where the tasks are."""
    for i in range(node.shape[0]):
        room.node[node[i]] = 0
        room.leaf[fabric.leaf[node[i]]] = 0
