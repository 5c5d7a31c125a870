"""Slurm's accounting database as CSV: its job table with numeric states, as MIT SuperCloud publishes it.

Sources: slurm.h (enum job_states, tres_types_t), https://dcc.mit.edu
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.records.readers import _slurm
from hpcai.records.readers._delimited import Delimited, has_columns, read_table
from hpcai.records.readers._nodes import machine_seen
from hpcai.records.readers._source import load, text_lines
from hpcai.records.readers._table import NOT_A_NUMBER, Floats, finish, rebase
from hpcai.records.schema import Trace

_COLUMNS: Final = ("id_job", "state", "timelimit", "time_submit", "time_start", "time_end", "tres_req")
_CPU, _MEMORY, _NODE = 1, 2, 4  # ids of trackable resources; memory is in MiB
_FIRST_GPU: Final = (1001, 1002)  # ids of generic resources begin at 1001 and are the site's own
_NO_VALUE: Final = 0xFFFFFFFE  # and one above it, 'infinite', of 32 bits
_NODE_NAME: Final = re.compile(r"[\w.\-]+")


def matches(head: bytes) -> bool:
    """Whether it is a CSV with columns of Slurm's job table."""
    return has_columns(head, _COLUMNS)


def read(path: Path, *, gpu_tres: Sequence[int] = _FIRST_GPU) -> Trace:
    """Return the trace in a CSV dump of Slurm's job table.

    Args:
        path: the file.
        gpu_tres: ids under which the site tracks GPUs.
    """
    source = load(path)
    trace = Trace.new(source.name, "slurm_db", source.sha256)
    table = read_table(path, text_lines(source, trace.bad_rows), trace.bad_rows, required=_COLUMNS)
    submit, eligible, start, end = (_time(table, name) for name in ("submit", "eligible", "start", "end"))
    submit = np.where((eligible > submit) & ~(eligible > start), eligible, submit)
    trace.origin, submit, (start, end) = rebase(submit, start, end)
    nodes = [_NODE_NAME.findall(text) for text in table.known("nodelist")]
    never_ran = np.isnan(start) | ((table.number("nodes_alloc") == 0) & ~(end > start))
    start = np.where(never_ran, np.nan, start)
    counts = _counts(table, gpu_tres)
    trace.machine = machine_seen(f"{trace.name} (nodes seen)", nodes, start, end, counts, [""] * len(table))
    trace.notes.append(f"trackable resources {', '.join(map(str, gpu_tres))} were taken as GPUs")
    if trace.machine is not None:
        trace.notes.append("the machine is inferred from the nodes that jobs ran on and what they took there")
    limit = table.number("timelimit")
    ids = _ids(trace, table)
    columns: dict[str, Any] = {
        "job_id": ids,
        "kind": np.array([_slurm.kind(job_id) for job_id in ids], dtype=object),
        "submit": submit,
        "start": start,
        "end": end,
        "run_time": end - start,
        "requested_time": np.where((limit > 0) & (limit < _NO_VALUE), limit * 60.0, np.nan),
        "processors": counts["processors"],
        "requested_processors": table.number("cpus_req"),
        "nodes": np.fmax(table.number("nodes_alloc"), counts["nodes"]),
        "gpus": counts["gpus"],
        "memory": counts["memory"],
        "user": np.nan_to_num(table.number("id_user"), nan=-1.0),
        "tenant": table.known("account"),
        "group": np.nan_to_num(table.number("id_group"), nan=-1.0),
        "partition": table.known("partition"),
        "status": _status(table),
    }
    trace.jobs = finish(
        columns,
        lines=table.lines,
        bad=trace.bad_rows,
        problems={NOT_A_NUMBER: table.wrong},
        unique=False,
    )
    return trace


def _time(table: Delimited, name: str) -> Floats:
    """Return Unix seconds, nan for 0, by which the database says that it has not happened."""
    seconds = table.number(f"time_{name}")
    return np.where(seconds > 0, seconds, np.nan)


def _status(table: Delimited) -> np.ndarray:
    codes = np.clip(np.nan_to_num(table.number("state"), nan=-1.0), -1.0, _NO_VALUE).astype(np.int64)
    names = [_slurm.STATUS_CODE.get(int(code) & 0xFF, "unknown") if code >= 0 else "unknown" for code in codes]
    return np.array(names, dtype=object)


def _counts(table: Delimited, gpu_tres: Sequence[int]) -> dict[str, Floats]:
    """Return what each job took, as '1=20,2=170000,4=1,1001=2' says: allocated, else requested."""
    asked, given = table.text("tres_req"), table.text("tres_alloc")
    jobs = [_tres(table, i, a or r) for i, (a, r) in enumerate(zip(given, asked, strict=True))]
    counts = {
        name: np.array([job.get(key, 0.0) for job in jobs])
        for name, key in (("processors", _CPU), ("memory", _MEMORY), ("nodes", _NODE))
    }
    counts["memory"] = np.where(counts["memory"] > 0, counts["memory"] * 2.0**20, np.nan)
    counts["gpus"] = np.array([sum(job.get(key, 0.0) for key in gpu_tres) for job in jobs])
    return counts


def _tres(table: Delimited, row: int, text: str) -> dict[int, float]:
    try:
        return {int(name): float(count) for name, count in _slurm.resources(text.strip()).items()}
    except ValueError:
        table.wrong[row] = True
        return {}


def _ids(trace: Trace, table: Delimited) -> np.ndarray:
    """Return job ids; a task of an array is <array>_<task>."""
    job, array, task = (table.number(name) for name in ("id_job", "id_array_job", "id_array_task"))
    in_array = (array > 0) & (task < _NO_VALUE)
    ids = [
        f"{a:.0f}_{t:.0f}" if tasked else f"{j:.0f}" for j, a, t, tasked in zip(job, array, task, in_array, strict=True)
    ]
    if len(set(ids)) < len(ids):
        trace.notes.append("job ids repeat, as they lost digits before the log was published; all are kept")
    return np.array(ids, dtype=object)
