"""Rate and efficiency of training over the number of GPUs, packed onto the first nodes of a machine."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.cluster.network.fabric import Fabric, make_room
from hpcai.cluster.network.training import span_of, step_on
from hpcai.errors import InputError


class Point(NamedTuple):
    """Training on a number of GPUs."""

    gpus: int
    nodes: int
    leaves: int
    step: float  # s
    rate: float  # samples/s, all GPUs
    traffic: float  # B/s each way on each link out of a node


def packed(fabric: Fabric, gpus: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return nodes (n,) and GPUs on each (n,) of a job that fills the machine's nodes in order.

    Raises InputError if the machine has not so many.
    """
    each = fabric.gpus[: fabric.leaf.shape[0]].astype(np.int64)
    if not 0 < gpus <= each.sum():
        raise InputError(f"{gpus} GPUs: expected from 1 to {each.sum()}, all that the machine has")
    taken = np.minimum(each, np.maximum(gpus - (np.cumsum(each) - each), 0))
    node = np.flatnonzero(taken)
    return node, taken[node]


def point(fabric: Fabric, model: Any, gpus: int) -> Point:
    """Return how a record of MODEL trains on ``gpus`` GPUs of an empty machine."""
    span = span_of(fabric, *packed(fabric, gpus), make_room(fabric))
    step, traffic = step_on(model, span)
    return Point(gpus, span.nodes, span.leaves, step, gpus * float(model["samples"]) / step, traffic)


def efficiency(fabric: Fabric, model: Any, gpus: int, base: int = 1) -> float:
    """Return the rate per GPU on ``gpus`` GPUs, relative to that on ``base``."""
    return point(fabric, model, gpus).rate / gpus / (point(fabric, model, base).rate / base)
