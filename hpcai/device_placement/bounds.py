"""What no placement can undercut: lower bounds of the step time.

Each holds for the simulator's steps, whatever the placement, as long as it is feasible:

- path: the longest path of operators on the devices that are quickest with each, nothing sent;
- work: on some device the operators placed there take at least a share of all work: a linear program that splits each
  unit over devices, as the weights' memory allows;
- cut: if no device has the memory for all weights, some output has to be sent: the shortest of the longest paths that
  one transfer lengthens.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array, vstack
from scipy.sparse.csgraph import connected_components

from hpcai.device_placement.graph import Floats, OperatorGraph
from hpcai.device_placement.priorities import longest_from_start, longest_to_end
from hpcai.device_placement.simulator import StepSimulator
from hpcai.device_placement.work import by_unit, units, work_of
from hpcai.errors import InputError


class Bounds(NamedTuple):
    """Lower bounds of the step time, in seconds."""

    path: float
    work: float
    cut: float  # 0 where a single device may hold all

    @property
    def best(self) -> float:
        """The largest of them."""
        return max(self)


def lower_bounds(graph: OperatorGraph, simulator: StepSimulator) -> Bounds:
    """Return the bounds of the step that ``simulator`` runs of ``graph``.

    Raises InputError, with the bytes that lack, if the devices together do not have the memory for the weights.
    """
    quickest = simulator.step.seconds.min(axis=0)
    after = longest_to_end(simulator.expansion.graph, quickest, np.zeros(len(simulator.step.next)))
    path = float(after.max(initial=0.0))
    return Bounds(path, _work(graph, simulator), _cut(graph, simulator, quickest, after))


def _work(graph: OperatorGraph, simulator: StepSimulator) -> float:
    """Return the least load of the fullest device, of units that may be split; variables are x (d, u) and the load."""
    work = work_of(graph, simulator)
    seconds, weights = work.unit_seconds, by_unit(work.unit, simulator.step.weights)
    d, u = seconds.shape
    scale = float(np.where(np.isfinite(seconds), seconds, 0.0).max(axis=0).sum())
    if scale == 0:
        return 0.0
    device, unit = np.divmod(np.arange(d * u), u)
    cost = np.where(np.isfinite(seconds), seconds, 0.0).ravel() / scale
    rows = (np.concatenate([cost, -np.ones(d)]), (np.concatenate([device, np.arange(d)]), np.r_[: d * u, [d * u] * d]))
    load = coo_array(rows, shape=(d, d * u + 1))
    limited = np.isfinite(simulator.devices.memory)
    total = max(float(weights.sum()), 1.0)
    held = coo_array((np.tile(weights / total, d), (device, np.arange(d * u))), shape=(d, d * u + 1)).tocsr()[limited]
    whole = coo_array((np.ones(d * u), (unit, np.arange(d * u))), shape=(u, d * u + 1))
    found = linprog(
        np.eye(1, d * u + 1, d * u)[0],
        A_ub=vstack([load, held]).tocsr(),
        b_ub=np.concatenate([np.zeros(d), simulator.devices.memory[limited] / total]),
        A_eq=whole.tocsr(),
        b_eq=np.ones(u),
        bounds=[(0, 1 if finite else 0) for finite in np.isfinite(seconds).ravel()] + [(0, None)],
        method="highs",
    )
    if found.x is None:
        lacks = float(weights.sum() - simulator.devices.memory.sum())
        raise InputError(
            f"graph {graph.name}: expected devices with memory for its weights of {weights.sum() / 1e9:.3f} GB, "
            + (f"found {lacks / 1e9:.3f} GB too little" if lacks > 0 else "found none that can hold and run all")
        )
    return float(found.fun) * scale * (1 - 1e-7)  # the solver's tolerance


def _cut(graph: OperatorGraph, simulator: StepSimulator, quickest: Floats, after: Floats) -> float:
    """Return the shortest path through a transfer if there has to be one: of a graph in one piece that fits nowhere."""
    step, expansion = simulator.step, simulator.expansion
    alone = np.isfinite(step.seconds).all(axis=1) & (step.weights.sum() <= step.memory)
    joined = (coo_array((np.ones(len(graph.edges)), tuple(graph.edges.T)), shape=(len(graph),) * 2), False)
    if alone.any() or len(step.memory) < 2 or connected_components(*joined, return_labels=False) > 1:
        return 0.0
    source, target = expansion.graph.edges.T
    sent = (units(graph)[expansion.origin[source]] != units(graph)[expansion.origin[target]]) & (
        step.gradient[source] < 0
    )
    source, target = source[sent], target[sent]
    apart = ~np.eye(len(step.memory), dtype=bool)
    transfer = (step.latency[apart] + step.output[source][:, None] / step.bandwidth[apart]).min(axis=1)
    before = longest_from_start(expansion.graph, quickest)
    return float((before[source] + transfer + after[target]).min(initial=np.inf))
