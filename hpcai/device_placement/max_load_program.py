"""The best split of an instance of dnn-partitioning, contiguous or not: its integer program.

Source: Tarnawski et al., NeurIPS 2020, section 5.2 (and 5.1 for contiguity), as published in throughput-ip/ip.py; HiGHS
solves it. Variables: x (c, d) where a colour is; into and out (n, k) whether an output is taken in by, or sent from, an
accelerator; with contiguity reach (n, d), whether a forward operator is on a device or before something on it; the
load of the fullest device.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import LinearConstraint
from scipy.sparse import coo_array, csr_array

from hpcai.device_placement.graph import Floats, Ints
from hpcai.device_placement.max_load import Instance, loads
from hpcai.device_placement.optimum import Optimum
from hpcai.device_placement.solver import solve

Entry = tuple[Ints, Ints, Floats]  # rows, columns, values


def best_split(instance: Instance, *, contiguous: bool = False, seconds: float = 60.0) -> Optimum | None:
    """Return the split found within ``seconds``, its load and a lower bound of all loads; None if none was found."""
    program = _Program(instance, contiguous)
    rows = [LinearConstraint(program.least(), program.bound, np.inf), LinearConstraint(program.once(), 1, 1)]
    found = solve(program.objective, rows, program.upper, program.integral, seconds)
    if found.x is None:
        return None
    chosen = found.x[: program.places].reshape(-1, program.d).argmax(axis=1)[instance.colour]
    return Optimum(chosen, float(loads(instance, chosen).max()), float(found.mip_dual_bound) * program.scale)


class _Program:
    """The rows: all say that a sum is at least a bound. Loads are over ``scale``, all on one CPU."""

    def __init__(self, instance: Instance, contiguous: bool) -> None:
        n, self.k, self.d = len(instance.colour), instance.accelerators, instance.accelerators + instance.cpus
        colours = int(instance.colour.max()) + 1
        self.instance, self.contiguous = instance, contiguous
        self.scale = float(instance.cpu.sum()) or 1.0
        self.places = colours * self.d
        self.into, self.out = self.places, self.places + n * self.k
        self.reach = self.out + n * self.k
        self.load = self.reach + n * self.d * contiguous
        self.size = self.load + 1
        self.objective = np.eye(1, self.size, self.load)[0]
        self.integral = (np.arange(self.size) < self.places).astype(np.float64)
        self.upper = np.ones(self.size)
        can = np.ones((colours, self.d))
        can[instance.colour[np.isinf(instance.accelerator)], : self.k] = 0.0
        self.upper[: self.places] = can.ravel()
        self.bound = np.zeros(0)

    def _x(self, operator: Ints, device: Ints | int) -> Ints:
        return self.instance.colour[operator] * self.d + device

    def once(self) -> csr_array:
        """Return the rows that sum the places of a colour."""
        column = np.arange(self.places)
        rows = (np.ones(self.places), (column // self.d, column))
        return csr_array(coo_array(rows, shape=(self.places // self.d, self.size)))

    def least(self) -> csr_array:
        """Return all rows, and set the bound of each."""
        blocks = [self._memory(), self._loads(), *self._transfers()]
        blocks += self._contiguity() if self.contiguous else []
        rows, columns, values, bounds, first = [], [], [], [], 0
        for (row, column, value), bound in blocks:
            rows.append(row + first)
            columns.append(column)
            values.append(value)
            bounds.append(bound)
            first += len(bound)
        self.bound = np.concatenate(bounds)
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        return csr_array(coo_array(entries, shape=(first, self.size)))

    def _memory(self) -> tuple[Entry, Floats]:
        n = len(self.instance.colour)
        operator, device = np.tile(np.arange(n), self.k), np.repeat(np.arange(self.k), n)
        total = max(float(self.instance.size.sum()), 1.0)
        values = -np.tile(self.instance.size, self.k) / total
        return (device, self._x(operator, device), values), np.full(self.k, -self.instance.memory / total)

    def _loads(self) -> tuple[Entry, Floats]:
        """Return that no device has more than the load."""
        instance, n = self.instance, len(self.instance.colour)
        operator, device = np.tile(np.arange(n), self.d), np.repeat(np.arange(self.d), n)
        finite = np.where(np.isfinite(instance.accelerator), instance.accelerator, 0.0)
        time = np.where(device < self.k, finite[operator], instance.cpu[operator])
        crossing, k = np.tile(np.arange(n), self.k), np.repeat(np.arange(self.k), n)
        cost = np.tile(instance.cost, self.k)
        rows = np.concatenate([device, k, k, np.arange(self.d)])
        place = crossing * self.k + k
        columns = [self._x(operator, device), self.into + place, self.out + place, np.full(self.d, self.load)]
        values = np.concatenate([-time, -cost, -cost, np.full(self.d, self.scale)]) / self.scale
        return (rows, np.concatenate(columns), values), np.zeros(self.d)

    def _transfers(self) -> list[tuple[Entry, Floats]]:
        """Return that an output is taken in where only its target is, and sent where only its source is."""
        e = len(self.instance.edges)
        source = np.tile(self.instance.edges[:, 0], self.k)
        target = np.tile(self.instance.edges[:, 1], self.k)
        device, row = np.repeat(np.arange(self.k), e), np.arange(e * self.k)
        ends = self._x(target, device), self._x(source, device)
        one = np.ones(e * self.k)
        place = source * self.k + device
        return [
            ((np.tile(row, 3), np.concatenate([first + place, *order]), np.concatenate([one, -one, one])), 0 * one)
            for first, order in ((self.into, ends), (self.out, ends[::-1]))
        ]

    def _contiguity(self) -> list[tuple[Entry, Floats]]:
        """Return that nothing after an operator outside leads to a device that has something before it."""
        inner = self.instance.edges[(self.instance.backward[self.instance.edges] == 0).all(axis=1)]
        e, forward = len(inner), np.flatnonzero(self.instance.backward == 0)
        operator, own = np.tile(forward, self.d), np.repeat(np.arange(self.d), len(forward))
        source, target = np.tile(inner[:, 0], self.d), np.tile(inner[:, 1], self.d)
        device, row, one = np.repeat(np.arange(self.d), e), np.arange(e * self.d), np.ones(e * self.d)
        here, there = (self.reach + end * self.d + device for end in (source, target))
        ones = np.ones(len(operator))
        holds = (
            np.tile(np.arange(len(operator)), 2),
            np.concatenate([self.reach + operator * self.d + own, self._x(operator, own)]),
            np.concatenate([ones, -ones]),
        )
        falls = np.tile(row, 2), np.concatenate([here, there]), np.concatenate([one, -one])
        columns = np.concatenate([there, self._x(target, device), self._x(source, device)])
        ends = np.tile(row, 3), columns, np.concatenate([-one, one, -one])
        return [(holds, 0 * ones), (falls, 0 * one), (ends, -one)]
