"""m-SCT: m-ETF that keeps a device for the favourite child of what it ran last; a linear program chooses favourites.

Source: Jeon et al., Baechi: Fast Device Placement of Machine Learning Graphs, SoCC 2020, after Hanen and Munier, An
Approximation Algorithm for Scheduling Dependent Tasks on m Processors with Small Communication Delays, 1995. The linear
program has x = 0 for an edge whose target is the source's favourite child: starts at the source's end, on its device.

    minimise w   such that   start_i + seconds_i + transfer_ij x_ij <= start_j,   start_i + seconds_i <= w,
    sum_j x_ij >= children_i - 1,   sum_i x_ij >= parents_j - 1,   0 <= x <= 1

x is rounded at 1/2, as in Hanen and Munier.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array, vstack

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Floats, Ints, OperatorGraph
from hpcai.device_placement.methods.etf import schedule
from hpcai.device_placement.methods.list_schedule import Tasks, tasks_of
from hpcai.device_placement.methods.memory import fitted
from hpcai.device_placement.methods.problem import DEFAULTS, Options, Problem

HALF: Final = 0.5


def place(graph: OperatorGraph, devices: Devices, options: Options = DEFAULTS) -> Ints:
    """Return a placement (n,)."""
    problem = Problem(graph, devices, options)
    tasks = tasks_of(problem, alike=True)
    return fitted(problem, problem.of_units(schedule(tasks, *favourites(tasks)).device))


def favourites(tasks: Tasks) -> tuple[Ints, Floats]:
    """Return (n,) the favourite child of each task, -1 for none, and (n,) the seconds that its transfer would take."""
    n, edges, transfer = len(tasks.graph), tasks.graph.edges, tasks.mean_transfer
    favourite, held = np.full(n, -1), np.zeros(n)
    if not len(edges):
        return favourite, held
    chosen = np.flatnonzero(_relaxed(tasks, transfer) < HALF)
    favourite[edges[chosen, 0]] = edges[chosen, 1]
    held[edges[chosen, 0]] = transfer[chosen]
    return favourite, held


def _relaxed(tasks: Tasks, transfer: Floats) -> Floats:
    """Return x (e,) of the linear program; its variables are start (n,), x (e,), w, all over the sum of seconds."""
    n, e, (source, target) = len(tasks.graph), len(transfer), tasks.graph.edges.T
    scale = float(tasks.mean_seconds.sum()) or 1.0
    seconds, delay = tasks.mean_seconds / scale, transfer / scale
    edge, one = np.arange(e), np.ones(e)
    follows = coo_array(
        (np.concatenate([one, -one, delay]), (np.tile(edge, 3), np.concatenate([source, target, n + edge]))),
        shape=(e, n + e + 1),
    )
    task = np.arange(n)
    ends = coo_array(
        (np.repeat([1.0, -1.0], n), (np.tile(task, 2), np.concatenate([task, np.full(n, n + e)]))), shape=(n, n + e + 1)
    )
    children = coo_array((-one, (source, n + edge)), shape=(n, n + e + 1))
    parents = coo_array((-one, (target, n + edge)), shape=(n, n + e + 1))
    most = [np.maximum(np.bincount(side, minlength=n) - 1, 0) for side in (source, target)]
    found = linprog(
        np.eye(1, n + e + 1, n + e)[0],
        A_ub=vstack([follows, ends, children, parents]).tocsr(),
        b_ub=np.concatenate([-seconds[source], -seconds, -most[0], -most[1]]),
        bounds=[(0, None)] * n + [(0, 1)] * e + [(0, None)],
        method="highs",
    )
    x: Floats = found.x[n : n + e]
    return x
