"""The workload model of Lublin and Feitelson: batch and interactive jobs of a parallel computer.

Source: U. Lublin, D. Feitelson, "The workload on parallel supercomputers: modeling the characteristics of
rigid jobs", J. Parallel and Distributed Computing 63 (2003) 1105-1122. The constants are those of the model's
public program, m_lublin99.c; they describe machines of 128 nodes.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Final

import numpy as np
from pydantic import Field
from scipy.special import gammainc

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.records.generators._cycle import Cycle, Floats
from hpcai.records.generators._parameters import ParameterModel
from hpcai.records.readers._table import canonical
from hpcai.records.schema import Trace

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]

MAX_LOG_RUN_TIME: Final = 12.0  # natural logarithm of seconds: two days
MAX_LOG_GAP: Final = 13.0  # five days
_BUCKETS: Final = 48  # half hours of a day
_DAY_START: Final = 11  # the bucket, counted from 1, at which the daily cycle's gamma distribution begins
_DAY: Final = 86400.0


class JobType(ParameterModel):
    """The distributions of one type of job. Gammas are given as (shape, scale)."""

    serial: Probability  # share of jobs of one processor
    power_of_two: Probability  # share of jobs of 2^k processors, k > 0
    log2_low: float  # log2 of the size of parallel jobs: uniform from low to medium, or from medium to high
    log2_medium_below_high: Positive  # medium = high - this
    log2_high_below_machine: float  # high = log2(processors of the machine) - this
    first_stage: Probability  # probability of the uniform from low to medium
    short_run: tuple[Positive, Positive]  # log of the run time, with probability slope * size + offset
    long_run: tuple[Positive, Positive]  # otherwise
    slope: float
    offset: float
    gap: tuple[Positive, Positive]  # log of the time between arrivals, in operational time
    daily: tuple[Positive, Positive]  # when in the day jobs arrive, in half hours


BATCH: Final = JobType(
    serial=0.2927,
    power_of_two=0.6686,
    log2_low=1.2,
    log2_medium_below_high=2.0,
    log2_high_below_machine=0.0,
    first_stage=0.875,
    short_run=(6.57, 0.823),
    long_run=(639.1, 0.0156),
    slope=-0.003,
    offset=0.6986,
    gap=(6.0415 * 1.0519, 0.8531),
    daily=(6.1271, 5.2740),
)
INTERACTIVE: Final = JobType(
    serial=0.1541,
    power_of_two=0.625,
    log2_low=1.0,
    log2_medium_below_high=2.5,
    log2_high_below_machine=1.5,
    first_stage=0.705,
    short_run=(3.8351, 0.6605),
    long_run=(7.073, 0.6856),
    slope=-0.0118,
    offset=0.9156,
    gap=(6.5510 * 0.9797, 0.6621),
    daily=(8.9186, 3.6680),
)
TYPELESS: Final = JobType(
    serial=0.244,
    power_of_two=0.576,
    log2_low=0.8,
    log2_medium_below_high=2.5,
    log2_high_below_machine=0.0,
    first_stage=0.86,
    short_run=(4.2, 0.94),
    long_run=(312.0, 0.03),
    slope=-0.0054,
    offset=0.78,
    gap=(10.2303 * 1.0225, 0.4871),
    daily=(8.1737, 3.9631),
)


class Parameters(ParameterModel):
    """The types of job that arrive side by side; the name of each becomes its queue.

    ``types={"all": TYPELESS}`` is the model without types.
    """

    types: dict[str, JobType] = Field(
        default_factory=lambda: {"interactive": INTERACTIVE, "batch": BATCH}, min_length=1
    )


def generate(
    parameters: Parameters,
    jobs: int,
    *,
    seed: int = 0,
    load: float | None = None,
    machine: Machine | None = None,
) -> Trace:
    """Return ``jobs`` jobs of the model; on ``machine``, by default one of 128 processors."""
    machine = machine or Machine.by_processors(128)
    if machine.total_cpus < 2:
        raise InputError(f"machine {machine.name}: the model needs at least 2 processors")
    rng = np.random.default_rng(seed)
    kinds = list(parameters.types.values())
    cycles = [Cycle(daily_weights(kind), _DAY) for kind in kinds]
    gaps = [np.cumsum(np.exp(_gamma_below(rng, kind.gap, MAX_LOG_GAP, jobs))) for kind in kinds]
    sizes = np.stack([_sizes(rng, kind, machine.total_cpus, jobs) for kind in kinds])
    run_times = np.stack([_run_times(rng, kind, size) for kind, size in zip(kinds, sizes, strict=True)])
    stretch = 1.0
    for _ in range(1 if load is None else 8):  # the mix of types changes a little with the stretch
        arrivals = np.stack([cycle.to_clock(gap * stretch) for cycle, gap in zip(cycles, gaps, strict=True)])
        first = np.argsort(arrivals, axis=None, kind="stable")[:jobs]
        submit, size, run_time = (np.floor(x.ravel()[first]) for x in (arrivals, sizes, run_times))
        if load is not None:
            capacity = machine.total_cpus * max(submit[-1] - submit[0], 1.0)
            stretch *= float(size @ run_time) / capacity / load
    names = np.array(list(parameters.types), dtype=object)
    columns: dict[str, Any] = {
        "job_id": np.arange(1.0, jobs + 1),
        "submit": submit,
        "run_time": run_time,
        "processors": size,
        "requested_processors": size,
        "queue": names[first // jobs],
        "status": np.full(jobs, "completed", dtype=object),
    }
    trace = Trace.new(f"lublin-{machine.total_cpus}-seed{seed}", "generated", {})
    trace.jobs, trace.machine = canonical(columns, np.arange(jobs)), machine
    trace.notes.append(f"synthetic: Lublin-Feitelson model, seed {seed}" + (f", load {load}" if load else ""))
    return trace


def daily_weights(kind: JobType) -> Floats:
    """Return how many jobs arrive in each half hour of the day, in relation to each other, from midnight."""
    shape, scale = kind.daily
    buckets = np.arange(_DAY_START, _DAY_START + _BUCKETS)
    weights = np.empty(_BUCKETS)
    weights[(buckets - 1) % _BUCKETS] = gammainc(shape, (buckets + 0.5) / scale) - gammainc(
        shape, (buckets - 0.5) / scale
    )
    return np.asarray(weights)


def _sizes(rng: np.random.Generator, kind: JobType, processors: int, n: int) -> Floats:
    """Return numbers of processors: serial, powers of two, or any, by a two-stage uniform in log2."""
    high = max(math.log2(processors) - kind.log2_high_below_machine, kind.log2_low)
    medium = max(high - kind.log2_medium_below_high, kind.log2_low)
    which, stage, place = rng.random((3, n))
    lower = np.where(stage <= kind.first_stage, kind.log2_low, medium)
    upper = np.where(stage <= kind.first_stage, medium, high)
    log2 = lower + place * (upper - lower)
    log2 = np.where(which <= kind.serial + kind.power_of_two, np.floor(log2 + 0.5), log2)
    size = np.where(which <= kind.serial, 1.0, np.floor(2.0**log2 + 0.5))
    return np.asarray(np.minimum(size, processors))


def _run_times(rng: np.random.Generator, kind: JobType, size: Floats) -> Floats:
    """Return run times in seconds: a hyper-gamma in the logarithm, whose mix depends on the size."""
    p = np.clip(kind.slope * size + kind.offset, 0.0, 1.0)
    log = np.full(len(size), np.inf)
    while (again := np.flatnonzero(log > MAX_LOG_RUN_TIME)).size:
        short = rng.random(again.size) <= p[again]
        shape = np.where(short, kind.short_run[0], kind.long_run[0])
        scale = np.where(short, kind.short_run[1], kind.long_run[1])
        log[again] = rng.gamma(shape, scale)
    return np.asarray(np.floor(np.exp(log)))


def _gamma_below(rng: np.random.Generator, parameters: tuple[float, float], limit: float, n: int) -> Floats:
    values = np.full(n, np.inf)
    while (again := np.flatnonzero(values > limit)).size:
        values[again] = rng.gamma(*parameters, size=again.size)
    return values
