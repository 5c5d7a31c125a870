"""Times placements of one graph on some devices: the compiled step behind a plain interface."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.expansion import Expansion, expand
from hpcai.device_placement.graph import Floats, Ints, OperatorGraph
from hpcai.device_placement.priorities import upward_rank
from hpcai.device_placement.step import BOOKED, Step, make_room, run, run_many

COPIES_IN_TRAINING = 3.0  # weight, gradient, momentum


class Timing(NamedTuple):
    """A step of one placement."""

    seconds: float  # inf if an operator cannot run where it is placed
    excess: float  # bytes that devices lack at their peaks, summed over devices; 0: the placement is feasible
    peak: Floats  # (d,) bytes

    @property
    def feasible(self) -> bool:
        """Whether all operators can run where they are and the memory suffices."""
        return self.excess == 0 and self.seconds < np.inf


class Course(NamedTuple):
    """What ran when: N operators of the step, t transfers."""

    expansion: Expansion
    device: Ints  # (N,)
    start: Floats  # (N,) s
    end: Floats  # (N,) s
    what: Ints  # (t,) of N: whose output is sent, or the backward operator that takes the gradient in
    source: Ints  # (t,) device
    target: Ints  # (t,) device
    size: Floats  # (t,) bytes
    begin: Floats  # (t,) s
    arrive: Floats  # (t,) s


class StepSimulator:
    """Times placements (n,) of ``graph`` on ``devices``; of one thread at a time.

    Args:
        graph: of the model; with backward times it is expanded (see expansion.py).
        devices: where operators are placed.
        weight_copies: bytes that a byte of weights takes all step long; by default 3 for a training (weight, gradient,
            momentum; Adam needs 4), else 1.
        urgency: (N,) of the expanded operators, larger is more urgent; the upward rank by default.

    Raises InputError if the graph has no costs for the kind of a device.
    """

    def __init__(
        self,
        graph: OperatorGraph | Expansion,
        devices: Devices,
        *,
        weight_copies: float | None = None,
        urgency: Floats | None = None,
    ) -> None:
        self.expansion = graph if isinstance(graph, Expansion) else expand(graph)
        self.devices = devices
        if weight_copies is None:
            weight_copies = COPIES_IN_TRAINING if self.expansion.graph.trains else 1.0
        self.weight_copies = weight_copies
        urgency = upward_rank(self.expansion, devices) if urgency is None else urgency
        self.step = make_step(self.expansion, devices, weight_copies, urgency)
        self.room = make_room(self.step)

    def __len__(self) -> int:
        """Operators of the model, to be placed."""
        return len(self.step.weights)

    def time(self, placement: Ints) -> Timing:
        """Return the step of a placement (n,)."""
        seconds, excess = run(self.step, np.ascontiguousarray(placement, np.int64), self.room)
        return Timing(float(seconds), float(excess), self.room.peak.copy())

    def times(self, placements: Ints) -> tuple[Floats, Floats]:
        """Return seconds (k,) and excess (k,) of placements (k, n)."""
        placements = np.ascontiguousarray(placements, np.int64)
        seconds, excess = np.empty(len(placements)), np.empty(len(placements))
        run_many(self.step, placements, self.room, seconds, excess)
        return seconds, excess

    def course(self, placement: Ints) -> Course:
        """Return what runs when in a placement that can run."""
        self.time(placement)
        room, t = self.room, int(self.room.counts[BOOKED])
        what, gradient = room.what[:t].copy(), self.step.gradient
        size = np.where(gradient[what] >= 0, gradient[what], self.step.output[what])
        return Course(
            self.expansion,
            device=room.place.copy(),
            start=room.start.copy(),
            end=room.end.copy(),
            what=what,
            source=room.source[:t].copy(),
            target=room.target[:t].copy(),
            size=size,
            begin=room.begin[:t].copy(),
            arrive=room.arrive[:t].copy(),
        )


def make_step(expansion: Expansion, devices: Devices, weight_copies: float, urgency: Floats) -> Step:
    """Return the arrays of a step; see :class:`StepSimulator`."""
    graph = expansion.graph
    number = len(graph)
    rank = np.empty(number, np.int64)
    rank[np.lexsort((np.arange(number), -urgency))] = np.arange(number)
    source, target = graph.edges.T
    by_source = np.lexsort((rank[target], source))
    before_at, before = graph.predecessors
    return Step(
        origin=expansion.origin.astype(np.int64),
        seconds=np.ascontiguousarray(graph.forward[devices.rows(graph)]),
        rank=rank,
        next_at=graph.successors[0],
        next=np.ascontiguousarray(target[by_source], np.int64),
        before_at=before_at,
        before=before,
        output=graph.output,
        gradient=expansion.gradient,
        kept=graph.activations if graph.trains else np.zeros(number),
        frees=expansion.frees.astype(np.int64),
        weights=weight_copies * np.bincount(expansion.origin, weights=graph.weights).astype(np.float64),
        memory=devices.memory,
        bandwidth=devices.bandwidth,
        latency=devices.latency,
        links=devices.links,
    )
