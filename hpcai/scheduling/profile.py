"""Free processors over future time, for reservations and conservative backfilling.

From ``st.steps[i].time`` to that of ``i + 1`` there are ``st.steps[i].free`` processors free; the last step, number
``scalars.steps - 1``, has no end. ``free`` may be negative where running jobs overlap a reservation.
"""

from __future__ import annotations

import numpy as np

from hpcai.scheduling._jit import jit
from hpcai.scheduling.state import State


@jit
def lay_profile(st: State, now: float) -> None:
    """Lay the profile of the running jobs' expected ends and of the reservations, from ``now`` on."""
    s = st.scalars[0]
    s.steps = 1
    st.steps[0].time = now
    st.steps[0].free = s.total - s.used
    for r in range(s.running - 1, -1, -1):
        end = max(now, st.running[r].end)
        if end == np.inf:
            break
        last = s.steps - 1
        if end > st.steps[last].time:
            st.steps[last + 1].time = end
            st.steps[last + 1].free = st.steps[last].free
            s.steps += 1
        st.steps[s.steps - 1].free += st.jobs[st.running[r].job].size
    for w in range(st.windows.shape[0]):
        window = st.windows[w]
        if window.end > now:
            _take_between(st, _cut(st, max(now, window.start)), window.end, window.processors)


@jit
def _cut(st: State, time: float) -> int:
    """Make ``time``, not before the first step, the beginning of a step; return the step."""
    s = st.scalars[0]
    low, high = 0, s.steps
    while low < high:  # the first step that does not begin before time
        middle = (low + high) // 2
        if st.steps[middle].time < time:
            low = middle + 1
        else:
            high = middle
    if low == s.steps or st.steps[low].time != time:
        for k in range(s.steps, low, -1):
            st.steps[k] = st.steps[k - 1]
        st.steps[low].time = time
        st.steps[low].free = st.steps[low - 1].free
        s.steps += 1
    return int(low)


@jit
def _take_between(st: State, first: int, end: float, size: int) -> None:
    last = _cut(st, end) if end < np.inf else st.scalars[0].steps
    for i in range(first, last):
        st.steps[i].free -= size


@jit
def take(st: State, first: int, duration: float, size: int) -> None:
    """Take ``size`` processors from step ``first`` on for ``duration``."""
    if duration > 0.0:
        _take_between(st, first, st.steps[first].time + duration, size)


@jit
def find(st: State, duration: float, size: int) -> int:
    """Return the earliest step from which ``size`` processors are free for ``duration``; -1 if there is none."""
    steps = st.scalars[0].steps
    first = 0
    for i in range(steps):
        if st.steps[i].free < size:
            first = i + 1
        elif i + 1 == steps or st.steps[i + 1].time >= st.steps[first].time + duration:
            return first
    return -1


@jit
def fits_now(st: State, duration: float, size: int) -> bool:
    """Return whether ``size`` processors are free from the first step on for ``duration``."""
    end = st.steps[0].time + duration
    i = 0
    while i == 0 or (i < st.scalars[0].steps and st.steps[i].time < end):
        if st.steps[i].free < size:
            return False
        i += 1
    return True
