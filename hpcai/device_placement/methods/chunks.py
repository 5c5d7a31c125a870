"""Contiguous pieces of the topological order, of equal time: what one does by hand without looking closer."""

from __future__ import annotations

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Ints, OperatorGraph
from hpcai.device_placement.methods.memory import fitted
from hpcai.device_placement.methods.problem import DEFAULTS, Options, Problem


def place(graph: OperatorGraph, devices: Devices, options: Options = DEFAULTS) -> Ints:
    """Return a placement (n,) of pieces on the accelerators, in their order."""
    problem = Problem(graph, devices, options)
    return fitted(problem, problem.accelerators[pieces(problem, len(problem.accelerators))])


def pieces(problem: Problem, count: int) -> Ints:
    """Return (u,) the piece of each unit, 0 to ``count`` - 1: where the middle of its time lies."""
    seconds = np.where(problem.allowed, problem.seconds, np.inf).min(axis=0)
    middle = np.cumsum(seconds) - seconds / 2
    piece: Ints = np.minimum(middle * count / max(seconds.sum(), 1e-300), count - 1).astype(np.int64)
    return piece
