"""A table of failures as CSV with the canonical columns: a site's own spreadsheet.

``node`` and ``start`` are needed; ``end``, ``component``, ``cause`` and ``severity`` are taken where they are. Times
are dates (ISO 8601; UTC without a zone), Unix seconds, or seconds from an unknown date. A second table, ``nodes=``, has
``node`` and any of node_class, system, rack, place, switch, in_service, out_of_service, processors, gpus.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from hpcai.records.failure_readers._companions import instant, nodes_table, seconds_of
from hpcai.records.failure_readers._finish import NOT_A_NUMBER, finish
from hpcai.records.failure_readers._words import component_of
from hpcai.records.failures import COMPONENTS, SEVERITIES, FailureLog
from hpcai.records.readers._delimited import has_columns, read_table
from hpcai.records.readers._source import load, text_lines
from hpcai.records.schema import BadRows

UNKNOWN_SEVERITY: Final = f"severity is none of {', '.join(SEVERITIES)}"

_LEAST_UNIX: Final = 1e8  # s, 1973: smaller numbers count from some day of the site's own


def matches(head: bytes) -> bool:
    """Whether it is a table with columns node and start."""
    return has_columns(head, ("node", "start"))


def read(path: Path, *, nodes: Path | str | None = None, until: str | None = None) -> FailureLog:
    """Return the log; ``nodes`` is the table of nodes, ``until`` the date at which observation ended."""
    source = load(path)
    bad = BadRows()
    table = read_table(path, text_lines(source, bad), bad, required=("node", "start"))
    start, end = seconds_of(table, "start"), seconds_of(table, "end")
    known_nodes, sha256 = (None, {}) if nodes is None else nodes_table(Path(nodes))
    severity = np.array([text.lower() or "fatal" for text in table.known("severity")], dtype=object)
    causes = table.known("cause")
    given = [text.strip().lower() for text in table.text("component")]
    components = [
        word if word in COMPONENTS else component_of(f"{word} {c}") for word, c in zip(given, causes, strict=True)
    ]
    times = np.concatenate([start, end])
    times = times[np.isfinite(times)]
    finish_at = instant(path, "until", until) if until is not None else float(times.max(initial=0.0))
    dated = len(times) > 0 and float(times.min()) >= _LEAST_UNIX
    log = finish(
        source,
        "table",
        {"node": table.known("node"), "component": components, "start": start, "end": end, "cause": causes}
        | {"severity": severity},
        lines=table.lines,
        bad=bad,
        problems={NOT_A_NUMBER: table.wrong, UNKNOWN_SEVERITY: ~np.isin(severity, SEVERITIES)},
        nodes=known_nodes,
        observed=(float(times.min()) if dated else 0.0, finish_at) if len(times) else None,
        dated=dated,
    )
    log.sha256 |= sha256
    return log
