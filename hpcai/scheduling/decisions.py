"""A scheduling pass that stops wherever there is something to decide, so that an agent may decide it.

The pass is that of docs/semantics.md; only who comes next is asked for. ``next``: the agent names jobs one after
another; each that fits starts, the first that does not is the head, and the others follow it as the policy's
ordering and backfilling say. ``backfill``: the ordering finds the head, the agent picks who is backfilled.
``both``: the agent does both. Naming every time the first job of the ordering gives the ordering's own schedule.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.jit import inlined, jit
from hpcai.scheduling.kinds import by_kind
from hpcai.scheduling.node_passes import (
    backfill_nodes,
    beside_on_nodes,
    fits_on_nodes,
    join_beside_on_nodes,
    reserve_on_nodes,
    start_on_nodes,
)
from hpcai.scheduling.passes import (
    backfill_on_profile,
    bring_up_to_date,
    close_pass,
    free_capacity,
    lay,
    open_pass,
    place_in_order,
    place_in_profile,
    start_in_profile,
)
from hpcai.scheduling.processor_passes import (
    backfill_processors,
    beside_on_processors,
    fits_on_processors,
    join_beside_on_processors,
    reserve_head,
    start_job,
)
from hpcai.scheduling.queue import hide, next_waiting, show
from hpcai.scheduling.state import CONSERVATIVE, NO_BACKFILL, UNBOUNDED, State

Decide = Literal["next", "backfill", "both"]

_fits = by_kind(fits_on_processors, fits_on_nodes)
_start = by_kind(start_job, start_on_nodes)
_reserve = by_kind(reserve_head, reserve_on_nodes)
_beside = by_kind(beside_on_processors, beside_on_nodes)
_join_beside = by_kind(join_beside_on_processors, join_beside_on_nodes)
_backfill = by_kind(backfill_processors, backfill_nodes)

NO_PASS, NEXT, BACKFILL = 0, 1, 2  # phases: what is to be decided

DECISION = np.dtype(
    [
        ("phase", "i8"),
        ("pick_next", "i8"),  # the agent names who is next, else the ordering does
        ("pick_backfill", "i8"),  # the agent names who is backfilled, else the ordering does
        ("may_defer", "i8"),  # the last action starts nobody (else) at this pass
        ("head", "i8"),  # position of the job that the reservation is for, -1 while there is none
        ("waiting", "i8"),  # jobs in the queue when the pass began
        ("count", "i8"),  # jobs in the window
        ("shadow", "f8"),  # s; of the head, or of the first job of the window while there is no head
        ("extra", "i8"),  # processors; on nodes the extra is State.ahead
    ],
    align=True,
)


class Decision(NamedTuple):
    """What there is to decide: the first K waiting jobs in the policy's ordering, and what may be done with each."""

    scalars: NDArray[np.void]  # DECISION (1,)
    slots: NDArray[np.int64]  # (K,) positions of the window's jobs
    fits: NDArray[np.bool_]  # (K,) could start now
    beside: NDArray[np.bool_]  # (K,) could start now without delaying the head (the first job, if there is none)
    legal: NDArray[np.bool_]  # (K + 1,) which actions are possible; the last is to defer


def make_decision(window: int, decide: Decide, defer: bool) -> Decision:
    """Return the decision before the first pass, on the first ``window`` jobs of the queue."""
    scalars = np.zeros(1, dtype=DECISION)
    scalars["pick_next"] = decide != "backfill"
    scalars["pick_backfill"] = decide != "next"
    scalars["may_defer"] = defer
    return Decision(
        scalars=scalars,
        slots=np.zeros(window, dtype=np.int64),
        fits=np.zeros(window, dtype=np.bool_),
        beside=np.zeros(window, dtype=np.bool_),
        legal=np.zeros(window + 1, dtype=np.bool_),
    )


@jit
def begin_pass(st: State, de: Decision, now: float) -> None:
    """Begin a pass: lay the order; if the ordering names the head, go on until it is known."""
    s, d = st.scalars[0], de.scalars[0]
    d.phase = NO_PASS
    d.waiting = s.waiting
    if not open_pass(st, now):
        return
    d.head = -1
    d.phase = NEXT
    if s.use_profile:
        lay(st, now)
    if not d.pick_next:
        position = next_waiting(st, 0)
        while position >= 0 and _try_to_start(st, position, now):
            position = next_waiting(st, position + 1)
        _have_head(st, de, position, now)


@jit
def _try_to_start(st: State, position: int, now: float) -> bool:
    """Start the job at ``position`` if it can start now; return whether it did."""
    if st.scalars[0].use_profile:
        return bool(start_in_profile(st, position, now))
    if not _fits(st, st.places[position].job, now):
        return False
    _start(st, position, now)
    return True


@jit
def _have_head(st: State, de: Decision, position: int, now: float) -> None:
    """The job at ``position`` is the head (-1: all have started): make its reservation and go on from there."""
    s, d = st.scalars[0], de.scalars[0]
    d.head = position
    if position < 0 or s.backfill == NO_BACKFILL:
        _end_pass(st, de)
        return
    if s.use_profile:
        place_in_profile(st, position, now)
    if d.pick_backfill:
        d.phase = BACKFILL
        if not s.use_profile:
            d.shadow, d.extra = _reserve(st, st.places[position].job, now)
    else:
        _backfill_rest(st, de, 0, now)


@jit
def _backfill_rest(st: State, de: Decision, position: int, now: float) -> None:
    """Have the policy backfill whom it will from ``position`` on, and end the pass."""
    s, head = st.scalars[0], de.scalars[0].head
    hide(st, head)
    if s.backfill == CONSERVATIVE:
        place_in_order(st, now)
    elif s.use_profile:
        backfill_on_profile(st, position, now)
    else:
        _backfill(st, head, position, now)
    show(st, head)
    _end_pass(st, de)


@jit
def no_option(st: State, de: Decision, now: float) -> None:
    """Nobody in the window can be named: those beyond it follow as the policy says."""
    d = de.scalars[0]
    if d.phase == BACKFILL and st.scalars[0].waiting > d.count:
        _backfill_rest(st, de, de.slots[d.count - 1] + 1, now)
    else:
        _end_pass(st, de)


@jit
def _end_pass(st: State, de: Decision) -> None:
    """Nobody else starts at this pass."""
    de.scalars[0].phase = NO_PASS
    close_pass(st, de.scalars[0].waiting)


@inlined
def find_options(st: State, de: Decision, now: float, more_to_come: bool) -> int:
    """Fill the window and say which actions are possible; return how many are.

    ``more_to_come``: submissions are due later; without them and without running jobs nobody may be deferred.
    """
    s, d = st.scalars[0], de.scalars[0]
    _fill_window(st, de, now)
    options = 0
    for k in range(d.count):
        de.legal[k] = d.phase == NEXT or (de.beside[k] and de.slots[k] != d.head)
        options += de.legal[k]
    de.legal[d.count :] = False
    if d.may_defer and (more_to_come or s.running > 0) and (d.phase == NEXT or options > 0):
        de.legal[-1] = True
        options += 1
    return options


@jit
def look(st: State, de: Decision, now: float) -> None:
    """Fill the window as if who is next were to be decided, whether anybody fits or not; nobody starts."""
    s, d = st.scalars[0], de.scalars[0]
    bring_up_to_date(st, now)
    if s.use_profile:
        lay(st, now)
    d.phase, d.head, d.waiting = NEXT, -1, s.waiting
    find_options(st, de, now, True)


@jit
def _fill_window(st: State, de: Decision, now: float) -> None:
    """Note the first waiting jobs in order, and what could be done with each."""
    s, d = st.scalars[0], de.scalars[0]
    window = de.slots.shape[0]
    d.count = 0
    position = next_waiting(st, 0)
    if d.phase == NEXT and position >= 0 and not s.use_profile:
        d.shadow, d.extra = _reserve(st, st.places[position].job, now)
    while position >= 0 and d.count < window:
        k = d.count
        j = st.places[position].job
        de.slots[k] = position
        de.fits[k] = _fits(st, j, now)
        # Beside reservations of the machine the profile already holds whatever is placed.
        de.beside[k] = de.fits[k] and (s.use_profile or _beside(st, j, d.shadow, d.extra, now))
        d.count += 1
        position += 1
        if position >= s.leaves:
            break
        if st.tree[s.leaves + position].needs == UNBOUNDED:
            position = next_waiting(st, position)


@jit
def decide(st: State, de: Decision, action: int, now: float) -> None:
    """Carry out a possible action: a slot of the window, or the last to defer."""
    d = de.scalars[0]
    if action == de.slots.shape[0]:
        _end_pass(st, de)
        return
    position = de.slots[action]
    if d.phase == BACKFILL and not st.scalars[0].use_profile:
        d.extra = _join_beside(st, position, d.shadow, d.extra, now)
    elif not _try_to_start(st, position, now):
        _have_head(st, de, position, now)
        return
    if st.tree[1].needs > free_capacity(st):
        _end_pass(st, de)
