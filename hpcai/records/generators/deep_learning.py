"""A GPU cluster's mix of training jobs: many small short ones, few big long ones, cycles, tenants, failures.

The shape follows the published studies of such clusters: Jeon et al., "Analysis of large-scale multi-tenant GPU
clusters for DNN training workloads" (Philly, ATC 2019); Hu et al., "Characterization and prediction of deep
learning workloads in large-scale GPU datacenters" (Helios, SC 2021) and "Characterization of large language
model development in the datacenter" (Acme, NSDI 2024). Every number is a parameter, and
:func:`hpcai.records.generators.fit.fit` takes them from a trace.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.records.generators._cycle import Cycle, Floats
from hpcai.records.generators._heavy_tail import HeavyTail, LogNormal, Pareto
from hpcai.records.generators._mix import (
    BURSTS,
    HOURS,
    ORIGIN,
    WEEK,
    WEEKDAYS,
    Count,
    Mask,
    Positive,
    Requests,
    Share,
    Weight,
    arrivals,
    named,
    parties,
    requested_times,
    zipf,
)
from hpcai.records.generators._parameters import ParameterModel
from hpcai.records.readers._table import canonical
from hpcai.records.schema import Trace


class Parameters(ParameterModel):
    """All that the generator knows. Sizes are GPUs, or processors where ``unit`` says so."""

    unit: Literal["gpus", "processors"] = "gpus"
    mean_gap: Positive = 120.0  # s, between arrivals
    gaps: HeavyTail = BURSTS
    start_second: Annotated[float, Field(ge=0, lt=WEEK)] = 0.0  # of the week, from Monday 00:00
    hours: Annotated[tuple[Weight, ...], Field(min_length=24, max_length=24)] = HOURS
    weekdays: Annotated[tuple[Weight, ...], Field(min_length=7, max_length=7)] = WEEKDAYS
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
    requested, run_time, ended = requested_times(rng, parameters.requests, run_time)
    never_ran = rng.random(jobs) < parameters.never_ran
    status = _statuses(rng, parameters, ended, never_ran)
    run_time = np.where(never_ran, np.nan, run_time)
    span = parameters.mean_gap * max(jobs - 1, 1)
    if load is not None:
        if machine is None:
            raise InputError("load: the deep-learning mix needs a machine to load (machine=)")
        work = float(np.nansum(size * run_time))
        span = work / (_capacity(parameters, machine) * load)
    submit = arrivals(rng, parameters.gaps, parameters.cycle(), parameters.start_second, jobs, span)
    number = zipf(rng, parameters.tenants, parameters.concentration, jobs)
    tenant, user = parties(rng, number, parameters.tenants, parameters.users_per_tenant, parameters.concentration)
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


def _statuses(rng: np.random.Generator, parameters: Parameters, ended: Mask, never_ran: Mask) -> pd.Categorical[str]:
    names = ("completed", "failed", "cancelled", "timeout")
    draw = rng.random(len(ended))
    code = np.where(draw < parameters.failed, 1, np.where(draw < parameters.failed + parameters.cancelled, 2, 0))
    code = np.where(ended, 3, code)
    code = np.where(never_ran, 2, code)
    return named(code, names)


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
