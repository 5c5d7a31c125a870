"""Faults of the GPU servers of a cluster that trains language models (InfiniteHBD, SIGCOMM 2025), as JSON.

A list of starts and ends of faults by server and kind, in days from 2024-03-30 over 348 days. Only servers with a
fault are listed. Source: https://github.com/stepfun-ai/InfiniteHBD-Trace, arXiv:2502.03885.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from hpcai.errors import FormatError, InputError
from hpcai.records.failure_readers._finish import NOT_A_NUMBER, finish
from hpcai.records.failure_readers._words import component_of
from hpcai.records.failures import FailureLog
from hpcai.records.readers._json import load_json
from hpcai.records.readers._source import load
from hpcai.records.schema import BadRows

NO_START_OF_FAULT: Final = "a fault ends that never began"
NOT_AN_EVENT: Final = "not a start or end of a fault"

_ORIGIN: Final = pd.Timestamp("2024-03-30").timestamp()
_WINDOW: Final = 348 * 86400.0
_LAST_DAY: Final = 36525.0
_GPUS: Final = 8
_KEYS: Final = re.compile(rb'"node_id".*"event_time".*"event_type"', re.DOTALL)
_COMPONENT: Final = {
    "GPU": "gpu",
    "CPU": "cpu",
    "NIC": "network",
    "Parameter Plane Cable": "network",
    "Fan": "cooling",
    "Power Supply": "power",
    "RAID Card": "disk",
    "File System": "disk",
    "Change": "human",
}


class Event(NamedTuple):
    """A start or end of a fault."""

    number: int  # of the record
    server: str
    time: float  # Unix s
    begins: bool
    fault: tuple[str, str, str]  # level, class, description


def matches(head: bytes) -> bool:
    """Whether it is a JSON list of such events."""
    return head.lstrip()[:1] == b"[" and _KEYS.search(head[:4096]) is not None


def read(path: Path, *, servers: int | None = None) -> FailureLog:
    """Return the log; ``servers`` is how many were watched, those that never failed included."""
    source = load(path)
    document = load_json(source)
    if not isinstance(document, list):
        raise FormatError(f"{path}: found JSON that is not a list, expected starts and ends of faults")
    bad = BadRows()
    rows = _pair(_events(document, bad), bad)
    names = sorted({row["node"] for row in rows})
    notes = ["where no number of servers is given (servers=), those that never failed are not counted"]
    if servers is not None:
        if servers < len(names):
            raise InputError(f"{path}: found servers={servers}, expected at least the {len(names)} that failed")
        names += [f"healthy-{i:04d}" for i in range(servers - len(names))]
        notes = []
    nodes = {"node": names, "node_class": ["gpu-server"] * len(names), "gpus": np.full(len(names), float(_GPUS))}
    events = {key: [row[key] for row in rows] for key in ("node", "component", "start", "end", "cause")}
    times = [time for row in rows for time in (row["start"], row["end"]) if np.isfinite(time)]
    observed = (_ORIGIN, max([_ORIGIN + _WINDOW, *times]))
    lines = np.array([row["line"] for row in rows], dtype=np.int64)
    return finish(source, "infinitehbd", events, lines=lines, bad=bad, nodes=nodes, observed=observed, notes=notes)


def _events(document: list[Any], bad: BadRows) -> Iterable[Event]:
    for number, item in enumerate(document, start=1):
        try:
            fault = item["fault_type"]
            words = (str(fault["Level"]), str(fault["Class"]), str(fault["Desc"]))
            kind, server, day = item["event_type"], str(item["node_id"]), float(item["event_time"])
        except (KeyError, TypeError, ValueError):
            kind = day = None
        if kind not in ("fault_start", "fault_end") or day is None:
            bad.add(NOT_AN_EVENT, [number])
        elif not 0 <= day < _LAST_DAY:
            bad.add(NOT_A_NUMBER, [number])
        else:
            yield Event(number, server, _ORIGIN + 86400 * day, kind == "fault_start", words)


def _pair(events: Iterable[Event], bad: BadRows) -> list[dict[str, Any]]:
    """Return faults with start and end: an end closes the oldest open fault of its server and kind."""
    rows: list[dict[str, Any]] = []
    opened: dict[tuple[str, tuple[str, str, str]], list[dict[str, Any]]] = defaultdict(list)
    for number, server, time, begins, fault in events:
        waiting = opened[server, fault]
        if begins:
            level, kind, words = fault
            component = _COMPONENT.get(kind) or ("software" if level == "Software Failure" else component_of(kind))
            row = {"line": number, "node": server, "start": time, "end": np.nan}
            rows.append(row | {"component": component, "cause": f"{kind}: {words}"})
            waiting.append(rows[-1])
        elif waiting:
            waiting.pop(0)["end"] = time
        else:
            bad.add(NO_START_OF_FAULT, [number])
    return rows
