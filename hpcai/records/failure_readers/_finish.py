"""From the columns that a reader found to the canonical tables of a failure log: dtypes, sanity checks, order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.errors import FormatError
from hpcai.records.failures import EVENT_COLUMNS, NODE_COLUMNS, FailureLog, strings
from hpcai.records.readers._source import Source
from hpcai.records.schema import BadRows

Mask = npt.NDArray[np.bool_]

NOT_A_NUMBER: Final = "a field is not a number or date"
NO_NODE: Final = "names no node"
NO_START: Final = "no time of failure"
END_BEFORE_START: Final = "repaired before it failed"
REPEATED: Final = "repeats an earlier row in full"

_LARGEST: Final = 2.0**36  # s; a date beyond the year 4000 is not meant


def finish(
    source: Source,
    format: str,
    events: Mapping[str, Any],
    *,
    lines: npt.NDArray[np.int64],
    bad: BadRows,
    problems: Mapping[str, Mask] | None = None,
    nodes: Mapping[str, Any] | None = None,
    observed: tuple[float, float] | None = None,
    dated: bool = True,
    notes: list[str] | None = None,
) -> FailureLog:
    """Return the log of the rows that make sense.

    Args:
        source: the file as read.
        format: name of the format.
        events: column name to values; times are Unix seconds, or seconds from an unknown date. What is not given
            is unknown: component "unknown", severity "fatal", no end.
        lines: line (or record) number of each row, from 1.
        bad: takes the rows left out, each under the first reason that applies.
        problems: reasons found by the reader, with the rows that they apply to; they come first.
        nodes: column name to values for the nodes known; those that only events name are added.
        observed: from when to when was recorded; by default from the first time of an event to the last.
        dated: whether times are Unix seconds; then they are counted from the start of observation.
        notes: what else the reader has to say.
    """
    frame = _frame(events)
    frame = frame.loc[_good_rows(frame, lines, bad, problems or {})]
    if frame.empty and not (nodes and len(nodes["node"])):
        why = f" ({bad.total} rows left out: {next(iter(bad.count))})" if bad.total else ""
        raise FormatError(f"{source.path}: found no failure{why}, expected a log of them")
    frame = frame.sort_values("start", kind="stable", ignore_index=True)
    begin, finish = observed or _span(frame)
    zero = begin if dated else 0.0
    frame[["start", "end"]] -= zero
    known = _nodes(nodes or {"node": []}, frame["node"], zero, finish - zero)
    return FailureLog(
        name=source.name,
        events=frame,
        nodes=known,
        origin=zero if dated else np.nan,
        observed=(begin - zero, finish - zero),
        format=format,
        sha256=source.sha256,
        dropped=bad,
        notes=notes or [],
    )


def _frame(events: Mapping[str, Any]) -> pd.DataFrame:
    start = np.asarray(events["start"], dtype=np.float64)
    end = np.asarray(events.get("end", np.full(len(start), np.nan)), dtype=np.float64)
    unknown = {"component": ["unknown"] * len(start), "cause": [""] * len(start), "severity": ["fatal"] * len(start)}
    texts = {name: strings(events.get(name, unknown.get(name))) for name in ("node", *unknown)}
    return pd.DataFrame({"start": start, "end": end} | texts)[[column.name for column in EVENT_COLUMNS]]


def _good_rows(
    frame: pd.DataFrame, lines: npt.NDArray[np.int64], bad: BadRows, problems: Mapping[str, Mask]
) -> npt.NDArray[np.int64]:
    start, end = frame["start"].to_numpy(), frame["end"].to_numpy()
    absurd = (np.abs(start) > _LARGEST) | (np.abs(end) > _LARGEST)
    reasons = [
        *problems.items(),
        (NOT_A_NUMBER, absurd),
        (NO_NODE, (frame["node"] == "").to_numpy()),
        (NO_START, np.isnan(start)),
        (END_BEFORE_START, end < start),
    ]
    good = np.ones(len(frame), dtype=bool)
    for reason, wrong in reasons:
        bad.add(reason, lines[good & wrong])
        good &= ~wrong
    rows = np.flatnonzero(good)
    repeated = frame.iloc[rows].duplicated().to_numpy()
    bad.add(REPEATED, lines[rows[repeated]])
    kept: npt.NDArray[np.int64] = rows[~repeated]
    return kept


def _span(frame: pd.DataFrame) -> tuple[float, float]:
    if frame.empty:
        return 0.0, 0.0
    last = float(np.nanmax(np.maximum(frame["start"], frame["end"].fillna(-np.inf))))
    return float(frame["start"].min()), last


def _nodes(given: Mapping[str, Any], named: pd.Series[str], zero: float, finish: float) -> pd.DataFrame:
    """Return the table of nodes, sorted by name: those given, then those that only events name."""
    count = len(given["node"])
    columns: dict[str, Any] = {}
    for column in NODE_COLUMNS:
        if column.dtype == "str":
            columns[column.name] = strings(given.get(column.name, [""] * count))
        else:
            columns[column.name] = np.asarray(given.get(column.name, np.full(count, np.nan)), dtype=np.float64)
    nodes = pd.DataFrame(columns).drop_duplicates("node", ignore_index=True)
    for name in ("in_service", "out_of_service"):
        nodes[name] -= zero
    nodes["out_of_service"] = nodes["out_of_service"].where(nodes["out_of_service"] < finish)
    others = pd.Index(named).difference(pd.Index(nodes["node"]))
    more = pd.DataFrame({c.name: [""] * len(others) if c.dtype == "str" else np.nan for c in NODE_COLUMNS}, others)
    more = more.assign(node=others).astype(nodes.dtypes.to_dict())
    both = pd.concat([nodes, more], ignore_index=True) if len(more) else nodes
    return both.sort_values("node", ignore_index=True)
