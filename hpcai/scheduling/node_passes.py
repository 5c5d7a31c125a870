"""The scheduling pass on a machine counted by node, and what starts and ends jobs there.

The same rules as on processors (docs/semantics.md); only 'fits' means that every task finds a node.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcai.scheduling._jit import jit, jit_allocating
from hpcai.scheduling.node_profile import NodeProfile, lay_node_profile, least_free, take_nodes
from hpcai.scheduling.nodes import hold, hold_if_free, place, room_on
from hpcai.scheduling.queue import drop_started, lay_order, next_fit, next_waiting, smallest_waiting
from hpcai.scheduling.running import begin, leave_running
from hpcai.scheduling.state import CONSERVATIVE, NO_BACKFILL, UNBOUNDED, State


@jit
def start_tasks(st: State, position: int, now: float) -> None:
    """Start the job at ``position`` on the nodes that its entries name."""
    j = begin(st, position, now)
    hold(st.nodes, st.gpu_free, st.jobs[j], st.entries, 1)
    st.scalars[0].used += st.jobs[j].bulk


@jit
def finish_tasks(st: State, j: int, now: float) -> None:
    """Job ``j`` has ended and gives its nodes back."""
    leave_running(st, j, now)
    hold(st.nodes, st.gpu_free, st.jobs[j], st.entries, -1)
    st.scalars[0].used -= st.jobs[j].bulk


@jit
def reserve_nodes(st: State, now: float) -> None:
    """Put the reservations of this instant in force, and those that are over out of force."""
    for i in range(st.nodes.shape[0]):
        st.nodes[i].reserved = 0
        for w in range(st.windows.shape[0]):
            if st.windows[w].start <= now < st.windows[w].end:
                st.nodes[i].reserved += st.window_nodes[w, i]


@jit_allocating
def schedule_nodes(st: State, now: float) -> None:
    """Run one scheduling pass; the started jobs are ``st.started[: st.scalars[0].started]``."""
    s = st.scalars[0]
    s.started = 0
    if smallest_waiting(st) > s.total - s.used:
        return
    s.passes += 1
    waiting = s.waiting
    if s.dynamic:
        lay_order(st, now)
    if s.use_profile:
        _pass_on_profile(st, now)
    else:
        _pass(st, now)
    if s.dynamic and s.started:
        drop_started(st, waiting)


@jit
def _job_at(st: State, position: int) -> Any:
    return st.jobs[st.places[position].job]


@jit_allocating
def _pass(st: State, now: float) -> None:
    """The pass without a profile: none and EASY, no reservations."""
    s = st.scalars[0]
    head = next_waiting(st, 0)
    while head >= 0 and place(st.nodes, st.gpu_free, _job_at(st, head), st.entries):
        start_tasks(st, head, now)
        head = next_waiting(st, head + 1)
    if head < 0 or s.backfill == NO_BACKFILL:
        return
    nodes, gpu_free = st.nodes.copy(), st.gpu_free.copy()
    shadow = _reserve_nodes(st, _job_at(st, head), nodes, gpu_free, now)
    slack = (shadow - now) * (1.0 + 1e-9) + 1e-6
    looked = 0
    position = head
    while looked < s.depth:
        room = s.total - s.used
        if s.depth != UNBOUNDED:
            position = next_waiting(st, position + 1)
        else:
            position = next_fit(st, position + 1, room, np.inf, 0)
        if position < 0:
            return
        looked += 1
        job = _job_at(st, position)
        failed = st.failed[job.shape]
        # Within a pass what is free only shrinks, so a shape that did not fit does not fit later; and until the
        # next start a shape is put on the same nodes, so if they were not in the extra, they still are not.
        moment = s.passes + s.starts
        if failed.in_pass == s.passes or (failed.at_moment == moment and job.estimate > slack):
            continue
        if not place(st.nodes, st.gpu_free, job, st.entries):
            failed.in_pass = s.passes
        elif now + job.estimate <= shadow or hold_if_free(nodes, gpu_free, job, st.entries):
            start_tasks(st, position, now)
        else:
            failed.at_moment = moment


@jit_allocating
def _reserve_nodes(st: State, job: Any, nodes: NDArray[np.void], gpu_free: NDArray[np.int32], now: float) -> float:
    """Return the head's shadow time; leave in ``nodes`` and ``gpu_free`` the extra: what is then free beyond it."""
    s = st.scalars[0]
    fits = 0
    for i in range(nodes.shape[0]):
        fits += room_on(nodes[i], gpu_free[i], job)
    shadow = now
    r = s.running - 1
    while r >= 0:
        end = max(now, st.running[r].end)
        if fits >= job.size and end > shadow:
            break
        shadow = end
        leaver = st.jobs[st.running[r].job]
        fits += _release(nodes, gpu_free, leaver, st.entries, job)
        r -= 1
    place(nodes, gpu_free, job, st.entries)
    hold(nodes, gpu_free, job, st.entries, 1)
    return shadow


@jit
def _release(
    nodes: NDArray[np.void], gpu_free: NDArray[np.int32], leaver: Any, entries: NDArray[np.void], job: Any
) -> int:
    """Give back what ``leaver`` holds; return how many more tasks of ``job`` fit because of it."""
    before, after = 0, 0
    for k in range(leaver.entries, leaver.entries + leaver.size):
        i = entries[k].node
        if k == leaver.entries or i != entries[k - 1].node:  # tasks on one node are next to each other
            before += room_on(nodes[i], gpu_free[i], job)
    hold(nodes, gpu_free, leaver, entries, -1)
    for k in range(leaver.entries, leaver.entries + leaver.size):
        i = entries[k].node
        if k == leaver.entries or i != entries[k - 1].node:
            after += room_on(nodes[i], gpu_free[i], job)
    return after - before


@jit_allocating
def _pass_on_profile(st: State, now: float) -> None:
    """The pass with a profile: conservative, and any backfilling beside reservations."""
    s = st.scalars[0]
    profile, n = lay_node_profile(st, now)
    position = next_waiting(st, 0)
    blocked = False  # some job ahead does not start now
    looked = 0
    while position >= 0 and looked < s.depth:
        job = _job_at(st, position)
        if blocked or s.backfill == CONSERVATIVE:
            looked += 1
        if _place_now(st, job, profile, n):
            profile, n = take_nodes(profile, n, 0, job.estimate, job, st.entries)
            start_tasks(st, position, now)
        elif s.backfill == NO_BACKFILL:
            return
        else:
            if s.backfill == CONSERVATIVE or not blocked:
                profile, n = _place_later(st, job, profile, n)
            blocked = True
        if next_fit(st, position + 1, s.total - s.used, np.inf, 0) < 0:
            return  # nobody behind could start now, and only that matters
        position = next_waiting(st, position + 1)


@jit_allocating
def _place_now(st: State, job: Any, profile: NodeProfile, n: int) -> bool:
    """Place the job's tasks on nodes that are free now and stay so for its estimate; return whether all fit."""
    if job.bulk > st.scalars[0].total - st.scalars[0].used:
        return False
    nodes, gpu_free = st.nodes.copy(), st.gpu_free.copy()
    least_free(profile, n, 0, job.estimate, nodes, gpu_free)
    return place(nodes, gpu_free, job, st.entries)


@jit_allocating
def _place_later(st: State, job: Any, profile: NodeProfile, n: int) -> tuple[NodeProfile, int]:
    """Take the job's earliest place in the profile; return the profile and its length."""
    nodes, gpu_free = np.empty_like(st.nodes), np.empty_like(st.gpu_free)
    for first in range(n):
        nodes[:] = profile.nodes[first]
        gpu_free[:] = profile.gpu_free[first]
        least_free(profile, n, first, job.estimate, nodes, gpu_free)
        if place(nodes, gpu_free, job, st.entries):
            return take_nodes(profile, n, first, job.estimate, job, st.entries)
    return profile, n
