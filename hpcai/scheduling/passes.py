"""The scheduling pass on a machine counted by processor, and what starts and ends jobs there.

docs/semantics.md says what each backfilling does; the functions here do exactly that.
"""

from __future__ import annotations

from hpcai.scheduling._jit import jit
from hpcai.scheduling.profile import find, fits_now, free_for, lay_profile, take
from hpcai.scheduling.queue import drop_started, lay_order, next_fit, next_waiting, smallest_waiting
from hpcai.scheduling.running import begin, leave_running
from hpcai.scheduling.state import CONSERVATIVE, EASY, NO_BACKFILL, UNBOUNDED, State


@jit
def free_processors(st: State) -> int:
    """Return the processors that a job may be put on at this moment."""
    s = st.scalars[0]
    return int(max(s.total - s.used - s.reserved, 0))


@jit
def start_job(st: State, position: int, now: float) -> None:
    """Start the job at ``position`` on free processors."""
    j = begin(st, position, now)
    st.scalars[0].used += st.jobs[j].size


@jit
def finish_job(st: State, j: int, now: float) -> None:
    """Job ``j`` has ended and gives its processors back."""
    leave_running(st, j, now)
    st.scalars[0].used -= st.jobs[j].size


@jit
def reserve_processors(st: State, now: float) -> None:
    """Put the reservations of this instant in force, and those that are over out of force."""
    s = st.scalars[0]
    s.reserved = 0
    for w in range(st.windows.shape[0]):
        if st.windows[w].start <= now < st.windows[w].end:
            s.reserved += st.windows[w].processors


@jit
def schedule_processors(st: State, now: float) -> None:
    """Run one scheduling pass; the started jobs are ``st.started[: st.scalars[0].started]``."""
    s = st.scalars[0]
    s.started = 0
    if smallest_waiting(st) > free_processors(st):
        return
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
def _start_front(st: State, now: float) -> int:
    """Start jobs from the front while they fit; return the position of the first that does not, or -1."""
    position = next_waiting(st, 0)
    while position >= 0 and st.jobs[st.places[position].job].size <= free_processors(st):
        start_job(st, position, now)
        position = next_waiting(st, position + 1)
    return position


@jit
def _pass(st: State, now: float) -> None:
    """The pass without a profile: none and EASY, no reservations."""
    s = st.scalars[0]
    head = _start_front(st, now)
    if head < 0 or s.backfill == NO_BACKFILL or st.tree[1].bulk > free_processors(st):
        return
    shadow, extra = _reservation(st, st.jobs[st.places[head].job].size, now)
    slack = _with_tolerance(shadow - now)
    bounded = s.depth != UNBOUNDED
    looked = 0
    position = head
    while looked < s.depth:
        free = free_processors(st)
        position = next_waiting(st, position + 1) if bounded else next_fit(st, position + 1, free, slack, extra)
        if position < 0:
            return
        looked += 1
        job = st.jobs[st.places[position].job]
        if job.size > free:
            continue
        if now + job.estimate <= shadow:
            start_job(st, position, now)
        elif job.size <= extra:
            extra -= job.size
            start_job(st, position, now)


@jit
def _with_tolerance(slack: float) -> float:
    """Return a bound on estimates for the tree to prune by: rounding must not hide a job, which is judged exactly."""
    return slack * (1.0 + 1e-9) + 1e-6


@jit
def _reservation(st: State, size: int, now: float) -> tuple[float, int]:
    """Return the head's shadow time and the processors that will then be free beyond its ``size``."""
    s = st.scalars[0]
    free = s.total - s.used
    r = s.running - 1
    shadow = now
    while r >= 0:
        end = max(now, st.running[r].end)
        if free >= size and end > shadow:
            break
        shadow = end
        free += st.jobs[st.running[r].job].size
        r -= 1
    return shadow, free - size


@jit
def _pass_on_profile(st: State, now: float) -> None:
    """The pass with a profile: conservative, and any backfilling beside reservations."""
    s = st.scalars[0]
    lay_profile(st, now)
    if s.backfill == CONSERVATIVE:
        _place_in_order(st, now)
        return
    position = next_waiting(st, 0)
    while position >= 0 and _start_if_free(st, position, now):
        position = next_waiting(st, position + 1)
    if position >= 0 and s.backfill == EASY:
        _place(st, position)
        _backfill_on_profile(st, position, now)


@jit
def _start_if_free(st: State, position: int, now: float) -> bool:
    """Start the job at ``position`` if it fits now, in fact and in the profile; return whether it did."""
    job = st.jobs[st.places[position].job]
    if job.size > free_processors(st) or not fits_now(st, job.estimate, job.size):
        return False
    take(st, now, job.estimate, job.size)
    start_job(st, position, now)
    return True


@jit
def _place(st: State, position: int) -> None:
    """Give the job at ``position`` the earliest place in the profile."""
    job = st.jobs[st.places[position].job]
    take(st, find(st, job.estimate, job.size), job.estimate, job.size)


@jit
def _backfill_on_profile(st: State, head: int, now: float) -> None:
    s = st.scalars[0]
    bounded = s.depth != UNBOUNDED
    looked = 0
    position = head
    while looked < s.depth:
        position = next_waiting(st, position + 1) if bounded else _next_candidate(st, position + 1)
        if position < 0:
            return
        looked += 1
        _start_if_free(st, position, now)


@jit
def _place_in_order(st: State, now: float) -> None:
    """Conservative: place every waiting job in order; start those whose place is now.

    Only what starts now matters, and the profile only ever loses room: so the jobs up to the next one that
    could still start now are placed when there is such a one, and the rest of the queue never is.
    """
    s = st.scalars[0]
    looked = 0
    placed = 0  # positions below this one are done with
    candidate = _next_candidate(st, 0)
    while candidate >= 0:
        position = next_waiting(st, placed)
        while position < candidate and looked < s.depth:
            _place(st, position)
            looked += 1
            position = next_waiting(st, position + 1)
        if looked >= s.depth:
            return
        looked += 1
        if not _start_if_free(st, candidate, now):
            _place(st, candidate)
        placed = candidate + 1
        candidate = _next_candidate(st, placed)


@jit
def _next_candidate(st: State, position: int) -> int:
    """Return the first position from ``position`` on whose job still fits now, in fact and in the profile."""
    room = free_processors(st)
    # Not even the smallest could stay longer than this: the tree then passes over the long jobs of a deep queue.
    slack = _with_tolerance(free_for(st, st.tree[1].bulk))
    position = next_fit(st, position, room, slack, -1)
    while position >= 0:
        job = st.jobs[st.places[position].job]
        if fits_now(st, job.estimate, job.size):
            return position
        position = next_fit(st, position + 1, room, slack, -1)
    return -1
