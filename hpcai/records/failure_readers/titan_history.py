"""GPUs of the Titan supercomputer (OLCF, 18,688 of them), 2013 to 2019: where each was when, and its errors, as CSV.

A row is a stay of a GPU in a node with the error, if any, that was found at its end: DBE, a double-bit error of its
memory, or OTB, off the bus. A row without ``insert`` is a further error at the end of the same stay. Errors carry the
time of the inventory that found them. Source: Ostrouchov et al., "GPU Lifetimes on Titan Supercomputer: Survival
Analysis and Reliability", SC20; https://github.com/olcf/TitanGPULife, gc_full.csv.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from hpcai.errors import InputError
from hpcai.records.failure_readers._finish import END_BEFORE_START, NOT_A_NUMBER, finish
from hpcai.records.failures import FailureLog
from hpcai.records.readers._delimited import has_columns, read_table
from hpcai.records.readers._source import load, text_lines
from hpcai.records.schema import BadRows

NOT_A_PLACE: Final = "no location such as c9-3c1s2n1"

NEW_BATCH: Final = pd.Timestamp("2016-01-01").timestamp()  # first installed later: the new batch, as in the paper
_COLUMNS: Final = ("sn", "location", "insert", "remove", "event")
_LOCATION: Final = re.compile(r"(c\d+-\d+)c(\d)(s\d+)n\d+")


def matches(head: bytes) -> bool:
    """Whether the header is that of the history."""
    return has_columns(head, _COLUMNS)


def read(path: Path, *, unit: str = "gpu") -> FailureLog:
    """Return the log, in which a node is a GPU by its serial number, or a place in the machine (unit="location")."""
    if unit not in ("gpu", "location"):
        raise InputError(f"{path}: found unit={unit!r}, expected gpu or location")
    source = load(path)
    bad = BadRows()
    table = read_table(path, text_lines(source, bad), bad, required=_COLUMNS)
    stays = pd.DataFrame(
        {
            "sn": table.known("sn"),
            "location": table.known("location"),
            "insert": table.date("insert"),
            "remove": table.date("remove"),
            "event": table.known("event"),
        }
    )
    stays["node"] = stays["sn"] if unit == "gpu" else stays["location"]
    nowhere = np.array([_LOCATION.fullmatch(text) is None for text in stays["location"]], dtype=bool)
    backwards = (stays["insert"] > stays["remove"]).to_numpy()
    wrong = {NOT_A_NUMBER: table.wrong, NOT_A_PLACE: nowhere, END_BEFORE_START: backwards}
    failed = (stays["event"] != "").to_numpy()
    useless = np.any(list(wrong.values()), axis=0)
    for reason, rows in wrong.items():  # of stays without an error, which no event stands for
        bad.add(reason, table.lines[rows & ~failed])
    good = stays[~useless]
    times = good[["insert", "remove"]].to_numpy()
    observed = (float(np.nanmin(times)), float(np.nanmax(times))) if np.isfinite(times).any() else None
    events = {"node": stays["node"], "component": ["gpu"] * len(stays), "start": stays["remove"]}
    events |= {"cause": stays["event"]}
    return finish(
        source,
        "titan_history",
        {name: np.asarray(values)[failed] for name, values in events.items()},
        lines=table.lines[failed],
        bad=bad,
        problems={reason: rows[failed] for reason, rows in wrong.items()},
        nodes=_gpus(good, observed) if unit == "gpu" else _places(good),
        observed=observed,
        notes=["errors carry the time of the inventory that found them; dates have no time zone: UTC is taken"],
    )


def _gpus(stays: pd.DataFrame, observed: tuple[float, float] | None) -> dict[str, Any]:
    """Return the GPUs, each in the rack where it stayed longest."""
    length = (stays["remove"] - stays["insert"]).fillna(0.0)
    longest = stays.assign(length=length).sort_values("length", kind="stable").drop_duplicates("node", keep="last")
    longest = longest.set_index("node").sort_index()
    first, last = stays.groupby("node")["insert"].min(), stays.groupby("node")["remove"].max()
    batch = np.where(first > NEW_BATCH, "new", "old")
    gone = last.where(last < (observed or (0, 0))[1])
    return {
        "node": first.index,
        "node_class": batch,
        "in_service": first,
        "out_of_service": gone,
        "gpus": np.ones(len(first)),
        **_place_columns(longest["location"]),
    }


def _places(stays: pd.DataFrame) -> dict[str, Any]:
    first = stays.groupby("node")["insert"].min()
    kind = ["K20X"] * len(first)
    columns = _place_columns(first.index)
    return {"node": first.index, "node_class": kind, "in_service": first, "gpus": np.ones(len(first)), **columns}


def _place_columns(locations: Any) -> dict[str, list[str]]:
    """Return rack, cage and blade of c9-3c1s2n1: cabinet c9-3, cage 1 from below, blade 2, node 1."""
    found = [match for text in locations if (match := _LOCATION.fullmatch(text))]
    return {
        "rack": [match[1] for match in found],
        "place": [f"cage {match[2]}" for match in found],
        "switch": [f"{match[1]}c{match[2]}{match[3]}" for match in found],
    }
