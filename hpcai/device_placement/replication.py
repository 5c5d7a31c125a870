"""Data-parallel replicas of a placement: each on GPUs of its own, gradients summed by an allreduce between steps.

Device k of each of R replicas holds the same weights; these R reduce them over what joins their nodes
(hpcai.cluster.network). The d allreduces of a placement's devices run at once and share the NICs of their nodes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hpcai.cluster.network.collectives import ALGORITHMS, Span, allreduce
from hpcai.cluster.network.fabric import make_fabric, make_room
from hpcai.cluster.network.training import span_of
from hpcai.cluster.spec import Machine
from hpcai.device_placement.graph import BACKWARD, Floats, Ints
from hpcai.device_placement.simulator import StepSimulator
from hpcai.errors import InputError


class Replicated(NamedTuple):
    """A step of all replicas."""

    seconds: float
    allreduce: Floats  # (d,) s of each device's weights


def replicated(
    simulator: StepSimulator,
    placement: Ints,
    machine: Machine,
    replicas: int,
    *,
    algorithm: str = "best",
    messages: int = 1,
    overlap: float = 0.0,
) -> Replicated:
    """Return the step of ``replicas`` of a ``placement`` (n,), one after the other on the GPUs of ``machine``.

    Args:
        simulator: of one replica, on GPUs alone.
        placement: device of each operator.
        machine: whose GPUs the replicas take, in order.
        replicas: how many.
        algorithm: of ALGORITHMS.
        messages: calls that a device's weights are sent in.
        overlap: part of the time in the backward pass that a device's allreduce can hide behind.

    Raises InputError if the machine has too few GPUs.
    """
    d = len(simulator.devices)
    fabric = make_fabric(machine)
    node = np.repeat(np.arange(len(fabric.leaf)), fabric.gpus[: len(fabric.leaf)].astype(np.int64))
    if not 0 < replicas * d <= len(node):
        raise InputError(f"{replicas} replicas of {d} GPUs: expected at most {len(node)} GPUs, all of {machine.name}")
    course, room = simulator.course(placement), make_room(fabric)
    seconds = float(course.end.max(initial=0.0))
    copies = max(simulator.weight_copies, 1e-300)
    weights = np.bincount(placement, weights=simulator.step.weights / copies, minlength=d)
    back = course.expansion.stage == BACKWARD
    behind = np.bincount(course.device[back], weights=(course.end - course.start)[back], minlength=d)
    found = np.zeros(d)
    for k in np.flatnonzero(weights):
        own = node[k : replicas * d : d]
        alone = span_of(fabric, own, np.ones(replicas, np.int64), room)
        rings = int(np.bincount(node[: replicas * d]).max()) // alone.most if alone.nodes > 1 else 1
        shared = Span(*alone)._replace(outside=alone.outside / max(rings, 1))
        if replicas > 1:
            found[k] = allreduce(ALGORITHMS[algorithm], float(weights[k]), float(messages), shared)[0]
    return Replicated(seconds + float(np.maximum(found - overlap * behind, 0.0).max(initial=0.0)), found)
