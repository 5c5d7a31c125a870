"""The reference site's days: 1024 P100 and 512 V100 under Kubernetes, shared by many tenants.

Hundreds to thousands of jobs a day: preemptible and normal training on one GPU to hundreds, elastic jobs, surveys of
hyperparameters, notebooks and continuous integration, and a grand challenge a day that takes every GPU at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hpcai.cluster.spec import Machine, load_machine
from hpcai.errors import InputError
from hpcai.records.generators._cycle import Floats
from hpcai.records.generators._mix import (
    HUMAN_LIMITS,
    ORIGIN,
    Mask,
    arrivals,
    drawn,
    named,
    parties,
    requested_times,
)
from hpcai.records.generators._site import SORTS, Jobs
from hpcai.records.generators._site import Parameters as Parameters  # it is part of this module's face
from hpcai.records.readers._table import canonical
from hpcai.records.schema import PRIORITY_CLASSES, Trace

Whole = npt.NDArray[np.int64]

MACHINE: Final = "mn-1"
_GIB: Final = 2.0**30
_HOUR, _DAY = 3600.0, 86400.0
_BATCH, _GANG, _ELASTIC, _ARRAY, _NOTEBOOK, _CI, _CPU = range(len(SORTS))
_GRAND: Final = len(SORTS)  # the sort of grand challenges
_KIND: Final = ("batch", "gang", "elastic", "array", "service", "service", "batch", "gang")
_QUEUE: Final = ("training", "training", "training", "survey", "notebook", "ci", "data", "grand-challenge")
_AS_DRAWN: Final = (_NOTEBOOK, _CI, _GRAND)  # sorts whose run times do not depend on the load
_TRAINS: Final = (_BATCH, _GANG, _ELASTIC, _ARRAY)
_FACTORS: Final = (-14.0, 14.0)  # log2 of the factors on run times among which that for the load must be


@dataclass(frozen=True)
class _Places:
    """What a machine has for jobs of each GPU kind; kind '' is any GPU."""

    gpus: dict[str, int]
    whole: dict[str, int]  # how many pods of ``per_node`` GPUs find a place at once
    cpus_per_gpu: dict[str, float]  # of the leanest nodes that a job may come to
    gib_per_gpu: dict[str, float]
    per_node: int  # GPUs of the smallest node
    cpus: int  # of the leanest node
    gib_per_cpu: float

    @classmethod
    def of(cls, machine: Machine) -> _Places:
        groups = [group for group in machine.groups if group.gpus]
        if not groups:
            raise InputError(f"machine {machine.name}: the reference site's jobs need nodes with GPUs")
        named_kinds = sorted({group.gpu_kind for group in groups} - {""})
        by_kind = {"": groups} | {kind: [g for g in groups if g.gpu_kind == kind] for kind in named_kinds}
        per_node = min(group.gpus for group in groups)
        return cls(
            gpus={kind: sum(g.count * g.gpus for g in some) for kind, some in by_kind.items()},
            whole={kind: sum(g.count * (g.gpus // per_node) for g in some) for kind, some in by_kind.items()},
            cpus_per_gpu={kind: min(g.cpus / g.gpus for g in some) for kind, some in by_kind.items()},
            gib_per_gpu={kind: min(g.memory_gib / g.gpus for g in some) for kind, some in by_kind.items()},
            per_node=per_node,
            cpus=min(group.cpus for group in machine.groups),
            gib_per_cpu=min(group.memory_gib / group.cpus for group in machine.groups),
        )


@dataclass(frozen=True)
class _Submissions:
    """What is submitted, in order of time: a job each, or the tasks of an array."""

    submit: Floats
    sort: Whole  # position in SORTS, or _GRAND
    tasks: Whole
    tenant: Whole

    def of(self, *sorts: int) -> Mask:
        """Return which submissions are of ``sorts``."""
        return np.isin(self.sort, sorts)


def generate(
    parameters: Parameters,
    jobs: int,
    *,
    seed: int = 0,
    load: float | None = None,
    machine: Machine | None = None,
) -> Trace:
    """Return ``jobs`` jobs of the site, ``jobs_per_day`` of them a day.

    Args:
        parameters: what is submitted.
        jobs: how many, each task of an array and each grand challenge counted.
        seed: the same seed gives the same trace.
        load: offered load, instead of that of the parameters.
        machine: what every job must fit on; by default the preset mn-1.

    Raises:
        InputError: the machine has no GPUs or not those of the grand challenges, or no factor on the run times
            gives the load.
    """
    machine = load_machine(MACHINE) if machine is None else machine
    places, rng = _Places.of(machine), np.random.default_rng(seed)
    span = jobs / parameters.jobs_per_day * _DAY
    submissions = _submissions(rng, parameters, jobs, span)
    each = _sizes(rng, parameters, places, submissions)
    each |= _training(rng, parameters, submissions, each["gpus"])
    each |= _classes(rng, parameters, submissions)
    rows = np.repeat(np.arange(len(submissions.sort)), submissions.tasks)
    columns = {name: values[rows] for name, values in each.items()}
    wanted = (parameters.offered_load if load is None else load) * places.gpus[""] * span
    columns |= _times(rng, parameters, submissions, columns["gpus"], wanted)
    columns["job_id"] = _job_ids(submissions, rows)
    trace = Trace.new(f"reference-site-seed{seed}", "generated", {})
    trace.jobs, trace.machine = canonical(columns, np.arange(jobs)), machine
    trace.origin = ORIGIN + parameters.start_second
    trace.notes.append(f"synthetic: reference site, seed {seed}" + (f", load {load}" if load else ""))
    return trace


def _submissions(rng: np.random.Generator, parameters: Parameters, jobs: int, span: float) -> _Submissions:
    """Return submissions with ``jobs`` tasks between them; grand challenges come once in each like part of the span."""
    challenges = min(round(parameters.grand_challenge.per_day * span / _DAY), jobs - 1)
    sort = drawn(rng, [_of_sort(parameters, name).weight for name in SORTS], jobs - challenges)
    tasks = np.ones(len(sort), dtype=np.int64)
    array = sort == _ARRAY
    wish = np.rint(parameters.array.tasks.sample(rng, int(array.sum())))
    tasks[array] = np.clip(wish, 1, parameters.array.most_tasks).astype(np.int64)
    last = int(np.searchsorted(np.cumsum(tasks), jobs - challenges))
    sort, tasks = sort[: last + 1], tasks[: last + 1]
    tasks[-1] -= int(tasks.sum()) - (jobs - challenges)
    submit = arrivals(rng, parameters.gaps, parameters.cycle(), parameters.start_second, len(sort), span)
    grand = np.floor((np.arange(challenges) + rng.random(challenges)) * (span / max(challenges, 1)))
    submit = np.concatenate([submit, grand])
    sort = np.concatenate([sort, np.full(challenges, _GRAND)])
    tasks = np.concatenate([tasks, np.ones(challenges, dtype=np.int64)])
    order = np.argsort(submit, kind="stable")
    sort = sort[order]
    return _Submissions(submit[order], sort, tasks[order], _tenants(rng, parameters, sort))


def _of_sort(parameters: Parameters, name: str) -> Jobs:
    jobs: Jobs = getattr(parameters, name)
    return jobs


def _tenants(rng: np.random.Generator, parameters: Parameters, sort: Whole) -> Whole:
    """Return whose each submission is: busy after Zipf's law, each tenant with a mix of sorts of its own."""
    busy = np.arange(1, parameters.tenants + 1, dtype=np.float64) ** -parameters.concentration
    tenant = np.zeros(len(sort), dtype=np.int64)
    for one in range(_GRAND + 1):
        weights = busy * np.exp(parameters.own_mix * rng.standard_normal(parameters.tenants))
        tenant[sort == one] = drawn(rng, weights, int(np.sum(sort == one)))
    return tenant


def _sizes(
    rng: np.random.Generator, parameters: Parameters, places: _Places, submissions: _Submissions
) -> dict[str, Any]:
    """Return what each submission takes: GPUs and their kind, pods, and what of CPUs and memory goes with them."""
    amount = _amounts(rng, parameters, places, submissions)
    on_cpus = submissions.of(_CPU)
    gpus = np.where(on_cpus, 0.0, amount)
    kinds = sorted(places.gpus)
    kind = _gpu_kinds(rng, parameters, places, submissions, gpus)
    pod, fewest, most = _pods(rng, parameters, places, submissions, gpus, _at(places.gpus, kinds, kind))
    pods = np.where(on_cpus, 1.0, np.rint(gpus / pod))
    cpus, memory = _beside(rng, parameters, places, submissions, np.where(on_cpus, amount, pod), kind)
    return {
        "gpus": gpus,
        "gpu_kind": named(kind, kinds),
        "pods": pods,
        "nodes": np.ceil(pods / np.maximum(places.per_node // np.maximum(pod, 1.0), 1.0)),
        "min_gpus": fewest,
        "max_gpus": most,
        "processors": cpus * pods,
        "requested_processors": cpus * pods,
        "memory": memory * pods * _GIB,
    }


def _at(values: dict[str, Any], kinds: list[str], kind: Whole) -> Floats:
    return np.array([values[name] for name in kinds], dtype=np.float64)[kind]


def _amounts(rng: np.random.Generator, parameters: Parameters, places: _Places, submissions: _Submissions) -> Floats:
    """Return the GPUs of each job, or the CPUs of one without GPUs; what the machine could not hold is not drawn."""
    amount = np.zeros(len(submissions.sort))
    for one, name in enumerate(SORTS):
        members = submissions.of(one)
        table = _of_sort(parameters, name).gpus
        limit = places.cpus if one == _CPU else places.gpus[""]
        sizes = {size: weight for size, weight in table.items() if size <= limit}
        if members.any() and sum(sizes.values()) <= 0:
            raise InputError(f"{name}.gpus: found sizes from {min(table):g}, expected some of at most {limit}")
        which = drawn(rng, list(sizes.values()), int(members.sum()))
        amount[members] = np.array(list(sizes), dtype=np.float64)[which]
    grand = parameters.grand_challenge
    if grand.gpu_kind not in places.gpus:
        raise InputError(f"grand_challenge.gpu_kind: the machine has no {grand.gpu_kind!r}")
    pods = max(int(places.whole[grand.gpu_kind] * grand.share + 1e-9), 1)
    amount[submissions.of(_GRAND)] = pods * places.per_node
    return amount


def _gpu_kinds(
    rng: np.random.Generator, parameters: Parameters, places: _Places, submissions: _Submissions, gpus: Floats
) -> Whole:
    """Return which GPUs each job asks for; those too few for it, or not of the machine, are not asked for."""
    kinds = sorted(places.gpus)
    weights = [parameters.gpu_kinds.get(kind, 0.0) for kind in kinds]
    kind = drawn(rng, weights if sum(weights) > 0 else [float(not kind) for kind in kinds], len(gpus))
    kind[submissions.of(_GRAND)] = kinds.index(parameters.grand_challenge.gpu_kind)
    anywhere = (gpus > _at(places.gpus, kinds, kind)) | submissions.of(_CPU)
    return np.where(anywhere, kinds.index(""), kind)


def _pods(
    rng: np.random.Generator,
    parameters: Parameters,
    places: _Places,
    submissions: _Submissions,
    gpus: Floats,
    limit: Floats,
) -> tuple[Floats, Floats, Floats]:
    """Return the GPUs of each pod, and the range of elastic jobs."""
    node, n = places.per_node, len(gpus)
    whole = np.maximum(gpus, 1.0).astype(np.int64)
    folds = np.array(parameters.elastic.fold)
    fewest = np.maximum(whole // rng.choice(folds, n), 1)
    most = np.minimum(whole * rng.choice(folds, n), limit)
    small = submissions.of(_GANG) & (rng.random(n) < parameters.gang.small_pods)
    pod = np.where(gpus > node, np.gcd(whole, node), np.where(gpus > 0, gpus, 1.0))
    pod = np.where(small, np.gcd(whole, _small_pods(rng, parameters, node, n)), pod)
    elastic = submissions.of(_ELASTIC)
    pod = np.where(elastic, np.gcd(np.gcd(whole, fewest), node), pod)
    most = np.maximum(most // pod * pod, gpus)
    return pod.astype(np.float64), np.where(elastic, fewest, np.nan), np.where(elastic, most, np.nan)


def _small_pods(rng: np.random.Generator, parameters: Parameters, node: int, n: int) -> Whole:
    """Return how many GPUs the pods of a gang with small pods may have at most."""
    sizes = parameters.gang.small_pod_gpus
    if not sizes:
        return np.full(n, max(node // 2, 1))
    return np.array(list(sizes))[drawn(rng, list(sizes.values()), n)]


def _beside(
    rng: np.random.Generator,
    parameters: Parameters,
    places: _Places,
    submissions: _Submissions,
    amount: Floats,
    kind: Whole,
) -> tuple[Floats, Floats]:
    """Return CPUs and GiB of memory of each pod of ``amount`` GPUs, or CPUs where it has none."""
    kinds, n = sorted(places.gpus), len(amount)
    on_cpus, grand = submissions.of(_CPU), submissions.of(_GRAND)
    part, memory = rng.uniform(*parameters.cpus, n), rng.uniform(*parameters.memory, n)
    part[grand] = memory[grand] = 1.0
    limit = _at(places.cpus_per_gpu, kinds, kind)
    per_gpu = np.minimum(np.maximum(np.rint(limit * part), 1.0), limit)
    cpus = np.where(on_cpus, amount, np.maximum(np.floor(per_gpu * amount), 1.0))
    gib = np.where(on_cpus, places.gib_per_cpu, _at(places.gib_per_gpu, kinds, kind))
    return cpus, np.maximum(np.floor(gib * amount * memory), 1.0)


def _training(
    rng: np.random.Generator, parameters: Parameters, submissions: _Submissions, gpus: Floats
) -> dict[str, Any]:
    """Return what each submission trains, how it scales, what it saves, and how busy it keeps its GPUs."""
    n, trains, grand = len(gpus), submissions.of(*_TRAINS), submissions.of(_GRAND)
    names = ["", *parameters.models]
    model = np.where(trains & (gpus > 1), _models(rng, parameters, n), 0)
    model[grand] = names.index(parameters.grand_challenge.model)
    saves = parameters.checkpoints
    interval = np.array(list(saves.intervals))[drawn(rng, list(saves.intervals.values()), n)]
    interval[(rng.random(n) < saves.never) | ~trains] = np.inf
    interval[grand] = parameters.grand_challenge.checkpoint_interval
    on_signal = trains & (rng.random(n) < saves.on_signal)
    usual = np.array([1.0, *(each.checkpoint_gib for each in parameters.models.values())])[model]
    gib = np.where(model > 0, usual * np.exp(saves.sigma * rng.standard_normal(n)), saves.gib.sample(rng, n))
    gib = np.clip(gib, saves.least_gib, saves.most_gib)
    busy = np.full(n, np.nan)
    for sort, services in ((_NOTEBOOK, parameters.notebook), (_CI, parameters.ci)):
        busy = np.where(submissions.of(sort), rng.uniform(*services.busy, n), busy)
    return {
        "model": named(model, names),
        "scaling": np.where(submissions.of(_ELASTIC), rng.uniform(*parameters.elastic.scaling, n), np.nan),
        "checkpoint_interval": interval,
        "checkpoint_bytes": np.where(np.isfinite(interval) | on_signal, np.rint(gib * _GIB), np.nan),
        "on_signal": on_signal.astype(np.float64),
        "busy": busy,
    }


def _models(rng: np.random.Generator, parameters: Parameters, n: int) -> Whole:
    """Return the position of a model from 1; the share ``communication`` communicates much."""
    heavy = np.array([model.heavy for model in parameters.models.values()])
    weight = np.array([model.weight for model in parameters.models.values()])
    much = rng.random(n) < parameters.communication
    choice = np.zeros(n, dtype=np.int64)
    for of_those, members in ((heavy, much), (~heavy, ~much)):
        if members.any():
            choice[members] = drawn(rng, weight * of_those, int(members.sum())) + 1
    return choice


def _classes(rng: np.random.Generator, parameters: Parameters, submissions: _Submissions) -> dict[str, Any]:
    """Return whose each submission is, its priority class and its kind."""
    preemptible = np.array([*(_of_sort(parameters, name).preemptible for name in SORTS), 0.0])[submissions.sort]
    priority = np.where(rng.random(len(preemptible)) < preemptible, 0, 1)
    priority[submissions.of(_GRAND)] = PRIORITY_CLASSES.index("grand-challenge")
    tenant, user = parties(
        rng, submissions.tenant, parameters.tenants, parameters.users_per_tenant, parameters.concentration
    )
    return {
        "submit": submissions.submit,
        "tenant": tenant,
        "group": tenant,
        "user": user,
        "queue": _labels(submissions.sort, _QUEUE),
        "kind": _labels(submissions.sort, _KIND),
        "qos": named(priority, PRIORITY_CLASSES),
    }


def _labels(sort: Whole, by_sort: tuple[str, ...]) -> Any:
    names = sorted(set(by_sort))
    return named(np.array([names.index(name) for name in by_sort])[sort], names)


def _times(
    rng: np.random.Generator, parameters: Parameters, submissions: _Submissions, gpus: Floats, wanted: float
) -> dict[str, Any]:
    """Return run times that add up to ``wanted`` GPU seconds, requested times and how the jobs ended."""
    sort = np.repeat(submissions.sort, submissions.tasks)
    drawn_times, longest = _run_times(rng, parameters, submissions)
    as_drawn, grand = np.isin(sort, _AS_DRAWN), sort == _GRAND
    first = np.cumsum(submissions.tasks) - submissions.tasks
    seed = int(rng.integers(2**63))

    def at(factor: float) -> tuple[Floats, Floats, Mask]:
        """Return run times, requested times and which run times were cut by these."""
        run_time = np.where(as_drawn, drawn_times, np.minimum(drawn_times * factor, longest))
        run_time = np.maximum(np.ceil(run_time), 1.0)
        most = np.maximum.reduceat(run_time, first)  # the tasks of an array have one limit
        limit = requested_times(np.random.default_rng(seed), parameters.requests, most)[0]
        requested = np.repeat(limit, submissions.tasks)
        requested[grand] = HUMAN_LIMITS[np.searchsorted(HUMAN_LIMITS, np.minimum(run_time[grand], HUMAN_LIMITS[-1]))]
        over = run_time > requested
        return np.where(over, requested, run_time), requested, over

    low, high = _FACTORS
    least, greatest = (float(gpus @ at(2.0**power)[0]) for power in _FACTORS)
    if not least <= wanted <= greatest:
        raise InputError(
            f"load: {len(gpus)} jobs ask for {least / _HOUR:,.0f} to {greatest / _HOUR:,.0f} GPU hours however long "
            f"they run, expected {wanted / _HOUR:,.0f}: change jobs_per_day, or the load"
        )
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if float(gpus @ at(2.0**middle)[0]) < wanted else (low, middle)
    run_time, requested, over = at(2.0**high)
    return {"run_time": run_time, "requested_time": requested, "status": _statuses(rng, parameters, sort, over)}


def _run_times(rng: np.random.Generator, parameters: Parameters, submissions: _Submissions) -> tuple[Floats, Floats]:
    """Return how long each task runs before the load is reached, and how long it may at most."""
    base, longest = (np.full(len(submissions.sort), np.inf) for _ in range(2))
    for one, name in enumerate(SORTS):
        members = submissions.of(one)
        jobs = _of_sort(parameters, name)
        base[members] = jobs.run_time.sample(rng, int(members.sum()))
        if jobs.run_time.tail is not None:
            longest[members] = jobs.run_time.tail.largest
    grand = submissions.of(_GRAND)
    base[grand] = rng.uniform(*parameters.grand_challenge.hours, int(grand.sum())) * _HOUR
    rows = np.repeat(np.arange(len(base)), submissions.tasks)
    scatter = np.where(submissions.sort[rows] == _ARRAY, parameters.array.sigma, 0.0)
    return base[rows] * np.exp(scatter * rng.standard_normal(len(rows))), longest[rows]


def _statuses(rng: np.random.Generator, parameters: Parameters, sort: Whole, over: Mask) -> Any:
    names = ("completed", "failed", "cancelled", "timeout")
    draw = rng.random(len(sort))
    code = np.where(draw < parameters.failed, 1, np.where(draw < parameters.failed + parameters.cancelled, 2, 0))
    code = np.where(np.isin(sort, (*_TRAINS, _CPU)), code, 0)
    return named(np.where(over, 3, code), names)


def _job_ids(submissions: _Submissions, rows: Whole) -> Any:
    """Return ids as Slurm gives them: a number for each submission, and the task of an array behind it."""
    number = np.char.mod("%d", rows + 1)
    task = np.arange(len(rows)) - (np.cumsum(submissions.tasks) - submissions.tasks)[rows]
    in_array = (submissions.sort == _ARRAY)[rows]
    return np.where(in_array, np.char.add(np.char.add(number, "_"), np.char.mod("%d", task)), number).astype(object)
