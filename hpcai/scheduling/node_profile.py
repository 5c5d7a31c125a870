"""What is free on every node over future time, for reservations and conservative backfilling.

The profile is the room at the beginning, ``st.ahead``, and the changes to it in order of time, ``st.changes``: a
job's tasks are given back or taken, a reservation begins or ends. Room at a later time is found by applying the
changes up to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcai.jit import jit
from hpcai.scheduling.nodes import Room, copy_room, hold, lower_to, place
from hpcai.scheduling.state import CPU, GIVE, GPU, OPEN, TAKE, State


@jit
def lay_node_profile(st: State, now: float) -> None:
    """Lay the profile of the running jobs' expected ends and of the reservations, from ``now`` on."""
    s = st.scalars[0]
    s.changes = 0
    copy_room(st.room, st.ahead)
    for i in range(st.ahead.shape[0]):
        st.ahead[i, OPEN] = 0
    for r in range(s.running - 1, -1, -1):
        _change(st, now, st.running[r].end, st.running[r].job, GIVE)
    for w in range(st.windows.shape[0]):
        if st.windows[w].end > now:
            _change(st, now, st.windows[w].start, -1 - w, TAKE)
            _change(st, now, st.windows[w].end, -1 - w, GIVE)


@jit
def _change(st: State, now: float, time: float, what: int, sign: int) -> None:
    """Enter a change into the profile: at ``now`` or before it takes effect at once.

    At one time what is given comes before what is taken, so that room is never short in between.
    """
    if time <= now:
        _apply(st, st.ahead, what, sign)
        return
    if time == np.inf:
        return
    s = st.scalars[0]
    k = s.changes
    while k > 0 and (
        st.changes[k - 1].time > time
        or (st.changes[k - 1].time == time and st.changes[k - 1].sign == TAKE and sign == GIVE)
    ):
        st.changes[k] = st.changes[k - 1]
        k -= 1
    st.changes[k].time = time
    st.changes[k].what = what
    st.changes[k].sign = sign
    s.changes += 1


@jit
def _apply(st: State, room: Room, what: int, sign: int) -> None:
    """Apply a change to ``room``: of job ``what``, or of reservation ``-1 - what``."""
    if what >= 0:
        hold(st, room, st.jobs[what], sign)
        return
    for i in range(room.shape[0]):
        room[i, OPEN] -= sign * st.window_nodes[-1 - what, i]


@jit
def _lower_over(st: State, first: int, end: float) -> None:
    """Lower ``st.least`` to the least that is free until ``end``; ``st.cursor`` is the room before change ``first``."""
    k = first
    while k < st.scalars[0].changes and st.changes[k].time < end:
        what, sign = st.changes[k].what, st.changes[k].sign
        _apply(st, st.cursor, what, sign)
        if sign == TAKE and what >= 0:
            job = st.jobs[what]
            for e in range(job.entries, job.entries + job.size):
                lower_to(st.least, st.cursor, st.entries[e].node)
        elif sign == TAKE:
            for i in range(st.least.shape[0]):
                lower_to(st.least, st.cursor, i)
        k += 1


@jit
def place_now(st: State, job: Any, now: float) -> bool:
    """Place the job's tasks on nodes that are free now and stay so for its estimate; return whether all fit."""
    if job.bulk > st.scalars[0].total - st.scalars[0].used:
        return False
    copy_room(st.ahead, st.cursor)
    copy_room(st.room, st.least)
    for i in range(st.least.shape[0]):
        lower_to(st.least, st.cursor, i)
    _lower_over(st, 0, now + job.estimate)
    return place(st, st.least, job)


@jit
def place_later(st: State, job: Any, now: float) -> float:
    """Place the job's tasks at the earliest time at which they fit for its estimate; return it, inf if none."""
    s = st.scalars[0]
    copy_room(st.ahead, st.begin)
    free = _free_bulk(st, st.begin)
    time = now
    k = 0
    while True:
        while k < s.changes and st.changes[k].time <= time:
            what, sign = st.changes[k].what, st.changes[k].sign
            _apply(st, st.begin, what, sign)
            if what >= 0:
                free -= sign * st.jobs[what].bulk
            k += 1
        if free >= job.bulk and _place_at(st, job, k, time):
            return time
        later = k
        while later < s.changes and st.changes[later].sign == TAKE:  # where room is only lost nothing new fits
            later += 1
        if later == s.changes:
            return np.inf
        time = st.changes[later].time


@jit
def _free_bulk(st: State, room: Room) -> int:
    """Return the thousandths of GPUs (of CPUs, if there are none) free on all nodes."""
    column = GPU if st.left.shape[0] > 0 else CPU
    free = 0
    for i in range(room.shape[0]):
        free += room[i, column]
    return free


@jit
def _place_at(st: State, job: Any, first: int, time: float) -> bool:
    """Place the job's tasks at ``time``, when ``st.begin`` is free and change ``first`` is next; return success."""
    copy_room(st.begin, st.cursor)
    copy_room(st.begin, st.least)
    _lower_over(st, first, time + job.estimate)
    return place(st, st.least, job)


@jit
def take_nodes(st: State, j: int, time: float, now: float) -> None:
    """Take what job ``j``'s placed tasks hold from ``time`` on for its estimate."""
    if st.jobs[j].estimate > 0.0:
        _change(st, now, time, j, TAKE)
        _change(st, now, time + st.jobs[j].estimate, j, GIVE)
