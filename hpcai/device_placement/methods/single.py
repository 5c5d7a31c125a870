"""All on one device: the quickest whose memory suffices, or that lacks least."""

from __future__ import annotations

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Ints, OperatorGraph
from hpcai.device_placement.methods.problem import DEFAULTS, Options, Problem


def place(graph: OperatorGraph, devices: Devices, options: Options = DEFAULTS) -> Ints:
    """Return a placement (n,) on the best single device.

    An operator that it cannot run goes to the device that is quickest with it.
    """
    problem = Problem(graph, devices, options)
    quickest = problem.seconds.argmin(axis=0)
    alone = np.array([np.where(problem.allowed[d], d, quickest) for d in range(len(devices))])
    placements = problem.spread(alone)
    best: Ints = placements[problem.cost(*problem.simulator.times(placements)).argmin()]
    return best
