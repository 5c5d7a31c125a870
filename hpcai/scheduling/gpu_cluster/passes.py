"""The scheduling pass: who starts now, who is stopped for it, who shrinks and who grows."""

from __future__ import annotations

from typing import Final

import numpy as np

from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.books import allowed
from hpcai.scheduling.gpu_cluster.drain import AT_ONCE, STAGGERED, held_back, time_to_plan
from hpcai.scheduling.gpu_cluster.lifecycle import claim, grow, resized, start
from hpcai.scheduling.gpu_cluster.order import changes_within_a_pass, set_keys, sort_ids
from hpcai.scheduling.gpu_cluster.plans import enters, make_room
from hpcai.scheduling.gpu_cluster.state import QUEUED, RUNNING, Cluster
from hpcai.scheduling.gpu_cluster.victims import BY_ORDER, NONE
from hpcai.scheduling.gpu_cluster.work import CHALLENGE, CLASSES

NEVER: Final = -1  # no count


@jit
def schedule(st: Cluster) -> None:
    """Start and stop jobs as the discipline has it, class by class and in order within a class."""
    at = st.at[0]
    at.wake, at.challenge = np.inf, -1
    set_keys(st)
    sort_ids(st.queue, at.queued, st.key, st.ids[1])
    for rank in range(len(CLASSES) - 1, -1, -1):
        if not serve(st, rank):
            break
    drop_started(st)
    if st.rules[0].elastic and at.challenge < 0:
        grow_elastic(st)


@jit
def serve(st: Cluster, rank: int) -> bool:
    """Go through the waiting jobs of a class in order; return whether those of lower ones may be looked at, too."""
    rules, at = st.rules[0], st.at[0]
    i, waiting = 0, at.queued
    while i < waiting:
        j = st.queue[i]
        i += 1
        if st.run[j].status != QUEUED or st.work[j].rank != rank:
            continue
        if begin(st, j):
            if changes_within_a_pass(rules.order):
                drop_started(st)
                set_keys(st)
                sort_ids(st.queue, at.queued, st.key, st.ids[1])
                i, waiting = 0, at.queued
        elif rules.strict or at.now - st.run[j].queued >= rules.patience:
            return False
    return True


@jit
def begin(st: Cluster, j: int) -> bool:
    """Let job ``j`` start if there is room, or can be made; return whether it left the queue."""
    work = st.work[j]
    if work.rank == CHALLENGE:
        return begin_challenge(st, j)
    if held_back(st, j) or (known(st, j) != NEVER and st.failed[work.shape] == known(st, j)):
        return False
    if enters(st, j) or enters_smaller(st, j):
        claim(st, j)
        start(st, j)
        return True
    if make_room(st, j, False):
        return True
    st.failed[work.shape] = known(st, j)
    return False


@jit
def known(st: Cluster, j: int) -> int:
    """Return what a job of the shape of ``j`` that found no place can go by: until it changes there is none.

    Where nobody gives way to it, only what becomes free can help; else whatever moves. An order that pre-empts changes
    with time.
    """
    rules, at = st.rules[0], st.at[0]
    if rules.preemption == BY_ORDER:
        return NEVER
    if (rules.preemption == NONE or st.work[j].rank == 0) and not rules.elastic and not rules.quotas:
        return int(at.released)
    return int(at.changed)


@jit
def enters_smaller(st: Cluster, j: int) -> bool:
    """Enter elastic job ``j`` with as many pods as there is room for, if that is enough for it."""
    run, work = st.run[j], st.work[j]
    if not st.rules[0].elastic or work.least == work.tasks:
        return False
    for tasks in range(min(work.tasks - 1, st.at[0].free // max(work.gpu, 1)), work.least - 1, -1):
        run.tasks = tasks
        if enters(st, j):
            return True
    run.tasks = work.tasks
    return False


@jit
def begin_challenge(st: Cluster, j: int) -> bool:
    """Give a grand challenge its GPUs, if need be when its deadline comes near; return whether it left the queue."""
    rules, run, at = st.rules[0], st.run[j], st.at[0]
    if rules.drain != AT_ONCE and not np.isfinite(run.deadline):
        run.deadline = at.now + rules.drain_bound
    if enters(st, j):
        claim(st, j)
        start(st, j)
        return True
    when = time_to_plan(st, j)
    if at.now >= when:
        return make_room(st, j, rules.drain == STAGGERED and run.stops == 0)
    at.wake = min(at.wake, when)
    if at.challenge < 0:
        at.challenge = j
    return False


@jit
def drop_started(st: Cluster) -> None:
    """Leave in the queue those who wait, each once."""
    kept, at = 0, st.at[0]
    for i in range(at.queued):
        j = st.queue[i]
        if st.run[j].status == QUEUED and not st.run[j].lifted:
            st.run[j].lifted = True
            st.queue[kept] = j
            kept += 1
    for i in range(kept):
        st.run[st.queue[i]].lifted = False
    at.queued = kept


@jit
def grow_elastic(st: Cluster) -> None:
    """Let elastic jobs have GPUs that nobody who waits can use, a pod each in turn."""
    found, at = True, st.at[0]
    while found and at.free > 0:
        found = False
        for i in range(at.running):
            j = st.running[i]
            if may_grow(st, j) and allowed(st, j, st.work[j].gpu) > 0 and grow(st, j):
                st.run[j].lifted = True  # to be told of its new size once
                found = True
    for i in range(at.running):
        j = st.running[i]
        if st.run[j].lifted:
            st.run[j].lifted = False
            resized(st, j)


@jit
def may_grow(st: Cluster, j: int) -> bool:
    """Return whether running job ``j`` may have a pod more now."""
    run = st.run[j]
    if run.status != RUNNING or run.tasks >= st.work[j].most or np.isfinite(run.signal):
        return False
    return bool(st.run[j].lifted or st.at[0].now >= run.resized + st.rules[0].resize_interval)
