"""Parameters of the reference site's day: who submits what, how often, how large, for how long.

Shapes after the published studies of such clusters (see deep_learning.py); what none of them tells, such as the part
of jobs that write a checkpoint when told to stop, is a guess that a site replaces by its own.
"""

from __future__ import annotations

from typing import Annotated, Final, Self

import numpy as np
from pydantic import Field, model_validator

from hpcai.records.generators._cycle import Cycle
from hpcai.records.generators._heavy_tail import HeavyTail, LogNormal, Pareto
from hpcai.records.generators._mix import (
    BURSTS,
    HOURS,
    WEEK,
    WEEKDAYS,
    Count,
    Positive,
    Requests,
    Share,
    Weight,
)
from hpcai.records.generators._parameters import ParameterModel

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0

Range = tuple[Positive, Positive]


def _around(median: float, sigma: float, longest: float) -> HeavyTail:
    """Return a log-normal of times that ends, by a thin Pareto tail, at ``longest``."""
    tail = Pareto(share=0.005, start=longest / 3, alpha=1.5, largest=longest)
    return HeavyTail(bulk=(LogNormal(weight=1.0, median=median, sigma=sigma),), tail=tail)


class Jobs(ParameterModel):
    """One sort of submissions. Run times are those before the load is reached (see :class:`Parameters`)."""

    weight: Weight  # share of the submissions, relative to the other sorts
    gpus: dict[Positive, Weight] = Field(min_length=1)  # per job, or per task of an array
    run_time: HeavyTail  # s
    preemptible: Share  # of the submissions; the others are normal


class Services(Jobs):
    """What runs until it is ended, for its users to work on: its GPUs idle for part of the time."""

    busy: Range = (0.05, 0.4)  # part of the time in which its GPUs are in use, evenly between these


class Gangs(Jobs):
    """Training on many GPUs at once."""

    small_pods: Share = 0.2  # of gangs have smaller pods; the others take whole nodes
    small_pod_gpus: dict[Count, Weight] = Field(default_factory=dict)  # of these; empty: half as many as a node has


class Elastic(Jobs):
    """Training that goes on with fewer GPUs, or more."""

    fold: tuple[Count, ...] = Field(default=(2, 4), min_length=1)  # from fewest to recorded GPUs, and on to most
    scaling: Range = (0.95, 0.998)  # parallel part of Amdahl's law, evenly between these


class Arrays(Jobs):
    """Surveys of hyperparameters: many like jobs that are submitted at one instant."""

    tasks: HeavyTail = HeavyTail(bulk=(LogNormal(weight=1.0, median=12.0, sigma=0.8),))
    most_tasks: Count = 128
    sigma: Annotated[float, Field(ge=0)] = 0.35  # of the natural logarithm of run times within an array


class Cpus(Jobs):
    """Preparation of data: no GPU; ``gpus`` counts CPUs here."""


class GrandChallenges(ParameterModel):
    """Jobs that take the machine at once, at a random hour."""

    per_day: Annotated[float, Field(ge=0, le=24)] = 1.0
    hours: Range = (0.5, 3.0)  # run time, evenly between these
    gpu_kind: str = ""  # only GPUs of this kind; empty: all
    share: Annotated[float, Field(gt=0, le=1)] = 1.0  # of these GPUs
    model: str = "resnet50"
    checkpoint_interval: Positive = 1800.0  # s


class Checkpoints(ParameterModel):
    """What jobs save of themselves."""

    intervals: dict[Positive, Weight] = Field(  # s
        default_factory=lambda: {900.0: 0.15, 1800.0: 0.25, 3600.0: 0.35, 7200.0: 0.15, 14400.0: 0.1}, min_length=1
    )
    never: Share = 0.2  # of training jobs write none of their own accord
    on_signal: Share = 0.4  # of training jobs write one when they are told to stop
    gib: HeavyTail = HeavyTail(bulk=(LogNormal(weight=1.0, median=1.0, sigma=0.8),))  # of jobs without a model
    sigma: Annotated[float, Field(ge=0)] = 0.3  # of the natural logarithm, around the size that goes with a model
    least_gib: Positive = 0.1
    most_gib: Positive = 20.0


class Model(ParameterModel):
    """A network that jobs train."""

    weight: Weight
    heavy: bool  # whether it communicates much
    checkpoint_gib: Positive  # weights and the state of the optimiser


MODELS: Final = {
    "resnet50": Model(weight=5, heavy=False, checkpoint_gib=0.5),
    "resnet101": Model(weight=2, heavy=False, checkpoint_gib=0.6),
    "inception-v3": Model(weight=2, heavy=False, checkpoint_gib=0.5),
    "pfdet": Model(weight=1, heavy=False, checkpoint_gib=1.5),
    "vgg16": Model(weight=2, heavy=True, checkpoint_gib=1.6),
    "bert-large": Model(weight=3, heavy=True, checkpoint_gib=4.0),
    "gpt2-xl": Model(weight=1, heavy=True, checkpoint_gib=18.0),
}


class Parameters(ParameterModel):
    """All that the generator knows of the site.

    ``offered_load`` is reached by one factor on the run times of batch jobs, gangs, elastic jobs, arrays and work on
    CPUs; services and grand challenges keep theirs. So a busier site runs longer jobs, not more of them a day.
    """

    jobs_per_day: Positive = 1400.0  # each task of an array counts
    offered_load: Annotated[float, Field(gt=0, le=100)] = 0.9  # GPU seconds that the jobs ask for over those there are
    start_second: Annotated[float, Field(ge=0, lt=WEEK)] = 0.0  # of the week, from Monday 00:00
    hours: Annotated[tuple[Positive, ...], Field(min_length=24, max_length=24)] = HOURS
    weekdays: Annotated[tuple[Positive, ...], Field(min_length=7, max_length=7)] = WEEKDAYS
    gaps: HeavyTail = BURSTS  # between submissions
    tenants: Count = 24
    users_per_tenant: Count = 8
    concentration: Annotated[float, Field(ge=0)] = 1.0  # exponent of Zipf's law over tenants and over users
    own_mix: Annotated[float, Field(ge=0)] = 0.8  # how tenants differ: sigma of the log of their factor on each sort
    batch: Jobs = Jobs(
        weight=0.48,
        gpus={1: 0.5, 2: 0.14, 4: 0.18, 8: 0.18},
        run_time=HeavyTail(
            bulk=(
                LogNormal(weight=0.4, median=10 * _MINUTE, sigma=1.2),
                LogNormal(weight=0.6, median=2 * _HOUR, sigma=1.2),
            ),
            tail=Pareto(share=0.01, start=_DAY, alpha=1.5, largest=5 * _DAY),
        ),
        preemptible=0.55,
    )
    gang: Gangs = Gangs(
        weight=0.05,
        gpus={16: 0.42, 32: 0.28, 64: 0.18, 128: 0.09, 256: 0.03},
        run_time=_around(1.5 * _HOUR, 1.1, 1.5 * _DAY),
        preemptible=0.55,
    )
    elastic: Elastic = Elastic(
        weight=0.05,
        gpus={4: 0.3, 8: 0.35, 16: 0.25, 32: 0.1},
        run_time=_around(3 * _HOUR, 1.0, 3 * _DAY),
        preemptible=0.75,
    )
    array: Arrays = Arrays(
        weight=0.03, gpus={1: 0.9, 2: 0.1}, run_time=_around(40 * _MINUTE, 0.9, _DAY), preemptible=0.8
    )
    notebook: Services = Services(
        weight=0.14, gpus={0.5: 0.4, 1: 0.6}, run_time=_around(8 * _HOUR, 1.0, 5 * _DAY), preemptible=0.0
    )
    ci: Services = Services(
        weight=0.18,
        gpus={0.25: 0.4, 0.5: 0.35, 1: 0.25},
        run_time=_around(8 * _MINUTE, 0.7, 2 * _HOUR),
        preemptible=0.0,
        busy=(0.4, 0.9),
    )
    cpu: Cpus = Cpus(
        weight=0.07, gpus={1: 0.4, 2: 0.3, 4: 0.3}, run_time=_around(20 * _MINUTE, 1.1, _DAY), preemptible=0.6
    )
    grand_challenge: GrandChallenges = GrandChallenges()
    gpu_kinds: dict[str, Weight] = Field(  # that jobs name; empty: they take any
        default_factory=lambda: {"": 0.35, "P100": 0.4, "V100": 0.25}, min_length=1
    )
    communication: Share = 0.35  # of jobs on several GPUs train a model that communicates much
    models: dict[str, Model] = Field(default_factory=lambda: dict(MODELS), min_length=1)
    checkpoints: Checkpoints = Checkpoints()
    requests: Requests = Requests(at_one_hour=4 * _HOUR, power=0.5, sigma=0.8)
    cpus: Range = (0.5, 1.0)  # that go with a GPU, as part of what a node has for each, evenly between these
    memory: Range = (0.3, 1.0)  # likewise
    failed: Share = 0.15  # of training jobs
    cancelled: Share = 0.08  # of training jobs, while they run

    @model_validator(mode="after")
    def _is_a_mix(self) -> Self:
        ranges = {"cpus": self.cpus, "memory": self.memory, "grand_challenge.hours": self.grand_challenge.hours}
        ranges |= {f"{name}.busy": getattr(self, name).busy for name in ("notebook", "ci")}
        ranges["elastic.scaling"] = self.elastic.scaling
        for name, (low, high) in ranges.items():
            if low > high or (high > 1 and name != "grand_challenge.hours"):
                raise ValueError(f"{name}: found {low} to {high}, expected a range within 0 to 1 (of hours: any)")
        for name in ("batch", "gang", "elastic", "array", "cpu"):
            if odd := [size for size in getattr(self, name).gpus if size != int(size)]:
                raise ValueError(f"{name}.gpus: found {odd[0]}, expected whole numbers")
        if self.grand_challenge.model not in self.models:
            raise ValueError(f"grand_challenge.model: {self.grand_challenge.model!r} is not one of models")
        for name in SORTS:
            if sum(getattr(self, name).gpus.values()) <= 0:
                raise ValueError(f"{name}.gpus: the weights add up to 0")
        if sum(getattr(self, name).weight for name in SORTS) <= 0:
            raise ValueError("the weights of all sorts of jobs add up to 0")
        if sum(self.gpu_kinds.values()) <= 0 or sum(self.checkpoints.intervals.values()) <= 0:
            raise ValueError("gpu_kinds, checkpoints.intervals: the weights add up to 0")
        for heavy, share in ((True, self.communication), (False, 1 - self.communication)):
            if share > 0 and sum(m.weight for m in self.models.values() if m.heavy == heavy) <= 0:
                raise ValueError(f"models: communication is {self.communication}, but no model has heavy: {heavy}")
        return self

    def cycle(self) -> Cycle:
        """Return the weekly cycle of submissions."""
        return Cycle(np.outer(self.weekdays, self.hours).ravel(), WEEK)


SORTS: Final = ("batch", "gang", "elastic", "array", "notebook", "ci", "cpu")
