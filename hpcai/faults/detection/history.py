"""What each node of a failure log went through, laid out for looking back from any moment."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hpcai.records.failures import COMPONENTS, FailureLog

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_VARIABLE: Final = re.compile(r"0x[0-9a-fA-F]+|\d+")


def template_of(cause: str) -> str:
    """Return a log's words with every number masked, so that messages of one kind are one."""
    return _VARIABLE.sub("#", cause).strip()


class NodeHistory(NamedTuple):
    """The events of a node, each kind in order of time."""

    failed: Floats  # s, starts of failures
    repaired: Floats  # s, ends of repairs that are known, in order
    repair: Floats  # s, how long each of these took
    component: Ints  # of each failure, its place in COMPONENTS
    warned: Floats  # s, starts of all other events
    told: dict[str, Floats]  # s, starts of events of any kind, by template
    begin: float  # s, since when it is watched
    in_service: float  # s, since when it is in service, which may lie before the log; nan if unknown


class Group(NamedTuple):
    """Nodes that may fail together."""

    failed: Floats  # s, starts of all their failures
    size: int


@dataclass(frozen=True)
class History:
    """The nodes of a log in the order of its table, with what surrounds each."""

    names: tuple[str, ...]
    nodes: tuple[NodeHistory, ...]
    near: tuple[Group | None, ...]  # of each node: those behind its switch or in its rack; None if unknown
    around: tuple[Group | None, ...]  # of each node: those of its system
    processors: Floats  # of each node, nan if unknown
    gpus: Floats


def history_of(log: FailureLog, failures: Sequence[str] = ("fatal",)) -> History:
    """Return the history of every node; events whose severity is one of ``failures`` are failures."""
    nodes, events = log.nodes, log.events
    names = tuple(nodes["node"].tolist())
    place = {name: i for i, name in enumerate(names)}
    of = np.array([place[name] for name in events["node"]], dtype=np.int64)
    fatal = events["severity"].isin(list(failures)).to_numpy()
    order = np.argsort(of, kind="stable")  # events are sorted by start
    edges = np.searchsorted(of[order], np.arange(len(names) + 1))
    columns = _Columns(
        events["start"].to_numpy(np.float64),
        events["end"].to_numpy(np.float64),
        events["component"].map({name: i for i, name in enumerate(COMPONENTS)}).to_numpy(np.int64).astype(np.int64),
        np.array([template_of(cause) for cause in events["cause"]], dtype=object),
        fatal,
    )
    begin, _ = log.service
    since = nodes["in_service"].to_numpy(np.float64)
    made = tuple(
        _node(columns, order[edges[i] : edges[i + 1]], float(begin[i]), float(since[i])) for i in range(len(names))
    )
    return History(
        names=names,
        nodes=made,
        near=tuple(_groups(_near(log), of[fatal], columns.start[fatal])),
        around=tuple(_groups(_systems(log), of[fatal], columns.start[fatal])),
        processors=nodes["processors"].to_numpy(np.float64),
        gpus=nodes["gpus"].to_numpy(np.float64),
    )


class _Columns(NamedTuple):
    start: Floats
    end: Floats
    component: Ints
    template: npt.NDArray[Any]
    fatal: npt.NDArray[np.bool_]


def _node(columns: _Columns, rows: Ints, begin: float, since: float) -> NodeHistory:
    fatal = rows[columns.fatal[rows]]
    start, end = columns.start[fatal], columns.end[fatal]
    ended = np.flatnonzero(~np.isnan(end))
    ended = ended[np.argsort(end[ended], kind="stable")]
    told: dict[str, list[float]] = {}
    for row in rows:
        told.setdefault(columns.template[row], []).append(columns.start[row])
    return NodeHistory(
        failed=start,
        repaired=end[ended],
        repair=(end - start)[ended],
        component=columns.component[fatal],
        warned=columns.start[rows[~columns.fatal[rows]]],
        told={template: np.array(times) for template, times in told.items()},
        begin=begin,
        in_service=since,
    )


def _near(log: FailureLog) -> list[str]:
    """Return for each node what it shares with its neighbours, '' if unknown."""
    pairs = zip(log.nodes["switch"], log.nodes["rack"], strict=True)
    return [f"switch {switch}" if switch else f"rack {rack}" if rack else "" for switch, rack in pairs]


def _systems(log: FailureLog) -> list[str]:
    return [f"system {system}" for system in log.nodes["system"]]


def _groups(named: Sequence[str], node: Ints, start: Floats) -> Iterable[Group | None]:
    """Yield the group of each node; None for one whose group has no name or nobody else."""
    sizes = Counter(named)
    kinds = {name: i for i, name in enumerate(sizes)}
    kind = np.array([kinds[name] for name in named], dtype=np.int64)[node]
    order = np.argsort(kind, kind="stable")
    edges = np.searchsorted(kind[order], np.arange(len(kinds) + 1))
    found = {name: Group(start[order[edges[i] : edges[i + 1]]], sizes[name]) for name, i in kinds.items()}
    return (found[name] if name and sizes[name] > 1 else None for name in named)
