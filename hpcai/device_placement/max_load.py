"""Throughput of a pipeline that is always full: the load of its fullest device, as dnn-partitioning has it.

Source: Tarnawski et al., Efficient Algorithms for Device Placement of DNN Graph Operators, NeurIPS 2020, section 3: an
accelerator's load is its operators' time, and the transfer to or from DRAM of each output that crosses its border,
once each way and not overlapped; a CPU works in the DRAM and has no transfers. Forward and backward operators of a
colour share a device. Costs of transfers are those in the file: the throughput instances have other units than bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hpcai.configuration import validated
from hpcai.device_placement.graph import Floats, Ints
from hpcai.device_placement.readers._json import load_mapping
from hpcai.device_placement.readers.dnn_partitioning import _Instance as Fields


class Instance(NamedTuple):
    """n operators with e edges; times and costs in the unit of the file, milliseconds for those published."""

    accelerators: int
    cpus: int
    memory: float  # bytes of an accelerator
    accelerator: Floats  # (n,) time; inf where it is not supported
    cpu: Floats  # (n,) time
    size: Floats  # (n,) bytes
    cost: Floats  # (n,) time of a transfer of the output to or from DRAM
    edges: Ints  # (e, 2), unique
    backward: Ints  # (n,) 1 of operators of the backward pass
    colour: Ints  # (n,) of those that share a device, from 0


def read_instance(path: str | Path) -> Instance:
    """Return an instance of dnn-partitioning. Raises InputError if the file cannot be read or is none."""
    fields = validated(Fields, load_mapping(Path(path)), str(path))
    number = {node.id: i for i, node in enumerate(fields.nodes)}
    edges = np.array([(number[edge.source], number[edge.target]) for edge in fields.edges], np.int64).reshape(-1, 2)
    cost = np.zeros(len(number))
    for edge in fields.edges:
        cost[number[edge.source]] = edge.cost
    colours: dict[object, int] = {}
    own = [("own", node.id) if node.color is None else node.color for node in fields.nodes]
    return Instance(
        accelerators=fields.accelerators,
        cpus=fields.cpus,
        memory=fields.memory,
        accelerator=np.array([node.accelerator if node.supported else np.inf for node in fields.nodes]),
        cpu=np.array([node.cpu for node in fields.nodes]),
        size=np.array([node.size for node in fields.nodes]),
        cost=cost,
        edges=np.unique(edges, axis=0),
        backward=np.array([node.backward for node in fields.nodes], np.int64),
        colour=np.array([colours.setdefault(colour, len(colours)) for colour in own], np.int64),
    )


def loads(instance: Instance, placement: Ints) -> Floats:
    """Return the loads of the accelerators, then of the CPUs, of a placement (n,) on them in this order."""
    devices = instance.accelerators + instance.cpus
    on_cpu = placement >= instance.accelerators
    time = np.where(on_cpu, instance.cpu, instance.accelerator)
    source, target = instance.edges.T
    crosses = placement[source] != placement[target]
    source, target = source[crosses], target[crosses]
    borders = np.unique(np.concatenate([np.column_stack([source, placement[end]]) for end in (source, target)]), axis=0)
    sent = np.bincount(borders[:, 1], weights=instance.cost[borders[:, 0]], minlength=devices)
    sent[instance.accelerators :] = 0
    return (np.bincount(placement, weights=time, minlength=devices) + sent).astype(np.float64)


def excess(instance: Instance, placement: Ints) -> float:
    """Return the bytes that accelerators lack, summed over them."""
    used = np.bincount(placement, weights=instance.size, minlength=instance.accelerators)[: instance.accelerators]
    return float(np.maximum(used - instance.memory, 0.0).sum())


def is_contiguous(instance: Instance, placement: Ints) -> bool:
    """Whether devices can be put in an order in which the forward pass only goes on: it comes back to none."""
    forward = instance.edges[(instance.backward[instance.edges] == 0).all(axis=1)]
    between = np.unique(placement[forward], axis=0)
    between = between[between[:, 0] != between[:, 1]]
    devices = instance.accelerators + instance.cpus
    graph = coo_array((np.ones(len(between)), (between[:, 0], between[:, 1])), shape=(devices, devices))
    found: int = connected_components(graph, connection="strong", return_labels=False)
    return found == devices
