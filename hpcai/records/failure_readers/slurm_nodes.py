"""States of nodes from Slurm's accounting: ``sacctmgr -P show event Start=2024-01-01 Format=...``.

Without Format it has Cluster|NodeName|TimeStart|TimeEnd|State|Reason|User; rows without a node are about the whole
cluster. Down and failed nodes are fatal, drained ones degraded: they are whole, but taken away. Source: the manual page
of sacctmgr, https://slurm.schedmd.com/sacctmgr.html, "SPECIFICATIONS FOR EVENTS".
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.errors import InputError
from hpcai.records.failure_readers._companions import instant, nodes_table
from hpcai.records.failure_readers._finish import NOT_A_NUMBER, finish
from hpcai.records.failure_readers._words import component_of
from hpcai.records.failures import FailureLog, Floats
from hpcai.records.readers._delimited import Repair, first_line, has_columns, read_table
from hpcai.records.readers._source import load, text_lines
from hpcai.records.schema import BadRows

OF_THE_CLUSTER: Final = "about the whole cluster, not a node"

_COLUMNS: Final = ("nodename", "timestart", "timeend", "state")
_FATAL: Final = re.compile(r"^(DOWN|FAIL|NOT_RESPONDING|POWERED?_DOWN\*|ERROR)|\*")
_WHO: Final = re.compile(r"\s*\[[^\]]*@[^\]]*\]$")  # who wrote a reason, and when


def matches(head: bytes) -> bool:
    """Whether it is a table with the columns of node events."""
    return has_columns(head, _COLUMNS, "|")


def read(
    path: Path, *, nodes: Path | str | None = None, since: str | None = None, until: str | None = None
) -> FailureLog:
    """Return the log. A node's reason is the cause, its state if it has none.

    Args:
        path: the events.
        nodes: a table of the nodes (CSV, as of the format table); without it only those with an event are known.
        since: date from which on events were asked for; by default that of the first.
        until: date at which they were; by default that of the last.
    """
    source = load(path)
    bad = BadRows()
    data = text_lines(source, bad)
    header = [name.strip().lower() for name in first_line(data)[0].split("|")]
    table = read_table(path, data, bad, required=_COLUMNS, delimiter="|", repair=_mending(header))
    names, states = table.known("nodename"), table.known("state")
    start, end = table.date("timestart"), table.date("timeend")
    reasons = [_WHO.sub("", text) for text in table.known("reason")]
    severity = np.array(["fatal" if _FATAL.search(state) else "degraded" for state in states], dtype=object)
    events: dict[str, Any] = {
        "node": names,
        "component": [component_of(reason) for reason in reasons],
        "start": start,
        "end": end,
        "cause": [reason or state for reason, state in zip(reasons, states, strict=True)],
        "severity": severity,
    }
    clusters = table.known("cluster")
    of_node = {name: cluster for name, cluster in zip(names, clusters, strict=True) if name}
    known: dict[str, Any] = {"node": list(of_node), "node_class": ["node"] * len(of_node)}
    known["system"] = list(of_node.values())
    notes = ["only nodes with an event are known: give a table of all as nodes="] if nodes is None else []
    if nodes is not None:
        known, sha256 = nodes_table(Path(nodes))
        source.sha256.update(sha256)
    return finish(
        source,
        "slurm_nodes",
        events,
        lines=table.lines,
        bad=bad,
        problems={OF_THE_CLUSTER: np.asarray(names == ""), NOT_A_NUMBER: table.wrong},
        nodes=known,
        observed=_observed(path, start[names != ""], end[names != ""], since, until),
        notes=[*notes, "dates are local, UTC is taken"],
    )


def _mending(header: list[str]) -> Repair | None:
    """Return what puts a row right in whose reason a bar stands."""
    if "reason" not in header:
        return None
    place, width = header.index("reason"), len(header)

    def mend(fields: list[str]) -> list[str] | None:
        more = len(fields) - width
        if more <= 0:
            return None
        return [*fields[:place], "|".join(fields[place : place + more + 1]), *fields[place + more + 1 :]]

    return mend


def _observed(
    path: Path, start: Floats, end: Floats, since: str | None, until: str | None
) -> tuple[float, float] | None:
    times = np.concatenate([start, end])
    times = times[np.isfinite(times)]
    if not len(times):
        return None
    begin = float(times.min()) if since is None else instant(path, "since", since)
    finish = float(times.max()) if until is None else instant(path, "until", until)
    if begin > times.min() or finish < times.max():
        raise InputError(f"{path}: found events before since={since} or after until={until}, expected all between")
    return begin, finish
