"""Lives of the GPUs of the Titan supercomputer, one row for each, as CSV.

A GPU that was taken out after an error (double-bit error, off the bus) died then; one that was taken out without, or
was there when the machine was switched off, is censored. Source: Ostrouchov et al., "GPU Lifetimes on Titan
Supercomputer: Survival Analysis and Reliability", SC20; https://github.com/olcf/TitanGPULife, gc_summary_loc.csv.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.records.failure_readers._finish import NOT_A_NUMBER, finish
from hpcai.records.failures import FailureLog
from hpcai.records.readers._delimited import has_columns, read_table
from hpcai.records.readers._source import load, text_lines
from hpcai.records.schema import BadRows

NEGATIVE_LIFE: Final = "negative life"

_COLUMNS: Final = ("sn", "time", "last", "col", "row", "cage", "slot", "batch", "out", "dbe", "otb")


def matches(head: bytes) -> bool:
    """Whether the header is that of the lifetimes."""
    return has_columns(head, _COLUMNS)


def read(path: Path) -> FailureLog:
    """Return the log, in which a node is a GPU and its life ends with its last day in service."""
    source = load(path)
    bad = BadRows()
    table = read_table(path, text_lines(source, bad), bad, required=_COLUMNS)
    last, life = table.date("last"), table.number("time")
    double_bit, off_bus = table.number("dbe") > 0, table.number("otb") > 0
    out = np.array([text.upper() == "TRUE" for text in table.known("out")], dtype=bool)
    negative = life < 0
    wrong = table.wrong | np.isnan(last) | np.isnan(life)
    dead = out & (double_bit | off_bus)
    good = ~(wrong | negative)
    bad.add(NOT_A_NUMBER, table.lines[wrong & ~dead])
    bad.add(NEGATIVE_LIFE, table.lines[negative & ~wrong & ~dead])
    causes = np.where(double_bit & off_bus, "DBE and OTB", np.where(double_bit, "DBE", "OTB"))
    serial = np.asarray(table.known("sn"), dtype=object)
    span = (float((last - life)[good].min()), float(last[good].max())) if good.any() else None
    return finish(
        source,
        "titan_lifetimes",
        {"node": serial[dead], "component": ["gpu"] * int(dead.sum()), "start": last[dead], "cause": causes[dead]},
        lines=table.lines[dead],
        bad=bad,
        problems={NOT_A_NUMBER: wrong[dead], NEGATIVE_LIFE: negative[dead]},
        nodes={name: np.asarray(values, dtype=object)[good] for name, values in _gpus(table, last, life, out).items()},
        observed=span,
        notes=["a life is counted back from its last day, gaps left out; dates have no time zone: UTC is taken"],
    )


def _gpus(table: Any, last: Any, life: Any, out: Any) -> dict[str, Any]:
    column, row, cage, slot = (table.known(name) for name in ("col", "row", "cage", "slot"))
    racks = [f"c{c}-{r}" for c, r in zip(column, row, strict=True)]
    return {
        "node": table.known("sn"),
        "node_class": table.known("batch"),
        "rack": racks,
        "place": [f"cage {text}" for text in cage],
        "switch": [f"{rack}c{c}s{s}" for rack, c, s in zip(racks, cage, slot, strict=True)],
        "in_service": last - life,
        "out_of_service": np.where(out, last, np.nan),
        "gpus": np.ones(len(last)),
    }
