"""Minimum cuts: halves and their halves, each cut where least is sent, at about equal time; accelerators only.

The baseline that Mirhoseini et al. (ICML 2017, section 4.2) call MinCut is Scotch's partition without the CPU among the
devices. Here cuts are exact: between the operators that begin and those that end a half of the topological order, a
minimum cut by maximum flow (Ford and Fulkerson 1956), with the share of time that may fall to either side held to
TOLERANCE. Nothing flows back, so that each part depends only on those before it. An output counts once, whoever needs
it on the other side (Lawler, Cutsets and Partitions of Hypergraphs, 1973).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Ints, OperatorGraph
from hpcai.device_placement.methods.memory import fitted
from hpcai.device_placement.methods.problem import DEFAULTS, Options, Problem

TOLERANCE: Final = 0.1  # of a part's time, either way
_FINE: Final = 10**6  # the largest capacity, as flows are whole numbers
_NEVER: Final = 10**9  # the capacity of what may not be cut


def place(graph: OperatorGraph, devices: Devices, options: Options = DEFAULTS) -> Ints:
    """Return a placement (n,)."""
    problem = Problem(graph, devices, options)
    part = np.zeros(problem.units, np.int64)
    _split(problem, np.arange(problem.units), 0, len(problem.accelerators), part)
    return fitted(problem, problem.accelerators[part])


def _split(problem: Problem, chosen: Ints, first: int, count: int, part: Ints) -> None:
    """Give the units ``chosen``, in topological order, the parts from ``first`` on, ``count`` of them."""
    part[chosen] = first
    if count < 2 or len(chosen) < 2:
        return
    left = count // 2
    early = cut(problem, chosen, left / count)
    _split(problem, chosen[early], first, left, part)
    _split(problem, chosen[~early], first + left, count - left, part)


def cut(problem: Problem, chosen: Ints, share: float) -> NDArray[np.bool_]:
    """Return (len(chosen),) whether each of the units comes before the cut, with about ``share`` of their time."""
    seconds = np.where(problem.allowed, problem.seconds, np.inf).min(axis=0)[chosen]
    middle = (np.cumsum(seconds) - seconds / 2) / max(seconds.sum(), 1e-300)
    early, late = middle < share - TOLERANCE, middle > share + TOLERANCE
    early[0], late[-1] = True, True
    source, target, size = _network(problem, chosen)
    count = max(int(source.max(initial=0)), int(target.max(initial=0)), len(chosen) - 1) + 1
    begin, end = count, count + 1
    ends = np.concatenate([np.flatnonzero(early), np.full(int(late.sum()), end)])
    tails = np.concatenate([np.full(int(early.sum()), begin), np.flatnonzero(late)])
    arcs = (np.concatenate([source, tails]), np.concatenate([target, ends]))
    capacity = coo_array((np.concatenate([size, np.full(len(tails), _NEVER)]), arcs), shape=(end + 1, end + 1))
    capacity = capacity.astype(np.int32).tocsr()
    residual = capacity - maximum_flow(capacity, begin, end).flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    reached = breadth_first_order(residual, begin, return_predecessors=False)
    return np.isin(np.arange(len(chosen)), reached)


def _network(problem: Problem, chosen: Ints) -> tuple[Ints, Ints, Ints]:
    """Return arcs (source, target, capacity): an operator's unit to a hub of its output, and on to who needs it.

    The arcs back, from who needs it to the unit, may not be cut.
    """
    number = np.full(problem.units, -1)
    number[chosen] = np.arange(len(chosen))
    unit, edges = number[problem.work.unit], problem.graph.edges
    inner = edges[(unit[edges] >= 0).all(axis=1) & (unit[edges[:, 0]] != unit[edges[:, 1]])]
    senders, hub = np.unique(inner[:, 0], return_inverse=True)
    hub = len(chosen) + hub
    size = problem.work.sent[senders]
    size = np.maximum(np.rint(size * (_FINE / max(size.max(initial=0.0), 1e-300))), 1)
    own, needs = unit[inner[:, 0]], unit[inner[:, 1]]
    never = np.full(len(inner), _NEVER)
    return (
        np.concatenate([unit[senders], hub, needs]),
        np.concatenate([len(chosen) + np.arange(len(senders)), needs, own]),
        np.concatenate([size, never, never]).astype(np.int64),
    )
