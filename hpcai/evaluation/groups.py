"""The jobs of all windows pooled: per user, per tenant, per class."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hpcai.evaluation.config import Entry
from hpcai.evaluation.fairness import CLASSES, job_class
from hpcai.evaluation.inputs import Input
from hpcai.evaluation.metrics import job_values
from hpcai.evaluation.store import Cell, Folder

GROUP_COLUMNS = (
    "trace",
    "policy",
    "backfill",
    "kind",
    "group",
    "jobs",
    "mean_wait",
    "mean_bounded_slowdown",
    "processor_hours",
    "gpu_hours",
)


def cell_of(source: Input, entry: Entry, window: int) -> Cell:
    """Return the replay of a window under an entry."""
    return Cell(source.name, entry.name, entry.backfill, window)


def pooled_jobs(source: Input, entry: Entry, folder: Folder, warmup: int) -> pd.DataFrame:
    """Return the measured jobs of all windows that started: wait, bounded slowdown, size, and whose they are.

    A job that several windows share is there several times.
    """
    columns = ("submit", "start", "end", "processors", "gpus")
    schedule = pd.concat(
        [folder.schedule(cell_of(source, entry, w.number), columns).iloc[warmup:] for w in source.windows]
    )
    rows = np.concatenate([np.arange(w.first + warmup, w.last) for w in source.windows])
    values = job_values(schedule)
    processors, gpus = (schedule[name].to_numpy(np.float64) for name in ("processors", "gpus"))
    of_class = job_class(values.run_time, processors, gpus, source.machine)
    owners = source.jobs[["user", "tenant"]].iloc[rows].reset_index(drop=True)
    pool = owners.assign(
        wait=values.wait,
        bounded_slowdown=values.bounded_slowdown,
        run_time=values.run_time,
        processors=processors,
        gpus=gpus,
        **{"class": pd.Categorical.from_codes(of_class, pd.Index(CLASSES))},
    )
    return pool[np.isfinite(values.wait)]


def group_table(pool: pd.DataFrame, source: Input, entry: Entry) -> pd.DataFrame:
    """Return the means of ``pool`` by user, tenant and class, in GROUP_COLUMNS; unknown groups left out."""
    hours = pool["run_time"] / 3600
    pool = pool.assign(processor_hours=pool["processors"] * hours, gpu_hours=pool["gpus"] * hours)
    parts = []
    for kind in ("user", "tenant", "class"):
        known = pool[pool[kind] != ""]
        means = known.groupby(kind, observed=True, sort=True).agg(
            jobs=("wait", "size"),
            mean_wait=("wait", "mean"),
            mean_bounded_slowdown=("bounded_slowdown", "mean"),
            processor_hours=("processor_hours", "sum"),
            gpu_hours=("gpu_hours", "sum"),
        )
        frame = means.reset_index(names="group").assign(
            trace=source.name, policy=entry.name, backfill=entry.backfill, kind=kind
        )
        parts.append(frame.astype({"group": "str"}))
    return pd.concat(parts, ignore_index=True)[list(GROUP_COLUMNS)]
