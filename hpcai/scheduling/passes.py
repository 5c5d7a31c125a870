"""The scheduling pass, on either kind of machine: docs/semantics.md says what it does, this does exactly that."""

from __future__ import annotations

from hpcai.jit import jit
from hpcai.scheduling.kinds import by_kind, if_predicting
from hpcai.scheduling.node_passes import (
    free_on_nodes,
    next_node_candidate,
    pass_nodes,
    place_tasks_later,
    start_tasks_if_free,
)
from hpcai.scheduling.node_profile import lay_node_profile
from hpcai.scheduling.prediction import correct_overruns
from hpcai.scheduling.processor_passes import (
    free_processors,
    next_candidate,
    pass_processors,
    place_later,
    start_if_free,
)
from hpcai.scheduling.profile import lay_profile
from hpcai.scheduling.queue import drop_started, lay_order, next_waiting, smallest_waiting
from hpcai.scheduling.state import CONSERVATIVE, NO_BACKFILL, UNBOUNDED, State

# For compiled code: what is free; of the profile: lay it, start a job that fits it, place one later.
free_capacity = by_kind(free_processors, free_on_nodes)
lay = by_kind(lay_profile, lay_node_profile)
start_in_profile = by_kind(start_if_free, start_tasks_if_free)
place_in_profile = by_kind(place_later, place_tasks_later)
_quick_pass = by_kind(pass_processors, pass_nodes)
_next_candidate = by_kind(next_candidate, next_node_candidate)
_correct_overruns = if_predicting(correct_overruns)


@jit
def schedule(st: State, now: float) -> None:
    """Run one pass; the started jobs are ``st.started[: st.scalars[0].started]``."""
    waiting = st.scalars[0].waiting
    if not open_pass(st, now):
        return
    if st.scalars[0].use_profile:
        _pass_on_profile(st, now)
    else:
        _quick_pass(st, now)
    close_pass(st, waiting)


@jit
def open_pass(st: State, now: float) -> bool:
    """Bring beliefs and order up to date; return False if not even the smallest waiting job fits."""
    s = st.scalars[0]
    s.started = 0
    if smallest_waiting(st) > free_capacity(st):
        return False
    s.passes += 1
    bring_up_to_date(st, now)
    return True


@jit
def bring_up_to_date(st: State, now: float) -> None:
    """Correct what is believed of running jobs, and lay a dynamic order."""
    _correct_overruns(st, now)
    if st.scalars[0].dynamic:
        lay_order(st, now)


@jit
def close_pass(st: State, waiting_before: int) -> None:
    """Whoever has started leaves the queue; ``waiting_before`` jobs were in it when the pass was opened."""
    s = st.scalars[0]
    if s.dynamic and s.started:
        drop_started(st, waiting_before)


@jit
def _pass_on_profile(st: State, now: float) -> None:
    """The pass with a profile: conservative, and any backfilling beside reservations."""
    s = st.scalars[0]
    lay(st, now)
    if s.backfill == CONSERVATIVE:
        place_in_order(st, now)
        return
    position = next_waiting(st, 0)
    while position >= 0 and start_in_profile(st, position, now):
        position = next_waiting(st, position + 1)
    if position < 0 or s.backfill == NO_BACKFILL:
        return
    place_in_profile(st, position, now)
    backfill_on_profile(st, position + 1, now)


@jit
def backfill_on_profile(st: State, position: int, now: float) -> None:
    """EASY on the profile, the head placed: start, in order from ``position`` on, the jobs that still fit."""
    s = st.scalars[0]
    position -= 1
    bounded = s.depth != UNBOUNDED
    looked = 0
    while looked < s.depth:
        position = next_waiting(st, position + 1) if bounded else _next_candidate(st, position + 1, now)
        if position < 0:
            return
        looked += 1
        start_in_profile(st, position, now)


@jit
def place_in_order(st: State, now: float) -> None:
    """Conservative: place every waiting job in order; start those whose place is now.

    Only what starts now matters, and the profile only ever loses room: so the jobs up to the next one that
    could still start now are placed when there is such a one, and the rest of the queue never is.
    """
    s = st.scalars[0]
    looked = 0
    placed = 0  # positions below this one are done with
    candidate = _next_candidate(st, 0, now)
    while candidate >= 0:
        position = next_waiting(st, placed)
        while position < candidate and looked < s.depth:
            place_in_profile(st, position, now)
            looked += 1
            position = next_waiting(st, position + 1)
        if looked >= s.depth:
            return
        looked += 1
        if not start_in_profile(st, candidate, now):
            place_in_profile(st, candidate, now)
        placed = candidate + 1
        candidate = _next_candidate(st, placed, now)
