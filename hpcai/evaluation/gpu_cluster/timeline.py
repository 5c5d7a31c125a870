"""What the log of a replay says of every moment: GPUs held, by whom, and who waits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.evaluation.load import Load
from hpcai.scheduling.jobs import MILLI
from hpcai.simulation.gpu_cluster.replay import Outcome

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Steps:
    """The events of a replay in order of jobs, then time: what each changed."""

    time: Floats
    job: Whole
    what: npt.NDArray[np.object_]
    by: Whole  # row of the job that others make way for; -1: none
    lost: Floats  # GPU-s
    held: Floats  # GPUs that the job has afterwards
    change: Floats  # of that
    waiting: Whole  # 1 if it then waits and did not before, -1 the other way round

    @classmethod
    def of(cls, outcome: Outcome) -> Steps:
        """Return the steps of a replay; a job that gives up places it never ran at changes nothing."""
        events = outcome.events
        order = np.argsort(events["job"].to_numpy(), kind="stable")
        job = events["job"].to_numpy()[order]
        what = events["what"].astype(str).to_numpy(dtype=object)[order]
        there = np.isin(what, ("start", "resize", "signal"))
        each = outcome.workload.work["gpu"][job] / MILLI
        held = np.where(there, events["tasks"].to_numpy()[order] * each, 0.0)
        first = np.append(True, job[1:] != job[:-1]) if len(job) else np.zeros(0, dtype=bool)
        before = np.where(first, 0.0, np.roll(held, 1))
        was_there = np.where(first, False, np.roll(there, 1))
        stopped = (what == "stop") & was_there
        return cls(
            time=events["time"].to_numpy()[order],
            job=job,
            what=what,
            by=events["by"].to_numpy()[order],
            lost=events["lost"].to_numpy()[order],
            held=held,
            change=held - before,
            waiting=stopped.astype(np.int64) - (what == "start"),
        )


def load_of(steps: Steps, jobs: pd.DataFrame, of: npt.NDArray[np.bool_] | None = None) -> Load:
    """Return GPUs held and jobs waiting over time, from the first submission to the last end.

    ``of`` says for each job whether it counts; by default all do.
    """
    chosen = np.ones(len(steps.job), dtype=bool) if of is None else of[steps.job]
    submit = jobs["submit"].to_numpy(np.float64)
    counted = np.ones(len(submit)) if of is None else of.astype(np.float64)
    time = np.concatenate([submit, steps.time[chosen]])
    gpus = np.concatenate([np.zeros(len(submit)), steps.change[chosen]])
    waiting = np.concatenate([counted, steps.waiting[chosen]])
    order = np.argsort(time, kind="stable")
    time = time[order]
    last = np.append(np.flatnonzero(np.diff(time)), len(time) - 1)
    levels = [np.cumsum(change[order])[last][:-1] for change in (gpus, waiting)]
    return Load(time[last], np.zeros(len(last) - 1), levels[0], levels[1])


def held_between(load: Load, begin: float, end: float) -> float:
    """Return the GPU-s held between two times."""
    total = np.concatenate([[0.0], np.cumsum(load.gpus * load.width)])
    low, high = np.interp([begin, end], load.time, total)
    return float(high - low)
