"""The placement that a mixed-integer linear program of a relaxed step finds best, or the best found in time.

Source: the model is that of relaxed.py without orders; HiGHS (Huangfu and Hall 2018) through SciPy solves it. Larger
graphs than GROUPS units are solved in pieces of the topological order, as many.
"""

from __future__ import annotations

from typing import Final

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Ints, OperatorGraph
from hpcai.device_placement.grouping import grouped
from hpcai.device_placement.methods.memory import fitted
from hpcai.device_placement.methods.problem import DEFAULTS, Options, Problem
from hpcai.device_placement.methods.searching import beginning
from hpcai.device_placement.relaxed import milp
from hpcai.device_placement.simulator import StepSimulator

GROUPS: Final = 32
LONGEST: Final = 30.0  # seconds, if the options set no limit


def place(graph: OperatorGraph, devices: Devices, options: Options = DEFAULTS) -> Ints:
    """Return a placement (n,): that of the program or, if it finds none in time, where searches begin."""
    problem = Problem(graph, devices, options)
    groups = grouped(graph, at_most=GROUPS) if problem.units > GROUPS else None
    small = groups.graph if groups else graph
    simulator = StepSimulator(small, devices, weight_copies=options.weight_copies)
    found = milp(small, simulator, ordered=False, seconds=min(options.seconds, LONGEST))
    if found is None:
        return problem.spread(beginning(problem))
    return fitted(problem, problem.of_units(groups.operators_placed(found.placement) if groups else found.placement))
