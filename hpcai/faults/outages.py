"""From a failure log to what is fitted: outages of nodes, the times between them, and how long they last.

Failures of a node that overlap or touch are one outage. A log that knows when most failures ended is taken at its
word: one without an end was still open when observation ended. In a log that knows few, a node is back at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.errors import InputError
from hpcai.records.failures import SEVERITIES, FailureLog

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Durations:
    """Durations, some of which are only known to be longer.

    What lasted less than ``resolution`` reads 0 in the log or is rounded; only that it was so short is used of it.
    """

    value: Floats  # (n,) s
    ended: Mask  # (n,) False: censored, it went on for longer
    resolution: float = 0.0  # s

    def __len__(self) -> int:
        return len(self.value)

    @property
    def events(self) -> int:
        """How many are known in full."""
        return int(self.ended.sum())

    def of(self, rows: Mask) -> Durations:
        """Return those of ``rows``."""
        return Durations(self.value[rows], self.ended[rows], self.resolution)


@dataclass(frozen=True)
class Outages:
    """The outages of a log, by node and then by time; arrays of like length."""

    node: Whole  # index into the log's nodes
    start: Floats  # s
    end: Floats  # s; nan: unknown
    component: npt.NDArray[np.object_]  # of the first failure of the outage
    resolution: float  # s, of the log's times
    ends_known: bool  # whether the log knows when failures end


def outages(log: FailureLog, severities: Sequence[str] = ("fatal",)) -> Outages:
    """Return the outages made of the events of ``severities`` while their node was in service.

    Raises InputError if there are none.
    """
    events = log.events[log.events["severity"].isin(severities)]
    if events.empty:
        raise InputError(f"{log.name}: {_none(log, severities)}")
    node = pd.Index(log.nodes["node"]).get_indexer(pd.Index(events["node"]))
    low, high = log.service
    inside = (events["start"].to_numpy() >= low[node]) & (events["start"].to_numpy() <= high[node])
    if not inside.any():
        raise InputError(f"{log.name}: found no failure while its node was in service, expected some")
    events, node = events[inside], node[inside]
    order = np.lexsort((events["start"].to_numpy(), node))
    node, events = node[order].astype(np.int64), events.iloc[order]
    start, end = events["start"].to_numpy(np.float64), events["end"].to_numpy(np.float64)
    ends_known = bool(np.isfinite(end).mean() > 0.5)
    open_until = np.inf if ends_known else start
    reach = pd.Series(np.where(np.isnan(end), open_until, end)).groupby(node).cummax().to_numpy()
    first = np.append(True, (node[1:] != node[:-1]) | (start[1:] > reach[:-1]))
    last = np.append(np.flatnonzero(first)[1:] - 1, len(node) - 1)
    until = reach[last] if ends_known else np.full(len(last), np.nan)
    return Outages(
        node=node[first],
        start=start[first],
        end=np.where(np.isinf(until), np.nan, until),
        component=events["component"].to_numpy(dtype=object)[first],
        resolution=_resolution(log),
        ends_known=ends_known,
    )


def _none(log: FailureLog, severities: Sequence[str]) -> str:
    counts = log.events["severity"].value_counts()
    others = ", ".join(f"{counts[name]} {name}" for name in SEVERITIES if name in counts)
    return f"found no failure of severity {' or '.join(severities)}, expected some (there are: {others or 'none'})"


def _resolution(log: FailureLog) -> float:
    """Return the step of which all times are multiples: a minute, a second, else 0."""
    unix = log.events["start"].to_numpy() + np.nan_to_num(log.origin)
    return next(
        (step for step in (60.0, 1.0) if np.mean(np.abs(unix / step - np.round(unix / step)) < 1e-6) > 0.99), 0.0
    )


def uptimes(log: FailureLog, of: Outages) -> tuple[Durations, Whole]:
    """Return the times for which nodes stayed up, and each one's node (index into the log's nodes).

    One begins when a node enters service or observation begins, and whenever an outage ends; it ends with the next
    failure, or is censored when the node leaves service or observation ends.
    """
    low, high = log.service
    back = np.where(np.isnan(of.end), np.inf if of.ends_known else of.start, of.end)
    new_node = np.append(True, of.node[1:] != of.node[:-1])
    since = np.where(new_node, low[of.node], np.append(0.0, back[:-1]))
    last = np.append(new_node[1:], True)
    rest = high[of.node[last]] - back[last]
    quiet = np.setdiff1d(np.arange(len(low)), of.node)
    value = np.concatenate([of.start - since, rest, (high - low)[quiet]])
    ended = np.concatenate([np.ones(len(of.start), bool), np.zeros(len(rest) + len(quiet), bool)])
    node = np.concatenate([of.node, of.node[last], quiet])
    use = ended | (value > 0)
    return Durations(value[use], ended[use], of.resolution), node[use]


def repairs(log: FailureLog, of: Outages) -> tuple[Durations, Whole]:
    """Return how long outages lasted and each one's node; those still open at the end are censored."""
    if not of.ends_known:
        return Durations(np.empty(0), np.empty(0, dtype=bool), of.resolution), np.empty(0, dtype=np.int64)
    ended = np.isfinite(of.end)
    value = np.where(ended, of.end, log.observed[1]) - of.start
    return Durations(value, ended, of.resolution), of.node


def between(log: FailureLog, of: Outages, nodes: Mask) -> Durations:
    """Return the times from one failure to the next of any of ``nodes`` (bool[nodes]); the last is censored."""
    start = np.sort(of.start[nodes[of.node]])
    if not len(start):
        return Durations(start, np.empty(0, dtype=bool), of.resolution)
    until = max(float(log.service[1][nodes].max()), float(start[-1]))
    value = np.diff(np.append(start, until))
    ended = np.append(np.ones(len(start) - 1, bool), False)
    return Durations(value, ended, of.resolution)


def exposure(log: FailureLog, nodes: Mask | None = None) -> float:
    """Return for how long ``nodes`` (bool[nodes]; all by default) were in service and watched, in s of a node."""
    low, high = log.service
    served: Any = high - low
    return float(served.sum() if nodes is None else served[nodes].sum())
