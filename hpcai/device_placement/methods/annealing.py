"""Simulated annealing over placements, from the best of the quick methods.

Source: Kirkpatrick, Gelatt and Vecchi, Optimization by Simulated Annealing, Science 220 (1983). The temperature falls
geometrically with the part of the budget that is used, from HOT to COLD of what a move of one unit typically changes
(the median of SAMPLED moves from the first placement), and that over the number of units, since all of them wander.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Ints, OperatorGraph
from hpcai.device_placement.methods.problem import DEFAULTS, Options, Problem
from hpcai.device_placement.methods.searching import Curve, Search, beginning, space_of, walk_from
from hpcai.device_placement.search import anneal

HOT: Final = 10.0
COLD: Final = 0.1
SAMPLED: Final = 50
_TOGETHER: Final = 250  # moves between two looks at the budget
_TRIES: Final = 10  # moves for an evaluation at most: those that change nothing are not timed


def place(graph: OperatorGraph, devices: Devices, options: Options = DEFAULTS) -> Ints:
    """Return a placement (n,)."""
    return search(graph, devices, options)[0]


def search(graph: OperatorGraph, devices: Devices, options: Options) -> tuple[Ints, Curve]:
    """Return the best placement (n,) that was seen, and how the search went."""
    problem, rng = Problem(graph, devices, options), np.random.default_rng(options.seed)
    found, space = Search(problem), space_of(problem)
    walk = walk_from(problem, space, beginning(problem))
    walk.tried[0] += SAMPLED
    typical = typical_change(problem, walk.units, float(walk.costs[0]), rng)
    found.look(int(walk.tried[0]), float(walk.costs[1]))
    moves = 0
    while found.used < 1 and moves < _TRIES * options.evaluations:
        count = max(1, min(_TOGETHER, options.evaluations - found.evaluations))
        temperature = np.full(count, typical / problem.units * HOT * (COLD / HOT) ** found.used)
        anneal(problem.simulator.step, problem.simulator.room, space, walk, rng.random((count, 5)), temperature)
        found.look(int(walk.tried[0]), float(walk.costs[1]))
        moves += count
    return problem.spread(walk.best), found.curve


def typical_change(problem: Problem, by_unit: Ints, cost: float, rng: np.random.Generator) -> float:
    """Return the seconds that a move of one unit changes the step by, the median of those that change it at all."""
    moved = np.tile(by_unit, (SAMPLED, 1))
    for placement, unit in zip(moved, rng.integers(0, problem.units, SAMPLED), strict=True):
        placement[unit] = rng.choice(np.flatnonzero(problem.allowed[:, unit]))
    change = np.abs(problem.cost(*problem.simulator.times(problem.spread(moved))) - cost)
    change = change[(change > 0) & (change < problem.wall / 2)]
    return float(np.median(change)) if len(change) else 1e-3 * min(cost, problem.wall)
