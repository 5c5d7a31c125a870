"""A GPU cluster's mix of training jobs: many small short ones, few big long ones, cycles, tenants, failures.

The shape follows the published studies of such clusters: Jeon et al., "Analysis of large-scale multi-tenant GPU
clusters for DNN training workloads" (Philly, ATC 2019); Hu et al., "Characterization and prediction of deep
learning workloads in large-scale GPU datacenters" (Helios, SC 2021) and "Characterization of large language
model development in the datacenter" (Acme, NSDI 2024). Every number is a parameter, and
:func:`hpcai.records.generators.fit.fit` takes them from a trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.records.generators._cycle import Cycle, Floats
from hpcai.records.generators._heavy_tail import HeavyTail, LogNormal, Pareto
from hpcai.records.generators._parameters import ParameterModel
from hpcai.records.readers._table import canonical
from hpcai.records.schema import Trace

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]

Mask = npt.NDArray[np.bool_]

WEEK: Final = 7 * 86400.0
ORIGIN: Final = 1704067200.0  # Monday 2024-01-01 00:00 UTC, so that hours and weekdays mean something
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
HUMAN_LIMITS: Final = np.array(
    [m * _MINUTE for m in (1, 5, 10, 15, 20, 30, 45)]
    + [h * _HOUR for h in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 18, 20)]
    + [d * _DAY for d in (1, 1.5, 2, 3, 4, 5, 7, 10, 14, 21, 30, 60, 90, 180, 365)]
)


class Requests(ParameterModel):
    """The time limits that users ask for: they grow with the run time, but less, and are round numbers."""

    share: Share = 1.0  # of jobs that have one
    at_one_hour: Positive = 6 * 3600.0  # s, median for a job that runs for an hour, before rounding
    power: float = 0.4  # the median grows as run time ** power
    sigma: Annotated[float, Field(ge=0)] = 1.0  # standard deviation of its natural logarithm
    exceeded: Share = 0.02  # of jobs that would outlast their limit and are ended by it


class Parameters(ParameterModel):
    """All that the generator knows. Sizes are GPUs, or processors where ``unit`` says so."""

    unit: Literal["gpus", "processors"] = "gpus"
    mean_gap: Positive = 120.0  # s, between arrivals
    gaps: HeavyTail = HeavyTail(  # in operational time; only their shape counts
        bulk=(LogNormal(weight=0.4, median=8.0, sigma=1.4), LogNormal(weight=0.6, median=110.0, sigma=1.0))
    )
    start_second: Annotated[float, Field(ge=0, lt=WEEK)] = 0.0  # of the week, from Monday 00:00
    hours: Annotated[tuple[Weight, ...], Field(min_length=24, max_length=24)] = (
        *(0.6, 0.5, 0.4, 0.35, 0.3, 0.3, 0.35, 0.45, 0.7, 1.1, 1.5, 1.6),
        *(1.3, 1.3, 1.6, 1.7, 1.7, 1.6, 1.4, 1.3, 1.3, 1.3, 1.1, 0.85),
    )
    weekdays: Annotated[tuple[Weight, ...], Field(min_length=7, max_length=7)] = (
        *(1.15, 1.2, 1.2, 1.2, 1.1),
        *(0.6, 0.55),
    )
    sizes: dict[Count, Weight] = Field(
        default_factory=lambda: {1: 0.62, 2: 0.09, 4: 0.11, 8: 0.12, 16: 0.03, 32: 0.018, 64: 0.009, 128: 0.003},
        min_length=1,
    )
    run_time: HeavyTail = HeavyTail(  # s, of jobs of size 1
        bulk=(LogNormal(weight=0.55, median=180.0, sigma=1.3), LogNormal(weight=0.45, median=5400.0, sigma=1.4)),
        tail=Pareto(share=0.01, start=172800.0, alpha=1.3, largest=30 * 86400.0),
    )
    size_power: float = 0.25  # run times grow as size ** power
    longest: Positive = 30 * 86400.0  # s, no job runs for longer, whatever its size
    requests: Requests = Requests()
    failed: Share = 0.2
    cancelled: Share = 0.1  # while running
    never_ran: Share = 0.01  # cancelled in the queue
    tenants: Count = 12
    users_per_tenant: Count = 15
    concentration: Annotated[float, Field(ge=0)] = 1.0  # exponent of Zipf's law over tenants and over users
    gpus_per_node: Count = 8
    cpus_per_gpu: Count = 8
    memory_gib_per_gpu: Positive = 64.0

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        for name in ("hours", "weekdays"):
            if min(getattr(self, name)) <= 0:
                raise ValueError(f"{name}: every weight must be above 0")
        if sum(self.sizes.values()) <= 0:
            raise ValueError("sizes: the weights add up to 0")
        return self

    def cycle(self) -> Cycle:
        """Return the weekly cycle of arrivals."""
        return Cycle(np.outer(self.weekdays, self.hours).ravel(), WEEK)


def generate(
    parameters: Parameters,
    jobs: int,
    *,
    seed: int = 0,
    load: float | None = None,
    machine: Machine | None = None,
) -> Trace:
    """Return ``jobs`` jobs of the mix; InputError if ``load`` is given without a machine to load.

    No job asks for more CPUs or memory with its GPUs than each node of ``machine`` has for every GPU.
    """
    rng = np.random.default_rng(seed)
    if machine is not None:
        parameters = _on(machine, parameters)
    size = _sizes(rng, parameters, jobs, machine)
    run_time = np.ceil(parameters.run_time.sample(rng, jobs) * size**parameters.size_power)
    run_time = np.minimum(run_time, parameters.longest)
    requested, run_time, ended = _requests(rng, parameters.requests, run_time)
    never_ran = rng.random(jobs) < parameters.never_ran
    status = _statuses(rng, parameters, ended, never_ran)
    run_time = np.where(never_ran, np.nan, run_time)
    span = parameters.mean_gap * max(jobs - 1, 1)
    if load is not None:
        if machine is None:
            raise InputError("load: the deep-learning mix needs a machine to load (machine=)")
        work = float(np.nansum(size * run_time))
        span = work / (_capacity(parameters, machine) * load)
    submit = _arrivals(rng, parameters, jobs, span)
    tenant, user = _parties(rng, parameters, jobs)
    columns: dict[str, Any] = {
        "job_id": np.arange(1.0, jobs + 1),
        "submit": submit,
        "run_time": run_time,
        "requested_time": requested,
        "tenant": tenant,
        "group": tenant,
        "user": user,
        "status": status,
        **_resources(parameters, size),
    }
    trace = Trace.new(f"deep-learning-seed{seed}", "generated", {})
    trace.jobs, trace.machine = canonical(columns, np.arange(jobs)), machine
    trace.origin = ORIGIN + parameters.start_second
    trace.notes.append(f"synthetic: deep-learning mix, seed {seed}" + (f", load {load}" if load else ""))
    return trace


def _sizes(rng: np.random.Generator, parameters: Parameters, jobs: int, machine: Machine | None) -> Floats:
    """Return sizes; those that the machine could not hold are not drawn."""
    sizes = np.array(sorted(parameters.sizes), dtype=np.float64)
    weights = np.array([parameters.sizes[int(size)] for size in sizes])
    if machine is not None:
        weights = np.where(sizes <= _capacity(parameters, machine), weights, 0.0)
        if weights.sum() == 0:
            raise InputError(f"machine {machine.name}: no job of the mix fits on it")
    return np.asarray(sizes[np.searchsorted(np.cumsum(weights / weights.sum())[:-1], rng.random(jobs))])


def _on(machine: Machine, parameters: Parameters) -> Parameters:
    """Return the parameters with what goes with a GPU bounded by the leanest nodes with GPUs."""
    groups = [group for group in machine.groups if group.gpus]
    if not groups:
        return parameters
    return parameters.model_copy(
        update={
            "gpus_per_node": min(group.gpus for group in groups),
            "cpus_per_gpu": max(1, min(parameters.cpus_per_gpu, *(group.cpus // group.gpus for group in groups))),
            "memory_gib_per_gpu": min(
                parameters.memory_gib_per_gpu, *(group.memory_gib / group.gpus for group in groups)
            ),
        }
    )


def _capacity(parameters: Parameters, machine: Machine) -> int:
    return machine.total_gpus if parameters.unit == "gpus" else machine.total_cpus


def _requests(rng: np.random.Generator, requests: Requests, run_time: Floats) -> tuple[Floats, Floats, Mask]:
    """Return requested times, the run times cut by them, and which were cut."""
    n = len(run_time)
    wish = requests.at_one_hour * (np.maximum(run_time, 1.0) / _HOUR) ** requests.power
    wish = wish * np.exp(requests.sigma * rng.standard_normal(n))
    ended = rng.random(n) < requests.exceeded
    wish = np.where(ended, np.minimum(wish, run_time / 2), np.maximum(wish, run_time))
    requested = HUMAN_LIMITS[np.minimum(np.searchsorted(HUMAN_LIMITS, wish), len(HUMAN_LIMITS) - 1)]
    requested[rng.random(n) >= requests.share] = np.nan
    ended = run_time > requested
    return requested, np.where(ended, requested, run_time), ended


def _statuses(rng: np.random.Generator, parameters: Parameters, ended: Mask, never_ran: Mask) -> pd.Categorical[str]:
    names = ("completed", "failed", "cancelled", "timeout")
    draw = rng.random(len(ended))
    code = np.where(draw < parameters.failed, 1, np.where(draw < parameters.failed + parameters.cancelled, 2, 0))
    code = np.where(ended, 3, code)
    code = np.where(never_ran, 2, code)
    return _named(code, names)


def _arrivals(rng: np.random.Generator, parameters: Parameters, jobs: int, span: float) -> Floats:
    """Return submission times, whole seconds from 0 to about ``span``: independent gaps in operational time."""
    operational = np.cumsum(parameters.gaps.sample(rng, jobs))
    operational -= operational[0]
    cycle = parameters.cycle()
    first, last = cycle.to_operational(parameters.start_second + np.array([0.0, span]))
    if operational[-1] > 0:
        operational *= (last - first) / operational[-1]
    clock = cycle.to_clock(first + operational) - parameters.start_second
    return np.maximum(np.floor(clock + 1e-6), 0.0)


def _parties(
    rng: np.random.Generator, parameters: Parameters, jobs: int
) -> tuple[pd.Categorical[str], pd.Categorical[str]]:
    """Return tenants and users; both are busy after Zipf's law."""
    tenant = _zipf(rng, parameters.tenants, parameters.concentration, jobs)
    member = _zipf(rng, parameters.users_per_tenant, parameters.concentration, jobs)
    user = tenant * parameters.users_per_tenant + member
    return _named(tenant, _numbered("tenant", parameters.tenants)), _named(
        user, _numbered("user", parameters.tenants * parameters.users_per_tenant)
    )


def _zipf(rng: np.random.Generator, n: int, exponent: float, size: int) -> npt.NDArray[np.int64]:
    weights = np.arange(1, n + 1, dtype=np.float64) ** -exponent
    return np.searchsorted(np.cumsum(weights / weights.sum())[:-1], rng.random(size)).astype(np.int64)


def _numbered(word: str, n: int) -> list[str]:
    return [f"{word}-{i:0{len(str(n))}d}" for i in range(1, n + 1)]


def _named(codes: npt.NDArray[np.int64], names: Sequence[str]) -> pd.Categorical[str]:
    return pd.Categorical.from_codes(codes, pd.Index(list(names), dtype="str"))


def _resources(parameters: Parameters, size: Floats) -> dict[str, Floats]:
    """Return what goes with the size of each job: nodes filled up one after another, CPUs and memory per GPU."""
    if parameters.unit == "processors":
        return {"processors": size, "requested_processors": size}
    return {
        "gpus": size,
        "processors": size * parameters.cpus_per_gpu,
        "requested_processors": size * parameters.cpus_per_gpu,
        "nodes": np.ceil(size / parameters.gpus_per_node),
        "memory": size * parameters.memory_gib_per_gpu * 2.0**30,
    }
