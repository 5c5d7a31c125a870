"""Fitting the deep-learning mix to a recorded trace, and saying how well it fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import ks_2samp

from hpcai.errors import InputError
from hpcai.records.generators._cycle import Floats
from hpcai.records.generators._heavy_tail import HeavyTail
from hpcai.records.generators._mix import WEEK, Requests
from hpcai.records.generators.deep_learning import Parameters, generate
from hpcai.records.schema import Trace

MIN_JOBS: Final = 100
_SIZES: Final = 64  # distinct sizes that are kept; the others become the next larger one
_MONDAY: Final = 4 * 86400.0  # Unix time 0 was a Thursday


@dataclass(frozen=True)
class GoodnessOfFit:
    """Kolmogorov-Smirnov distance of each marginal between a trace and one generated from the fit.

    0: the distributions are equal; 1: they do not overlap. ``jobs`` of either trace were compared.
    """

    distances: dict[str, float]
    jobs: int


def fit(trace: Trace, *, seed: int = 0) -> tuple[Parameters, GoodnessOfFit]:
    """Return the parameters with which the mix is most like ``trace``, and how like it is.

    Sizes are GPUs if most jobs have one, else processors; jobs without a size are left out of the fit and of
    the comparison. InputError if too few jobs are left to tell.
    """
    unit, jobs = _sized(trace)
    ran = jobs[jobs["run_time"].notna()]
    if len(ran) < MIN_JOBS:
        raise InputError(f"{trace.name}: {len(ran)} jobs that ran and have a size, at least {MIN_JOBS} are needed")
    size = np.ceil(ran[unit].to_numpy(dtype=np.float64))
    run_time = ran["run_time"].to_numpy()
    power = _size_power(size, run_time)
    parameters = Parameters(
        unit=unit,
        sizes=_sizes(size),
        run_time=HeavyTail.fit(run_time / size**power),
        size_power=power,
        longest=max(float(run_time.max()), 1.0),
        requests=_requests(ran),
        failed=_share(ran, "failed", "node_fail", "out_of_memory"),
        cancelled=_share(ran, "cancelled", "preempted"),
        never_ran=1.0 - len(ran) / len(jobs),
        **_arrivals(jobs, trace.origin),
        **_parties(jobs),
        **_per_gpu(ran, unit),
    )
    return parameters, goodness_of_fit(trace, generate(parameters, len(jobs), seed=seed))


def goodness_of_fit(trace: Trace, other: Trace) -> GoodnessOfFit:
    """Return how far the marginals of two traces are apart; a marginal that either lacks is left out."""
    ours, theirs = _marginals(trace), _marginals(other)
    distances = {
        name: float(ks_2samp(ours[name], theirs[name], method="asymp").statistic)
        for name in ours
        if len(ours[name]) and len(theirs[name])
    }
    return GoodnessOfFit(distances, len(_sized(trace)[1]))


def _sized(trace: Trace) -> tuple[Literal["gpus", "processors"], pd.DataFrame]:
    """Return what sizes are counted in, and the jobs that have a size."""
    jobs = trace.jobs
    unit: Literal["gpus", "processors"] = "gpus" if (jobs["gpus"] > 0).mean() > 0.5 else "processors"
    return unit, jobs[jobs[unit] > 0]


def _marginals(trace: Trace) -> dict[str, Floats]:
    unit, jobs = _sized(trace)
    ran = jobs[jobs["run_time"].notna()]
    ratio = ran["requested_time"] / ran["run_time"].clip(lower=1.0)
    submit = jobs["submit"].to_numpy()
    hours = np.floor((submit - submit[0]) / 3600.0).astype(np.int64)
    return {
        "interarrival": np.diff(submit),
        "run_time": ran["run_time"].to_numpy(),
        "size": np.ceil(ran[unit].to_numpy(dtype=np.float64)),
        "requested_over_run_time": ratio.dropna().to_numpy(),
        "arrivals_per_hour": np.bincount(hours).astype(np.float64),
        "hour_of_day": np.floor((_week_second(submit, trace.origin) % 86400.0) / 3600.0),
    }


def _week_second(submit: Floats, origin: float) -> Floats:
    """Return the second of the week of each submission, from Monday 00:00 UTC (or of the trace's origin)."""
    return np.asarray((submit + (origin if np.isfinite(origin) else _MONDAY) - _MONDAY) % WEEK)


def _arrivals(jobs: pd.DataFrame, origin: float) -> dict[str, Any]:
    submit = jobs["submit"].to_numpy()
    second = _week_second(submit, origin)
    hours = _weights((second % 86400.0) // 3600.0, 24)
    weekdays = _weights(second // 86400.0, 7) if submit[-1] - submit[0] >= WEEK else (1.0,) * 7
    start = float(second[0])
    cycle = Parameters(hours=hours, weekdays=weekdays).cycle()
    gaps = np.diff(cycle.to_operational(start + submit - submit[0]))
    gaps[np.diff(submit) == 0] = 0.0
    return {
        "mean_gap": max(float(submit[-1] - submit[0]) / (len(submit) - 1), 1e-3),
        "gaps": HeavyTail.fit(gaps),
        "start_second": start,
        "hours": hours,
        "weekdays": weekdays,
    }


def _weights(buckets: Floats, n: int) -> tuple[float, ...]:
    """Return the share of each bucket relative to the mean; one job more in each, so that none is 0."""
    counts = np.bincount(buckets.astype(np.int64), minlength=n) + 1.0
    return tuple(np.round(counts / counts.mean(), 4).clip(min=1e-4).tolist())


def _sizes(size: Floats) -> dict[int, float]:
    """Return the share of each size; of many, the most frequent ones, with rare sizes rounded up to them."""
    values, counts = np.unique(size, return_counts=True)
    kept = np.sort(values[np.argsort(-counts, kind="stable")[:_SIZES]])
    kept[-1] = values[-1]
    place = np.searchsorted(kept, values)
    shares = np.bincount(place, weights=counts, minlength=len(kept)) / len(size)
    return {int(value): round(float(share), 6) for value, share in zip(kept, shares, strict=True) if share > 0}


def _size_power(size: Floats, run_time: Floats) -> float:
    """Return the exponent with which run times grow with size: the slope between their logarithms."""
    x, y = np.log(size), np.log(np.maximum(run_time, 1.0))
    spread = float(np.var(x))
    slope = float(np.mean((x - x.mean()) * (y - y.mean()))) / spread if spread > 0 else 0.0
    return round(float(np.clip(slope, -1.0, 1.0)), 4)


def _requests(ran: pd.DataFrame) -> Requests:
    asked = ran[ran["requested_time"] > 0]
    if len(asked) < 2:
        return Requests(share=0.0)
    run_time, requested = asked["run_time"].clip(lower=1.0), asked["requested_time"]
    x, y = np.log(run_time.to_numpy() / 3600.0), np.log(requested.to_numpy())
    spread = float(np.var(x))
    slope = float(np.mean((x - x.mean()) * (y - y.mean()))) / spread if spread > 0 else 0.0
    offset = float(y.mean() - slope * x.mean())
    return Requests(
        share=len(asked) / len(ran),
        at_one_hour=float(np.exp(offset)),
        power=slope,
        sigma=float(np.std(y - offset - slope * x)),
        exceeded=float((run_time >= requested).mean()),
    )


def _share(ran: pd.DataFrame, *statuses: str) -> float:
    return float(ran["status"].isin(statuses).mean())


def _parties(jobs: pd.DataFrame) -> dict[str, Any]:
    """Return how many tenants and users there are, and Zipf's exponent of how unequal the users are."""
    tenants = _named_counts(jobs["tenant"])
    users = _named_counts(jobs["user"])
    n_tenants = max(len(tenants), 1)
    return {
        "tenants": n_tenants,
        "users_per_tenant": max(round(len(users) / n_tenants), 1),
        "concentration": _zipf_exponent(users if len(users) > 1 else tenants),
    }


def _named_counts(values: pd.Series[Any]) -> npt.NDArray[np.int64]:
    counts = values[values != ""].value_counts().to_numpy()
    return np.asarray(counts[counts > 0], dtype=np.int64)


def _zipf_exponent(counts: npt.NDArray[np.int64]) -> float:
    """Return the slope of count over rank, both logarithmic, each rank weighed by its count."""
    if len(counts) < 2:
        return 1.0
    slope = np.polyfit(np.log(np.arange(1, len(counts) + 1)), np.log(counts), 1, w=np.sqrt(counts))[0]
    return round(float(np.clip(-slope, 0.0, 4.0)), 4)


def _per_gpu(ran: pd.DataFrame, unit: str) -> dict[str, Any]:
    """Return CPUs and memory per GPU and GPUs per node, where the trace knows them."""
    if unit != "gpus":
        return {}
    known: dict[str, Any] = {}
    cpus = (ran["processors"] / ran["gpus"])[ran["processors"] > 0]
    memory = (ran["memory"] / ran["gpus"] / 2.0**30).dropna()
    on_node = (ran["gpus"] / ran["nodes"])[ran["nodes"] > 0]
    if len(cpus):
        known["cpus_per_gpu"] = max(round(float(cpus.median())), 1)
    if len(memory) and memory.median() > 0:
        known["memory_gib_per_gpu"] = float(memory.median())
    if len(on_node):
        known["gpus_per_node"] = max(int(np.ceil(on_node.max())), 1)
    return known
