"""The links of a machine as arrays: the NICs of each node together, and the uplinks of each leaf switch together.

A link's id is the node's, or the number of nodes + the leaf's. Links carry as much each way at once; figures are per
direction, and a collective puts as much on either.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine, Network
from hpcai.errors import InputError

GBIT: Final = 1e9 / 8  # bytes
GBYTE: Final = 1e9


class Fabric(NamedTuple):
    """N nodes in order of the machine's groups, L = N + leaves links; nothing in it changes."""

    capacity: NDArray[np.float64]  # (L,) B/s each way that a collective gets; inf where not known
    gpus: NDArray[np.float64]  # (L,) GPUs behind each link
    leaf: NDArray[np.int64]  # (N,) leaf switch of each node
    inside: NDArray[np.float64]  # (N,) B/s between GPUs of the node; inf where not known
    hop: NDArray[np.float64]  # (N,) s from GPU to GPU of the node
    speed: NDArray[np.float64]  # (N,) of its GPUs, P100 = 1
    leaf_hop: float  # s between nodes under one leaf switch
    spine_hop: float  # s between nodes under different leaf switches


class Room(NamedTuple):
    """Room to work in for the functions that take a job's tasks; all 0 between calls."""

    node: NDArray[np.int64]  # (N,) GPUs of the job on each node
    leaf: NDArray[np.int64]  # (leaves,) GPUs of the job under each leaf switch


def make_fabric(machine: Machine) -> Fabric:
    """Return the links of ``machine``; without a network it has one leaf switch and NICs as its groups say.

    Raises InputError if it is counted by processor.
    """
    each = [group for group in machine.groups for _ in range(group.count)]
    if not each:
        raise InputError(f"machine {machine.name}: expected nodes ('groups'), found processors: it has no network")
    network = machine.network or Network(topology="fat-tree", nodes_per_switch=len(each))
    leaf = np.arange(len(each)) // network.nodes_per_switch
    nics = _known([group.nics * group.nic_gbit_s * GBIT * network.efficiency for group in each])
    gpus = np.array([group.gpus for group in each], dtype=np.float64)
    uplinks = np.zeros(leaf[-1] + 1)
    np.add.at(uplinks, leaf, nics)
    return Fabric(
        capacity=np.concatenate([nics, uplinks / network.oversubscription]),
        gpus=np.concatenate([gpus, np.bincount(leaf, weights=gpus)]),
        leaf=leaf,
        inside=_known([group.gpu_link_gbyte_s * GBYTE for group in each]),
        hop=np.array([group.gpu_latency_us * 1e-6 for group in each]),
        speed=np.array([group.gpu_speed for group in each]),
        leaf_hop=network.leaf_latency_us * 1e-6,
        spine_hop=network.spine_latency_us * 1e-6,
    )


def make_room(fabric: Fabric) -> Room:
    """Return the room that jobs on ``fabric`` need."""
    nodes = fabric.leaf.shape[0]
    return Room(node=np.zeros(nodes, dtype=np.int64), leaf=np.zeros(fabric.capacity.shape[0] - nodes, dtype=np.int64))


def _known(bandwidths: list[float]) -> NDArray[np.float64]:
    figures = np.array(bandwidths, dtype=np.float64)
    return np.where(figures > 0, figures, np.inf)
