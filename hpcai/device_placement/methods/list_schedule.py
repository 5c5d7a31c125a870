"""A schedule that grows operator by operator: what HEFT, m-ETF and m-SCT share.

Forward, backward and update of an operator are one task here, of their summed time; what it sends is its output and
the gradient that comes back. Transfers wait for nothing but their data. Tasks of one unit follow the first that is
placed, and a device takes a unit only if it has memory left for all of it; if none has, that with most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcai.device_placement.graph import Floats, Ints, OperatorGraph
from hpcai.device_placement.methods.problem import Problem
from hpcai.device_placement.priorities import longest_to_end

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Tasks:
    """What is scheduled: n tasks in u units on d devices."""

    graph: OperatorGraph  # for its edges (e, 2)
    seconds: Floats  # (d, n); inf where it cannot run
    size: Floats  # (e,) bytes of each edge
    latency: Floats  # (d, d) s
    bandwidth: Floats  # (d, d) bytes/s
    unit: Ints  # (n,)
    memory: Floats  # (u,) bytes
    allowed: Bools  # (d, u) where all of a unit can run
    preferred: Bools  # (d,) devices that are taken while one of them has memory left
    room: Floats  # (d,) bytes of the devices

    @property
    def mean_seconds(self) -> Floats:
        """(n,) The mean over devices that can run it."""
        finite = np.isfinite(self.seconds)
        total: Floats = np.where(finite, self.seconds, 0.0).sum(axis=0)
        mean: Floats = total / finite.sum(axis=0)
        return mean

    @property
    def mean_transfer(self) -> Floats:
        """(e,) Seconds of each edge, the mean over pairs of different devices."""
        apart = ~np.eye(len(self.room), dtype=bool)
        if not apart.any():
            return np.zeros(len(self.size))
        transfer: Floats = self.latency[apart].mean() + self.size * (1 / self.bandwidth[apart]).mean()
        return transfer

    @property
    def upward_rank(self) -> Floats:
        """(n,) The longest path from the start of each task to the end, s."""
        return longest_to_end(self.graph, self.mean_seconds, self.mean_transfer)


def tasks_of(problem: Problem, *, alike: bool = False) -> Tasks:
    """Return the operators of a problem as tasks; ``alike``: for a method that takes all devices to be equally quick.

    That prefers accelerators.
    """
    devices, work = problem.devices, problem.work
    preferred = np.isin(np.arange(len(devices)), problem.accelerators) if alike else np.ones(len(devices), bool)
    return Tasks(
        graph=problem.graph,
        seconds=work.seconds,
        size=work.sent[problem.graph.edges[:, 0]],
        latency=devices.latency,
        bandwidth=devices.bandwidth,
        unit=work.unit,
        memory=problem.memory,
        allowed=problem.allowed,
        preferred=preferred,
        room=devices.memory,
    )


class Schedule:
    """Where tasks are and when they run: ``device`` (n,), -1 before, ``start`` and ``end`` (n,)."""

    def __init__(self, tasks: Tasks) -> None:
        n = len(tasks.graph)
        self.tasks = tasks
        self.device = np.full(n, -1)
        self.start, self.end = np.zeros(n), np.zeros(n)
        self.room = tasks.room.astype(np.float64)
        self._home = np.full(len(tasks.memory), -1)
        by_target = np.lexsort((tasks.graph.edges[:, 0], tasks.graph.edges[:, 1]))
        self._size = tasks.size[by_target]
        self._starts, self._sources = tasks.graph.predecessors

    def arrivals(self, task: int) -> Floats:
        """Return (d,) when all inputs of a task, whose predecessors are placed, are on each device."""
        own = slice(self._starts[task], self._starts[task + 1])
        sources, size = self._sources[own], self._size[own]
        at = self.device[sources]
        inputs = self.end[sources, None] + self.tasks.latency[at] + size[:, None] / self.tasks.bandwidth[at]
        latest: Floats = inputs.max(axis=0, initial=0.0)
        return latest

    def fits(self, task: int) -> Ints:
        """Return the devices that may take a task."""
        unit = self.tasks.unit[task]
        if self._home[unit] >= 0:
            return self._home[unit : unit + 1]
        allowed = self.tasks.allowed[:, unit]
        fitting = allowed & (self.room >= self.tasks.memory[unit])
        if (fitting & self.tasks.preferred).any():
            fitting &= self.tasks.preferred
        return np.flatnonzero(fitting) if fitting.any() else np.array([np.where(allowed, self.room, -np.inf).argmax()])

    def put(self, task: int, device: int, start: float) -> None:
        """Place a task."""
        unit = self.tasks.unit[task]
        if self._home[unit] < 0:
            self._home[unit] = device
            self.room[device] -= self.tasks.memory[unit]
        self.device[task], self.start[task] = device, start
        self.end[task] = start + self.tasks.seconds[device, task]

    @property
    def makespan(self) -> float:
        """When the last task ends."""
        return float(self.end.max(initial=0.0))
