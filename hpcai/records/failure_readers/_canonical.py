"""The canonical tables as they are kept in files: what a Parquet or CSV file of hpcai's own says besides its rows."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from hpcai.records.failures import COMPONENTS, EVENT_COLUMNS, NODE_COLUMNS, SEVERITIES, FailureLog
from hpcai.records.schema import BadRows

KEY: Final = b"hpcai.failures"  # of a Parquet file's metadata: all of the log but its events, in JSON
VERSION: Final = 1


def describe_log(log: FailureLog) -> dict[str, Any]:
    """Return all of ``log`` but its events, as plain data."""
    nodes = {
        column.name: log.nodes[column.name].to_list()
        if column.dtype == "str"
        else [None if np.isnan(value) else value for value in log.nodes[column.name]]
        for column in NODE_COLUMNS
    }
    return {
        "version": VERSION,
        "name": log.name,
        "format": log.format,
        "origin": None if np.isnan(log.origin) else log.origin,
        "observed": list(log.observed),
        "sha256": log.sha256,
        "dropped": {"count": log.dropped.count, "first_lines": log.dropped.first_lines},
        "notes": log.notes,
        "nodes": nodes,
    }


def described(about: dict[str, Any]) -> FailureLog:
    """Return the log, without events, that :func:`describe_log` described.

    Raises KeyError, TypeError or ValueError if it did not.
    """
    if about["version"] != VERSION:
        raise ValueError(f"its version is {about['version']}")
    nodes = {}
    for column in NODE_COLUMNS:
        values = about["nodes"][column.name]
        is_text = column.dtype == "str"
        nodes[column.name] = pd.Series(values, dtype="str") if is_text else np.array(values, dtype=np.float64)
    begin, finish = map(float, about["observed"])
    return FailureLog(
        name=str(about["name"]),
        nodes=pd.DataFrame(nodes),
        origin=np.nan if about["origin"] is None else float(about["origin"]),
        observed=(begin, finish),
        format=str(about["format"]),
        sha256=dict(about["sha256"]),
        dropped=BadRows(dict(about["dropped"]["count"]), dict(about["dropped"]["first_lines"])),
        notes=list(about["notes"]),
    )


def nonsense(events: pd.DataFrame) -> str:
    """Return what is wrong with a table of events; '' if nothing."""
    start, end = (events[name].to_numpy(np.float64) for name in ("start", "end"))
    if not np.isfinite(start).all() or np.isinf(end).any():
        return "times that are no numbers"
    if (end < start).any() or (np.diff(start) < 0).any():
        return "times out of order"
    for name, known in (("component", COMPONENTS), ("severity", SEVERITIES)):
        if strange := sorted(set(events[name]) - set(known)):
            return f"{name} {strange[0]!r}"
    return ""


def event_columns(values: dict[str, Any]) -> pd.DataFrame:
    """Return the canonical events of ``values``, column by column."""
    kinds: dict[str, Any] = {"str": "str", "float64": np.float64}
    return pd.DataFrame({c.name: pd.Series(values[c.name]).astype(kinds[c.dtype]) for c in EVENT_COLUMNS})
