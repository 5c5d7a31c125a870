"""Job lists of the Tiresias simulator: GPUs, submission and duration of training jobs.

Source: https://github.com/SymbioticLab/Tiresias (simulator/60_job.csv)
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from hpcai.records.readers._delimited import has_columns, read_table
from hpcai.records.readers._source import load, text_lines
from hpcai.records.readers._table import NOT_A_NUMBER, finish
from hpcai.records.schema import Trace

_COLUMNS: Final = ("job_id", "num_gpu", "submit_time", "iterations", "model_name", "duration")


def matches(head: bytes) -> bool:
    """Whether it is a CSV with the columns of a Tiresias job list."""
    return has_columns(head, _COLUMNS)


def read(path: Path) -> Trace:
    """Return the trace in a Tiresias job list; the model that a job trains is its queue as well."""
    source = load(path)
    trace = Trace.new(source.name, "tiresias", source.sha256)
    table = read_table(path, text_lines(source, trace.bad_rows), trace.bad_rows, required=_COLUMNS)
    gpus, run_time = table.number("num_gpu"), table.number("duration")
    trace.notes.append("the model that a job trains is given as the queue as well")
    trace.jobs = finish(
        {
            "job_id": table.text("job_id"),
            "submit": table.number("submit_time"),
            "run_time": run_time,
            "gpus": gpus,
            "queue": table.known("model_name"),
            "model": table.known("model_name"),
        },
        lines=table.lines,
        bad=trace.bad_rows,
        problems={NOT_A_NUMBER: table.wrong | np.isnan(gpus) | np.isnan(run_time)},
    )
    return trace
