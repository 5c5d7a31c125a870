"""What the operators of a model weigh in a step: their time, what they send and the memory that they take, in all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcai.device_placement.graph import NO_GROUP, Floats, Ints, OperatorGraph
from hpcai.device_placement.simulator import StepSimulator


@dataclass(frozen=True)
class Work:
    """Sums over the operators of a step by operator of the model: what methods that know no schedule go by.

    Memory is what there is of an operator at the end of the forward pass, weights and activations; outputs, which come
    and go, are left out.
    """

    seconds: Floats  # (d, n) forward, backward and update; inf where it cannot run
    sent: Floats  # (n,) bytes to another device that needs the output, and back from there
    memory: Floats  # (n,) bytes
    unit: Ints  # (n,) u units, of operators that have to share a device; in topological order of their first

    @property
    def unit_seconds(self) -> Floats:
        """(d, u) Seconds of all operators of a unit; inf where one cannot run."""
        return by_unit(self.unit, self.seconds)

    @property
    def unit_memory(self) -> Floats:
        """(u,) Bytes of all operators of a unit."""
        return by_unit(self.unit, self.memory)


def work_of(graph: OperatorGraph, simulator: StepSimulator) -> Work:
    """Return the sums of what ``simulator`` runs of ``graph``."""
    n, origin, step = len(graph), simulator.expansion.origin, simulator.step
    sent = graph.output + np.bincount(origin, weights=np.maximum(step.gradient, 0.0), minlength=n)
    memory = step.weights + np.bincount(origin, weights=step.kept, minlength=n)
    return Work(by_unit(origin, step.seconds), sent, memory, units(graph))


def units(graph: OperatorGraph) -> Ints:
    """Return (n,) the number of what is placed together: a group, or an operator of none; see :class:`Work`."""
    own = np.where(graph.group == NO_GROUP, len(graph) + np.arange(len(graph)), graph.group)
    _, number = np.unique(own, return_inverse=True)
    first = np.full(int(number.max()) + 1, len(graph))
    np.minimum.at(first, number, positions(graph))
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    unit: Ints = rank[number]
    return unit


def positions(graph: OperatorGraph) -> Ints:
    """Return (n,) the place of each operator in the topological order."""
    place = np.empty(len(graph), np.int64)
    place[graph.order] = np.arange(len(graph))
    return place


def by_unit(unit: Ints, values: Floats) -> Floats:
    """Return the sums (..., u) of ``values`` (..., n) over the operators of each unit."""
    sums = np.zeros((int(unit.max()) + 1, *values.shape[:-1]))
    np.add.at(sums, unit, np.moveaxis(values, -1, 0))
    return np.moveaxis(sums, 0, -1)
