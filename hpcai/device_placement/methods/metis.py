"""METIS: parts of equal time with little to send between them, blind to the order in which operators run.

Source: Karypis and Kumar, A Fast and High Quality Multilevel Scheme for Partitioning Irregular Graphs, SIAM J.
Scientific Computing 20 (1998), as Mirhoseini et al. (ICML 2017) use Scotch. Needs pymetis (pip install hpcai[metis]).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.sparse import coo_array, csr_array

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Floats, Ints, OperatorGraph
from hpcai.device_placement.methods.memory import fitted
from hpcai.device_placement.methods.problem import DEFAULTS, Options, Problem
from hpcai.errors import InputError

_FINE: Final = 100_000  # the largest weight, as METIS counts in whole numbers


def place(graph: OperatorGraph, devices: Devices, options: Options = DEFAULTS) -> Ints:
    """Return a placement (n,) of parts on all devices, their share of the time by the speed of each.

    Raises InputError if pymetis is not installed.
    """
    try:
        import pymetis
    except ImportError as error:
        raise InputError("method metis: pymetis is not installed; pip install 'hpcai[metis]'") from error
    problem = Problem(graph, devices, options)
    if len(devices) == 1:
        return problem.spread(np.zeros(problem.units, np.int64))
    seconds = np.where(problem.allowed, problem.seconds, np.nan)
    speed = 1 / np.maximum(np.nansum(seconds, axis=1), 1e-300)
    ties = adjacency(problem)
    _, part = pymetis.part_graph(
        len(devices),
        adjacency=np.split(ties.indices, ties.indptr[1:-1]),
        vweights=_whole(np.nanmin(seconds, axis=0)),
        eweights=_whole(ties.data),
        tpwgts=(speed / speed.sum()).tolist(),
        options=pymetis.Options(seed=options.seed),
    )
    return fitted(problem, np.array(part, np.int64))


def adjacency(problem: Problem) -> csr_array:
    """Return (u, u) the bytes sent between units either way; an output's are split over the units that need it."""
    unit, (source, target) = problem.work.unit, problem.graph.edges.T
    ends = np.unique(np.column_stack([source, unit[target]])[unit[source] != unit[target]], axis=0)
    share = problem.work.sent[ends[:, 0]] / np.bincount(ends[:, 0], minlength=len(unit))[ends[:, 0]]
    one = coo_array((share, (unit[ends[:, 0]], ends[:, 1])), shape=(problem.units, problem.units)).tocsr()
    return csr_array(one + one.T)


def _whole(weights: Floats) -> list[int]:
    scaled = np.rint(weights * (_FINE / max(weights.max(initial=0.0), 1e-300)))
    whole: list[int] = np.maximum(scaled, 1).astype(int).tolist()
    return whole
