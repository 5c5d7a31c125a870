"""Grouping keeps a graph without cycles, its sums as they are, and what shares a device together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hpcai.device_placement import zoo
from hpcai.device_placement.assembling import Row, assemble
from hpcai.device_placement.graph import BACKWARD, FORWARD, NO_GROUP, OperatorGraph
from hpcai.device_placement.grouping import Grouping, grouped
from hpcai.errors import InputError


def graph_of(edges: list[tuple[str, str]], **fields: dict[str, object]) -> OperatorGraph:
    """Operators in the order of their letters, each of a second and 8 bytes unless ``fields`` says otherwise."""
    names = sorted({name for edge in edges for name in edge})

    def row(name: str) -> Row:
        given = {field: by_name[name] for field, by_name in fields.items() if name in by_name}
        return Row(name, "conv", (1.0, 2.0), (0.0, 0.0), output=8)._replace(**given)

    return assemble("here", "made up", ["GPU", "CPU"], [row(name) for name in names], edges)


def groups_of(graph: OperatorGraph, grouping: Grouping) -> list[str]:
    members: dict[int, str] = {}
    for name, group in zip(graph.operators, grouping.member.tolist(), strict=True):
        members[group] = members.get(group, "") + name
    return sorted(members.values())


def test_chains_are_fused_and_branches_stay() -> None:
    graph = graph_of([("a", "b"), ("b", "c"), ("b", "d"), ("d", "e"), ("c", "f"), ("e", "f"), ("f", "g")])
    grouping = grouped(graph, largest=1.0)
    assert groups_of(graph, grouping) == ["ab", "c", "de", "fg"]
    assert grouping.graph.operators == ("a", "c", "d", "f")
    assert grouping.graph.edges.tolist() == [[0, 1], [0, 2], [1, 3], [2, 3]]
    assert grouping.graph.forward.tolist() == [[2, 1, 2, 2], [4, 2, 4, 4]]
    assert grouping.graph.output.tolist() == [8, 8, 8, 8]
    assert grouping.operators_placed(np.array([0, 1, 2, 3])).tolist() == [0, 0, 1, 2, 2, 3, 3]
    assert str(grouping.report) == (
        "operators 7 -> 4, edges 7 -> 4, bytes on edges 56 -> 32; fused: 3 by chain; largest group 28.6%"
    )


def test_a_chain_is_not_fused_beyond_its_largest_share() -> None:
    graph = graph_of([("a", "b"), ("b", "c"), ("c", "d")])
    assert groups_of(graph, grouped(graph, largest=0.5)) == ["ab", "cd"]
    assert len(grouped(graph, chains=False).graph) == 4


def test_a_chain_is_not_fused_over_passes_groups_or_devices() -> None:
    edges = [("a", "b"), ("b", "c"), ("c", "d")]
    assert len(grouped(graph_of(edges, phase={"c": BACKWARD, "d": BACKWARD}), largest=1).graph) == 2
    assert len(grouped(graph_of(edges, group={"a": 1, "d": 1}), largest=1, colocated=False).graph) == 3
    assert len(grouped(graph_of(edges, forward={"a": (math.inf, 1.0)}), largest=1).graph) == 2


def test_colocated_operators_are_fused_unless_a_path_leaves_them() -> None:
    edges = [("a", "b"), ("b", "c"), ("a", "c"), ("c", "d")]
    graph = graph_of(edges, group={"a": 7, "c": 7, "d": 7})
    grouping = grouped(graph, chains=False)
    assert groups_of(graph, grouping) == ["a", "b", "cd"]  # a and c with b between them would wait for b and b for them
    assert grouping.graph.group.tolist() == [0, NO_GROUP, 0]
    assert grouping.report.fused == {"colocation": 1, "chain": 0, "heavy edge": 0, "neighbours": 0}


def test_groups_that_meet_in_one_operator_become_one() -> None:
    edges = [("a", "b"), ("b", "c"), ("c", "d"), ("e", "f")]
    graph = graph_of(edges, group={"a": 1, "c": 1, "b": 2, "d": 2, "e": 3, "f": 3})
    grouping = grouped(graph, chains=False, colocated=False, at_most=4)
    assert len(grouping.graph) == 4
    for first, second in (("a", "c"), ("b", "d"), ("e", "f")):
        groups = grouping.graph.group[grouping.member[[graph.operators.index(first), graph.operators.index(second)]]]
        same = grouping.member[graph.operators.index(first)] == grouping.member[graph.operators.index(second)]
        assert same or (groups[0] == groups[1] != NO_GROUP)


def test_heavy_edges_are_fused_first() -> None:
    graph = graph_of([("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f")], output={"b": 100, "e": 90})
    grouping = grouped(graph, chains=False, at_most=4)
    assert groups_of(graph, grouping) == ["a", "bc", "d", "ef"]


@st.composite
def graphs(draw: st.DrawFn) -> OperatorGraph:
    n = draw(st.integers(1, 14))
    whole = st.integers(0, 1000)
    cut = draw(st.integers(0, n)) if draw(st.booleans()) else n  # where a backward pass begins
    names = draw(st.permutations([f"op{i}" for i in range(n)]))
    rows = [
        Row(
            names[i],
            draw(st.sampled_from(["conv", "matmul"])),
            forward=draw(st.sampled_from([(1, 1), (math.inf, 1), (1, math.inf)])) if draw(st.booleans()) else (5, 7),
            backward=(draw(whole), draw(whole)),
            weights=draw(whole),
            activations=draw(whole),
            output=draw(whole),
            group=draw(st.none() | st.integers(0, 2)),
            phase=FORWARD if i < cut else BACKWARD,
        )
        for i in range(n)
    ]
    pairs = [(names[i], names[j]) for i in range(n) for j in range(i + 1, n)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=30)) if pairs else []
    return assemble("here", "any", ["GPU", "CPU"], draw(st.permutations(rows)), edges)


@settings(max_examples=150, deadline=None)
@given(graphs(), st.booleans(), st.booleans(), st.none() | st.integers(1, 8), st.sampled_from([0.1, 1.0]))
def test_any_graph(graph: OperatorGraph, chains: bool, colocated: bool, at_most: int | None, largest: float) -> None:
    try:
        grouping = grouped(graph, chains=chains, colocated=colocated, at_most=at_most, largest=largest)
    except InputError:
        with pytest.raises(InputError, match="found no fewer than"):
            grouped(graph, chains=chains, colocated=colocated, at_most=at_most, largest=largest)
        assume(False)
    found, member = grouping.graph, grouping.member
    assert len(found.order) == len(found) == len(set(found.operators))  # raises for a cycle
    assert sorted(set(member.tolist())) == list(range(len(found)))
    assert at_most is None or len(found) <= at_most
    for field in ("weights", "activations"):
        assert getattr(found, field).sum() == getattr(graph, field).sum()
        assert getattr(found, field)[member[0]] == getattr(graph, field)[member == member[0]].sum()
    for field in ("forward", "backward"):
        assert getattr(found, field).sum(axis=1).tolist() == getattr(graph, field).sum(axis=1).tolist()
    assert np.isfinite(found.forward).any(axis=0).all()
    assert (found.phase[member] == graph.phase).all()
    crossing = {(member[source], member[target]) for source, target in graph.edges if member[source] != member[target]}
    assert {tuple(edge) for edge in found.edges.tolist()} == crossing
    report = grouping.report
    assert report.operators == (len(graph), len(found))
    assert sum(report.fused.values()) == len(graph) - len(found)
    # groups placed as they must be, each colocation group on a device of its own, keep operators together
    placement = np.where(found.group == NO_GROUP, 100 + np.arange(len(found)), found.group)
    placed = grouping.operators_placed(placement)
    for group in set(graph.group.tolist()) - {NO_GROUP}:
        assert len(set(placed[graph.group == group].tolist())) == 1


@pytest.mark.parametrize("name", zoo.MODELS)
@pytest.mark.parametrize("at_most", [64, 8, 1])
def test_models_reach_any_number_of_groups(name: str, at_most: int) -> None:
    graph = zoo.build(name)
    grouping = grouped(graph, at_most=at_most)
    assert at_most / 2 < len(grouping.graph) <= at_most
    assert len(grouping.graph.order) == len(grouping.graph)
    assert grouping.graph.forward.sum() == pytest.approx(graph.forward.sum())
    amounts = [graph.weights + graph.activations, (graph.forward + graph.backward)[0]]
    heaviest = max(amount.max() / amount.sum() for amount in amounts)
    assert grouping.report.largest <= max(2.5 / at_most, heaviest)


def test_what_cannot_be_reached_is_told() -> None:
    graph = graph_of([("a", "b")], phase={"b": BACKWARD})
    with pytest.raises(InputError, match="made up: expected at most 1 groups, found no fewer than 2 of operators that"):
        grouped(graph, at_most=1)
    with pytest.raises(InputError, match="at_most: expected at least 1 group, found 0"):
        grouped(graph, at_most=0)
