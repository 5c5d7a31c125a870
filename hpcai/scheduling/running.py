"""The running set, sorted by expected end, and who uses how much of the machine."""

from __future__ import annotations

from hpcai.jit import jit
from hpcai.scheduling.expected_ends import settle
from hpcai.scheduling.formula import SIZE
from hpcai.scheduling.kinds import if_predicting
from hpcai.scheduling.prediction import note_finish, note_start
from hpcai.scheduling.queue import accrue, dequeue
from hpcai.scheduling.state import State

_note_start = if_predicting(note_start)
_note_finish = if_predicting(note_finish)


@jit
def begin(st: State, position: int, now: float) -> int:
    """Start the job at ``position``: it leaves the queue and joins the running set."""
    s = st.scalars[0]
    j = int(st.places[position].job)
    dequeue(st, position)
    st.start[j] = now
    st.started[s.started] = j
    s.started += 1
    s.starts += 1
    _note_start(st, j, now)
    join_running(st, j, now + st.jobs[j].estimate)
    if s.usage:
        accrue(st, st.jobs[j].account, st.features[SIZE, j], now)
        accrue(st, st.accounts.shape[0] - 1, st.features[SIZE, j], now)
    return j


@jit
def join_running(st: State, j: int, end: float) -> None:
    """Insert job ``j`` with expected end ``end``; the running set stays sorted, latest first."""
    settle(st, st.scalars[0].running, j, end)
    st.scalars[0].running += 1


@jit
def leave_running(st: State, j: int, now: float) -> None:
    """Remove job ``j`` from the running set (whatever it holds is released by the caller)."""
    s = st.scalars[0]
    end = st.start[j] + st.jobs[j].estimate
    low, high = 0, s.running
    while low < high:  # the first place whose end is not later
        middle = (low + high) // 2
        if st.running[middle].end > end:
            low = middle + 1
        else:
            high = middle
    while st.running[low].job != j:
        low += 1
    s.running -= 1
    _note_finish(st, j, now)
    for r in range(low, s.running):
        st.running[r].end = st.running[r + 1].end
        st.running[r].job = st.running[r + 1].job
    if s.usage:
        accrue(st, st.jobs[j].account, -st.features[SIZE, j], now)
        accrue(st, st.accounts.shape[0] - 1, -st.features[SIZE, j], now)
