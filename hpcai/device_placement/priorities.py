"""How urgent operators are: the longest path to the end of the step (upward rank), with mean costs.

Source: Topcuoglu, Hariri and Wu, Performance-Effective and Low-Complexity Task Scheduling for Heterogeneous Computing,
IEEE TPDS 13 (2002), equation 8.
"""

from __future__ import annotations

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.expansion import Expansion
from hpcai.device_placement.graph import Floats, OperatorGraph


def mean_seconds(graph: OperatorGraph, devices: Devices) -> Floats:
    """Return (n,) the mean forward time of each operator over the devices that can run it."""
    seconds = graph.forward[devices.rows(graph)]
    finite = np.isfinite(seconds)
    total: Floats = np.where(finite, seconds, 0.0).sum(axis=0)
    mean: Floats = total / np.maximum(finite.sum(axis=0), 1)
    return mean


def longest_to_end(graph: OperatorGraph, seconds: Floats, transfer: Floats) -> Floats:
    """Return (n,) the longest path from the start of each operator to the end of the graph.

    ``seconds`` (n,) is of operators, ``transfer`` (e,) of edges, in the order of ``graph.edges``.
    """
    by_source = np.lexsort((graph.edges[:, 1], graph.edges[:, 0]))
    starts, targets = graph.successors
    cost, rank = transfer[by_source], np.zeros(len(graph))
    for i in graph.order[::-1]:
        own = slice(starts[i], starts[i + 1])
        rank[i] = seconds[i] + (cost[own] + rank[targets[own]]).max(initial=0.0)
    return rank


def longest_from_start(graph: OperatorGraph, seconds: Floats) -> Floats:
    """Return (n,) the longest path from the start of the graph to the end of each operator, nothing sent."""
    starts, sources = graph.predecessors
    ends = np.zeros(len(graph))
    for i in graph.order:
        ends[i] = seconds[i] + ends[sources[starts[i] : starts[i + 1]]].max(initial=0.0)
    return ends


def upward_rank(expansion: Expansion, devices: Devices) -> Floats:
    """Return (N,) the upward rank of what runs in a step, s: mean times, and transfers between mean devices."""
    graph = expansion.graph
    source, target = graph.edges.T
    returned = (expansion.gradient[source] >= 0) & (expansion.gradient[target] >= 0)
    size = np.where(returned, expansion.gradient[target], graph.output[source])
    transfer = devices.mean_latency + size * devices.mean_inverse_bandwidth
    transfer[expansion.origin[source] == expansion.origin[target]] = 0.0  # always on one device
    return longest_to_end(graph, mean_seconds(graph, devices), transfer)
