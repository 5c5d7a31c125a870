"""A job that computes under faults and writes checkpoints, in machine code: where its time goes.

Between a fault and the restart nothing can strike the job; a fault during the restart begins it anew; one during the
writing of a checkpoint makes it worthless. A job is cut at the end of its window: what it is computing then counts.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.faults.checkpoints.faults import ELSEWHERE, GLOBAL, Faults
from hpcai.faults.checkpoints.job import DOWN, LOCAL_RESTART, LOCAL_WRITE, RESTART, WRITE, CheckpointedJob
from hpcai.faults.checkpoints.observation import fresh_observation, note_fault, pass_time
from hpcai.faults.checkpoints.rule import Rule, interval_by
from hpcai.jit import jit

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]

USEFUL, CHECKPOINTING, LOST, RESTARTING, DOWNTIME, FAULTS, CHECKPOINTS = range(7)
"""Columns of a replay: seconds by kind, whose first five sum to the window, and numbers."""
COLUMNS: Final = ("useful", "checkpointing", "lost", "restarting", "downtime", "faults", "checkpoints")
_SINCE_GLOBAL: Final = len(COLUMNS)  # of the record only: useful work that a local checkpoint holds and no global one


@jit
def _see(faults: Floats, effect: Codes, k: int, seen: Floats, now: float) -> float:
    """Bring what is seen up to fault ``k``; return its time."""
    pass_time(seen, faults[k] - now)
    note_fault(seen, effect[k] != ELSEWHERE)
    return float(faults[k])


@jit
def _next_hit(faults: Floats, effect: Codes, k: int, until: float) -> int:
    """Return the first fault from ``k`` on that strikes the job before ``until``, or minus the first not before."""
    while k < faults.shape[0] and faults[k] < until:
        if effect[k] != ELSEWHERE:
            return k
        k += 1
    return -1 - k


@jit
def _see_until(faults: Floats, effect: Codes, k: int, last: int, seen: Floats, now: float, then: float) -> None:
    """Bring what is seen from ``now``, before fault ``k``, to ``then``, after fault ``last - 1``."""
    while k < last:
        now = _see(faults, effect, k, seen, now)
        k += 1
    pass_time(seen, then - now)


@jit
def _recover(
    costs: Floats, faults: Floats, effect: Codes, k: int, now: float, end: float, seen: Floats, row: Floats
) -> tuple[float, int]:
    """Go on from the fault before ``k``, which struck at ``now``, until the job computes again or the window ends."""
    worst = effect[k - 1]
    while now < end:
        up = min(now + costs[DOWN], end)
        row[DOWNTIME] += up - now
        last = k
        while last < faults.shape[0] and faults[last] < up:
            worst = max(worst, effect[last])
            last += 1
        _see_until(faults, effect, k, last, seen, now, up)
        k, now = last, up
        if worst == GLOBAL:
            row[LOST] += row[_SINCE_GLOBAL]
            row[USEFUL] -= row[_SINCE_GLOBAL]
            row[_SINCE_GLOBAL] = 0.0
        done = min(now + costs[RESTART if worst == GLOBAL else LOCAL_RESTART], end)
        hit = _next_hit(faults, effect, k, done)
        last = hit + 1 if hit >= 0 else -1 - hit
        stop = faults[hit] if hit >= 0 else done
        _see_until(faults, effect, k, last, seen, now, stop)
        row[RESTARTING] += stop - now
        k, now = last, stop
        if hit < 0:
            break
        row[FAULTS] += 1
        worst = max(worst, effect[hit])
    return now, k


@jit
def play_window(
    kind: int,
    numbers: Floats,
    every: int,
    costs: Floats,
    faults: Floats,
    effect: Codes,
    k: int,
    begin: float,
    end: float,
    seen: Floats,
    row: Floats,
) -> int:
    """Play a job from ``begin`` to ``end``, before which fault ``k`` is the next; return the next one after it.

    ``seen`` is what is seen of faults at ``begin``, and afterwards at ``end``; seconds and numbers are added to
    ``row``, float64[len(COLUMNS) + 1].
    """
    now, since = begin, 0  # since: checkpoints since the last global one
    row[_SINCE_GLOBAL] = 0.0
    while now < end:
        work = interval_by(kind, numbers, costs[WRITE], seen)
        whole = (since + 1) % every == 0
        write = costs[WRITE] if whole else costs[LOCAL_WRITE]
        until = min(now + work + write, end)
        hit = _next_hit(faults, effect, k, until)
        last = hit + 1 if hit >= 0 else -1 - hit
        stop = faults[hit] if hit >= 0 else until
        _see_until(faults, effect, k, last, seen, now, stop)
        computed = min(stop - now, work)
        row[CHECKPOINTING] += stop - now - computed
        k, now = last, stop
        if hit >= 0:
            row[LOST] += computed
            row[FAULTS] += 1
            now, k = _recover(costs, faults, effect, k, now, end, seen, row)
            since = 0 if row[_SINCE_GLOBAL] == 0.0 else since
            continue
        row[USEFUL] += computed
        row[CHECKPOINTS] += 1 if computed == work and until < end else 0
        row[_SINCE_GLOBAL] = 0.0 if whole else row[_SINCE_GLOBAL] + computed
        since = 0 if whole else since + 1
    return k


@jit
def _play(
    kind: int,
    numbers: Floats,
    every: int,
    costs: Floats,
    faults: Floats,
    effect: Codes,
    edges: Floats,
    seen: Floats,
    rows: Floats,
) -> None:
    """Play a job in each window between two edges; all before the first edge is only seen."""
    k = 0
    while k < faults.shape[0] and faults[k] < edges[0]:
        k += 1
    if k > 0:
        _see_until(faults, effect, 0, k, seen, faults[0], edges[0])
    for w in range(edges.shape[0] - 1):
        k = play_window(kind, numbers, every, costs, faults, effect, k, edges[w], edges[w + 1], seen, rows[w])


def play(rule: Rule, job: CheckpointedJob, faults: Faults, edges: Floats, seen: Floats | None = None) -> Floats:
    """Return where the time of jobs goes that compute one after another under a rule.

    Args:
        rule: how they decide.
        job: what checkpoints and faults cost each.
        faults: those before the first edge are only seen.
        edges: where a job is cut and the next begins (s, ascending), float64[windows + 1].
        seen: what is seen before the first fault; nothing by default. It is not changed.

    Returns:
        float64[windows, len(COLUMNS)].
    """
    rows = np.zeros((len(edges) - 1, len(COLUMNS) + 1))
    before = fresh_observation() if seen is None else seen.copy()
    costs = job.costs
    if rule.every == 1:  # there are no local checkpoints to restart from
        costs[LOCAL_RESTART] = costs[RESTART]
    _play(rule.kind, rule.numbers, rule.every, costs, faults.time, faults.effect, edges, before, rows)
    return rows[:, : len(COLUMNS)]


def waste(rows: Floats) -> Floats:
    """Return the share of time that is not useful in each row of :func:`play`, float64[windows]."""
    spent = rows[:, : DOWNTIME + 1].sum(axis=1)
    share: Floats = 1.0 - rows[:, USEFUL] / spent
    return share
