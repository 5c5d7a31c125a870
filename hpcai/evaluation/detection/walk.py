"""What drains would have cost and spared: a walk through recorded time under the rule that is followed live.

A drained node stands idle until the hold is over or it fails. A failure is **caught** if the node was drained by the
lead time before it: jobs had time to end, and the failure strikes nobody. A failure is weighed only if the node was
asked about within reach before it; one that follows another at once can be foreseen by no one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hpcai.evaluation.statistics import Ratio, resample
from hpcai.faults.detection.detector import Costs
from hpcai.faults.detection.drains import DrainRule
from hpcai.faults.detection.history import History
from hpcai.faults.detection.samples import Ahead, Samples

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HOUR = 3600.0


@dataclass(frozen=True)
class Walked:
    """What came of each of several thresholds, by node; arrays (nodes, thresholds)."""

    thresholds: Floats
    idle: Floats  # h that nodes were kept free
    caught: Floats  # failures
    missed: Floats
    drains: Floats

    def costs(self, costs: Costs) -> Floats:
        """Return node-hours lost, (nodes, thresholds)."""
        return costs.idle * self.idle + costs.missed * self.missed

    def best(self, costs: Costs) -> float:
        """Return the threshold of least cost; infinity if not to drain at all is as good."""
        total = self.costs(costs).sum(axis=0)
        best = int(np.argmin(total))
        never = costs.missed * float((self.caught + self.missed)[:, 0].sum())
        return float(self.thresholds[best]) if total[best] < never else np.inf

    def saved(self, costs: Costs, column: int, resamples: int, seed: int) -> Ratio:
        """Return the share of the cost of all failures that a threshold saves, negative if it costs more.

        The 95 % interval is of percentiles of a bootstrap over nodes.
        """
        failures = costs.missed * (self.caught + self.missed)[:, column]
        if not failures.any():
            return Ratio(np.nan, np.nan, np.nan)
        spent = self.costs(costs)[:, column]
        weights = resample(len(failures), 1, resamples, np.random.default_rng(seed))
        both = weights @ np.column_stack([spent, failures])
        saved = 1 - both[both[:, 1] > 0, 0] / both[both[:, 1] > 0, 1]
        low, high = np.quantile(saved, (0.025, 0.975)) if len(failures) > 1 else (np.nan, np.nan)
        return Ratio(float(1 - spent.sum() / failures.sum()), float(low), float(high))


def foreseeable(history: History, samples: Samples, ahead: Ahead) -> tuple[Ints, Floats]:
    """Return node and time (s) of the failures that a row lies before by lead to reach, in order of time."""
    edges = np.searchsorted(samples.node, np.arange(len(history.names) + 1))
    node, time = [], []
    for i, own in enumerate(history.nodes):
        rows = samples.time[edges[i] : edges[i + 1]]
        if len(rows):
            last = np.searchsorted(rows, own.failed - ahead.lead, "left") - 1
            seen = (last >= 0) & (rows[last] >= own.failed - ahead.reach)
            failed = np.unique(own.failed[seen])
            node.append(np.full(len(failed), i))
            time.append(failed)
    if not node:
        return np.zeros(0, np.int64), np.zeros(0)
    nodes, times = np.concatenate(node), np.concatenate(time)
    order = np.argsort(times, kind="stable")
    return nodes[order], times[order]


def first_alarms(
    failures: tuple[Ints, Floats], samples: Samples, score: Floats, threshold: float, ahead: Ahead
) -> Floats:
    """Return for each failure how long before it the first alarm within reach was, s; nan if there was none."""
    found = np.full(len(failures[0]), np.nan)
    for k, (node, time) in enumerate(zip(*failures, strict=True)):
        low, high = np.searchsorted(samples.node, [node, node + 1])
        rows = samples.time[low:high]
        first, last = np.searchsorted(rows, [time - ahead.reach, time - ahead.lead])
        alarms = np.flatnonzero(score[low + first : low + last] >= threshold)
        if len(alarms):
            found[k] = time - rows[first + alarms[0]]
    return found


def walk(
    samples: Samples,
    score: Floats,
    failures: tuple[Ints, Floats],
    rule: DrainRule,
    thresholds: Sequence[float],
    lead: float,
) -> Walked:
    """Return what drains cost and spare at each of ``thresholds``; ``rule`` says all else.

    ``failures`` are (node, time), in order of time; ``score`` is of each row of ``samples``.
    """
    names, number = np.unique(np.concatenate([samples.node, failures[0]]), return_inverse=True)
    number, struck = number[: len(samples)], number[len(samples) :]
    order = np.lexsort((number, samples.time))
    moments, first = np.unique(samples.time[order], return_index=True)
    state = _State(len(names), len(thresholds), rule.hold, lead)
    rules = [replace(rule, threshold=threshold) for threshold in thresholds]
    k = 0
    for moment, (begin, end) in zip(moments, pairwise([*first, len(order)]), strict=True):
        while k < len(struck) and failures[1][k] <= moment:
            state.fail(struck[k], failures[1][k])
            k += 1
        state.release(moment)
        rows = order[begin:end]
        _drain(state, rules, number[rows], score[rows], moment)
    for later in range(k, len(struck)):
        state.fail(struck[later], failures[1][later])
    state.release(np.inf)
    return Walked(np.asarray(thresholds, dtype=np.float64), state.idle / HOUR, state.caught, state.missed, state.drains)


def _drain(state: _State, rules: list[DrainRule], nodes: Ints, score: Floats, moment: float) -> None:
    highest = score.max()
    for column, rule in enumerate(rules):
        if highest < rule.threshold:
            continue
        since = state.since[nodes, column]
        risk = np.where(np.isnan(since), score, np.nan)
        held = int(np.count_nonzero(~np.isnan(state.since[:, column])))
        chosen = nodes[rule.drain(risk, held, len(state.since))]
        state.since[chosen, column] = moment
        state.drains[chosen, column] += 1


class _State:
    """Which nodes are drained since when, under each threshold, and what came of it so far."""

    def __init__(self, nodes: int, thresholds: int, hold: float, lead: float) -> None:
        self.since = np.full((nodes, thresholds), np.nan)
        self.idle, self.caught, self.missed, self.drains = (np.zeros(self.since.shape) for _ in range(4))
        self._hold, self._lead = hold, lead

    def release(self, moment: float) -> None:
        """Give back the nodes whose hold is over."""
        over = self.since + self._hold <= moment
        self.idle[over] += self._hold
        self.since[over] = np.nan

    def fail(self, node: int, time: float) -> None:
        """A node fails; what was drained is then under repair, no longer idle for our sake."""
        since = self.since[node]
        held = ~np.isnan(since) & (since + self._hold > time)
        self.idle[node, held] += time - since[held]
        over = ~np.isnan(since) & ~held
        self.idle[node, over] += self._hold
        caught = held & (time - since >= self._lead)
        self.caught[node] += caught
        self.missed[node] += ~caught
        self.since[node] = np.nan
