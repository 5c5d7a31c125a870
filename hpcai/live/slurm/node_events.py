"""What happened to the nodes of a live cluster: from Slurm's accounting, from system logs, as one failure log."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from hpcai.errors import InputError
from hpcai.live.slurm.client import Node
from hpcai.live.slurm.shell import Shell
from hpcai.records.failures import EVENT_COLUMNS, NODE_COLUMNS, FailureLog, read_failures, strings

ACCOUNTING: Final = "accounting"
"""What stands for the events of Slurm's accounting among sources."""
MARK: Final = "hpcai:"
"""How the reasons of our own drains begin; what we did ourselves foretells nothing."""
_FIELDS: Final = "Cluster,NodeName,TimeStart,TimeEnd,State,Reason"


def events_since(sources: Iterable[str], since: float, shell: Shell) -> list[FailureLog]:
    """Return the logs of ``sources``, each ACCOUNTING or a file, the former from ``since`` (Unix time) on.

    Raises SchedulerGoneError if accounting does not answer, InputError if a file cannot be read or has no dates.
    """
    logs = []
    for source in sources:
        log = _accounting(since, shell) if source == ACCOUNTING else read_failures(source)
        if log is not None and np.isnan(log.origin):
            raise InputError(f"{source}: its dates have no year, expected ISO dates such as 2026-01-31T08:00:00")
        logs += [] if log is None else [log]
    return logs


def _accounting(since: float, shell: Shell) -> FailureLog | None:
    """Return the events of nodes that accounting knows, None if there is none."""
    start = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(since))
    said = shell.run("sacctmgr", "--parsable2", "show", "event", f"start={start}", f"format={_FIELDS}")
    heading, *rows = said.splitlines() or [""]
    rows = [row for row in rows if len(row.split("|")) > 1 and row.split("|")[1]]
    if not rows:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.txt"
        path.write_text("\n".join([heading, *rows]) + "\n", "utf-8")
        return read_failures(path, format="slurm_nodes")


def live_log(
    nodes: Sequence[Node], logs: Iterable[FailureLog], since: float, now: float, *, well_before: bool = False
) -> FailureLog:
    """Return the events of ``nodes`` up to ``now`` (Unix time), counted from when nodes are watched.

    That is from ``since`` on, or from the first moment that a log tells of if that is later, unless they are taken to
    have been ``well_before`` it. A host of a system log is the node of its first name.
    """
    known = {node.name for node in nodes}
    parts, first = [], now
    for log in logs:
        events = log.events.assign(start=log.events["start"] + log.origin, end=log.events["end"] + log.origin)
        first = min(first, log.origin + log.observed[0])
        names = events["node"].where(events["node"].isin(known), events["node"].str.partition(".")[0])
        ours = events["cause"].str.startswith(MARK)
        parts.append(events.assign(node=names)[names.isin(known) & ~ours & events["start"].between(since, now)])
    frame = pd.concat(parts, ignore_index=True) if parts else FailureLog("").events
    frame = frame.drop_duplicates().sort_values("start", kind="stable", ignore_index=True)
    begin = max(since, first) if parts and not well_before else since
    frame = frame.assign(start=frame["start"] - begin, end=(frame["end"] - begin).where(frame["end"] <= now))
    return FailureLog(
        "live",
        frame[[column.name for column in EVENT_COLUMNS]],
        _table(nodes),
        origin=begin,
        observed=(0.0, now - begin),
        format="live",
    )


def _table(nodes: Sequence[Node]) -> pd.DataFrame:
    ordered = sorted(nodes, key=lambda node: node.name)
    columns: dict[str, object] = {
        column.name: strings([""] * len(ordered)) if column.dtype == "str" else np.full(len(ordered), np.nan)
        for column in NODE_COLUMNS
    }
    columns |= {
        "node": strings([node.name for node in ordered]),
        "node_class": strings([node.gpu_kind for node in ordered]),
        "processors": np.array([node.cpus for node in ordered], dtype=np.float64),
        "gpus": np.array([node.gpus for node in ordered], dtype=np.float64),
    }
    return pd.DataFrame(columns)
