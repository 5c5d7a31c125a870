"""Failures of the machines of Los Alamos National Laboratory, 1996 to 2005, release LA-UR-05-7318, as CSV.

A row is an outage of a node, with the hands' judgement of its root cause. Quirks: dates are local and without
seconds; the month of installation went through a spreadsheet and reads 5-Apr for April 2005 beside Nov-96; of nodes
that never failed the table says nothing but how many a system has; rows of one system name no node.
"""

from __future__ import annotations

import calendar
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.errors import InputError
from hpcai.records.failure_readers._finish import NOT_A_NUMBER, finish
from hpcai.records.failure_readers._words import component_of
from hpcai.records.failures import FailureLog, Floats
from hpcai.records.readers._delimited import Delimited, has_columns, read_table
from hpcai.records.readers._source import load, text_lines
from hpcai.records.schema import BadRows

_COLUMNS: Final = ("system", "nodes", "nodenumz", "prob started", "prob fixed", "down time")
_ROOT_CAUSES: Final = ("Facilities", "Hardware", "Human Error", "Network", "Undetermined", "Software")
_COMPONENT: Final = {"Human Error": "human", "Network": "network", "Undetermined": "unknown", "Software": "software"}
_PLANNED: Final = re.compile(r"\bDST\b|Maintenance|Upgrade/Install|Patch Install|Modify (kernel|system)")
_MONTHS: Final = {name: number for number, name in enumerate(calendar.month_abbr) if name}


def matches(head: bytes) -> bool:
    """Whether the header is that of the release."""
    return has_columns(head, _COLUMNS)


def read(path: Path, *, planned: str = "keep") -> FailureLog:
    """Return the log; ``planned``: "drop" leaves out upgrades, maintenance and dedicated system time (DST)."""
    if planned not in ("keep", "drop"):
        raise InputError(f"{path}: found planned={planned!r}, expected keep or drop")
    source = load(path)
    bad = BadRows()
    table = read_table(path, text_lines(source, bad), bad, required=_COLUMNS)
    start, minutes = table.convert("prob started", _date), table.number("down time")
    end = np.where(np.isnan(minutes), table.convert("prob fixed", _date), start + 60 * minutes)
    roots = [table.known(name.lower()) for name in _ROOT_CAUSES]
    causes, components = zip(*map(_cause, *roots), strict=True) if len(table) else ((), ())
    nodes = _names(table)
    problems: dict[str, Any] = {NOT_A_NUMBER: table.wrong}
    intended = np.array([_PLANNED.search(cause) is not None for cause in causes], dtype=bool)
    if planned == "drop":
        problems["planned work"] = intended
    events = {"node": nodes, "component": components, "start": start, "end": end, "cause": causes}
    notes = ["dates have no time zone: UTC is taken"]
    if planned == "keep" and intended.any():
        notes.append(
            f"{intended.sum()} rows are planned work (upgrades, maintenance, DST); planned=drop leaves them out"
        )
    return finish(
        source,
        "lanl",
        events,
        lines=table.lines,
        bad=bad,
        problems=problems,
        nodes=_watched(table, nodes, notes),
        notes=notes,
    )


def _date(text: str) -> float:
    match = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d\d)", text)
    if match is None:
        raise ValueError(text)
    month, day, year, hour, minute = map(int, match.groups())
    return pd.Timestamp(year, month, day, hour, minute).timestamp()


def _month(text: str) -> Floats:
    """Return the first second of a month and of the next one; nan for 'current', 'before tracking' and the like."""
    match = re.fullmatch(r"([A-Z][a-z]{2})-(\d\d)|(\d{1,2})-([A-Z][a-z]{2})", text.strip())
    month = _MONTHS.get((match[1] or match[4]) if match else "", 0)
    if match is None or not month:
        return np.array([np.nan, np.nan])
    year = int(match[2] or match[3])
    first = pd.Timestamp(year + (1900 if year > 50 else 2000), month, 1)
    return np.array([first.timestamp(), (first + pd.DateOffset(months=1)).timestamp()])


def _cause(*roots: str) -> tuple[str, str]:
    """Return cause and component of the columns of root causes, one of which is filled."""
    for root, detail in zip(_ROOT_CAUSES, roots, strict=True):
        if detail:
            found = component_of(detail)
            if root == "Facilities" and found not in ("power", "cooling"):
                found = "facility"
            return f"{root}: {detail}", _COMPONENT.get(root, found)
    return "", "unknown"


def _names(table: Delimited) -> npt.NDArray[np.object_]:
    """Return the name of each row's node, as 20-17 for node 17 of system 20; '' if the row names none."""
    systems, numbers = table.known("system"), table.known("nodenumz")
    return np.array([f"{s}-{n}" if s and n else "" for s, n in zip(systems, numbers, strict=True)], dtype=object)


def _watched(table: Delimited, names: npt.NDArray[np.object_], notes: list[str]) -> dict[str, Any]:
    """Return the nodes: those that failed as their first row has them, the others as most of their system."""
    frame = pd.DataFrame(
        {
            "node": names,
            "system": table.known("system"),
            "number": table.number("nodenumz"),
            "size": table.number("nodes"),
            "processors": table.number("procsinnode"),
            "node_class": _classes(table),
            "since": table.known("node prod"),
            "until": table.known("node decom"),
        }
    )
    failed = frame[(frame["node"] != "") & ~table.wrong].drop_duplicates("node")
    quiet = [rest for _, group in failed.groupby("system") if len(rest := _quiet(group))]
    nodes = pd.concat([failed, *quiet], ignore_index=True)
    if quiet:
        notes.append(f"{len(nodes) - len(failed)} nodes never failed: taken to be like most of their system")
    return {
        "node": nodes["node"],
        "node_class": nodes["node_class"],
        "system": nodes["system"],
        "in_service": [_month(text)[0] for text in nodes["since"]],
        "out_of_service": [_month(text)[1] for text in nodes["until"]],
        "processors": nodes["processors"],
    }


def _quiet(group: pd.DataFrame) -> pd.DataFrame:
    """Return the nodes of a system that no row names, by the lowest numbers that are free."""
    size = group["size"].max()
    count = int(size) if 0 < size <= 1e6 else 0
    missing = np.setdiff1d(np.arange(count), group["number"].to_numpy())[: max(count - len(group), 0)]
    usual = group[["processors", "node_class", "since", "until"]].mode().iloc[0]
    system = group["system"].iloc[0]
    return pd.DataFrame({"node": [f"{system}-{n}" for n in missing], "system": system}).assign(
        **{str(k): v for k, v in usual.items()}
    )


def _classes(table: Delimited) -> list[str]:
    """Return a class for each row: kind of CPU, processors and GB of memory of the node, and graphics if so used."""
    kinds = zip(*(table.known(name) for name in ("cputype", "procsinnode", "mem", "purpose")), strict=True)
    return [
        f"cpu{cpu}-{processors}p-{memory}GB" + ("-graphics" if "graphics" in purpose else "")
        for cpu, processors, memory, purpose in kinds
    ]
