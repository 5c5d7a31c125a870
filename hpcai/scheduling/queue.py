"""The queue as a tournament tree over positions: find the next job that could run without walking past all others.

Leaf p holds what the job at position p of the order needs (processors, or GPUs) and its estimate, or (huge, inf) when
nobody waits there; an inner node holds the minima below it. The next waiting job from a position on that is
small enough, and either small or short enough, is found in about log n steps, so that a queue of a hundred thousand
costs hardly more than one of ten. A static ordering fixes every job's position once; a dynamic one lays the tree
anew at each pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcai.jit import jit
from hpcai.scheduling.formula import SUBMIT, evaluate
from hpcai.scheduling.headroom import needed
from hpcai.scheduling.kinds import if_predicting
from hpcai.scheduling.prediction import note_submission, predict_waiting
from hpcai.scheduling.state import DECAYED_USE, UNBOUNDED, State

_note_submission = if_predicting(note_submission)
_predict_waiting = if_predicting(predict_waiting)


@jit
def _set_leaf(st: State, position: int, needs: int, estimate: float) -> None:
    k = st.scalars[0].leaves + position
    st.tree[k].needs = needs
    st.tree[k].estimate = estimate
    k >>= 1
    while k >= 1:
        left, right = st.tree[2 * k], st.tree[2 * k + 1]
        smallest = min(left.needs, right.needs)
        shortest = min(left.estimate, right.estimate)
        if st.tree[k].needs == smallest and st.tree[k].estimate == shortest:
            break
        st.tree[k].needs = smallest
        st.tree[k].estimate = shortest
        k >>= 1


@jit
def enqueue(st: State, j: int, now: float) -> None:
    """Job ``j`` is submitted."""
    s = st.scalars[0]
    st.submit[j] = now
    if s.dynamic:
        st.features[SUBMIT, j] = now  # differs from what was recorded if it had to wait for another job
        st.queue[s.waiting] = j
    else:
        _set_leaf(st, st.places[j].position, st.jobs[j].needs, st.jobs[j].estimate)
    s.waiting += 1
    _note_submission(st, j, now)


@jit
def dequeue(st: State, position: int) -> None:
    """The job at ``position`` leaves the queue."""
    _set_leaf(st, position, UNBOUNDED, np.inf)
    st.scalars[0].waiting -= 1


@jit
def next_fit(st: State, position: int, room: int, slack: float, extra: int) -> int:
    """Return the first waiting position from ``position`` on with a job that could be backfilled, or -1.

    Its job needs no more than ``room`` and, besides, no more than ``extra`` or its estimate is within ``slack``.
    """
    leaves = st.scalars[0].leaves
    if position >= leaves:
        return -1
    k = leaves + position
    while True:
        node = st.tree[k]
        if node.needs <= room and (node.needs <= extra or node.estimate <= slack):
            if k >= leaves:
                return int(k - leaves)
            k *= 2
        else:
            while k & 1:
                k >>= 1
            if k == 0:
                return -1
            k += 1


@jit
def with_tolerance(slack: float) -> float:
    """Return a bound on estimates for the tree to prune by: rounding must not hide a job, which is judged exactly."""
    return slack * (1.0 + 1e-9) + 1e-6


@jit
def next_waiting(st: State, position: int) -> int:
    """Return the first waiting position from ``position`` on, or -1."""
    return next_fit(st, position, UNBOUNDED - 1, np.inf, 0)


@jit
def smallest_waiting(st: State) -> int:
    """Return the least that a waiting job needs, before or without the tree being laid; huge if nobody waits."""
    s = st.scalars[0]
    if not s.dynamic:
        return int(st.tree[1].needs)
    smallest = UNBOUNDED
    for q in range(s.waiting):
        smallest = min(smallest, st.jobs[st.queue[q]].bulk)  # the headroom may be less at this pass
    return smallest


@jit
def lay_order(st: State, now: float) -> None:
    """Evaluate a dynamic ordering and lay the tree over the queue in that order."""
    s = st.scalars[0]
    n = s.waiting
    if st.usage.shape[1] > 0:  # the ordering reads it
        _load_usage(st, now)
    _predict_waiting(st, now)
    steps = s.ordering_steps
    if steps < st.program.shape[0]:
        program = st.program[steps:]
        evaluate(program, st.constants, st.features, st.queue, n, now, st.submit, st.usage, st.keys)
        for q in range(n):
            j = st.queue[q]
            st.jobs[j].needs = needed(st.jobs[j].bulk, st.keys[0, q], s.total)
    program = st.program[:steps]
    evaluate(program, st.constants, st.features, st.queue, n, now, st.submit, st.usage, st.keys)
    for q in range(n):
        st.places[q].job = st.queue[q]
        st.places[q].key = st.keys[0, q]
    _sort_places(st, n)
    leaves = 1
    while leaves < n:
        leaves *= 2
    s.leaves = leaves
    for position in range(n):
        j = st.places[position].job
        st.queue[position] = j  # nearly in order the next time
        st.tree[leaves + position].needs = st.jobs[j].needs
        st.tree[leaves + position].estimate = st.jobs[j].estimate
    for position in range(n, leaves):
        st.tree[leaves + position].needs = UNBOUNDED
        st.tree[leaves + position].estimate = np.inf
    for k in range(leaves - 1, 0, -1):
        st.tree[k].needs = min(st.tree[2 * k].needs, st.tree[2 * k + 1].needs)
        st.tree[k].estimate = min(st.tree[2 * k].estimate, st.tree[2 * k + 1].estimate)


@jit
def _before(st: State, a: Any, b: Any) -> bool:
    """Return whether place ``a`` comes before ``b``: lower value, then earlier submission, then earlier row."""
    if a.key != b.key:
        return bool(a.key < b.key)
    if st.submit[a.job] != st.submit[b.job]:
        return bool(st.submit[a.job] < st.submit[b.job])
    return bool(a.job < b.job)


@jit
def _sort_places(st: State, n: int) -> None:
    """Sort ``st.places[:n]``: merge sort that passes over what is in order already, without allocating."""
    width = 1
    while width < n:
        for low in range(0, n - width, 2 * width):
            middle, high = low + width, min(low + 2 * width, n)
            if _before(st, st.places[middle - 1], st.places[middle]):
                continue
            for k in range(low, middle):
                st.merging[k] = st.places[k]
            a, b, out = low, middle, low
            while a < middle:
                if b < high and _before(st, st.places[b], st.merging[a]):
                    st.places[out] = st.places[b]
                    b += 1
                else:
                    st.places[out] = st.merging[a]
                    a += 1
                out += 1
        width *= 2


@jit
def hide(st: State, position: int) -> None:
    """Have the queue tree pass over the waiting job at ``position`` until it is shown again."""
    _set_leaf(st, position, UNBOUNDED, np.inf)


@jit
def show(st: State, position: int) -> None:
    """Undo :func:`hide`."""
    job = st.jobs[st.places[position].job]
    _set_leaf(st, position, job.needs, job.estimate)


@jit
def lay_static_order(st: State, n: int) -> None:
    """Fix the position of ``n`` jobs by the key in their place, ties by submission and row; nobody waits yet."""
    for j in range(n):
        st.submit[j] = st.jobs[j].submit
    _sort_places(st, n)
    for position in range(n):
        st.places[st.places[position].job].position = position
    for j in range(n):
        st.submit[j] = np.nan


@jit
def drop_started(st: State, waiting_before: int) -> None:
    """Close the gaps that the jobs started by this pass left in the queue of a dynamic ordering."""
    kept = 0
    for q in range(waiting_before):
        j = st.queue[q]
        if np.isnan(st.start[j]):
            st.queue[kept] = j
            kept += 1


@jit
def _load_usage(st: State, now: float) -> None:
    """Fill row 0 with the waiting jobs' accounts' share of the decayed use, row 1 with that over an equal share."""
    machine = st.accounts.shape[0] - 1
    accrue(st, machine, 0.0, now)
    total = st.accounts[machine].usage
    for q in range(st.scalars[0].waiting):
        account = st.jobs[st.queue[q]].account
        accrue(st, account, 0.0, now)
        share = st.accounts[account].usage / total if total > 0.0 else 0.0
        st.usage[0, q] = share
        st.usage[1, q] = share * st.scalars[0].accounts


@jit
def accrue(st: State, account: int, change: float, now: float) -> None:
    """Bring an account's decayed use, if it is kept, up to ``now``; from then on it uses ``change`` more (signed).

    Use u decays with half-life H while r units are in use: du/dt = r - u ln 2 / H, solved exactly.
    """
    a = st.accounts[account]
    rate = a.rate
    a.rate = rate + change
    if st.scalars[0].usage != DECAYED_USE:
        return
    half_life = st.scalars[0].half_life
    kept = 0.5 ** ((now - a.since) / half_life)
    a.usage = a.usage * kept + rate * half_life / np.log(2.0) * (1.0 - kept)
    a.since = now
