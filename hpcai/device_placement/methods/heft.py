"""HEFT: tasks by upward rank, each where it ends first, in gaps between others too.

Source: Topcuoglu, Hariri and Wu, Performance-Effective and Low-Complexity Task Scheduling for Heterogeneous Computing,
IEEE TPDS 13 (2002), section 4.2.
"""

from __future__ import annotations

import bisect

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Ints, OperatorGraph
from hpcai.device_placement.methods.list_schedule import Schedule, Tasks, tasks_of
from hpcai.device_placement.methods.memory import fitted
from hpcai.device_placement.methods.problem import DEFAULTS, Options, Problem
from hpcai.device_placement.work import positions

Busy = list[tuple[float, float]]  # start and end of what a device runs, in order


def place(graph: OperatorGraph, devices: Devices, options: Options = DEFAULTS) -> Ints:
    """Return a placement (n,)."""
    problem = Problem(graph, devices, options)
    return fitted(problem, problem.of_units(schedule(tasks_of(problem)).device))


def schedule(tasks: Tasks) -> Schedule:
    """Return the schedule of HEFT."""
    found = Schedule(tasks)
    busy: list[Busy] = [[] for _ in tasks.room]
    for task in np.lexsort((positions(tasks.graph), -tasks.upward_rank)):
        arrivals = found.arrivals(task)
        best = (np.inf, 0, 0.0)
        for device in found.fits(task):
            seconds = tasks.seconds[device, task]
            start = gap(busy[device], arrivals[device], seconds)
            best = min(best, (start + seconds, int(device), start))
        _, device, start = best
        found.put(task, device, start)
        bisect.insort(busy[device], (start, found.end[task]))
    return found


def gap(busy: Busy, ready: float, seconds: float) -> float:
    """Return the first time from ``ready`` on at which a device is free for ``seconds``."""
    start = ready
    for begin, end in busy[max(0, bisect.bisect_left(busy, (ready, ready)) - 1) :]:
        if start + seconds <= begin:
            break
        start = max(start, end)
    return start
