"""Draining the machine for a grand challenge: when to stop whom, so that it has its GPUs by its deadline.

at-once: as soon as it is submitted. deadline: at the last moment that leaves everybody the grace period. staggered:
each as late as the storage allows. In the last two nobody starts who is not expected to end in time.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.discipline import DRAINS
from hpcai.scheduling.gpu_cluster.order import sort_ids
from hpcai.scheduling.gpu_cluster.progress import due, expected_left, gpus_of, unsaved_at
from hpcai.scheduling.gpu_cluster.state import RUNNING, Cluster

AT_ONCE, DEADLINE, STAGGERED = range(len(DRAINS))
MARGIN: Final = 1.0  # s by which the last checkpoint is to be written before the deadline


@jit
def time_to_plan(st: Cluster, j: int) -> float:
    """Return when the GPUs of grand challenge ``j`` must be chosen, so that it has them by its deadline."""
    rules, run = st.rules[0], st.run[j]
    if rules.drain == AT_ONCE or run.stops > 0:
        return -np.inf
    if rules.drain == DEADLINE:
        return float(run.deadline - rules.grace)
    lead = rules.grace + MARGIN
    for i in range(st.at[0].running):
        lead += write_time(st, st.running[i], run.deadline)
    return float(run.deadline - lead)


@jit
def write_time(st: Cluster, v: int, deadline: float) -> float:
    """Return for how long the storage writes the checkpoint of job ``v`` if it is told to stop; 0: it writes none."""
    rules, work = st.rules[0], st.work[v]
    seconds = work.writes / rules.bandwidth
    if st.run[v].status != RUNNING or not work.on_signal or seconds > rules.grace:
        return 0.0
    return float(seconds) if unsaved_at(st, v, deadline) > 0 else 0.0


@jit
def stagger(st: Cluster, j: int, n: int) -> None:
    """Say for the victims ``st.ids[0, :n]`` of grand challenge ``j`` when each is told to stop.

    Whoever writes no checkpoint runs to the deadline. The others write one after the other up to it. To idle until
    then costs GPUs x seconds, so by Smith's rule (Naval Research Logistics Quarterly, 1956), read backwards, those
    with most GPUs per second of writing are last. Who would lose more by idling than by being killed is killed.
    """
    deadline, ids = st.run[j].deadline, st.ids[0]
    for i in range(n):
        v = ids[i]
        seconds = write_time(st, v, deadline)
        st.cost[v] = -gpus_of(st, v) / seconds if seconds > 0 else -np.inf
    sort_ids(ids, n, st.cost, st.ids[1])
    begun = deadline - MARGIN  # when the checkpoint begins that is written after this one
    for i in range(n):
        v = ids[i]
        run, seconds = st.run[v], write_time(st, v, deadline)
        run.signal = deadline
        idle = deadline - begun + seconds
        if seconds > 0 and begun - seconds >= st.at[0].now and idle < unsaved_at(st, v, deadline):
            begun -= seconds
            run.signal = begun
        run.due = due(st, v)


@jit
def held_back(st: Cluster, j: int) -> bool:
    """Return whether job ``j`` may not start because a grand challenge waits for the machine to drain."""
    challenge = st.at[0].challenge
    if challenge < 0 or challenge == j:
        return False
    again = st.rules[0].restart if st.run[j].stops > 0 else 0.0
    return bool(st.at[0].now + again + expected_left(st, j) > st.run[challenge].deadline)
