"""SenseTime Helios, deep-learning jobs of 2020: ``cluster_log.csv``.

Source: https://github.com/S-Lab-System-Group/HeliosData
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.records.readers import _slurm
from hpcai.records.readers._delimited import Delimited, has_columns, read_table
from hpcai.records.readers._source import load, text_lines
from hpcai.records.readers._table import NOT_A_NUMBER, finish, rebase, statuses
from hpcai.records.schema import Trace

COLUMNS: Final = ("job_id", "user", "gpu_num", "cpu_num", "node_num", "state", "submit_time", "start_time")


def matches(head: bytes) -> bool:
    """Whether it is a CSV with Helios' columns, the virtual cluster among them."""
    return has_columns(head, (*COLUMNS, "vc"))


def read(path: Path) -> Trace:
    """Return the trace in a Helios job log; the virtual cluster is the tenant."""
    source = load(path)
    trace = Trace.new(source.name, "helios", source.sha256)
    data = text_lines(source, trace.bad_rows)
    table = read_table(path, data, trace.bad_rows, required=(*COLUMNS, "vc"))
    trace.origin, columns = job_columns(table)
    trace.notes.append("times have no zone and were taken as UTC")
    trace.jobs = finish(
        {**columns, "tenant": table.text("vc")},
        lines=table.lines,
        bad=trace.bad_rows,
        problems={NOT_A_NUMBER: table.wrong},
    )
    return trace


def job_columns(table: Delimited) -> tuple[float, dict[str, Any]]:
    """Return the origin and the canonical columns that Helios and Acme record alike.

    The run time is end - start: the column 'duration' of some logs holds end - submit. Their column 'queue'
    is a wait, not a queue.
    """
    end = table.date("end_time")
    origin, submit, (start, end) = rebase(table.date("submit_time"), table.date("start_time"), end)
    run_time = end - start
    return origin, {
        "job_id": table.text("job_id"),
        "submit": submit,
        "start": np.where(np.isnan(run_time), np.nan, start),
        "end": end,
        "run_time": run_time,
        "processors": table.number("cpu_num"),
        "requested_processors": table.number("cpu_num"),
        "nodes": table.number("node_num"),
        "gpus": np.nan_to_num(table.number("gpu_num"), nan=0.0),
        "user": table.known("user"),
        "status": statuses(table.text("state"), _slurm.STATUS),
    }
