"""A mixed-integer linear program of a relaxed step, whose optimum no placement undercuts.

In it operators of a device may run in any order and may wait; a transfer takes its time but waits for no copy stream
and no link; memory holds weights alone. With ``ordered=False`` operators of a device may even run at once, as long as
their sum is within the step: far fewer binary variables, and a weaker bound.

Variables: x (d, u), 1 where a unit is; start (N,) of operators; delay (E,) of edges; the end; and for each pair of
operators that could run either way, whether the first goes first. Times are over the sum of the longest, so that 1 is
large enough to lift a constraint.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.optimize import LinearConstraint
from scipy.sparse import coo_array

from hpcai.device_placement.graph import Floats, OperatorGraph
from hpcai.device_placement.optimum import Optimum
from hpcai.device_placement.simulator import StepSimulator
from hpcai.device_placement.solver import solve
from hpcai.device_placement.work import by_unit, units

Row = tuple[dict[int, float], float]  # coefficients by variable, and the least that their sum may be


def milp(
    graph: OperatorGraph, simulator: StepSimulator, *, ordered: bool = True, seconds: float = 60.0
) -> Optimum | None:
    """Return the best placement by the program, or the best found within ``seconds``; None if none was."""
    program = Program(graph, simulator, ordered)
    found = solve(program.objective, program.constraints(), program.upper, program.integral, seconds)
    if found.x is None:
        return None
    chosen = found.x[: program.first_start].reshape(program.d, program.u).argmax(axis=0)
    return Optimum(chosen[program.unit], found.fun * program.scale, found.mip_dual_bound * program.scale)


class Program:
    """The variables' places and the rows."""

    def __init__(self, graph: OperatorGraph, simulator: StepSimulator, ordered: bool) -> None:
        step, expansion = simulator.step, simulator.expansion
        self.step, self.edges = step, expansion.graph.edges
        self.unit = units(graph)
        self.of = self.unit[expansion.origin]  # (N,) unit of an operator of the step
        self.d, self.u = len(step.memory), int(self.unit.max()) + 1
        self.weights = by_unit(self.unit, step.weights)
        seconds, transfer = np.where(np.isfinite(step.seconds), step.seconds, 0.0), self._transfers()
        self.scale = float(seconds.max(axis=0).sum() + transfer.max(axis=(1, 2), initial=0.0).sum()) or 1.0
        self.seconds, self.transfer = seconds / self.scale, transfer / self.scale
        self.pairs = self._pairs(expansion.graph) if ordered else []
        self.first_start = self.d * self.u
        self.first_delay = self.first_start + len(step.origin)
        self.end = self.first_delay + len(self.edges)
        self.size = self.end + 1 + len(self.pairs)
        self.objective = np.eye(1, self.size, self.end)[0]
        self.upper = np.ones(self.size)
        self.upper[: self.first_start] = np.isfinite(by_unit(self.of, step.seconds)).ravel()
        self.integral = np.ones(self.size)
        self.integral[self.first_start : self.end + 1] = 0

    def _transfers(self) -> Floats:
        """Return (E, d, d) the seconds of each edge between devices."""
        step, (source, target) = self.step, self.edges.T
        returned = (step.gradient[source] >= 0) & (step.gradient[target] >= 0)
        size = np.where(returned, step.gradient[target], step.output[source])
        seconds: Floats = step.latency + size[:, None, None] / step.bandwidth
        seconds[self.of[source] == self.of[target]] = 0.0
        return seconds

    def _pairs(self, graph: OperatorGraph) -> list[tuple[int, int]]:
        """Return the pairs of operators that take time and of which neither comes before the other."""
        after = np.eye(len(graph), dtype=bool)
        starts, targets = graph.successors
        for i in graph.order[::-1]:
            after[i] |= after[targets[starts[i] : starts[i + 1]]].any(axis=0)
        busy = np.flatnonzero(self.seconds.max(axis=0) > 0).tolist()
        return [(i, j) for i, j in itertools.combinations(busy, 2) if not after[i, j] and not after[j, i]]

    def constraints(self) -> list[LinearConstraint]:
        """Return all rows, and that each unit is on one device."""
        rows = [*self._memory(), *self._precedence(), *self._delays(), *self._ends(), *self._order()]
        entries = [(k, variable, value) for k, (row, _) in enumerate(rows) for variable, value in row.items()]
        k, variable, value = zip(*entries, strict=True)
        least = coo_array((value, (k, variable)), shape=(len(rows), self.size)).tocsr()
        place = np.arange(self.first_start)
        once = coo_array((np.ones(len(place)), (place % self.u, place)), shape=(self.u, self.size)).tocsr()
        return [LinearConstraint(least, [bound for _, bound in rows], np.inf), LinearConstraint(once, 1, 1)]

    def _x(self, device: int, unit: int) -> int:
        return int(device * self.u + unit)

    def _length(self, i: int) -> dict[int, float]:
        """Return the terms of an operator's time, negative."""
        return {self._x(device, self.of[i]): -self.seconds[device, i] for device in range(self.d)}

    def _memory(self) -> list[Row]:
        total = max(float(self.weights.sum()), 1.0)
        return [
            ({self._x(device, unit): -self.weights[unit] / total for unit in range(self.u)}, -memory / total)
            for device, memory in enumerate(self.step.memory)
            if np.isfinite(memory)
        ]

    def _precedence(self) -> list[Row]:
        return [
            (
                self._length(i) | {self.first_start + j: 1.0, self.first_start + i: -1.0, self.first_delay + e: -1.0},
                0.0,
            )
            for e, (i, j) in enumerate(self.edges.tolist())
        ]

    def _delays(self) -> list[Row]:
        """Return what an edge takes at least once it leaves a device, and what more between two certain devices."""
        apart = ~np.eye(self.d, dtype=bool)
        rows: list[Row] = []
        for e, (i, j) in enumerate(self.edges.tolist()):
            delay, u, v = self.first_delay + e, self.of[i], self.of[j]
            if u == v or self.d == 1:
                continue
            least = self.transfer[e][apart].min()
            rows += [({delay: 1.0, self._x(p, u): -least, self._x(p, v): least}, 0.0) for p in range(self.d)]
            for p, q in np.argwhere(apart & (self.transfer[e] > least)).tolist():
                seconds = self.transfer[e, p, q]
                rows.append(({delay: 1.0, self._x(p, u): -seconds, self._x(q, v): -seconds}, -seconds))
        return rows

    def _ends(self) -> list[Row]:
        """Return that the end comes after each operator, and leaves time for all on a device."""
        rows: list[Row] = [
            (self._length(i) | {self.end: 1.0, self.first_start + i: -1.0}, 0.0) for i in range(len(self.of))
        ]
        for device, load in enumerate(by_unit(self.of, self.seconds)):
            rows.append(({self._x(device, unit): -load[unit] for unit in range(self.u)} | {self.end: 1.0}, 0.0))
        return rows

    def _order(self) -> list[Row]:
        """Return that of a pair on one device one ends before the other starts."""
        rows: list[Row] = []
        for k, (i, j) in enumerate(self.pairs):
            first = self.end + 1 + k
            for device in range(self.d):
                apart: dict[int, float] = {}
                for unit in (self.of[i], self.of[j]):
                    place = self._x(device, unit)
                    apart[place] = apart.get(place, 0.0) - 1.0
                starts = {self.first_start + j: 1.0, self.first_start + i: -1.0}
                rows.append((apart | starts | {first: -1.0}, self.seconds[device, i] - 3.0))
                starts = {self.first_start + i: 1.0, self.first_start + j: -1.0}
                rows.append((apart | starts | {first: 1.0}, self.seconds[device, j] - 2.0))
        return rows
