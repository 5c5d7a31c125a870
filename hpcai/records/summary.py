"""What a trace is like: counts, sizes, times, load and how well users estimate."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.records.machine import machine_of
from hpcai.records.schema import Trace

_QUANTILES: Final = {"min": 0.0, "p10": 0.1, "median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


def describe(trace: Trace) -> dict[str, Any]:
    """Return statistics of ``trace`` as plain numbers and text, ready for JSON; None stands for unknown.

    Times are in seconds, memory in bytes. ``offered_load`` is the work of the jobs over the capacity of the
    machine from the first submission to the last: above 1 the queue grows without bound.
    """
    jobs = trace.jobs
    ran = jobs[jobs["run_time"].notna()]
    return {
        "name": trace.name,
        "format": trace.format,
        "jobs": len(jobs),
        "bad_rows": {
            reason: {"count": count, "first_lines": trace.bad_rows.first_lines[reason]}
            for reason, count in trace.bad_rows.count.items()
        },
        "notes": list(trace.notes),
        "first_submit": _date(trace.origin, jobs["submit"].min()),
        "last_submit": _date(trace.origin, jobs["submit"].max()),
        "span": span(jobs),
        "distinct": {name: _distinct(jobs[name]) for name in _PARTIES},
        "never_ran": len(jobs) - len(ran),
        "status": _shares(jobs["status"]),
        "processors": _quantiles(ran["processors"].where(ran["processors"] > 0)),
        "nodes": _quantiles(ran["nodes"].where(ran["nodes"] > 0)),
        "gpus": _quantiles(ran["gpus"].where(ran["gpus"] > 0)),
        "gpu_jobs": int((jobs["gpus"] > 0).sum()),
        "run_time": _quantiles(ran["run_time"]),
        "interarrival": _quantiles(jobs["submit"].diff()),
        "requested_time": _estimates(ran),
        "wait": _quantiles(ran["start"] - ran["submit"]),
        "machine": _machine(trace),
    }


_PARTIES: Final = ("user", "group", "tenant", "queue", "partition", "qos")


def span(jobs: pd.DataFrame) -> float:
    """Return the seconds from the first submission to the last."""
    return float(jobs["submit"].max() - jobs["submit"].min()) if len(jobs) else 0.0


def offered_load(jobs: pd.DataFrame, machine: Machine) -> dict[str, float | None]:
    """Return work over capacity x span, per kind of resource; None for what the machine does not have."""
    seconds = span(jobs)
    capacity = {"processors": machine.total_cpus, "gpus": machine.total_gpus}
    return {
        name: float((jobs[name] * jobs["run_time"]).sum()) / (total * seconds) if total * seconds > 0 else None
        for name, total in capacity.items()
    }


def _machine(trace: Trace) -> dict[str, Any] | None:
    try:
        machine, inferred = machine_of(trace)
    except InputError:
        return None
    return {
        "name": machine.name,
        "inferred": inferred,
        "processors": machine.total_cpus,
        "nodes": machine.total_nodes or None,
        "gpus": machine.total_gpus or None,
        "offered_load": offered_load(trace.jobs, machine),
    }


def _estimates(ran: pd.DataFrame) -> dict[str, Any]:
    """Return how many jobs have a requested time, its quantiles, and how it compares with the run time."""
    requested = ran["requested_time"]
    accuracy = (ran["run_time"] / requested)[requested > 0]
    return {
        "share": _share(int(requested.notna().sum()), len(ran)),
        "quantiles": _quantiles(requested),
        "accuracy": _quantiles(accuracy),
        "over_limit": _share(int((accuracy > 1).sum()), len(accuracy)),
    }


def _quantiles(values: pd.Series[Any]) -> dict[str, float] | None:
    known = values.dropna()
    if known.empty:
        return None
    result = {name: float(known.quantile(q)) for name, q in _QUANTILES.items()}
    return {**result, "mean": float(known.mean())}


def _shares(values: pd.Series[Any]) -> dict[str, float]:
    counts = values.value_counts()
    return {str(name): float(count) / len(values) for name, count in counts.items() if count > 0}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _distinct(values: pd.Series[Any]) -> int:
    return int(values[values != ""].nunique())


def _date(origin: float, second: float) -> str | None:
    unix = origin + second
    if not np.isfinite(unix) or not 0 <= unix < 2**36:
        return None
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="seconds")
