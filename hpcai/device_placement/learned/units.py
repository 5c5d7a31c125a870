"""What a policy places in one go: groups of operators, each with what is free and serves it.

A graph is grouped first (grouping.py). Then groups that share a device are joined, and what takes no time joins its one
input or, without inputs, what needs it first: a cut there would break the rules of the graph or save nothing. Units are
numbered in the order in which they are placed: by upward rank, in which inputs come first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import NO_GROUP, Floats, Ints, OperatorGraph
from hpcai.device_placement.grouping import grouped
from hpcai.device_placement.priorities import longest_to_end
from hpcai.device_placement.simulator import StepSimulator
from hpcai.device_placement.work import Work, by_unit, positions, work_of


@dataclass(frozen=True)
class Units:
    """u units of g groups of n operators, on d devices; arrays are not to be written to."""

    simulator: StepSimulator  # of the g groups: quicker than that of the operators, and nearly as true
    unit: Ints  # (g,) of each group
    member: Ints  # (n,) group of each operator
    seconds: Floats  # (d, u) of all its operators in a step; inf where one cannot run
    memory: Floats  # (u,) bytes of weights, with their copies, and of activations
    edges: Ints  # (e, 2) source and target; not free of cycles where colocation groups are entangled
    size: Floats  # (e,) bytes there and, of a training, back
    messages: int  # 2 where gradients come back, else 1

    def __len__(self) -> int:
        return len(self.memory)

    def groups_placed(self, places: Ints) -> Ints:
        """Return the devices (..., g) of groups that places (..., u) of units stand for."""
        return np.ascontiguousarray(places[..., self.unit])

    def operators_placed(self, places: Ints) -> Ints:
        """Return the placement (..., n) of operators that places (..., u) of units stand for."""
        return np.ascontiguousarray(places[..., self.unit[self.member]])

    def units_of(self, placement: Ints) -> Ints:
        """Return the places (u,) of units that a placement (n,) of operators says, by each unit's last operator."""
        places = np.zeros(len(self), np.int64)
        places[self.unit[self.member]] = placement
        return places

    @cached_property
    def mean(self) -> Floats:
        """(u,) Mean seconds over the devices that can run it; 0 where none can run all of it."""
        return _mean(self.seconds)

    @cached_property
    def transfer(self) -> Floats:
        """(e,) Seconds that an edge takes between mean devices."""
        devices = self.simulator.devices
        mean: Floats = self.messages * devices.mean_latency + self.size * devices.mean_inverse_bandwidth
        return mean

    @cached_property
    def scale(self) -> float:
        """Seconds that a step takes at least, if nothing had to be sent: by the work, or by the longest path."""
        longest = np.zeros(len(self))
        forward = self.edges[self.edges[:, 0] < self.edges[:, 1]]
        for source, target in forward[np.argsort(forward[:, 1], kind="stable")]:
            longest[target] = max(longest[target], longest[source] + self.mean[source])
        bound = max(self.mean.sum() / len(self.simulator.devices), (longest + self.mean).max())
        return float(bound) or 1.0


def make_units(
    graph: OperatorGraph, devices: Devices, weight_copies: float | None = None, *, fused: bool = True
) -> Units:
    """Return the units of a graph; if not ``fused``, its operators, but for those that have to share a device.

    Raises InputError if it has no costs for the kind of a device.
    """
    grouping = grouped(graph, chains=fused, colocated=fused)
    simulator = StepSimulator(grouping.graph, devices, weight_copies=weight_copies)
    work = work_of(grouping.graph, simulator)
    unit = _ordered(grouping.graph, devices, work, _joined(grouping.graph, work, fused))
    edges, size = _edges(grouping.graph.edges, work.sent, unit)
    return Units(
        simulator=simulator,
        unit=unit,
        member=grouping.member,
        seconds=by_unit(unit, work.seconds),
        memory=by_unit(unit, work.memory),
        edges=edges,
        size=size,
        messages=1 + bool((simulator.step.gradient >= 0).any()),
    )


def _mean(seconds: Floats) -> Floats:
    possible = np.isfinite(seconds)
    total: Floats = np.where(possible, seconds, 0.0).sum(axis=0)
    mean: Floats = total / np.maximum(possible.sum(axis=0), 1)
    return mean


def _joined(graph: OperatorGraph, work: Work, fused: bool) -> Ints:
    """Return (g,) any number of each group's unit."""
    first: dict[int, int] = {}
    pairs = [(first.setdefault(int(own), i), i) for i, own in enumerate(graph.group) if own != NO_GROUP]
    pairs += _free(graph, work) if fused else []
    source, target = np.array(pairs, np.int64).reshape(-1, 2).T
    joins = coo_array((np.ones(len(pairs)), (source, target)), shape=(len(graph), len(graph)))
    return np.asarray(connected_components(joins, directed=False)[1], np.int64)


def _free(graph: OperatorGraph, work: Work) -> list[tuple[int, int]]:
    """Return pairs of what takes no time and its one input, or what needs it first."""
    position, pairs = positions(graph), []
    (next_at, after), (before_at, before) = graph.successors, graph.predecessors
    for i in np.flatnonzero(work.seconds.max(axis=0) == 0):
        sources = before[before_at[i] : before_at[i + 1]]
        if len(sources) == 1:
            pairs.append((int(sources[0]), int(i)))
    for i in np.flatnonzero((np.diff(before_at) == 0) & (graph.forward.max(axis=0) == 0)):
        targets = after[next_at[i] : next_at[i + 1]]
        if len(targets):
            pairs.append((int(i), int(targets[np.argmin(position[targets])])))
    return pairs


def _ordered(graph: OperatorGraph, devices: Devices, work: Work, unit: Ints) -> Ints:
    """Return units numbered by the upward rank of their most urgent group that has inputs; ties as in the graph."""
    source, target = graph.edges.T
    transfer = devices.mean_latency + work.sent[source] * devices.mean_inverse_bandwidth
    transfer[unit[source] == unit[target]] = 0.0
    rank = longest_to_end(graph, _mean(work.seconds), transfer)
    inner = np.diff(graph.predecessors[0]) > 0
    u = int(unit.max()) + 1
    of_inner, of_all, place = np.full(u, -np.inf), np.full(u, -np.inf), np.full(u, len(graph))
    np.maximum.at(of_inner, unit[inner], rank[inner])
    np.maximum.at(of_all, unit, rank)
    np.minimum.at(place, unit, positions(graph))
    number = np.empty(u, np.int64)
    number[np.lexsort((place, -np.where(np.isfinite(of_inner), of_inner, of_all)))] = np.arange(u)
    return np.asarray(number[unit])


def _edges(edges: Ints, sent: Floats, unit: Ints) -> tuple[Ints, Floats]:
    """Return the edges between units, and the bytes of the different outputs that each stands for."""
    ends = unit[edges]
    between = np.unique(np.column_stack([ends, edges[:, 0]])[ends[:, 0] != ends[:, 1]], axis=0)
    found, which = np.unique(between[:, :2], axis=0, return_inverse=True)
    size = np.bincount(which.ravel(), weights=sent[between[:, 2]], minlength=len(found))
    return found.astype(np.int64).reshape(-1, 2), size.astype(np.float64)
