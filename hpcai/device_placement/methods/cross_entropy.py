"""The cross-entropy method: draw placements, shift each unit's chances to those of the best, draw again.

Source: Rubinstein, The Cross-Entropy Method for Combinatorial and Continuous Optimization, Methodology and Computing in
Applied Probability 1 (1999). It begins with even chances and knows nothing else of the graph.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Floats, Ints, OperatorGraph
from hpcai.device_placement.methods.problem import DEFAULTS, Options, Problem
from hpcai.device_placement.methods.searching import Curve, Search

DRAWN: Final = 200  # placements a round
ELITE: Final = 0.1  # of them
SHIFT: Final = 0.3  # of the chances, to those of the elite


def place(graph: OperatorGraph, devices: Devices, options: Options = DEFAULTS) -> Ints:
    """Return a placement (n,)."""
    return search(graph, devices, options)[0]


def search(graph: OperatorGraph, devices: Devices, options: Options) -> tuple[Ints, Curve]:
    """Return the best placement (n,) that was drawn, and how the search went."""
    problem, rng = Problem(graph, devices, options), np.random.default_rng(options.seed)
    found = Search(problem)
    chances = problem.allowed / problem.allowed.sum(axis=0)
    best, least = problem.seconds.argmin(axis=0), np.inf
    while found.used < 1:
        count = max(1, min(DRAWN, options.evaluations - found.evaluations))
        drawn = _draw(chances, count, rng)
        costs = problem.cost(*problem.simulator.times(problem.spread(drawn)))
        order = np.argsort(costs, kind="stable")
        if costs[order[0]] < least:
            best, least = drawn[order[0]], float(costs[order[0]])
        found.look(found.evaluations + count, least)
        elite = drawn[order[: max(1, round(ELITE * count))]]
        share = (elite[:, None] == np.arange(len(devices))[None, :, None]).mean(axis=0)
        chances = (1 - SHIFT) * chances + SHIFT * share
    return problem.spread(best), found.curve


def _draw(chances: Floats, count: int, rng: np.random.Generator) -> Ints:
    """Return (count, u) devices drawn by the chances (d, u)."""
    total = np.cumsum(chances, axis=0)
    drawn: Ints = (rng.random((count, 1, chances.shape[1])) * total[-1] >= total[None, :-1]).sum(axis=1)
    return drawn
