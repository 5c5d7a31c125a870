"""Fewer, larger operators: fused chains, fused colocation groups, and a graph of at most so many groups.

A group runs as one operator, on one device, so no two groups may wait for each other. That holds if two are merged only
where all that leaves the first goes to the second, or all that enters the second comes from the first, or they follow
each other in a topological order, or a search finds no other path between them. Source of the idea: Herrmann et al.,
Multilevel Algorithms for Acyclic Partitioning of Directed Acyclic Graphs, SIAM J. Sci. Comput. 41(4), 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hpcai.device_placement.assembling import numbered
from hpcai.device_placement.contraction import Quotient
from hpcai.device_placement.graph import NO_GROUP, Floats, Ints, OperatorGraph
from hpcai.errors import InputError

_GROWTH: Final = 1.25  # of the largest group while there are too many


@dataclass(frozen=True)
class Report:
    """What a grouping did."""

    operators: tuple[int, int]  # before and after
    edges: tuple[int, int]
    edge_bytes: tuple[float, float]  # of the output of each edge's source
    fused: dict[str, int]  # merges of two by rule: colocation, chain, heavy edge, neighbours
    largest: float  # share of a group, of all seconds or of all memory

    def __str__(self) -> str:
        rules = ", ".join(f"{count} by {rule}" for rule, count in self.fused.items() if count) or "none"
        return (
            f"operators {self.operators[0]} -> {self.operators[1]}, edges {self.edges[0]} -> {self.edges[1]}, "
            f"bytes on edges {self.edge_bytes[0]:.3g} -> {self.edge_bytes[1]:.3g}; fused: {rules}; "
            f"largest group {self.largest:.1%}"
        )


@dataclass(frozen=True)
class Grouping:
    """A graph of groups, and which operator is in which."""

    graph: OperatorGraph  # of g groups, named after their first operators
    member: Ints  # (n,) group of each operator of the graph that was grouped
    report: Report

    def operators_placed(self, placement: Ints) -> Ints:
        """Return (n,) the device of each operator, from (g,) that of each group."""
        return np.asarray(placement, np.int64)[self.member]


def grouped(
    graph: OperatorGraph,
    *,
    chains: bool = True,
    colocated: bool = True,
    at_most: int | None = None,
    largest: float = 1 / 32,
) -> Grouping:
    """Return ``graph`` with operators fused; the sums of all seconds, weights and activations stay as they are.

    Args:
        graph: what to group; forward and backward operators are never fused with each other.
        chains: whether to fuse an operator with the next where it is the only one after, and the next has no other
            before; both in the same colocation group, if any, and with the same kinds of device that can run them.
        colocated: whether to fuse operators of one colocation group that an edge joins.
        at_most: how many groups there may be: edges with many bytes are fused first, then neighbours in a topological
            order, at first into groups of 1 / ``at_most`` of the whole, then into larger ones.
        largest: share of all seconds, and of all memory, that a fused chain may take, so that a long model can still be
            spread over devices.

    Raises:
        InputError: ``at_most`` is not positive, or cannot be reached because of passes or devices that exclude others.
    """
    quotient = Quotient(graph)
    fused = {"colocation": 0, "chain": 0, "heavy edge": 0, "neighbours": 0}
    if colocated:
        fused["colocation"] = _fuse_colocated(quotient)
    if chains:
        fused["chain"] = _fuse_chains(quotient, largest)
    if at_most is not None:
        if at_most < 1:
            raise InputError(f"at_most: expected at least 1 group, found {at_most}")
        _coarsen(quotient, at_most, fused)
    member = quotient.members()
    merged = _merged(graph, member)
    report = Report(
        operators=(len(graph), len(merged)),
        edges=(len(graph.edges), len(merged.edges)),
        edge_bytes=(float(graph.output[graph.edges[:, 0]].sum()), float(merged.output[merged.edges[:, 0]].sum())),
        fused=fused,
        largest=float(quotient.share[:, quotient.groups()].max()),
    )
    return Grouping(merged, member, report)


def _fuse_colocated(quotient: Quotient) -> int:
    before, group = quotient.count, quotient.graph.group
    for source, target in quotient.graph.edges.tolist():
        u, v = quotient.find(source), quotient.find(target)
        alike = group[source] != NO_GROUP and group[source] == group[target]
        if alike and u != v and quotient.may_merge(u, v, np.inf) and not quotient.detour(u, v):
            quotient.merge(u, v)
    return before - quotient.count


def _fuse_chains(quotient: Quotient, largest: float) -> int:
    before, group = quotient.count, quotient.graph.group
    for source, target in quotient.graph.edges[np.argsort(_positions(quotient.graph), kind="stable")].tolist():
        u, v = quotient.find(source), quotient.find(target)
        if u != v and quotient.successors[u] == {v} and quotient.predecessors[v] == {u}:
            alike = group[source] == group[target] and (quotient.runs_on[:, u] == quotient.runs_on[:, v]).all()
            if alike and quotient.may_merge(u, v, largest):
                quotient.merge(u, v)
    return before - quotient.count


def _positions(graph: OperatorGraph) -> Ints:
    """Return (e,) the position of each edge's source in the topological order, so that chains grow from their start."""
    position = np.empty(len(graph), np.int64)
    position[graph.order] = np.arange(len(graph))
    return position[graph.edges[:, 0]]


def _coarsen(quotient: Quotient, at_most: int, fused: dict[str, int]) -> None:
    largest = 1 / at_most
    while quotient.count > at_most:
        before = quotient.count
        fused["heavy edge"] += _fuse_heavy(quotient, at_most, largest)
        fused["neighbours"] += _fuse_in_order(quotient, at_most, largest)
        if quotient.count == before and largest > _GROWTH:  # no group has more than the whole
            raise InputError(
                f"graph {quotient.graph.name}: expected at most {at_most} groups, found no fewer than {before} of "
                "operators that run in one pass and on one kind of device"
            )
        largest *= _GROWTH


def _fuse_heavy(quotient: Quotient, at_most: int, largest: float) -> int:
    """Merge over the edges with most bytes first, until no edge is left that can be."""
    before, graph = quotient.count, quotient.graph
    heaviest = graph.edges[np.argsort(-graph.output[graph.edges[:, 0]], kind="stable")].tolist()
    found = True
    while found:
        found = False
        for source, target in heaviest:
            u, v = quotient.find(source), quotient.find(target)
            if quotient.count <= at_most:
                return before - quotient.count
            if u != v and quotient.only_way(u, v) and quotient.may_merge(u, v, largest):
                quotient.merge(u, v)
                found = True
    return before - quotient.count


def _fuse_in_order(quotient: Quotient, at_most: int, largest: float) -> int:
    """Merge neighbours in one topological order: nothing is between them, so there is no detour."""
    before = quotient.count
    last = -1
    for group in quotient.order():
        if quotient.count <= at_most:
            break
        last = quotient.merge(last, group) if last >= 0 and quotient.may_merge(last, group, largest) else group
    return before - quotient.count


def _merged(graph: OperatorGraph, member: Ints) -> OperatorGraph:
    """Return the graph of the groups of ``member`` (n,)."""
    g = int(member.max()) + 1

    def summed(amounts: Floats) -> Floats:
        return np.bincount(member, amounts, g).astype(np.float64)

    first = np.full(g, -1)
    first[member[graph.order[::-1]]] = graph.order[::-1]  # the last assignment stays: the first in the order
    edges = np.unique(member[graph.edges], axis=0)
    inner = member[graph.edges[:, 0]] == member[graph.edges[:, 1]]
    sends = ~np.isin(np.arange(len(graph)), graph.edges[inner, 0])  # or nobody takes its output
    sends[graph.edges[~inner, 0]] = True
    return OperatorGraph(
        name=graph.name,
        operators=tuple(graph.operators[i] for i in first),
        kinds=_kinds(graph, member, g),
        device_kinds=graph.device_kinds,
        forward=np.array([summed(row) for row in graph.forward]),
        backward=np.array([summed(row) for row in graph.backward]),
        weights=summed(graph.weights),
        activations=summed(graph.activations),
        output=summed(np.where(sends, graph.output, 0.0)),
        group=_joined_groups(graph, member, g),
        phase=graph.phase[first],
        edges=edges[edges[:, 0] != edges[:, 1]].astype(np.int64),
    )


def _kinds(graph: OperatorGraph, member: Ints, g: int) -> tuple[str, ...]:
    """Return the class of each group's longest operator."""
    seconds = (graph.forward + graph.backward).min(axis=0)
    by_length = np.lexsort((np.arange(len(graph))[::-1], seconds))  # the longest last; of equals the first operator
    longest = np.empty(g, np.int64)
    longest[member[by_length]] = by_length
    return tuple(graph.kinds[i] for i in longest)


def _joined_groups(graph: OperatorGraph, member: Ints, g: int) -> Ints:
    """Return (g,) colocation groups; those that meet in one operator have become one."""
    bound = np.flatnonzero(graph.group != NO_GROUP)
    size = g + int(graph.group.max()) + 1
    pairs = (member[bound], g + graph.group[bound])  # an edge from each operator to its colocation group
    _, joined = connected_components(coo_array((np.ones(len(bound)), pairs), (size, size)), directed=False)
    has_group = np.isin(np.arange(g), member[bound])
    return numbered([int(joined[i]) if has_group[i] else None for i in range(g)])
