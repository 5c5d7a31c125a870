"""The best placement of a small graph, found for certain by timing all of them."""

from __future__ import annotations

import itertools
from typing import Final, NamedTuple

import numpy as np

from hpcai.device_placement.graph import Ints, OperatorGraph
from hpcai.device_placement.simulator import StepSimulator
from hpcai.device_placement.work import units
from hpcai.errors import InputError

MOST: Final = 20_000_000  # placements that are tried at most
_TOGETHER: Final = 4096


class Optimum(NamedTuple):
    """The best placement of a model."""

    placement: Ints  # (n,)
    seconds: float  # by the model
    bound: float  # below which no placement can be, by the model; ``seconds`` if it is proven the best


def brute_force(graph: OperatorGraph, simulator: StepSimulator) -> Optimum:
    """Return the feasible placement of the units of ``graph`` whose step is shortest, as the simulator runs it.

    Raises InputError if there are more than MOST placements, or none is feasible (with the bytes that the best lacks).
    """
    unit, d = units(graph), len(simulator.devices)
    u = int(unit.max()) + 1
    if d**u > MOST:
        raise InputError(f"graph {graph.name}: expected at most {MOST} placements to try, found {d}^{u}")
    best, least, lacking = np.zeros(u, np.int64), np.inf, np.inf
    every = itertools.product(range(d), repeat=u)
    while len(some := np.array(list(itertools.islice(every, _TOGETHER)), np.int64)):
        seconds, excess = simulator.times(some[:, unit])
        seconds[excess > 0] = np.inf
        if seconds.min() < least:
            best, least = some[seconds.argmin()], float(seconds.min())
        lacking = min(lacking, float(excess.min()))
    if least == np.inf:
        raise InputError(
            f"graph {graph.name}: expected a feasible placement, found that the best lacks {lacking:.0f} bytes"
        )
    return Optimum(best[unit], least, least)
