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

from hpcai.records.failure_readers._finish import NOT_A_NUMBER, finish
from hpcai.records.failure_readers._words import component_of
from hpcai.records.failures import FailureLog
from hpcai.records.readers._delimited import has_columns, read_table
from hpcai.records.readers._source import load, text_lines
from hpcai.records.schema import BadRows

OF_THE_CLUSTER: Final = "about the whole cluster, not a node"

_COLUMNS: Final = ("nodename", "timestart", "timeend", "state")
_FATAL: Final = re.compile(r"^(DOWN|FAIL|NOT_RESPONDING|POWERED?_DOWN\*|ERROR)|\*")
_WHO: Final = re.compile(r"\s*\[[^\]]*@[^\]]*\]$")  # who wrote a reason, and when


def matches(head: bytes) -> bool:
    """Whether it is a table with the columns of node events."""
    return has_columns(head, _COLUMNS, "|")


def read(path: Path) -> FailureLog:
    """Return the log; only nodes with an event are known. A node's reason is the cause, its state if it has none."""
    source = load(path)
    bad = BadRows()
    table = read_table(path, text_lines(source, bad), bad, required=_COLUMNS, delimiter="|")
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
    nodes = {"node": list(of_node), "node_class": ["node"] * len(of_node), "system": list(of_node.values())}
    problems = {OF_THE_CLUSTER: np.asarray(names == ""), NOT_A_NUMBER: table.wrong}
    notes = ["only nodes with an event are known; dates are local, UTC is taken"]
    return finish(
        source, "slurm_nodes", events, lines=table.lines, bad=bad, problems=problems, nodes=nodes, notes=notes
    )
