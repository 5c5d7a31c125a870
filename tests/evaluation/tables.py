"""Tables written by hand for tests."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hpcai.records import empty_jobs


def jobs_table(**columns: object) -> pd.DataFrame:
    """Return a canonical jobs table with the given columns filled."""
    table = empty_jobs(len(next(iter(columns.values()))))  # type: ignore[arg-type]
    table["job_id"] = pd.array([str(i + 1) for i in range(len(table))], dtype="str")
    for name, values in columns.items():
        dtype = table[name].dtype
        table[name] = pd.Categorical(values) if isinstance(dtype, pd.CategoricalDtype) else values
    return table


def schedule_table(submit, start, end, processors, gpus=0.0, killed=False) -> pd.DataFrame:
    """Return a schedule as a replay returns it."""
    frame = pd.DataFrame({"submit": submit, "start": start, "end": end}, dtype="float64")
    return frame.assign(
        job_id=[str(i + 1) for i in range(len(frame))],
        processors=np.asarray(processors, dtype="int64"),
        gpus=np.asarray(gpus, dtype="float64"),
        nodes="",
        killed=killed,
    )
