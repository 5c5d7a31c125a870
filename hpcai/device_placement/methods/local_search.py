"""Iterated local search: move single units while that is better, then kick some and go down again.

Source: Lourenco, Martin and Stutzle, Iterated Local Search, Handbook of Metaheuristics (2003). From the best of the
quick methods; a kick moves KICK of the units of the best placement, in a run of the topological order.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Ints, OperatorGraph
from hpcai.device_placement.methods.problem import DEFAULTS, Options, Problem
from hpcai.device_placement.methods.searching import Curve, Search, beginning, space_of, walk_from
from hpcai.device_placement.search import descend, enter

KICK: Final = 0.05
_TOGETHER: Final = 250  # moves between two looks at the budget


def place(graph: OperatorGraph, devices: Devices, options: Options = DEFAULTS) -> Ints:
    """Return a placement (n,)."""
    return search(graph, devices, options)[0]


def search(graph: OperatorGraph, devices: Devices, options: Options) -> tuple[Ints, Curve]:
    """Return the best placement (n,) that was seen, and how the search went."""
    problem, rng = Problem(graph, devices, options), np.random.default_rng(options.seed)
    found, space = Search(problem), space_of(problem)
    walk = walk_from(problem, space, beginning(problem))
    step, room = problem.simulator.step, problem.simulator.room
    every = np.array([(unit, device) for device, unit in zip(*np.nonzero(problem.allowed), strict=True)], np.int64)
    found.look(int(walk.tried[0]), float(walk.costs[1]))
    while found.used < 1 and len(every) > problem.units:  # else nothing can move
        better, order = 0, rng.permutation(every)
        for at in range(0, len(order), _TOGETHER):
            left = options.evaluations - int(walk.tried[0])
            better += descend(step, room, space, walk, order[at : at + min(_TOGETHER, left)])
            found.look(int(walk.tried[0]), float(walk.costs[1]))
            if found.used >= 1:
                break
        if better == 0 and found.used < 1:
            _kick(problem, walk.best, walk.units, rng)
            enter(step, room, space, walk)
    return problem.spread(walk.best), found.curve


def _kick(problem: Problem, best: Ints, units: Ints, rng: np.random.Generator) -> None:
    """Write to ``units`` the ``best`` ones with a run of them moved."""
    length = max(1, round(KICK * len(units)))
    first = int(rng.integers(0, len(units) - length + 1))
    units[:] = best
    for unit in range(first, first + length):
        units[unit] = rng.choice(np.flatnonzero(problem.allowed[:, unit]))
