"""A moment of a GPU cluster in two parts, what comes and what is decided; newcomers held back; speeds under limits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.lifecycle import join_queue, set_speed
from hpcai.scheduling.gpu_cluster.passes import schedule
from hpcai.scheduling.gpu_cluster.progress import bring_up_to_date
from hpcai.scheduling.gpu_cluster.speed import set_speeds, shared_speed
from hpcai.scheduling.gpu_cluster.state import AHEAD, QUEUED, RUNNING, Cluster
from hpcai.simulation.gpu_cluster.clock import let_come


@jit
def slow_down(st: Cluster, factor: NDArray[np.float64]) -> None:
    """Let what runs go at ``factor`` (J,) of the speed that it has by its places; services run by the clock."""
    for i in range(st.at[0].running):
        j = st.running[i]
        if st.run[j].status == RUNNING and not st.work[j].service:
            set_speed(st, j, shared_speed(st, j) * factor[j])


@jit
def come(st: Cluster, time: float, held: NDArray[np.int64], holding: bool, may_wait: NDArray[np.bool_]) -> None:
    """It is ``time``: let come what is due, as the clock does, but hold back newcomers that may wait.

    ``held`` (J + 1,) lists who is held back, its last entry says how many that are; not ``holding``, all join the
    queue. ``may_wait`` (J,) says who may be held back, and only before it has joined the queue for good.
    """
    before = st.at[0].submitted
    let_come(st, time)
    last = held.shape[0] - 1
    if not holding:
        for i in range(held[last]):
            join(st, held[i])
        held[last] = 0
        return
    kept = 0
    for i in range(held[last]):
        if may_wait[held[i]]:
            held[kept] = held[i]
            kept += 1
        else:
            join(st, held[i])
    held[last] = kept
    take_out(st, before, held, may_wait)


@jit
def join(st: Cluster, j: int) -> None:
    """Job ``j``, held back so far, joins the queue."""
    st.run[j].since = st.at[0].now
    join_queue(st, j)


@jit
def take_out(st: Cluster, first: int, held: NDArray[np.int64], may_wait: NDArray[np.bool_]) -> None:
    """Take those from ``first`` on that may wait out of the queue again, into which they have just come."""
    at, last, kept = st.at[0], held.shape[0] - 1, 0
    for i in range(at.queued):
        j = st.queue[i]
        if j >= first and may_wait[j] and st.run[j].status == QUEUED:
            st.run[j].status = AHEAD
            held[held[last]] = j
            held[last] += 1
        else:
            st.queue[kept] = j
            kept += 1
    at.queued = kept


@jit
def decide(st: Cluster) -> bool:
    """Decide what follows from what has come, as the clock does; return whether that is through."""
    if not schedule(st):
        return False
    if st.at[0].stale:
        set_speeds(st)
    return True


@jit
def bring_all_up_to_date(st: Cluster, time: float) -> None:
    """Count what all jobs have done by ``time``, before which everything due has happened."""
    st.at[0].now = time
    for i in range(st.at[0].running):
        bring_up_to_date(st, st.running[i])
    for i in range(st.at[0].queued):
        bring_up_to_date(st, st.queue[i])
