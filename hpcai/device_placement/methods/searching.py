"""What searches share: a budget, the curve of the best placement so far, and where they begin."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hpcai.device_placement.graph import Floats, Ints
from hpcai.device_placement.methods import chunks, etf, heft, single
from hpcai.device_placement.methods.problem import Problem
from hpcai.device_placement.search import Space, Walk, enter


class Curve(NamedTuple):
    """How a search went: one row for each time that it looked."""

    evaluations: Ints  # placements timed until then
    seconds: Floats  # since it began
    best: Floats  # step time of the best feasible placement so far, s; inf before there is one


@dataclass
class Search:
    """A budget and its use."""

    problem: Problem
    evaluations: int = 0
    _began: float = field(default_factory=time.monotonic)
    _rows: list[tuple[int, float, float]] = field(default_factory=list)

    @property
    def used(self) -> float:
        """The part of the budget that is used; 1 and more: it is time to end."""
        options = self.problem.options
        passed = (time.monotonic() - self._began) / options.seconds if np.isfinite(options.seconds) else 0.0
        return max(self.evaluations / options.evaluations, passed)

    def look(self, evaluations: int, cost: float) -> None:
        """Note how many placements have been timed, and the cost of the best."""
        self.evaluations = evaluations
        best = cost if cost < self.problem.wall else np.inf
        self._rows.append((evaluations, time.monotonic() - self._began, best))

    @property
    def curve(self) -> Curve:
        """The curve so far."""
        evaluations, seconds, best = zip(*self._rows, strict=True)
        return Curve(np.array(evaluations), np.array(seconds), np.array(best))


def space_of(problem: Problem) -> Space:
    """Return the space of a problem for the compiled loops."""
    by_unit = np.argsort(problem.work.unit, kind="stable")
    member_at = np.concatenate([[0], np.cumsum(np.bincount(problem.work.unit, minlength=problem.units))])
    return Space(member_at, by_unit, np.ascontiguousarray(problem.allowed), problem.wall, problem.slope)


def walk_from(problem: Problem, space: Space, by_unit: Ints) -> Walk:
    """Return a walk that begins with a placement of units."""
    u, n = problem.units, len(problem.graph)
    walk = Walk(
        units=np.ascontiguousarray(by_unit, np.int64).copy(),
        before=np.zeros(u, np.int64),
        placement=np.zeros(n, np.int64),
        best=np.zeros(u, np.int64),
        costs=np.full(2, np.inf),
        tried=np.zeros(1, np.int64),
    )
    enter(problem.simulator.step, problem.simulator.room, space, walk)
    return walk


def beginning(problem: Problem) -> Ints:
    """Return (u,) the best of what costs little to find: a single device, pieces, HEFT and m-ETF."""
    found = [method.place(problem.graph, problem.devices, problem.options) for method in (single, chunks, heft, etf)]
    costs = problem.cost(*problem.simulator.times(np.array(found)))
    return problem.of_units(found[int(costs.argmin())])
