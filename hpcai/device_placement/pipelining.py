"""A step in micro-batches, so that devices that hold one stage after the other work at the same time.

A micro-batch takes its part of an operator's time, output and activations; the weights are there once, and are updated
once all micro-batches have passed back. Schedules:

- gpipe: all micro-batches forward, then all back (Huang et al., GPipe, NeurIPS 2019): the last operator of the forward
  pass turns back only when it has seen all.
- 1f1b: one forward, one back in turn (Narayanan et al., PipeDream, SOSP 2019, with a flush at the end of a step): of S
  stages, the s-th from 0 has at most S - s micro-batches on their way, which bounds its activations.

Stages are the devices in the order in which the forward pass first comes to them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.expansion import UPDATE, Expansion, expand
from hpcai.device_placement.graph import BACKWARD, FORWARD, Ints, OperatorGraph
from hpcai.device_placement.priorities import upward_rank
from hpcai.device_placement.simulator import COPIES_IN_TRAINING, StepSimulator
from hpcai.errors import InputError

SCHEDULES: Final = ("gpipe", "1f1b")


def pipelined(
    graph: OperatorGraph,
    devices: Devices,
    placement: Ints,
    micro_batches: int,
    schedule: str = "1f1b",
    *,
    weight_copies: float | None = None,
) -> StepSimulator:
    """Return a simulator of the step in micro-batches; only ``placement`` (n,) is to be timed on it.

    Raises InputError if there is no such schedule, or not one micro-batch.
    """
    if schedule not in SCHEDULES or micro_batches < 1:
        raise InputError(
            f"pipelining: expected {' or '.join(SCHEDULES)} and at least one micro-batch, "
            f"found {schedule} and {micro_batches}"
        )
    one = expand(graph)
    batch, copy = _copies(one, micro_batches)
    expansion = _unrolled(one, placement, batch, copy, schedule)
    rank = upward_rank(one, devices)
    span = rank.max(initial=0.0) + 1.0
    forward_first = np.where(one.stage == FORWARD, 1.0, 0.0) if schedule == "gpipe" else one.stage == BACKWARD
    urgency = rank[copy] - span * batch + span * (micro_batches + 1) * forward_first[copy]
    if weight_copies is None:
        weight_copies = COPIES_IN_TRAINING if one.graph.trains else 1.0
    return StepSimulator(expansion, devices, weight_copies=weight_copies, urgency=urgency)


def _copies(one: Expansion, micro_batches: int) -> tuple[Ints, Ints]:
    """Return of each operator in the pipelined step its micro-batch, and which operator of a step it is a copy of."""
    many = np.flatnonzero(one.stage != UPDATE)
    once = np.flatnonzero(one.stage == UPDATE)
    batch = np.concatenate([np.repeat(np.arange(micro_batches), len(many)), np.full(len(once), micro_batches - 1)])
    return batch, np.concatenate([np.tile(many, micro_batches), once])


def _unrolled(one: Expansion, placement: Ints, batch: Ints, copy: Ints, schedule: str) -> Expansion:
    graph, micro_batches = one.graph, int(batch.max()) + 1
    number = np.full((micro_batches, len(graph)), -1)
    number[batch, copy] = np.arange(len(copy))
    number[:, one.stage == UPDATE] = number[-1, one.stage == UPDATE]
    part = np.where(one.stage[copy] == UPDATE, 1.0, 1.0 / micro_batches)
    names = tuple(f"{graph.operators[i]} #{b}" for i, b in zip(copy, batch, strict=True))
    each = [number[b][graph.edges] for b in range(micro_batches)]
    edges = np.unique(np.concatenate([*each, *_rules(one, placement, number, schedule)]), axis=0)
    unrolled = replace(
        graph,
        operators=names,
        kinds=tuple(graph.kinds[i] for i in copy),
        forward=graph.forward[:, copy] * part,
        backward=np.zeros((len(graph.device_kinds), len(copy))),
        weights=np.where(batch == 0, graph.weights[copy], 0.0),
        activations=graph.activations[copy] * part,
        output=graph.output[copy] * part,
        group=graph.group[copy],
        phase=graph.phase[copy],
        edges=edges,
    )
    frees = np.where(one.frees[copy] >= 0, number[batch, one.frees[copy]], -1)
    gradient = np.where(one.gradient[copy] >= 0, one.gradient[copy] * part, -1.0)
    return Expansion(unrolled, one.origin[copy], one.stage[copy], gradient, frees)


def _rules(one: Expansion, placement: Ints, number: Ints, schedule: str) -> list[Ints]:
    """Return the edges that make a schedule; each joins operators of one origin, so that nothing is sent for it."""
    back = np.flatnonzero(one.stage == BACKWARD)
    backward = np.full(int(one.origin.max()) + 1, -1)
    backward[one.origin[back]] = back
    forward = np.flatnonzero((one.stage == FORWARD) & (backward[one.origin] >= 0))
    inner = one.graph.edges[np.isin(one.graph.edges, forward).all(axis=1)]
    if not len(forward):
        return []
    if schedule == "gpipe":
        last = np.setdiff1d(forward, inner[:, 0])
        turn = backward[one.origin[last]]
        return [np.column_stack([number[-1, last], numbers[turn]]) for numbers in number]
    device = placement[one.origin]
    here = inner[device[inner[:, 0]] == device[inner[:, 1]]]
    first = np.setdiff1d(forward, here[:, 1])
    place = {int(i): k for k, i in enumerate(one.graph.order)}
    stages = list(dict.fromkeys(int(device[i]) for i in sorted(forward, key=lambda i: place[int(i)])))
    rules = []
    for i in first:
        ahead = len(stages) - stages.index(int(device[i]))
        earlier = number[: max(len(number) - ahead, 0), backward[one.origin[i]]]
        rules.append(np.column_stack([earlier, number[ahead:, i]]))
    return rules
