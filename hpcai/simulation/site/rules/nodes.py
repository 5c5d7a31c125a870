"""Nodes that fail under the jobs of a GPU cluster, and come back."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.books import leave
from hpcai.scheduling.gpu_cluster.lifecycle import give_up
from hpcai.scheduling.gpu_cluster.plans import is_on
from hpcai.scheduling.gpu_cluster.state import Cluster
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.placement.nodes import hold_gpus
from hpcai.scheduling.placement.policies import forget
from hpcai.simulation.gpu_cluster.clock import let_come

FAULT: Final = -2
"""What the log says in place of the job that another is stopped for (state.LOG ``by``) where a fault stopped it."""


@jit
def fail_node(st: Cluster, n: int, time: float) -> int:
    """Node ``n``, which is up, fails at ``time``: whoever has a pod on it is gone at once, nobody gets places there.

    What is due by then has happened before. The jobs wait again and go on from their latest checkpoints; one that had
    places and waited for them loses nothing. Return how many jobs that were.
    """
    let_come(st, time)
    at, i, killed = st.at[0], 0, 0
    while i < at.running:
        j = st.running[i]
        if is_on(st, j, n):
            st.run[j].by = FAULT
            leave(st, j, 0, st.run[j].tasks)
            give_up(st, j)  # the last of those that hold places takes its place in the list
            killed += 1
        else:
            i += 1
    hold_node(st, n, 1)
    st.nodes.socket_cpu[n, :] = 0
    return killed


@jit
def repair_node(st: Cluster, n: int, time: float, socket_cpu: NDArray[np.int64]) -> None:
    """Node ``n``, which failed, is back at ``time``; ``socket_cpu`` (N, S) is what its sockets have."""
    let_come(st, time)
    hold_node(st, n, -1)
    for s in range(socket_cpu.shape[1]):
        st.nodes.socket_cpu[n, s] = socket_cpu[n, s]
    st.at[0].released += 1


@jit
def hold_node(st: Cluster, n: int, sign: int) -> None:
    """Take (``sign`` 1) or give back (-1) all of node ``n``."""
    nodes, at = st.nodes, st.at[0]
    nodes.cpu[n] -= sign * nodes.cpus[n]
    nodes.memory[n] -= sign * nodes.memories[n]
    hold_gpus(nodes, n, (1 << nodes.gpus[n]) - 1, sign * MILLI)
    at.free -= sign * nodes.gpus[n] * MILLI
    at.changed += 1
    at.stale = True
    forget(st.rule, n)
