"""PipeDream's partitioning: contiguous stages, the slowest as quick as possible; by dynamic programming over a chain.

Source: Narayanan et al., PipeDream: Generalized Pipeline Parallelism for DNN Training, SOSP 2019, section 3.1, without
replication of stages. The chain is the topological order; a cut costs the transfer of all outputs that cross it, there
and back. It maximises the throughput of a pipeline, which is not the same as the shortest step.
"""

from __future__ import annotations

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Floats, Ints, OperatorGraph
from hpcai.device_placement.methods.memory import fitted
from hpcai.device_placement.methods.problem import DEFAULTS, Options, Problem
from hpcai.device_placement.work import Work


def place(graph: OperatorGraph, devices: Devices, options: Options = DEFAULTS) -> Ints:
    """Return a placement (n,) of stages in the order of the devices."""
    problem = Problem(graph, devices, options)
    return fitted(problem, stages(problem))


def stages(problem: Problem) -> Ints:
    """Return (u,) the device of each unit.

    ``best[j]`` is the time of the slowest of stages and cuts on the devices so far that hold the first j units; the
    next device takes those from i to j. A stage whose memory does not suffice is infinitely slow.
    """
    d, u = len(problem.devices), problem.units
    seconds = np.where(problem.allowed, problem.seconds, problem.wall)
    before = np.hstack([np.zeros((d, 1)), np.cumsum(seconds, axis=1)])
    weight = np.concatenate([[0.0], np.cumsum(problem.memory)])
    cut = crossing(problem.graph, problem.work)
    best = np.where(np.arange(u + 1) == 0, 0.0, np.inf)
    begins = np.zeros((d, u + 1), np.int64)
    for device in range(d):
        sent = problem.devices.latency[device - 1, device] + cut / problem.devices.bandwidth[device - 1, device]
        sent[cut == 0] = 0.0
        following = np.empty(u + 1)
        for j in range(u + 1):
            slowest = np.maximum(np.maximum(best[: j + 1], sent[: j + 1]), before[device, j] - before[device, : j + 1])
            slowest[weight[j] - weight[: j + 1] > problem.devices.memory[device]] = np.inf
            slowest[j] = best[j]  # an empty stage
            begins[device, j] = slowest.argmin()
            following[j] = slowest[begins[device, j]]
        best = following
    chosen, end = np.zeros(u, np.int64), u
    for device in range(d - 1, -1, -1):
        begin = begins[device, end]
        chosen[begin:end] = device
        end = begin
    return chosen


def crossing(graph: OperatorGraph, work: Work) -> Floats:
    """Return (u + 1,) the bytes of all outputs that are made in the first j units and needed in others."""
    cut = np.zeros(int(work.unit.max()) + 2)
    last = work.unit.copy()
    np.maximum.at(last, graph.edges[:, 0], work.unit[graph.edges[:, 1]])
    np.add.at(cut, work.unit + 1, work.sent)
    np.add.at(cut, np.maximum(last, work.unit) + 1, -work.sent)
    total: Floats = np.cumsum(cut)
    return np.maximum(total, 0.0)
