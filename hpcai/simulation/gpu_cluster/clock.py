"""The clock of a GPU cluster: from one moment at which something happens to the next."""

from __future__ import annotations

from typing import Final

import numpy as np

from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.books import leave, may_start
from hpcai.scheduling.gpu_cluster.lifecycle import end, give_up, join_queue, start
from hpcai.scheduling.gpu_cluster.passes import schedule
from hpcai.scheduling.gpu_cluster.plans import stop_now
from hpcai.scheduling.gpu_cluster.progress import remaining
from hpcai.scheduling.gpu_cluster.speed import set_speeds
from hpcai.scheduling.gpu_cluster.state import CLAIMED, LOG_ROOM, RUNNING, STOPPING, Cluster

OVER, LATER, FULL, ASKS = range(4)
"""Why a clock stands: nothing more happens; not before the time given; the log must be emptied; a decision is asked
for (``st.at``: ``asked``, ``asking``), after whose answer (hpcai.scheduling.gpu_cluster.answers) it goes on."""
ALMOST: Final = 1e-9  # s of work that are no work


@jit
def run_until(st: Cluster, until: float) -> int:
    """Let everything happen up to and including ``until``; return why the clock stands."""
    while True:
        if st.at[0].logged > LOG_ROOM // 2:
            return FULL
        time = next_time(st) if st.at[0].asked < 0 else st.at[0].now
        if time == np.inf:
            return OVER
        if time > until:
            return LATER
        if not happen(st, time):
            return ASKS


@jit
def next_time(st: Cluster) -> float:
    """Return when something happens next; inf: never."""
    at = st.at[0]
    time = at.wake
    if at.submitted < st.work.shape[0]:
        time = min(time, st.work[at.submitted].submit)
    if at.queued > 0 and at.running > 0:  # else nobody makes way who did not before
        time = min(time, at.next_tick)
    for i in range(at.running):
        time = min(time, st.run[st.running[i]].due)
    return float(max(time, at.now))


@jit
def happen(st: Cluster, time: float) -> bool:
    """Let happen what is due at ``time``, then decide what follows; return whether that is through, or asked for."""
    if st.at[0].asked < 0:
        let_come(st, time)
    if not schedule(st):
        return False
    if st.at[0].stale:
        set_speeds(st)
    return True


@jit
def let_come(st: Cluster, time: float) -> None:
    """It is ``time``: jobs are submitted, end, leave, and start where others have left."""
    at = st.at[0]
    at.now = time
    if (st.rules[0].tick > 0 and time >= at.next_tick) or (at.next_tick == np.inf and st.rules[0].tick > 0):
        at.next_tick = time + st.rules[0].tick
    while at.submitted < st.work.shape[0] and st.work[at.submitted].submit <= time:
        st.run[at.submitted].since = time
        join_queue(st, at.submitted)
        at.submitted += 1
    i = 0
    while i < at.running:
        j = st.running[i]
        if st.run[j].due <= time:
            see_to(st, j)
        if i < at.running and st.running[i] == j:
            i += 1
    i = 0
    while i < at.running:
        j = st.running[i]
        if st.run[j].status == CLAIMED and may_start(st, j):
            start(st, j)
        i += 1


@jit
def see_to(st: Cluster, j: int) -> None:
    """See to a job for which something is due: it ends, is told to stop, or is gone."""
    run = st.run[j]
    if run.status == STOPPING:
        leave(st, j, 0, run.tasks)
        give_up(st, j)
    elif run.status == RUNNING and run.signal <= st.at[0].now and remaining(st, j) > ALMOST:
        stop_now(st, j)
    elif run.status == RUNNING:
        end(st, j)
