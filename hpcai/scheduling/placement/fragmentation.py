"""How much of a node's free GPUs the workload cannot use: the measure of fragmentation of FGD.

Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent",
USENIX ATC 2023, section 4. With R the free part of each GPU g of node n, and D a task's GPUs:

* u_n = sum of floor(R_g) + max of (R_g - floor(R_g)): the GPUs that a task could have at most;
* F_n(m) = sum of R_g, if task m cannot run on n (CPUs, GPUs > u_n, GPU kind), or needs no GPU;
* F_n(m) = sum of R_g where R_g < min(D, 1), if it can;
* F_n(M) = sum of p_m F_n(m) over the task classes m of the workload M, of popularity p_m.
"""

from __future__ import annotations

from typing import Any

from hpcai.jit import jit
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.placement.nodes import Nodes, may_be_on


@jit
def fragmentation(nodes: Nodes, n: int, target: Any) -> float:
    """Return F_n(M) of node ``n`` in GPUs for the task classes ``target`` (POD (M,)).

    Memory counts as CPUs do where a class has any; those of :func:`make_target` have none.
    """
    free, whole, partial = 0, 0, 0
    for g in range(nodes.gpus[n]):
        room = nodes.gpu[n, g]
        free += room
        if room == MILLI:
            whole += MILLI
        else:
            partial = max(partial, room)
    if free == 0:
        return 0.0
    total = 0.0
    for m in range(target.shape[0]):
        task = target[m]
        if (
            task.gpu == 0
            or task.gpu > whole + partial
            or task.cpu > nodes.cpu[n]
            or task.memory > nodes.memory[n]
            or not may_be_on(nodes, n, task)
        ):
            total += task.weight * free
        elif task.gpu >= MILLI:
            total += task.weight * (free - whole)
        else:
            for g in range(nodes.gpus[n]):
                if nodes.gpu[n, g] < task.gpu:
                    total += task.weight * nodes.gpu[n, g]
    return total / MILLI


@jit
def cluster_fragmentation(nodes: Nodes, target: Any) -> float:
    """Return F_N(M) of all nodes, in GPUs."""
    total = 0.0
    for n in range(nodes.gpus.shape[0]):
        total += fragmentation(nodes, n, target)
    return total
