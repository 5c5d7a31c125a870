"""Failure logs small enough to be counted by hand, or drawn at random."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from hpcai.records.failures import COMPONENTS, EVENT_COLUMNS, NODE_COLUMNS, SEVERITIES, FailureLog, strings

DAY = 86400.0
Event = tuple[str, float, float]


def log_of(events: Iterable[tuple[object, ...]], nodes: Iterable[str], days: float, **columns: object) -> FailureLog:
    """A log of events (node, start and end in days, then perhaps severity, component, cause)."""
    rows = sorted(((*event, *("fatal", "unknown", "")[len(event) - 3 :]) for event in events), key=lambda row: row[1])
    values = list(zip(*rows, strict=True)) if rows else [[] for _ in range(6)]
    made = {
        "node": strings(values[0]),
        "component": strings(values[4]),
        "start": np.array(values[1], dtype=np.float64) * DAY,
        "end": np.array(values[2], dtype=np.float64) * DAY,
        "cause": strings(values[5]),
        "severity": strings(values[3]),
    }
    names = sorted(nodes)
    table: dict[str, object] = {
        c.name: strings([""] * len(names)) if c.dtype == "str" else np.full(len(names), np.nan) for c in NODE_COLUMNS
    }
    table |= {"node": strings(names)} | {
        name: strings(value) if isinstance(value, list) and isinstance(value[0], str) else value
        for name, value in columns.items()
    }
    frame = pd.DataFrame({column.name: made[column.name] for column in EVENT_COLUMNS})
    return FailureLog("small", frame, pd.DataFrame(table), observed=(0.0, days * DAY))


def drawn_log(seed: int, nodes: int = 6, days: float = 300.0, events: int = 120) -> FailureLog:
    """A log of events of every kind, some without end, of nodes in two racks of two systems."""
    rng = np.random.default_rng(seed)
    names = [f"n{i}" for i in range(nodes)]
    start = rng.uniform(0, days, events)
    end = np.where(rng.random(events) < 0.3, np.nan, start + rng.exponential(2.0, events))
    rows = zip(
        rng.choice(names, events),
        start,
        end,
        rng.choice(SEVERITIES, events),
        rng.choice(COMPONENTS, events),
        rng.choice(["link 3 down", "ECC 0x1f", "fan"], events),
        strict=True,
    )
    since = np.where(rng.random(nodes) < 0.5, np.nan, rng.uniform(-50, 20, nodes) * DAY)
    racks, systems = [f"r{i % 2}" for i in range(nodes)], [f"s{i % 2}" for i in range(nodes)]
    return log_of(rows, names, days, rack=racks, system=systems, in_service=since, gpus=np.full(nodes, 8.0))


def known_at(log: FailureLog, time: float) -> FailureLog:
    """The log as it stood at ``time`` (s): later events had not happened, later repairs had not ended."""
    events = log.events[log.events["start"] <= time].reset_index(drop=True)
    events["end"] = events["end"].where(events["end"] <= time)
    nodes = log.nodes.copy()
    nodes["out_of_service"] = nodes["out_of_service"].where(nodes["out_of_service"] <= time)
    return replace(log, events=events, nodes=nodes, observed=(log.observed[0], time))
