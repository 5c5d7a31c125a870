"""Free processors over future time, for reservations and conservative backfilling.

``times[i]`` to ``times[i + 1]`` has ``free[i]`` processors free; the last interval has no end. ``free`` may be
negative where running jobs overlap a reservation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcai.scheduling._jit import jit
from hpcai.scheduling.state import State


@jit
def lay_profile(st: State, now: float) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    """Return times, free and their length: running jobs' expected ends and the reservations from ``now`` on.

    There is room for every waiting job to be placed.
    """
    s = st.scalars[0]
    room = s.running + 2 * s.waiting + 2 * st.windows.shape[0] + 2
    times = np.empty(room)
    free = np.empty(room, dtype=np.int64)
    times[0] = now
    free[0] = s.total - s.used
    n = 1
    for r in range(s.running - 1, -1, -1):
        end = max(now, st.running[r].end)
        size = st.jobs[st.running[r].job].size
        if end == times[n - 1]:
            free[n - 1] += size
        elif end < np.inf:
            times[n] = end
            free[n] = free[n - 1] + size
            n += 1
    for w in range(st.windows.shape[0]):
        window = st.windows[w]
        if window.end > now:
            begin = max(now, window.start)
            n, first = _cut(times, free, n, begin)
            n = take(times, free, n, first, window.end - begin, window.end, window.processors)
    return times, free, n


@jit
def _cut(times: NDArray[np.float64], free: NDArray[np.int64], n: int, t: float) -> tuple[int, int]:
    """Make ``t`` a breakpoint; return the new length and its index. ``t`` is not before the first one."""
    i = int(np.searchsorted(times[:n], t))
    if i < n and times[i] == t:
        return n, i
    for k in range(n, i, -1):
        times[k] = times[k - 1]
        free[k] = free[k - 1]
    times[i] = t
    free[i] = free[i - 1]
    return n + 1, i


@jit
def take(
    times: NDArray[np.float64], free: NDArray[np.int64], n: int, first: int, duration: float, end: float, size: int
) -> int:
    """Take ``size`` processors from breakpoint ``first`` to ``end`` (a time); return the new length."""
    if duration <= 0.0:
        return n
    last = n
    if end < np.inf:
        n, last = _cut(times, free, n, end)
    for i in range(first, last):
        free[i] -= size
    return n


@jit
def find(times: NDArray[np.float64], free: NDArray[np.int64], n: int, duration: float, size: int) -> int:
    """Return the earliest breakpoint from which ``size`` processors are free for ``duration``; -1 if none."""
    first = 0
    i = 0
    while i < n:
        if free[i] < size:
            first = i + 1
        elif i + 1 >= n or times[i + 1] >= times[first] + duration:
            return first
        i += 1
    return -1


@jit
def fits_now(times: NDArray[np.float64], free: NDArray[np.int64], n: int, duration: float, size: int) -> bool:
    """Return whether ``size`` processors are free from the first breakpoint on for ``duration``."""
    end = times[0] + duration
    i = 0
    while True:
        if free[i] < size:
            return False
        i += 1
        if i >= n or times[i] >= end:
            return True
