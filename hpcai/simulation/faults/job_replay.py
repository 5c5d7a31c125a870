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
from hpcai.faults.checkpoints.rule import LEAST, Rule, interval_by
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
def play_stretch(
    work: float,
    every: int,
    since: int,
    costs: Floats,
    faults: Floats,
    effect: Codes,
    k: int,
    now: float,
    end: float,
    seen: Floats,
    row: Floats,
) -> tuple[float, int, int]:
    """Play from a decision, for ``work`` s until the next checkpoint, to the next one, at the latest to ``end``.

    Args:
        work: s of it until the checkpoint.
        every: so many checkpoints one is global.
        since: checkpoints since the last global one.
        costs: of the job (s), float64[5].
        faults: when they strike (s).
        effect: what each does to the job.
        k: the fault that is next.
        now: when it begins (s).
        end: when the job is cut (s).
        seen: what is seen of faults at ``now``, and afterwards at the next decision.
        row: seconds and numbers are added to it, float64[len(COLUMNS) + 1].

    Returns:
        When the next decision is, the fault that is next then, and checkpoints since the last global one.
    """
    whole = (since + 1) % every == 0
    write = costs[WRITE] if whole else costs[LOCAL_WRITE]
    until = min(now + work + write, end)
    hit = _next_hit(faults, effect, k, until)
    last = hit + 1 if hit >= 0 else -1 - hit
    stop = faults[hit] if hit >= 0 else until
    _see_until(faults, effect, k, last, seen, now, stop)
    computed = min(stop - now, work)
    row[CHECKPOINTING] += stop - now - computed
    if hit >= 0:
        row[LOST] += computed
        row[FAULTS] += 1
        now, last = _recover(costs, faults, effect, last, stop, end, seen, row)
        return now, last, 0 if row[_SINCE_GLOBAL] == 0.0 else since
    row[USEFUL] += computed
    row[CHECKPOINTS] += 1 if computed == work and until < end else 0
    row[_SINCE_GLOBAL] = 0.0 if whole else row[_SINCE_GLOBAL] + computed
    return stop, last, 0 if whole else since + 1


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
        now, end, since = edges[w], edges[w + 1], 0
        while now < end:
            work = interval_by(kind, numbers, costs[WRITE], seen)
            now, k, since = play_stretch(work, every, since, costs, faults, effect, k, now, end, seen, rows[w])


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


class JobEpisode:
    """A job from ``begin`` to ``end`` (s) under faults, with checkpoints at one level, decided from outside.

    ``seen``, float64[OBSERVED], is what is seen of faults at ``now``; ``row``, float64[len(COLUMNS)], where the time
    has gone so far.
    """

    def __init__(self, job: CheckpointedJob, faults: Faults, begin: float, end: float) -> None:
        self.now, self.end, self._faults, self._costs = begin, end, faults, job.costs
        self._costs[LOCAL_RESTART] = self._costs[RESTART]
        self.seen = fresh_observation()
        self._row = np.zeros(len(COLUMNS) + 1)
        self._next = int(np.searchsorted(faults.time, begin))
        if self._next:
            first = float(faults.time[0])
            _see_until(faults.time, faults.effect, 0, self._next, self.seen, first, begin)

    @property
    def row(self) -> Floats:
        """Seconds by kind and numbers so far, by COLUMNS."""
        return self._row[: len(COLUMNS)].copy()

    def step(self, work: float) -> Floats:
        """Work for ``work`` s, at least LEAST, then write a checkpoint; return what came to the row until then.

        A fault ends it sooner: the next decision is when the job has restarted.
        """
        before, of = self.row, self._faults
        self.now, self._next, _ = play_stretch(
            max(work, LEAST),
            1,
            0,
            self._costs,
            of.time,
            of.effect,
            self._next,
            self.now,
            self.end,
            self.seen,
            self._row,
        )
        return self.row - before


def waste(rows: Floats) -> Floats:
    """Return the share of time that is not useful in each row of :func:`play`, float64[windows]."""
    spent = rows[:, : DOWNTIME + 1].sum(axis=1)
    share: Floats = 1.0 - rows[:, USEFUL] / spent
    return share
