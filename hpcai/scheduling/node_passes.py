"""What a pass does on a machine counted by node: the quick pass, and the steps of one with a profile.

The same rules as on processors; only 'fits' means that every task finds a node.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcai.jit import jit
from hpcai.scheduling.node_profile import place_later, place_now, take_nodes
from hpcai.scheduling.nodes import Room, copy_room, hold, hold_if_free, place, tasks_on
from hpcai.scheduling.queue import next_fit, next_waiting, with_tolerance
from hpcai.scheduling.running import begin, leave_running
from hpcai.scheduling.state import NO_BACKFILL, OPEN, UNBOUNDED, State


@jit
def free_on_nodes(st: State) -> int:
    """Return the thousandths of GPUs (of CPUs, if there are none) that no job holds."""
    return int(st.scalars[0].total - st.scalars[0].used)


@jit
def start_tasks(st: State, position: int, now: float) -> None:
    """Start the job at ``position`` on the nodes that its entries name."""
    j = begin(st, position, now)
    hold(st, st.room, st.jobs[j], 1)
    st.scalars[0].used += st.jobs[j].bulk


@jit
def finish_tasks(st: State, j: int, now: float) -> None:
    """Job ``j`` has ended and gives its nodes back."""
    leave_running(st, j, now)
    hold(st, st.room, st.jobs[j], -1)
    st.scalars[0].used -= st.jobs[j].bulk


@jit
def reserve_nodes(st: State, now: float) -> None:
    """Put the reservations of this instant in force, and those that are over out of force."""
    for i in range(st.room.shape[0]):
        st.room[i, OPEN] = 0
        for w in range(st.windows.shape[0]):
            if st.windows[w].start <= now < st.windows[w].end:
                st.room[i, OPEN] -= st.window_nodes[w, i]


@jit
def pass_nodes(st: State, now: float) -> None:
    """The pass without a profile: none and EASY, no reservations."""
    head = next_waiting(st, 0)
    while head >= 0 and _place_with_headroom(st, st.jobs[st.places[head].job]):
        start_tasks(st, head, now)
        head = next_waiting(st, head + 1)
    if head >= 0 and st.scalars[0].backfill != NO_BACKFILL:
        backfill_nodes(st, head, head + 1, now)


@jit
def _place_with_headroom(st: State, job: Any) -> bool:
    """Place ``job`` on the nodes; return whether it fits and what it needs is free."""
    return bool(job.needs <= free_on_nodes(st) and place(st, st.room, job))


@jit
def backfill_nodes(st: State, head: int, position: int, now: float) -> None:
    """Start, in order from ``position`` on, the jobs that do not delay the job at ``head``."""
    s = st.scalars[0]
    shadow = reserve_head_nodes(st, st.places[head].job, now)
    slack = with_tolerance(shadow - now)
    looked = 0
    position -= 1
    while looked < s.depth:
        if s.depth != UNBOUNDED:
            position = next_waiting(st, position + 1)
        else:
            position = next_fit(st, position + 1, free_on_nodes(st), np.inf, 0)
        if position < 0:
            return
        looked += 1
        job = st.jobs[st.places[position].job]
        if job.needs > free_on_nodes(st):
            continue
        failed = st.failed[job.shape]
        # Within a pass what is free only shrinks, so a shape that did not fit does not fit later; and until the
        # next start a shape is put on the same nodes, so if they were not in the extra, they still are not.
        moment = s.passes + s.starts
        if failed.in_pass == s.passes or (failed.at_moment == moment and job.estimate > slack):
            continue
        if not place(st, st.room, job):
            failed.in_pass = s.passes
        elif now + job.estimate <= shadow or hold_if_free(st, st.ahead, job):
            start_tasks(st, position, now)
        else:
            failed.at_moment = moment


@jit
def reserve_head_nodes(st: State, j: int, now: float) -> float:
    """Return the shadow time of job ``j``; the extra, what is then left beside it, is in ``st.ahead``."""
    s = st.scalars[0]
    job, room = st.jobs[j], st.ahead
    copy_room(st.room, room)
    fits = 0
    for i in range(room.shape[0]):
        fits += tasks_on(st, room, i, job)
    free = free_on_nodes(st)
    shadow = now
    r = s.running - 1
    while r >= 0:
        end = max(now, st.running[r].end)
        if fits >= job.size and free >= job.needs and end > shadow:
            break
        shadow = end
        free += st.jobs[st.running[r].job].bulk
        fits += _release(st, room, st.jobs[st.running[r].job], job)
        r -= 1
    place(st, room, job)
    hold(st, room, job, 1)
    return shadow


@jit
def _release(st: State, room: Room, leaver: Any, job: Any) -> int:
    """Give back what ``leaver`` holds; return how many more tasks of ``job`` fit because of it."""
    before = _tasks_beside(st, room, leaver, job)
    hold(st, room, leaver, -1)
    return _tasks_beside(st, room, leaver, job) - before


@jit
def _tasks_beside(st: State, room: Room, leaver: Any, job: Any) -> int:
    """Return how many tasks of ``job`` fit on the nodes of ``leaver``, whose tasks on one node are adjacent."""
    tasks = 0
    last = -1
    for k in range(leaver.entries, leaver.entries + leaver.size):
        if st.entries[k].node != last:
            last = st.entries[k].node
            tasks += tasks_on(st, room, last, job)
    return tasks


@jit
def fits_on_nodes(st: State, j: int, now: float) -> bool:
    """Return whether job ``j`` could start now; its entries then name the nodes."""
    if st.scalars[0].use_profile:
        return bool(place_now(st, st.jobs[j], now))
    return bool(_place_with_headroom(st, st.jobs[j]))


@jit
def start_on_nodes(st: State, position: int, now: float) -> None:
    """Start the job at ``position``, which fits, on nodes with room."""
    place(st, st.room, st.jobs[st.places[position].job])
    start_tasks(st, position, now)


@jit
def reserve_on_nodes(st: State, j: int, now: float) -> tuple[float, int]:
    """Return the shadow time of job ``j``, and 0: the extra is in ``st.ahead``."""
    return reserve_head_nodes(st, j, now), 0


@jit
def beside_on_nodes(st: State, j: int, shadow: float, extra: int, now: float) -> bool:
    """Return whether job ``j``, which fits where its entries say, would leave the head its place."""
    job = st.jobs[j]
    if now + job.estimate <= shadow:
        return True
    if not hold_if_free(st, st.ahead, job):
        return False
    hold(st, st.ahead, job, -1)
    return True


@jit
def join_beside_on_nodes(st: State, position: int, shadow: float, extra: int, now: float) -> int:
    """Start the job at ``position`` beside the head; what it takes of the extra is taken from ``st.ahead``."""
    job = st.jobs[st.places[position].job]
    place(st, st.room, job)
    if now + job.estimate > shadow:
        hold(st, st.ahead, job, 1)
    start_tasks(st, position, now)
    return extra


@jit
def start_tasks_if_free(st: State, position: int, now: float) -> bool:
    """Start the job at ``position`` if it fits now, in fact and in the profile; return whether it did."""
    j = st.places[position].job
    if not place_now(st, st.jobs[j], now):
        return False
    take_nodes(st, j, now, now)
    start_tasks(st, position, now)
    return True


@jit
def place_tasks_later(st: State, position: int, now: float) -> None:
    """Give the job at ``position`` the earliest place in the profile."""
    j = st.places[position].job
    take_nodes(st, j, place_later(st, st.jobs[j], now), now)


@jit
def next_node_candidate(st: State, position: int, now: float) -> int:
    """Return the first position from ``position`` on whose job still fits now, in fact and in the profile."""
    s = st.scalars[0]
    position = next_fit(st, position, free_on_nodes(st), np.inf, 0)
    while position >= 0:
        job = st.jobs[st.places[position].job]
        if st.failed[job.shape].in_pass != s.passes:
            if not place(st, st.room, job):
                st.failed[job.shape].in_pass = s.passes
            elif place_now(st, job, now):
                return position
        position = next_fit(st, position + 1, free_on_nodes(st), np.inf, 0)
    return -1
