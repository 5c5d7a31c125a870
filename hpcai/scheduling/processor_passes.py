"""What a pass does on a machine counted by processor: the quick pass, and the steps of one with a profile."""

from __future__ import annotations

from hpcai.jit import jit
from hpcai.scheduling.profile import find, fits_now, free_for, take
from hpcai.scheduling.queue import next_fit, next_waiting, with_tolerance
from hpcai.scheduling.running import begin, leave_running
from hpcai.scheduling.state import NO_BACKFILL, UNBOUNDED, State


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
def _start_front(st: State, now: float) -> int:
    """Start jobs from the front while they fit; return the position of the first that does not, or -1."""
    position = next_waiting(st, 0)
    while position >= 0 and st.jobs[st.places[position].job].needs <= free_processors(st):
        start_job(st, position, now)
        position = next_waiting(st, position + 1)
    return position


@jit
def pass_processors(st: State, now: float) -> None:
    """The pass without a profile: none and EASY, no reservations."""
    head = _start_front(st, now)
    if head >= 0 and st.scalars[0].backfill != NO_BACKFILL:
        backfill_processors(st, head, head + 1, now)


@jit
def backfill_processors(st: State, head: int, position: int, now: float) -> None:
    """Start, in order from ``position`` on, the jobs that do not delay the job at ``head``."""
    s = st.scalars[0]
    if st.tree[1].needs > free_processors(st):
        return
    shadow, extra = reserve_head(st, st.places[head].job, now)
    slack = with_tolerance(shadow - now)
    bounded = s.depth != UNBOUNDED
    looked = 0
    position -= 1
    while looked < s.depth:
        free = free_processors(st)
        position = next_waiting(st, position + 1) if bounded else next_fit(st, position + 1, free, slack, extra)
        if position < 0:
            return
        looked += 1
        job = st.jobs[st.places[position].job]
        if job.needs > free:
            continue
        if now + job.estimate <= shadow:
            start_job(st, position, now)
        elif job.needs <= extra:
            extra -= job.size
            start_job(st, position, now)


@jit
def reserve_head(st: State, j: int, now: float) -> tuple[float, int]:
    """Return the shadow time of job ``j`` and the extra: processors that will then be free beyond its own."""
    s = st.scalars[0]
    needs = st.jobs[j].needs
    free = s.total - s.used
    r = s.running - 1
    shadow = now
    while r >= 0:
        end = max(now, st.running[r].end)
        if free >= needs and end > shadow:
            break
        shadow = end
        free += st.jobs[st.running[r].job].size
        r -= 1
    return shadow, free - needs


@jit
def fits_on_processors(st: State, j: int, now: float) -> bool:
    """Return whether job ``j`` could start now."""
    job = st.jobs[j]
    if job.needs > free_processors(st):
        return False
    return not st.scalars[0].use_profile or bool(fits_now(st, job.estimate, job.needs))


@jit
def beside_on_processors(st: State, j: int, shadow: float, extra: int, now: float) -> bool:
    """Return whether job ``j``, which fits, would leave the head its place."""
    job = st.jobs[j]
    return bool(now + job.estimate <= shadow or job.needs <= extra)


@jit
def join_beside_on_processors(st: State, position: int, shadow: float, extra: int, now: float) -> int:
    """Start the job at ``position`` beside the head; return what is left of the extra."""
    job = st.jobs[st.places[position].job]
    start_job(st, position, now)
    return int(extra if now + job.estimate <= shadow else extra - job.size)


@jit
def start_if_free(st: State, position: int, now: float) -> bool:
    """Start the job at ``position`` if it fits now, in fact and in the profile; return whether it did."""
    job = st.jobs[st.places[position].job]
    if job.needs > free_processors(st) or not fits_now(st, job.estimate, job.needs):
        return False
    take(st, now, job.estimate, job.size)
    start_job(st, position, now)
    return True


@jit
def place_later(st: State, position: int, now: float) -> None:
    """Give the job at ``position`` the earliest place in the profile."""
    job = st.jobs[st.places[position].job]
    take(st, find(st, job.estimate, job.needs), job.estimate, job.needs)


@jit
def next_candidate(st: State, position: int, now: float) -> int:
    """Return the first position from ``position`` on whose job still fits now, in fact and in the profile."""
    room = free_processors(st)
    # Not even the smallest could stay longer than this: the tree then passes over the long jobs of a deep queue.
    slack = with_tolerance(free_for(st, st.tree[1].needs))
    position = next_fit(st, position, room, slack, -1)
    while position >= 0:
        job = st.jobs[st.places[position].job]
        if fits_now(st, job.estimate, job.needs):
            return position
        position = next_fit(st, position + 1, room, slack, -1)
    return -1
