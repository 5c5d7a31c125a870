"""Shanghai AI Laboratory Acme, jobs of 2023 on the clusters Seren and Kalos: ``trace_seren.csv``.

Source: https://github.com/InternLM/AcmeTrace
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpcai.records.readers._delimited import has_columns, read_table
from hpcai.records.readers._source import load, text_lines
from hpcai.records.readers._table import NOT_A_NUMBER, finish
from hpcai.records.readers.helios import COLUMNS, job_columns
from hpcai.records.schema import Trace


def matches(head: bytes) -> bool:
    """Whether it is a CSV with Acme's columns: those of Helios, and the type of work."""
    return has_columns(head, (*COLUMNS, "type")) and not has_columns(head, ("vc",))


def read(path: Path) -> Trace:
    """Return the trace in an Acme job log; the type of work (Pretrain, Evaluation, ...) is the queue."""
    source = load(path)
    trace = Trace.new(source.name, "acme", source.sha256)
    data = text_lines(source, trace.bad_rows)
    table = read_table(path, data, trace.bad_rows, required=(*COLUMNS, "type"))
    trace.origin, columns = job_columns(table)
    per_node = table.number("mem_per_pod_gb") * 2.0**30
    trace.notes.append("the type of work is given as the queue")
    trace.jobs = finish(
        {
            **columns,
            "queue": table.known("type"),
            "memory": np.where(per_node > 0, per_node * np.maximum(columns["nodes"], 1.0), np.nan),
        },
        lines=table.lines,
        bad=trace.bad_rows,
        problems={NOT_A_NUMBER: table.wrong},
    )
    return trace
