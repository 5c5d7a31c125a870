"""The compiled clock: the whole replay in machine code, for when nothing but scheduling moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.jit import announce_compilation, inlined, jit
from hpcai.scheduling.passes import schedule
from hpcai.scheduling.queue import enqueue
from hpcai.scheduling.rules import finish, reserve
from hpcai.scheduling.state import State
from hpcai.simulation.heap import heap_pop, heap_push

# Instants handled before Python looks up: often enough for an interrupt, seldom enough to cost nothing.
CHUNK: Final = 2_000

_COUNTS = np.dtype(
    [("arrived", "i8"), ("arriving", "i8"), ("running", "i8"), ("boundary", "i8"), ("ended", "i8"), ("begun", "i8")],
    align=True,
)


class Events(NamedTuple):
    """What is to come; n jobs."""

    counts: NDArray[np.void]  # _COUNTS (1,)
    arrival_times: NDArray[np.float64]  # (n,) heap of submissions if jobs depend on jobs, else (0,)
    arrival_jobs: NDArray[np.int64]
    end_times: NDArray[np.float64]  # (n,) heap of completions
    end_jobs: NDArray[np.int64]
    boundaries: NDArray[np.float64]  # (b,) when reservations begin or end, ascending
    followers: NDArray[np.int64]  # (n,) first job that waits for this one's end, or -1
    next_follower: NDArray[np.int64]  # (n,)


def make_events(state: State) -> Events:
    """Return the events before the first: every independent submission, every reservation's edges."""
    n = len(state.jobs)
    after = state.jobs["after"]
    dependent = bool((after >= 0).any())
    followers, next_follower = np.full(n, -1), np.full(n, -1)
    for j in np.flatnonzero(after >= 0)[::-1]:
        next_follower[j] = followers[after[j]]
        followers[after[j]] = j
    edges = np.unique(np.concatenate((state.windows["start"], state.windows["end"])))
    counts = np.zeros(1, dtype=_COUNTS)
    events = Events(
        counts=counts,
        arrival_times=np.empty(n if dependent else 0),
        arrival_jobs=np.empty(n if dependent else 0, dtype=np.int64),
        end_times=np.empty(n),
        end_jobs=np.empty(n, dtype=np.int64),
        boundaries=edges[np.isfinite(edges)],
        followers=followers,
        next_follower=next_follower,
    )
    if dependent:
        independent = np.flatnonzero(after < 0)  # ascending submit: already a heap
        events.arrival_times[: len(independent)] = state.jobs["submit"][independent]
        events.arrival_jobs[: len(independent)] = independent
        counts["arriving"] = len(independent)
    return events


def run(state: State, progress: Callable[[int], object] | None = None) -> None:
    """Run the replay to its end; ``state.submit`` and ``state.start`` then hold the schedule.

    ``progress`` is called from time to time with the number of jobs that have ended.
    """
    announce_compilation(_advance)
    events = make_events(state)
    while _advance(state, events, CHUNK):
        if progress is not None:
            progress(int(events.counts["ended"][0]))


@jit
def next_instant(st: State, ev: Events) -> float:
    """Return the time of the next event; inf if there is none."""
    c = ev.counts[0]
    now = np.inf
    if ev.arrival_times.shape[0] > 0:
        if c.arriving > 0:
            now = ev.arrival_times[0]
    elif c.arrived < st.jobs.shape[0]:
        now = st.jobs[c.arrived].submit
    if c.running > 0:
        now = min(now, ev.end_times[0])
    # A reservation's edge matters only while jobs are still about.
    if c.boundary < ev.boundaries.shape[0] and (now < np.inf or st.scalars[0].waiting > 0):
        now = min(now, ev.boundaries[c.boundary])
    return now


@jit
def _advance(st: State, ev: Events, instants: int) -> bool:
    """Handle up to ``instants`` instants; return whether any are left."""
    begin_replay(st, ev)
    for _ in range(instants):
        now = next_instant(st, ev)
        if now == np.inf:
            return False
        handle_events(st, ev, now)
        schedule(st, now)
        launch(st, ev, now)
    return True


@jit
def begin_replay(st: State, ev: Events) -> None:
    """Put in force what is reserved from the beginning on, once."""
    if not ev.counts[0].begun:
        ev.counts[0].begun = 1
        reserve(st, -np.inf)


@inlined
def handle_events(st: State, ev: Events, now: float) -> None:
    """Let everything that is due at ``now`` take effect, in the order of docs/semantics.md."""
    c = ev.counts[0]
    while c.running > 0 and ev.end_times[0] == now:
        j = heap_pop(ev.end_times, ev.end_jobs, c.running)
        c.running -= 1
        c.ended += 1
        finish(st, j, now)
        _release_followers(st, ev, j, now)
    if c.boundary < ev.boundaries.shape[0] and ev.boundaries[c.boundary] == now:
        c.boundary += 1
        reserve(st, now)
    _take_arrivals(st, ev, now)


@jit
def launch(st: State, ev: Events, now: float) -> None:
    """Note when the jobs that the latest pass has started will end."""
    c = ev.counts[0]
    for k in range(st.scalars[0].started):
        j = st.started[k]
        heap_push(ev.end_times, ev.end_jobs, c.running, now + st.jobs[j].run, j)
        c.running += 1


@jit
def _release_followers(st: State, ev: Events, j: int, now: float) -> None:
    c = ev.counts[0]
    follower = ev.followers[j]
    while follower >= 0:
        heap_push(ev.arrival_times, ev.arrival_jobs, c.arriving, now + st.jobs[follower].think, follower)
        c.arriving += 1
        follower = ev.next_follower[follower]


@jit
def _take_arrivals(st: State, ev: Events, now: float) -> None:
    c = ev.counts[0]
    if ev.arrival_times.shape[0] > 0:
        while c.arriving > 0 and ev.arrival_times[0] == now:
            j = heap_pop(ev.arrival_times, ev.arrival_jobs, c.arriving)
            c.arriving -= 1
            enqueue(st, j, now)
    else:
        while c.arrived < st.jobs.shape[0] and st.jobs[c.arrived].submit == now:
            enqueue(st, c.arrived, now)
            c.arrived += 1
