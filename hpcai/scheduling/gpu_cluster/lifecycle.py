"""A job's way: it joins the queue, starts, is told to stop, leaves, ends. Each step is noted in the log."""

from __future__ import annotations

import numpy as np

from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.books import add_pod, leave
from hpcai.scheduling.gpu_cluster.progress import bring_up_to_date, due
from hpcai.scheduling.gpu_cluster.state import (
    AHEAD,
    CLAIMED,
    DONE,
    ENDED,
    QUEUED,
    RESIZED,
    RUNNING,
    SIGNALLED,
    STARTED,
    STOPPED,
    STOPPING,
    Cluster,
)


@jit
def join_queue(st: Cluster, j: int) -> None:
    """Job ``j`` waits from now on; its size is that of its record."""
    run, at = st.run[j], st.at[0]
    if run.status == AHEAD or (st.rules[0].back and run.status != CLAIMED):
        run.queued = at.now
    run.status, run.tasks, run.place = QUEUED, st.work[j].tasks, -1
    run.due = run.signal = np.inf
    run.by = -1
    st.queue[at.queued] = j
    at.queued += 1


@jit
def claim(st: Cluster, j: int) -> None:
    """Job ``j`` has places on the books and may start once nobody else is there."""
    bring_up_to_date(st, j)
    run, at = st.run[j], st.at[0]
    run.status, run.place, run.due = CLAIMED, at.running, np.inf
    st.running[at.running] = j
    at.running += 1


@jit
def start(st: Cluster, j: int) -> None:
    """Job ``j``, which is among those that hold places, begins to run."""
    bring_up_to_date(st, j)
    run, now = st.run[j], st.at[0].now
    run.status = RUNNING
    run.begun = run.resized = now
    run.started = now if np.isnan(run.started) else run.started
    run.busy_until = now + (st.rules[0].restart if run.stops > 0 else 0.0)
    run.saved, run.unsaved, run.risk = run.remaining, 0.0, 0.0
    run.speed = run.alone = 0.0
    st.at[0].stale = True
    note(st, j, STARTED, 0.0)


@jit
def set_speed(st: Cluster, j: int, speed: float) -> None:
    """Running job ``j`` goes at ``speed`` from now on."""
    run = st.run[j]
    if speed != run.speed:
        bring_up_to_date(st, j)
        run.speed = speed
    run.due = due(st, j)


@jit
def resized(st: Cluster, j: int) -> None:
    """Note that running job ``j`` has just changed its size, which costs it time."""
    run, now = st.run[j], st.at[0].now
    run.busy_until = max(run.busy_until, now + st.rules[0].resize)
    run.resized, run.speed, run.alone = now, 0.0, 0.0
    st.at[0].stale = True
    note(st, j, RESIZED, 0.0)


@jit
def grow(st: Cluster, j: int) -> bool:
    """Give running job ``j`` a pod more, its past being counted at its old size; return whether there was room."""
    bring_up_to_date(st, j)
    return add_pod(st, j)


@jit
def tell_to_stop(st: Cluster, j: int) -> None:
    """Send running job ``j`` the signal: it writes a checkpoint if it can in time, else it is gone.

    The storage takes checkpoints one after the other. One that it would not have finished by the end of the grace
    period is not begun, and the job holds its GPUs until it is killed.
    """
    bring_up_to_date(st, j)
    run, work, rules, at = st.run[j], st.work[j], st.rules[0], st.at[0]
    run.status, run.speed, run.signal, run.due = STOPPING, 0.0, np.inf, at.now
    if work.on_signal and run.unsaved > 0:
        written = max(at.now, at.storage_free) + work.writes / rules.bandwidth
        run.due = at.now + rules.grace
        if run.by >= 0:  # a grand challenge does not wait longer than to its deadline
            run.due = min(run.due, max(st.run[run.by].deadline, at.now))
        if written <= run.due:
            run.due = at.storage_free = written
            run.saved, run.unsaved, run.risk = run.remaining, 0.0, 0.0
    note(st, j, SIGNALLED, 0.0)


@jit
def give_up(st: Cluster, j: int) -> None:
    """Job ``j``, off the books already, is gone: what it did since its last checkpoint is lost, and it waits again."""
    bring_up_to_date(st, j)
    run = st.run[j]
    lost = run.risk
    if run.status != CLAIMED:
        run.lost += lost
        run.undone += run.saved - run.remaining
        run.remaining = run.saved
        run.stops += 1
    run.unsaved = run.risk = 0.0
    note(st, j, STOPPED, lost)
    out_of_running(st, j)
    join_queue(st, j)


@jit
def end(st: Cluster, j: int) -> None:
    """Running job ``j`` has done its work."""
    bring_up_to_date(st, j)
    run = st.run[j]
    leave(st, j, 0, run.tasks)
    run.executed += run.remaining  # a rounding
    run.remaining = run.saved = 0.0
    run.status, run.ended, run.due = DONE, st.at[0].now, np.inf
    note(st, j, ENDED, 0.0)
    out_of_running(st, j)


@jit
def out_of_running(st: Cluster, j: int) -> None:
    """Job ``j`` is no longer among those that hold places."""
    at = st.at[0]
    at.running -= 1
    last = st.running[at.running]
    st.running[st.run[j].place] = last
    st.run[last].place = st.run[j].place
    st.run[j].place = -1


@jit
def note(st: Cluster, j: int, what: int, lost: float) -> None:
    """Write into the log what happens to job ``j`` now; ``lost`` in GPU-s."""
    at = st.at[0]
    entry = st.log[at.logged]
    entry.time, entry.job, entry.what = at.now, j, what
    entry.tasks, entry.lost, entry.by = st.run[j].tasks, lost, st.run[j].by
    at.logged += 1
