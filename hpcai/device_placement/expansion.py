"""From the graph of a model to what runs in a step: forward operators, mirrored backward ones, weight updates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from hpcai.device_placement.costs import CostTable, default_table
from hpcai.device_placement.graph import BACKWARD, FORWARD, NO_GROUP, Floats, Ints, OperatorGraph
from hpcai.errors import InputError

UPDATE: Final = 2  # a stage beside FORWARD and BACKWARD
UPDATE_PASSES: Final = 5  # of the weights' bytes: SGD with momentum reads weight, gradient, momentum, writes two


@dataclass(frozen=True)
class Expansion:
    """The N operators of a step and the operators of the model, n of them, that they come from.

    A mirrored backward operator takes in the gradient of its operator's output. Each other device on which the output
    was used sums its part of that gradient and sends it once, as large as the output: what autograd does where one copy
    of a tensor was made for a device. Hence its bytes are those of the operator that takes them in (``gradient``).
    """

    graph: OperatorGraph  # of N operators; ``forward`` has their seconds, ``weights`` are with the forward ones
    origin: Ints  # (N,) operator of the model, whose device it takes
    stage: Ints  # (N,) FORWARD, BACKWARD or UPDATE
    gradient: Floats  # (N,) bytes that a mirrored backward operator takes in from each other device; -1 for all others
    frees: Ints  # (N,) the operator whose activations the end of this one frees; -1 for none


def expand(graph: OperatorGraph, table: CostTable | None = None) -> Expansion:
    """Return what runs in a step of ``graph``.

    With backward times, operators that need a gradient (they have weights or a backward time, or depend on one that
    has) get a backward operator, and those with weights an update after it: an elementwise operator of the cost
    ``table`` that moves the weights UPDATE_PASSES times; none if the table lacks a kind of device. Other graphs stay.

    Raises InputError if the graph has both backward times and operators of the backward pass.
    """
    if not graph.backward.any():
        n = len(graph)
        return Expansion(graph, np.arange(n), graph.phase, np.full(n, -1.0), np.full(n, -1, np.int64))
    if (graph.phase == BACKWARD).any():
        raise InputError(f"graph {graph.name}: expected backward times or backward operators, found both")
    return _mirrored(graph, table or default_table())


def needs_gradient(graph: OperatorGraph) -> Ints:
    """Return the operators, in order, that get a backward operator."""
    needs = (graph.weights > 0) | (graph.backward > 0).any(axis=0)
    starts, sources = graph.predecessors
    for i in graph.order:
        needs[i] |= needs[sources[starts[i] : starts[i + 1]]].any()
    return np.flatnonzero(needs)


def _mirrored(graph: OperatorGraph, table: CostTable) -> Expansion:
    n, back = len(graph), needs_gradient(graph)
    known = all(kind in table.devices for kind in graph.device_kinds)
    updated = back[graph.weights[back] > 0] if known else back[:0]
    origin = np.concatenate([np.arange(n), back, updated])
    backward = np.full(n, -1)  # of an operator, the number of its backward one
    backward[back] = n + np.arange(len(back))
    moved = UPDATE_PASSES * graph.weights[updated]
    update = [[table.seconds("elementwise", 0.0, size, kind) for size in moved] for kind in graph.device_kinds]
    seconds = np.hstack([graph.forward, graph.backward[:, back], np.array(update)])
    none = np.zeros(len(back) + len(updated))
    own = np.where(graph.group == NO_GROUP, graph.group.max() + 1 + np.arange(n), graph.group)
    words = ("", " backward", " update")
    stage = np.repeat([FORWARD, BACKWARD, UPDATE], [n, len(back), len(updated)])
    expanded = OperatorGraph(
        name=graph.name,
        operators=tuple(graph.operators[i] + words[s] for i, s in zip(origin, stage, strict=True)),
        kinds=tuple(graph.kinds[i] for i in origin),
        device_kinds=graph.device_kinds,
        forward=seconds,
        backward=np.zeros_like(seconds),
        weights=np.concatenate([graph.weights, none]),
        activations=np.concatenate([np.where(backward >= 0, graph.activations, 0.0), none]),
        output=np.concatenate([graph.output, none]),
        group=own[origin],
        phase=np.minimum(stage, BACKWARD),
        edges=_edges(graph, backward, updated),
    )
    takes = np.full(len(origin), -1.0)
    takes[backward[back]] = graph.output[back]
    frees = np.full(len(origin), -1)
    frees[backward[back]] = back
    return Expansion(expanded, origin, stage, takes, frees)


def _edges(graph: OperatorGraph, backward: Ints, updated: Ints) -> Ints:
    """Return the forward edges, their reverse between backward operators, and those that join the three stages."""
    source, target = backward[graph.edges[:, 0]], backward[graph.edges[:, 1]]
    reverse = np.column_stack([target, source])[(source >= 0) & (target >= 0)]
    passed_on = np.zeros(len(graph), bool)
    passed_on[graph.edges[(source >= 0) & (target >= 0), 0]] = True
    last = np.flatnonzero(~passed_on & (backward >= 0))  # the loss: its backward operator starts the backward pass
    turn = np.column_stack([last, backward[last]])
    first_update = len(graph) + int((backward >= 0).sum())
    updates = np.column_stack([backward[updated], first_update + np.arange(len(updated))])
    return np.concatenate([graph.edges, reverse, turn, updates]).astype(np.int64)
