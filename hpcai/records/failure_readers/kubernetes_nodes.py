"""Nodes of Kubernetes and what befell them: ``kubectl get nodes -o json`` and ``kubectl get events -A -o json``.

A condition of a node that is not as it should be is a failure since its last transition, still open. An event of a
node is a failure if it is a warning or says NodeNotReady or a pressure; NodeReady and the like end it. Both kinds may
stand in one list (``kubectl get nodes,events -A -o json``). Source: Kubernetes API reference, core/v1 Node and Event.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.errors import FormatError
from hpcai.records.failure_readers._finish import NOT_A_NUMBER, finish
from hpcai.records.failure_readers._words import component_of
from hpcai.records.failures import FailureLog
from hpcai.records.readers._delimited import unix_seconds
from hpcai.records.readers._json import load_json
from hpcai.records.readers._source import Source, load
from hpcai.records.readers.kubernetes import GPU_MODEL_KEYS
from hpcai.records.schema import BadRows

NOT_OF_A_NODE: Final = "an event of something else than a node"
NOT_AN_OBJECT: Final = "not a node or event as Kubernetes describes one"

_KIND: Final = re.compile(rb'"kind"\s*:\s*"(NodeList|EventList|Node|Event)"')
_ENDS: Final = {  # reason of the event that ends a failure: reasons that it ends
    "NodeReady": ("NodeNotReady", "NodeHasUnknownStatus", "Rebooted", "KubeletIsDown"),
    "NodeHasSufficientMemory": ("NodeHasInsufficientMemory", "NodeUnderMemoryPressure"),
    "NodeHasNoDiskPressure": ("NodeHasDiskPressure",),
    "NodeHasSufficientPID": ("NodeHasInsufficientPID",),
}
_BEGINS: Final = tuple(reason for ended in _ENDS.values() for reason in ended)
_FATAL: Final = ("NodeNotReady", "NodeHasUnknownStatus", "Rebooted", "KernelOops", "KubeletIsDown")
_RACKS: Final = ("topology.kubernetes.io/rack", "topology.kubernetes.io/zone")


def matches(head: bytes) -> bool:
    """Whether it is a JSON object that names nodes or events as its kind."""
    return head.lstrip()[:1] == b"{" and _KIND.search(head) is not None


def read(path: Path, *, nodes: Path | str | None = None) -> FailureLog:
    """Return the log; ``nodes`` is the list of nodes where it is another file than that of the events."""
    source = load(path)
    bad = BadRows()
    rows, table = _rows(source, bad)
    if nodes is not None:
        other, others = _rows(load(Path(nodes)), BadRows())
        rows, table = rows + other, table + others
    rows = _closed(sorted(rows, key=lambda row: row["start"]))
    if not rows and not table:
        raise FormatError(f"{path}: found no node and no event of one, expected those of kubectl get nodes,events")
    times = [time for row in rows for time in (row["start"], row["end"], row["seen"]) if np.isfinite(time)]
    times += [node["seen"] for node in table if np.isfinite(node["seen"])]
    names = ("node", "component", "start", "end", "cause", "severity")
    return finish(
        source,
        "kubernetes_nodes",
        {name: [row[name] for row in rows] for name in names},
        lines=np.array([row["line"] for row in rows], dtype=np.int64),
        bad=bad,
        nodes={name: [node[name] for node in table] for name in ("node", "node_class", "rack", "in_service", "gpus")},
        observed=(min(times), max(times)) if times else None,
        notes=["Kubernetes forgets events after an hour unless told otherwise: rates need events gathered over time"],
    )


def _rows(source: Source, bad: BadRows) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    document = load_json(source)
    items = document.get("items", [document]) if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise FormatError(f"{source.path}: found JSON without a list 'items', expected a Kubernetes list")
    listed = str(document.get("kind", "")).removesuffix("List")
    rows: list[dict[str, Any]] = []
    table: list[dict[str, Any]] = []
    for number, item in enumerate(items, start=1):
        try:
            if item.get("kind", listed) == "Node":
                table.append(_node(item))
                rows += _conditions(number, item)
            elif item["involvedObject"].get("kind") == "Node":
                rows += _event(number, item)
            else:
                bad.add(NOT_OF_A_NODE, [number])
        except ValueError:
            bad.add(NOT_A_NUMBER, [number])
        except (KeyError, TypeError, AttributeError):
            bad.add(NOT_AN_OBJECT, [number])
    return rows, table


def _node(item: dict[str, Any]) -> dict[str, Any]:
    meta, status = item["metadata"], item.get("status", {})
    labels = meta.get("labels") or {}
    model = next((str(labels[key]) for key in GPU_MODEL_KEYS if key in labels), "")
    amounts = status.get("allocatable") or status.get("capacity") or {}
    gpus = [float(amounts[key]) for key in ("nvidia.com/gpu", "amd.com/gpu") if key in amounts]
    beats = [_time(condition.get("lastHeartbeatTime")) for condition in status.get("conditions") or []]
    return {
        "node": str(meta["name"]),
        "node_class": str(labels.get("node.kubernetes.io/instance-type", model) or "node"),
        "rack": str(next((labels[key] for key in _RACKS if key in labels), "")),
        "in_service": _time(meta.get("creationTimestamp")),
        "gpus": sum(gpus),
        "seen": max((beat for beat in beats if np.isfinite(beat)), default=np.nan),
    }


def _conditions(number: int, item: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for condition in item.get("status", {}).get("conditions") or []:
        kind, value = str(condition["type"]), str(condition["status"])
        if (value == "True") != (kind == "Ready"):
            words = f"{kind}={value} {condition.get('message') or condition.get('reason') or ''}".strip()
            severity = "fatal" if kind == "Ready" else "degraded"
            at = _time(condition.get("lastTransitionTime"))
            seen = _time(condition.get("lastHeartbeatTime"))
            rows.append(_row(number, str(item["metadata"]["name"]), at, f"{kind}: {words}", severity, seen))
    return rows


def _event(number: int, item: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the event as a row; one that only ends a failure, or tells of none, with severity info."""
    reason = str(item.get("reason") or "")
    first = _time(item.get("firstTimestamp") or item.get("eventTime") or item["metadata"].get("creationTimestamp"))
    last = _time(item.get("lastTimestamp"))
    bad = item.get("type") == "Warning" or reason in _BEGINS
    severity = "info" if not bad else "fatal" if reason in _FATAL else "degraded"
    words = f"{reason}: {item.get('message') or ''}".rstrip(": ")
    node = str(item["involvedObject"]["name"])
    return [_row(number, node, first, words, severity, first if np.isnan(last) else last) | {"reason": reason}]


def _row(number: int, node: str, start: float, words: str, severity: str, seen: float) -> dict[str, Any]:
    row = {"line": number, "node": node, "start": start, "end": np.nan, "cause": words, "severity": severity}
    return row | {"component": component_of(words.replace(node, "")), "seen": seen, "reason": ""}


def _closed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows in time, those that begin a failure with the time of the event that ends it."""
    opened: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        for ended in _ENDS.get(row["reason"], ()):
            for waiting in opened.pop((row["node"], ended), []):
                waiting["end"] = max(row["start"], waiting["start"])
        if row["reason"] in _BEGINS:
            opened.setdefault((row["node"], row["reason"]), []).append(row)
    return rows


def _time(text: Any) -> float:
    """Return a date as Unix seconds, nan if there is none; ValueError if it is not one."""
    if text is None:
        return np.nan
    seconds, wrong = unix_seconds([str(text)])
    if wrong[0]:
        raise ValueError(text)
    return float(seconds[0])
