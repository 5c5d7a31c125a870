"""m-ETF: of all ready tasks and devices with memory left, the pair that can start first; ties by upward rank.

Source: Jeon et al., Baechi: Fast Device Placement of Machine Learning Graphs, SoCC 2020, after Hwang et al., Scheduling
Precedence Graphs in Systems with Interprocessor Communication Times, SIAM J. Computing 18 (1989). It looks at starts
alone, as if devices were equally quick, so accelerators come first.
"""

from __future__ import annotations

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Floats, Ints, OperatorGraph
from hpcai.device_placement.methods.list_schedule import Schedule, Tasks, tasks_of
from hpcai.device_placement.methods.memory import fitted
from hpcai.device_placement.methods.problem import DEFAULTS, Options, Problem


def place(graph: OperatorGraph, devices: Devices, options: Options = DEFAULTS) -> Ints:
    """Return a placement (n,)."""
    problem = Problem(graph, devices, options)
    return fitted(problem, problem.of_units(schedule(tasks_of(problem, alike=True)).device))


def schedule(tasks: Tasks, favourite: Ints | None = None, held: Floats | None = None) -> Schedule:
    """Return the schedule of ETF; with ``favourite`` (n,) and ``held`` (n,) that of SCT.

    Then, for ``held`` seconds after a task has ended, its device is kept for its favourite child (-1 for none), unless
    that has been placed: others start there later, the child may at once.
    """
    n = len(tasks.graph)
    favourite = np.full(n, -1) if favourite is None else favourite
    held = np.zeros(n) if held is None else held
    found, rank = Schedule(tasks), tasks.upward_rank
    starts, targets = tasks.graph.successors
    waits = np.diff(tasks.graph.predecessors[0])
    ready: dict[int, Floats] = {int(task): np.zeros(len(tasks.room)) for task in np.flatnonzero(waits == 0)}
    free, last = np.zeros(len(tasks.room)), np.full(len(tasks.room), -1)
    while ready:
        child = np.where(last >= 0, favourite[last], -1)
        kept = np.where((child >= 0) & (found.device[child] < 0), found.end[last] + held[last], 0.0)
        best = (np.inf, np.inf, 0, 0)
        for task, arrivals in ready.items():
            fits = found.fits(task)
            start = np.maximum(np.maximum(arrivals, free), np.where(child == task, 0.0, kept))[fits]
            first = int(start.argmin())
            best = min(best, (float(start[first]), -float(rank[task]), task, int(fits[first])))
        start_at, _, task, device = best
        found.put(task, device, start_at)
        free[device], last[device] = found.end[task], task
        del ready[task]
        for target in targets[starts[task] : starts[task + 1]]:
            waits[target] -= 1
            if waits[target] == 0:
                ready[int(target)] = found.arrivals(int(target))
    return found
