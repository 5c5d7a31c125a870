"""What is measured of a schedule: the registry of metrics with their definitions, and measuring itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.cluster.spec import Machine
from hpcai.evaluation.energy.definitions import OF_ENERGY
from hpcai.evaluation.fairness import CLASSES, group_means, jain_index, job_class
from hpcai.evaluation.load import Load, load_over_time
from hpcai.scheduling.jobs import SLOWDOWN_FLOOR

Floats = npt.NDArray[np.float64]

LOST_STATUSES: Final = ("failed", "timeout", "node_fail", "out_of_memory")
ROUNDING: Final = 1e-3  # s; a start later than another by less than this counts as equal

FEITELSON: Final = "Feitelson et al., Theory and practice in parallel job scheduling, 1997"
JAIN: Final = "Jain, Chiu and Hawe, 1984"
LEUNG: Final = "Srinivasan et al., 2002; CONS_P in Leung, Sabin and Sadayappan, 2010"


@dataclass(frozen=True)
class Metric:
    """A number that a schedule is judged by. ``better`` is '' where neither side is."""

    name: str
    unit: str  # "s", "h", "1" (a ratio), "jobs", "jobs/s", "kWh", "kW", "kg", "USD", "EUR"
    better: Literal["lower", "higher", ""]
    definition: str
    source: str = ""


def _registry() -> dict[str, Metric]:
    """Return all metrics by name, in the order in which they are written."""
    job_values = {
        "wait": ("s", "start - submit", ""),
        "bounded_slowdown": ("1", "max(1, turnaround / max(run time, 10 s))", FEITELSON),
        "turnaround": ("s", "end - submit", ""),
    }
    summaries = {
        "mean": "Mean",
        "median": "Median",
        "p95": "95th percentile",
        "p99": "99th percentile",
        "max": "Maximum",
    }
    metrics = [
        Metric(f"{short}_{value}", unit, "lower", f"{long} over jobs of {formula}.", source)
        for value, (unit, formula, source) in job_values.items()
        for short, long in summaries.items()
    ]
    for name in CLASSES:
        words = name.replace("_", ", ")
        for value in ("wait", "bounded_slowdown"):
            unit, formula, source = job_values[value]
            text = (
                f"Mean over {words} jobs of {formula}; narrow: at most 8 processors (GPUs on a machine that "
                "has them), short: runs at most 1 h."
            )
            metrics.append(Metric(f"mean_{value}_{name}", unit, "lower", text, source))
    metrics += [
        Metric("utilisation", "1", "higher", "Processor-seconds that jobs occupied / (processors x makespan)."),
        Metric("gpu_utilisation", "1", "higher", "GPU-seconds that jobs occupied / (GPUs x makespan)."),
        Metric("makespan", "s", "lower", "Last end - first submission."),
        Metric("throughput", "jobs/s", "higher", "Jobs that ran / makespan."),
        Metric("mean_queue_length", "jobs", "lower", "Time average of the number of jobs waiting."),
        Metric("max_queue_length", "jobs", "lower", "Largest number of jobs waiting at one time."),
        Metric("processor_hours", "h", "", "Processor-hours that jobs occupied."),
        Metric("gpu_hours", "h", "", "GPU-hours that jobs occupied."),
        Metric(
            "lost_processor_hours",
            "h",
            "lower",
            "Processor-hours occupied by jobs that did not complete: failed, timed out, lost their node, ran "
            "out of memory, or were killed at their limit.",
        ),
        Metric("lost_gpu_hours", "h", "lower", "The same in GPU-hours."),
        Metric(
            "wasted_processor_hours",
            "h",
            "lower",
            "Processor-hours that stood idle while at least one job waited.",
        ),
        Metric("wasted_gpu_hours", "h", "lower", "GPU-hours that stood idle while at least one job waited."),
        Metric("jain_users", "1", "higher", "Jain's index over users of their mean bounded slowdown.", JAIN),
        Metric("jain_tenants", "1", "higher", "The same over tenants.", JAIN),
        Metric(
            "delayed_past_fair_start",
            "1",
            "lower",
            "Share of jobs that started after their fair start time: their start under FCFS with conservative "
            "backfilling and perfect estimates (on a machine counted by node, of the first 100 jobs in the queue).",
            LEUNG,
        ),
        Metric(
            "mean_fair_start_miss",
            "s",
            "lower",
            "Mean over all jobs of max(0, start - fair start time).",
            LEUNG,
        ),
        Metric("jobs", "jobs", "", "Jobs that the averages are over."),
        Metric("not_started", "jobs", "lower", "Jobs that never started; they are in no average."),
        Metric("killed", "jobs", "lower", "Jobs that were ended at their limit."),
    ]
    metrics += [Metric(name, unit, "lower", definition) for name, unit, definition in OF_ENERGY]
    return {metric.name: metric for metric in metrics}


METRICS: Final = _registry()
JOB_MEANS: Final = ("mean_wait", "mean_bounded_slowdown", "mean_turnaround")
"""Metrics that are the mean of one of JobValues."""


@dataclass(frozen=True)
class JobValues:
    """Per-job quantities of a schedule (float64[jobs], s or ratio); nan for a job that never started."""

    wait: Floats
    bounded_slowdown: Floats
    turnaround: Floats
    run_time: Floats

    @classmethod
    def of(cls, wait: Floats, run_time: Floats, turnaround: Floats) -> JobValues:
        """Return them with the bounded slowdown, whose floor is 10 s."""
        slowdown = np.maximum(1.0, turnaround / np.maximum(run_time, SLOWDOWN_FLOOR))
        return cls(wait, slowdown, turnaround, run_time)

    def under(self, objective: str) -> Floats:
        """Return the quantity whose mean is ``objective``, one of JOB_MEANS."""
        values: Floats = getattr(self, objective.removeprefix("mean_"))
        return values


def job_values(schedule: pd.DataFrame) -> JobValues:
    """Return wait, bounded slowdown (floor 10 s), turnaround and run time of each row of ``schedule``."""
    submit, start, end = (schedule[name].to_numpy(np.float64) for name in ("submit", "start", "end"))
    return JobValues.of(wait=start - submit, run_time=end - start, turnaround=end - submit)


def measure(
    schedule: pd.DataFrame,
    jobs: pd.DataFrame,
    machine: Machine,
    *,
    fair_start: Floats | None = None,
    warmup: int = 0,
) -> dict[str, float]:
    """Return every metric of METRICS that is defined for this schedule.

    ``schedule`` and ``jobs`` (the canonical table) are aligned row by row. ``fair_start`` is float64[jobs] in
    seconds. The first ``warmup`` jobs are in no average, and the load is measured from the first
    submission after them.
    """
    load = load_over_time(schedule, since=float(schedule["submit"].iloc[warmup]))
    schedule, jobs = schedule.iloc[warmup:], jobs.iloc[warmup:]
    ran = np.isfinite(schedule["start"].to_numpy(np.float64))
    result = {
        "jobs": float(ran.sum()),
        "not_started": float((~ran).sum()),
        "killed": float(schedule["killed"].sum()),
    }
    if ran.any():
        fair = None if fair_start is None else fair_start[warmup:][ran]
        schedule, jobs = schedule[ran], jobs[ran]
        values = job_values(schedule)
        result |= _summaries(values) | _classes(values, schedule, machine)
        result |= _fairness(values, schedule, jobs, fair)
        result |= _usage(load, schedule, jobs, machine)
    return {name: result[name] for name in METRICS if np.isfinite(result.get(name, np.nan))}


def _summaries(values: JobValues) -> dict[str, float]:
    result: dict[str, float] = {}
    for name in ("wait", "bounded_slowdown", "turnaround"):
        data = getattr(values, name)
        median, p95, p99 = np.percentile(data, [50, 95, 99])
        numbers = {"mean": data.mean(), "median": median, "p95": p95, "p99": p99, "max": data.max()}
        result |= {f"{short}_{name}": float(number) for short, number in numbers.items()}
    return result


def _classes(values: JobValues, schedule: pd.DataFrame, machine: Machine) -> dict[str, float]:
    processors, gpus = (schedule[name].to_numpy(np.float64) for name in ("processors", "gpus"))
    of_class = job_class(values.run_time, processors, gpus, machine)
    result: dict[str, float] = {}
    for number, name in enumerate(CLASSES):
        members = of_class == number
        if members.any():
            result[f"mean_wait_{name}"] = float(values.wait[members].mean())
            result[f"mean_bounded_slowdown_{name}"] = float(values.bounded_slowdown[members].mean())
    return result


def _fairness(
    values: JobValues, schedule: pd.DataFrame, jobs: pd.DataFrame, fair_start: Floats | None
) -> dict[str, float]:
    result = {
        f"jain_{column}s": jain_index(group_means(jobs[column], values.bounded_slowdown).to_numpy(np.float64))
        for column in ("user", "tenant")
    }
    if fair_start is not None:
        miss = np.maximum(0.0, schedule["start"].to_numpy(np.float64) - fair_start)
        result["delayed_past_fair_start"] = float(np.mean(miss > ROUNDING))
        result["mean_fair_start_miss"] = float(miss.mean())
    return result


def _usage(load: Load, schedule: pd.DataFrame, jobs: pd.DataFrame, machine: Machine) -> dict[str, float]:
    """Return utilisation, queue, lost and wasted hours; those of GPUs only where the machine has some."""
    result = {
        "makespan": load.duration,
        "throughput": len(schedule) / load.duration if load.duration else np.nan,
        "mean_queue_length": load.integral(load.queue) / load.duration if load.duration else np.nan,
        "max_queue_length": float(load.queue.max(initial=0)),
    }
    run_time = schedule["end"].to_numpy(np.float64) - schedule["start"].to_numpy(np.float64)
    lost = jobs["status"].isin(LOST_STATUSES).to_numpy() | schedule["killed"].to_numpy(bool)
    resources = [("processor", "utilisation", "processors", machine.total_cpus, load.processors)]
    if machine.total_gpus:
        resources.append(("gpu", "gpu_utilisation", "gpus", machine.total_gpus, load.gpus))
    for resource, utilisation, column, total, busy in resources:
        occupied = schedule[column].to_numpy(np.float64) * run_time
        if not schedule[column].any() and len(resources) > 1:
            continue  # a log of GPU jobs that says nothing of their processors
        idle = np.maximum(0.0, total - busy) * (load.queue > 0)
        used = load.integral(busy)
        result[utilisation] = used / (total * load.duration) if load.duration else np.nan
        result[f"{resource}_hours"] = used / 3600
        result[f"lost_{resource}_hours"] = float(occupied[lost].sum()) / 3600
        result[f"wasted_{resource}_hours"] = load.integral(idle) / 3600
    return result
