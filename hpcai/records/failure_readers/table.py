"""A table of failures as CSV with the canonical columns: a site's own spreadsheet.

``node`` and ``start`` are needed; ``end``, ``component``, ``cause`` and ``severity`` are taken where they are. Times
are dates (ISO 8601; UTC without a zone), Unix seconds, or seconds from an unknown date. A second table, ``nodes=``, has
``node`` and any of node_class, system, rack, place, switch, in_service, out_of_service, processors, gpus.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.errors import InputError
from hpcai.records.failure_readers._finish import NOT_A_NUMBER, finish
from hpcai.records.failure_readers._words import component_of
from hpcai.records.failures import COMPONENTS, NODE_COLUMNS, SEVERITIES, FailureLog, Floats
from hpcai.records.readers._delimited import Delimited, has_columns, read_table, unix_seconds
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
    start, end = _times(table, "start"), _times(table, "end")
    known_nodes, sha256 = (None, {}) if nodes is None else _nodes(Path(nodes))
    severity = np.array([text.lower() or "fatal" for text in table.known("severity")], dtype=object)
    causes = table.known("cause")
    given = [text.strip().lower() for text in table.text("component")]
    components = [
        word if word in COMPONENTS else component_of(f"{word} {c}") for word, c in zip(given, causes, strict=True)
    ]
    times = np.concatenate([start, end])
    times = times[np.isfinite(times)]
    finish_at = _until(path, until) if until is not None else float(times.max(initial=0.0))
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


def _times(table: Delimited, name: str) -> Floats:
    """Return a column of dates or of numbers of seconds as seconds."""
    texts = [text for text in table.known(name) if text]
    is_date = any("-" in text[1:] and not text.lower().count("e") for text in texts[:1000])
    return table.date(name) if is_date else table.number(name)


def _until(path: Path, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        seconds, wrong = unix_seconds([text])
    if wrong[0] or np.isnan(seconds[0]):
        raise InputError(f"{path}: found until={text!r}, expected a date or seconds")
    return float(seconds[0])


def _nodes(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the columns of a table of nodes, rows that name none left out, and the file's hash."""
    source = load(path)
    bad = BadRows()
    table = read_table(path, text_lines(source, bad), bad, required=("node",))
    columns: dict[str, Any] = {}
    for column in NODE_COLUMNS:
        if column.name in table:
            is_time = column.name in ("in_service", "out_of_service")
            numbers = _times if is_time else Delimited.number
            columns[column.name] = table.known(column.name) if column.dtype == "str" else numbers(table, column.name)
    bad.add(NOT_A_NUMBER, table.lines[table.wrong])
    if bad.total:
        line, reason = min((lines[0], reason) for reason, lines in bad.first_lines.items())
        raise InputError(f"{path}: line {line}: {reason}, expected a table of nodes")
    named = table.known("node") != ""
    return {name: np.asarray(values, dtype=object)[named] for name, values in columns.items()}, source.sha256
