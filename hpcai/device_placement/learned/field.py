"""A search over a field of beginnings that is halved: all are improved a little, the better half further, and so on.

Source of the idea: Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization,
AISTATS 2016. The winner goes on operator by operator, timed by the graph itself and not by its groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Ints, OperatorGraph
from hpcai.device_placement.learned.annealing import Ground, anneal, make_ground
from hpcai.device_placement.learned.units import Units, make_units
from hpcai.device_placement.methods.memory import fitted
from hpcai.device_placement.methods.problem import Options, Problem
from hpcai.device_placement.methods.searching import Curve, Search

FIELD: Final = 8  # beginnings
POLISH: Final = 0.8  # of what is left of the budget, for the winner operator by operator
HOT: Final = 0.003  # of the least seconds of the step, where a search begins,
UNIT: Final = 0.1  # and of the seconds of a mean unit
COLD: Final = 0.01  # of that, where it ends
WARM: Final = 2.0  # times that, where the winner begins: operators are smaller, but there are more of them
_TOGETHER: Final = 200  # moves between two looks at the budget


class Quest:
    """A search for a placement of a graph: the problem, its units, the budget and the best so far."""

    def __init__(self, graph: OperatorGraph, devices: Devices, options: Options) -> None:
        """Raise InputError if the graph has no costs for a kind of device, or an operator can run nowhere."""
        self.problem = Problem(graph, devices, options)
        self.found = Search(self.problem)
        self.units = make_units(graph, devices, options.weight_copies)
        self.best = np.zeros(len(graph), np.int64)
        self.least = np.inf

    @property
    def left(self) -> int:
        """Evaluations that are left."""
        return max(1, self.problem.options.evaluations - self.found.evaluations)

    def judge(self, placement: Ints, evaluations: int = 0) -> None:
        """Time a placement (n,) of operators, and count it with as many ``evaluations`` before."""
        seconds, excess = self.problem.simulator.times(placement[None])
        cost = float(self.problem.cost(seconds, excess)[0])
        if cost < self.least:
            self.best, self.least = placement.copy(), cost
        self.look(evaluations + 1)

    def look(self, evaluations: int) -> None:
        """Count ``evaluations`` that found nothing better."""
        self.found.look(self.found.evaluations + evaluations, self.least)

    def end(self) -> tuple[Ints, Curve]:
        """Return the best placement (n,), moved until memory suffices if it can be, and how the search went."""
        if self.least >= self.problem.wall:
            self.judge(fitted(self.problem, self.problem.of_units(self.best)))
        return self.best, self.found.curve


@dataclass
class Runner:
    """One of the field: where it is, and its best."""

    units: Units
    ground: Ground
    best: Ints  # (u,)
    least: float = np.inf

    def run(self, quest: Quest, until: float, warm: float = 1.0) -> None:
        """Improve until so much of the budget is used; ``warm`` is the part of the usual heat at which it begins."""
        simulator, begun = self.units.simulator, quest.found.used
        hot = warm * (HOT * self.units.scale + UNIT * self.units.mean.mean())
        self.ground.place[:] = self.best
        while (used := quest.found.used) < until:
            heat = hot * COLD ** ((used - begun) / (until - begun))
            before, tried = self.least, min(_TOGETHER, quest.left)
            self.least = anneal(simulator.step, simulator.room, self.ground, self.best, before, heat, heat, tried)
            if self.least < before:
                quest.judge(self.units.operators_placed(self.best), tried)
            else:
                quest.look(tried)


def halve(quest: Quest, beginnings: Ints) -> None:
    """Search from ``beginnings`` (k, u), and from the winner operator by operator."""
    units, seed = quest.units, quest.problem.options.seed
    runners = [Runner(units, make_ground(units, seed + i), start.copy()) for i, start in enumerate(beginnings)]
    rounds, begun = 1 + int(np.log2(len(runners))), quest.found.used
    of_round = (1 - POLISH) * (1 - begun) / rounds
    for number in range(rounds):
        for i, runner in enumerate(runners):
            runner.run(quest, begun + of_round * (number + (i + 1) / len(runners)))
        runners = sorted(runners, key=lambda runner: runner.least)[: max(1, len(runners) // 2)]
    polish(quest)


def polish(quest: Quest) -> None:
    """Go on from the best placement with what is left of the budget, operator by operator."""
    graph, devices, options = quest.problem.graph, quest.problem.devices, quest.problem.options
    units = make_units(graph, devices, options.weight_copies, fused=False)
    runner = Runner(units, make_ground(units, options.seed), units.units_of(quest.best))
    runner.run(quest, 1.0, WARM)
