"""Moments at which nodes are asked about, with what became of them: the rows of training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcai.faults.detection.features import event_features
from hpcai.faults.detection.history import History
from hpcai.records.failures import FailureLog

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Ahead:
    """What is foretold: a failure in (t + lead, t + lead + horizon], s."""

    lead: float
    horizon: float

    @property
    def reach(self) -> float:
        """How far it looks ahead, s."""
        return self.lead + self.horizon


@dataclass(frozen=True)
class Samples:
    """Rows sorted by node, then time. ``label``: the node fails as :class:`Ahead` says."""

    node: Ints  # place in the history
    time: Floats  # s
    label: Mask

    def __len__(self) -> int:
        return len(self.node)

    def take(self, rows: Mask) -> Samples:
        """Return some of the rows."""
        return Samples(self.node[rows], self.time[rows], self.label[rows])


def samples_of(log: FailureLog, history: History, ahead: Ahead, step: float, offset: float = 0.0) -> Samples:
    """Return every node at each ``step`` s of the log at which it is in service and up, and its fate is recorded.

    A node is left out while it is known to be under repair, and where it leaves service, or the log ends, within the
    reach of ``ahead`` without a failure before.
    """
    low, high = log.service
    down = _repairs(log, history)
    grid = np.arange(log.observed[0] + offset, log.observed[1], step)
    node, time, label = [], [], []
    for i, own in enumerate(history.nodes):
        times = grid[np.searchsorted(grid, low[i]) : np.searchsorted(grid, high[i], "right")]
        times = times[~_is_down(down[i], times)]
        fails = _fail(own.failed, times, ahead)
        known = fails | (times + ahead.reach <= high[i])
        node.append(np.full(int(known.sum()), i))
        time.append(times[known])
        label.append(fails[known])
    return Samples(np.concatenate(node), np.concatenate(time), np.concatenate(label))


def features_of(history: History, samples: Samples, templates: Sequence[str] = ()) -> Floats:
    """Return what is seen of each row, float64[rows, features]."""
    edges = np.searchsorted(samples.node, np.arange(len(history.names) + 1))
    parts = [
        event_features(history, i, samples.time[edges[i] : edges[i + 1]], templates)
        for i in range(len(history.names))
        if edges[i + 1] > edges[i]
    ]
    return np.concatenate(parts) if parts else event_features(history, 0, np.zeros(0), templates)


def _fail(failed: Floats, times: Floats, ahead: Ahead) -> Mask:
    first = np.searchsorted(failed, times + ahead.lead, "right")
    last = np.searchsorted(failed, times + ahead.reach, "right")
    return np.asarray(last > first)


def _repairs(log: FailureLog, history: History) -> list[tuple[Floats, Floats]]:
    """Return for each node when repairs of failures begin and end, so merged that they do not overlap."""
    events = log.events[log.events["end"].notna()]
    by_node = dict(iter(events.groupby("node", sort=False)))
    found = []
    for name in history.names:
        group = by_node.get(name)
        if group is None:
            found.append((np.zeros(0), np.zeros(0)))
            continue
        start, end = group["start"].to_numpy(np.float64), np.maximum.accumulate(group["end"].to_numpy(np.float64))
        first = np.concatenate([[True], start[1:] > end[:-1]])
        last = np.concatenate([first[1:], [True]])
        found.append((start[first], end[last]))
    return found


def _is_down(repairs: tuple[Floats, Floats], times: Floats) -> Mask:
    start, end = repairs
    at = np.searchsorted(start, times, "right") - 1
    return np.asarray((at >= 0) & (times < np.concatenate([end, [-np.inf]])[at]))
