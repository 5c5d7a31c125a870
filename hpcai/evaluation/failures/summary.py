"""What a failure log is like: counts, rates, availability, causes, and what is odd about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.errors import InputError
from hpcai.faults.outages import Outages, exposure, outages, repairs
from hpcai.records.failures import SEVERITIES, FailureLog

Floats = npt.NDArray[np.float64]

MOST_ROWS: Final = 15


def describe(log: FailureLog, severities: Sequence[str] = ("fatal",)) -> dict[str, Any]:
    """Return statistics of ``log`` as plain numbers and text, ready for JSON; times in s, None stands for unknown.

    Rates and causes are of the events of ``severities``; rates are None if there are none.
    """
    try:
        of = outages(log, severities)
    except InputError:
        of = None
    counted = log.events[log.events["severity"].isin(severities)]
    return {
        "name": log.name,
        "format": log.format,
        "events": len(log.events),
        "severities": {name: int((log.events["severity"] == name).sum()) for name in SEVERITIES},
        "counted": list(severities),
        "begin": date(log, log.observed[0]),
        "end": date(log, log.observed[1]),
        "span": log.observed[1] - log.observed[0],
        "nodes": len(log.nodes),
        "systems": int(log.nodes["system"].nunique()),
        "dropped": {
            reason: {"count": count, "first_lines": log.dropped.first_lines[reason]}
            for reason, count in log.dropped.count.items()
        },
        "oddities": oddities(log, counted),
        "notes": list(log.notes),
        "all": None if of is None else _rates(log, of, np.ones(len(log.nodes), dtype=bool)),
        "by_class": _by(log, of, "node_class"),
        "by_system": _by(log, of, "system"),
        "by_component": _causes(counted, counted["component"]),
        "by_cause": _causes(counted, counted["cause"].str.split(": ", n=1).str[0].replace("", "not said")),
        "sha256": log.sha256,
    }


def date(log: FailureLog, second: float) -> str | None:
    """Return a time of the log as a date in UTC; None if the log has no dates."""
    unix = log.origin + second
    if not np.isfinite(unix) or not 0 <= unix < 2**36:
        return None
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M")


def oddities(log: FailureLog, counted: pd.DataFrame) -> dict[str, int]:
    """Return how many of the failures or nodes are somehow not plain, by what; none that are not there."""
    ordered = counted.sort_values(["node", "start"], kind="stable")
    reach = ordered["end"].fillna(ordered["start"]).groupby(ordered["node"]).cummax()
    before = reach.groupby(ordered["node"]).shift()
    place = pd.Index(log.nodes["node"]).get_indexer(pd.Index(counted["node"]))
    low, high = (edge[place] for edge in log.service)
    failed = log.nodes["node"].isin(counted["node"])
    found = {
        "failures begin while their node is still down (counted as one outage)": int(
            (ordered["start"] <= before).sum()
        ),
        "failures have no end": int(counted["end"].isna().sum()),
        "failures lie outside the service of their node (not counted)": int(
            ((counted["start"] < low) | (counted["start"] > high)).sum()
        ),
        "nodes had left service when the log ends": int(log.nodes["out_of_service"].notna().sum()),
        "nodes never failed": int((~failed).sum()),
    }
    return {what: count for what, count in found.items() if count}


def _rates(log: FailureLog, of: Outages, nodes: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Return failures and times of a group of nodes: MTBF of a node and of the group, repair, availability."""
    mine = nodes[of.node]
    failures = int(mine.sum())
    served = exposure(log, nodes)
    span = float((log.service[1][nodes]).max() - (log.service[0][nodes]).min()) if nodes.any() else 0.0
    down, at = repairs(log, of)
    mine_down = nodes[at]
    length = down.value[mine_down & down.ended]
    known = len(length) > 0
    return {
        "nodes": int(nodes.sum()),
        "outages": failures,
        "node_years": served / (365.25 * 86400),
        "mtbf_node": served / failures if failures else None,
        "mtbf": span / failures if failures else None,
        "mean_repair": float(length.mean()) if known else None,
        "median_repair": float(np.median(length)) if known else None,
        "availability": 1 - float(down.value[mine_down].sum()) / served if known and served > 0 else None,
    }


def _by(log: FailureLog, of: Outages | None, column: str) -> dict[str, dict[str, Any]]:
    names = log.nodes[column].to_numpy(dtype=object)
    if of is None or len(set(names)) < 2:
        return {}
    return {str(name) or "unknown": _rates(log, of, names == name) for name in sorted(set(names))}


def _causes(counted: pd.DataFrame, kind: pd.Series[str]) -> dict[str, dict[str, Any]]:
    """Return failures by kind, most frequent first: share, mean and median time to repair of single failures."""
    length = counted["end"] - counted["start"]
    result: dict[str, dict[str, Any]] = {}
    for name, rows in sorted(counted.groupby(kind).groups.items(), key=lambda item: -len(item[1])):
        own = length.loc[rows].dropna()
        result[str(name)] = {
            "failures": len(rows),
            "share": len(rows) / len(counted),
            "mean_repair": float(own.mean()) if len(own) else None,
            "median_repair": float(own.median()) if len(own) else None,
        }
    return result
