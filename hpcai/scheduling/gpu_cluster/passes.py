"""The scheduling pass: who starts now, who is stopped for it, who shrinks and who grows."""

from __future__ import annotations

from typing import Final

import numpy as np

from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.books import allowed, within_limit
from hpcai.scheduling.gpu_cluster.discipline import PLACE, PREEMPT
from hpcai.scheduling.gpu_cluster.drain import AT_ONCE, STAGGERED, held_back, time_to_plan
from hpcai.scheduling.gpu_cluster.lifecycle import claim, grow, resized, start
from hpcai.scheduling.gpu_cluster.order import changes_within_a_pass, set_keys, sort_ids
from hpcai.scheduling.gpu_cluster.plans import enters, make_room
from hpcai.scheduling.gpu_cluster.reserve import NO_BACKFILL, keep_nothing, keep_place, stays_beside, turn_to_class
from hpcai.scheduling.gpu_cluster.state import QUEUED, RUNNING, Cluster
from hpcai.scheduling.gpu_cluster.victims import BY_ORDER
from hpcai.scheduling.gpu_cluster.work import CHALLENGE, CLASSES

NEVER: Final = -1  # no count
NOTHING: Final = 0  # was asked, so nothing is answered


@jit
def schedule(st: Cluster) -> bool:
    """Start and stop jobs as the discipline has it, class by class and in order within a class.

    Return whether the pass is through. If not, a decision is asked for (``st.at``: ``asked``, ``asking``), and once it
    is answered (hpcai.scheduling.gpu_cluster.answers) the next call goes on from there.
    """
    at = st.at[0]
    if at.asked < 0:
        at.wake, at.challenge = np.inf, -1
        at.rank = len(CLASSES) - 1
        lay_order(st)
    while at.rank >= 0 and serve(st):
        at.rank -= 1
        at.next, at.upto = 0, at.queued
        turn_to_class(st)
    if at.asked >= 0:
        return False
    drop_started(st)
    if st.rules[0].elastic and at.challenge < 0:
        grow_elastic(st)
    return True


@jit
def lay_order(st: Cluster) -> None:
    """Bring the queue in order and begin with the first."""
    at = st.at[0]
    keep_nothing(st)
    set_keys(st)
    sort_ids(st.queue, at.queued, st.key, st.ids[1])
    at.next, at.upto = 0, at.queued


@jit
def serve(st: Cluster) -> bool:
    """Go through the waiting jobs of the class that is served; return whether those of lower ones may be, too."""
    rules, at = st.rules[0], st.at[0]
    while at.next < at.upto:
        j = st.queue[at.next]
        if st.run[j].status == QUEUED and st.work[j].rank == at.rank:
            begun = begin(st, j)
            if at.asked >= 0:
                return False
            if begun and changes_within_a_pass(rules.order):
                drop_started(st)
                lay_order(st)
                continue
            if not begun and holds_up(st, j):
                if rules.backfill == NO_BACKFILL:
                    return False
                keep_place(st, j)
        at.next += 1
    return True


@jit
def holds_up(st: Cluster, j: int) -> bool:
    """Return whether waiting job ``j`` holds up all behind it, or has a place kept.

    Not one that the machine drains for: it has its places by another rule.
    """
    rules, at = st.rules[0], st.at[0]
    waits_long = rules.strict or at.now - st.run[j].queued >= rules.patience
    drains = rules.backfill != NO_BACKFILL and at.challenge == j
    return bool(waits_long and not drains and within_limit(st, j))


@jit
def begin(st: Cluster, j: int) -> bool:
    """Let job ``j`` start if there is room, or can be made; return whether it left the queue.

    Unless a decision about it is left to somebody else, and asked for. Then it is begun again once that is answered.
    """
    at, work = st.at[0], st.work[j]
    answer = at.asking if at.asked == j else NOTHING
    at.asked, at.denied = -1, False
    if answer == NOTHING and work.rank < CHALLENGE and (held_back(st, j) or hopeless(st, j)):
        return False
    if answer == PLACE or (answer == NOTHING and has_room(st, j)):
        if answer == NOTHING and st.rules[0].external & PLACE:
            at.asked, at.asking = j, PLACE
            return False
        claim(st, j)
        start(st, j)
        return True
    if at.denied or (answer == NOTHING and work.rank == CHALLENGE and not has_to_plan(st, j)):
        return False
    staggered = work.rank == CHALLENGE and st.rules[0].drain == STAGGERED and st.run[j].stops == 0
    if make_room(st, j, answer == PREEMPT, staggered):
        return True
    if at.asked < 0 and not at.denied:
        st.failed[work.shape] = known(st)
    return False


@jit
def hopeless(st: Cluster, j: int) -> bool:
    """Return whether a job of the shape of ``j`` found no place, and nothing has changed since that could help it."""
    return bool(known(st) != NEVER and st.failed[st.work[j].shape] == known(st))


@jit
def has_room(st: Cluster, j: int) -> bool:
    """Enter job ``j`` on the books if there is room now that is kept for nobody else, smaller if it is elastic.

    Return whether there was.
    """
    rules, run = st.rules[0], st.run[j]
    if st.work[j].rank == CHALLENGE:
        if rules.drain != AT_ONCE and not np.isfinite(run.deadline):
            run.deadline = st.at[0].now + rules.drain_bound
        return enters(st, j) and stays_beside(st, j)
    return (enters(st, j) or enters_smaller(st, j)) and stays_beside(st, j)


@jit
def known(st: Cluster) -> int:
    """Return what a job that found no place can go by: until it changes there is none for any of its shape.

    Only what becomes free can help: who starts takes what was free, and gives it up again if it gives way. With quotas
    a start can put others beyond theirs, and somebody else who decides may decide anew whenever anything moves. An
    order that pre-empts changes with time.
    """
    rules, at = st.rules[0], st.at[0]
    if rules.preemption == BY_ORDER:
        return NEVER
    return int(at.changed if rules.quotas or rules.external & PREEMPT else at.released)


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
def has_to_plan(st: Cluster, j: int) -> bool:
    """Return whether the GPUs of grand challenge ``j`` must be chosen now; else the machine drains for it."""
    at, when = st.at[0], time_to_plan(st, j)
    if at.now >= when:
        if at.now > st.run[j].deadline:  # another challenge was in the way: those who are now still have their grace
            st.run[j].deadline = at.now + st.rules[0].grace
        return True
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
    for i in range(at.running if at.free > 0 else 0):
        run = st.run[st.running[i]]
        again = run.resized + st.rules[0].resize_interval
        if run.status == RUNNING and run.tasks < st.work[st.running[i]].most and again > at.now:
            at.wake = min(at.wake, again)


@jit
def may_grow(st: Cluster, j: int) -> bool:
    """Return whether running job ``j`` may have a pod more now."""
    run = st.run[j]
    if run.status != RUNNING or run.tasks >= st.work[j].most or np.isfinite(run.signal):
        return False
    return bool(st.run[j].lifted or st.at[0].now >= run.resized + st.rules[0].resize_interval)
