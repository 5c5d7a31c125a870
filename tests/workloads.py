"""Small made-up workloads and the bridge from tables to the oracle."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from hpcai.cluster import Machine
from hpcai.records.schema import empty_jobs
from hpcai.scheduling.formula import SIZE
from hpcai.scheduling.jobs import demand, estimates, features, job_array
from hpcai.scheduling.orderings import ORDERINGS
from hpcai.scheduling.policy import Policy
from hpcai.simulation import Engine, replay
from tests.oracle import Job, LastTwo, Node, Nodes, Perfect, Processors, Replay, Window

PREDICTED = tuple(name for name in ORDERINGS if name.endswith("-predicted"))  # they need a predictor
PLAIN = tuple(name for name in ORDERINGS if name not in PREDICTED)


def table(**columns: object) -> pd.DataFrame:
    """A canonical table with these columns filled; job ids count from 1."""
    n = len(next(iter(columns.values())))  # type: ignore[call-overload]
    jobs = empty_jobs(n)
    jobs["job_id"] = pd.array([str(i + 1) for i in range(n)], dtype="str")
    for name, values in columns.items():
        if isinstance(jobs[name].dtype, pd.CategoricalDtype):
            jobs[name] = pd.Categorical(values)
        else:
            jobs[name] = pd.array(values, dtype=jobs[name].dtype)
    return jobs


def random_jobs(rng: np.random.Generator, n: int, processors: int, *, exact: bool = False) -> pd.DataFrame:
    """A crowded workload on integer seconds, so that events often coincide."""
    run = rng.integers(0, 40, n)
    run[rng.random(n) < 0.1] *= 10
    factor = np.ones(n, dtype=int) if exact else rng.integers(1, 5, n)
    requested = (run * factor).astype(float)
    if not exact:
        low = rng.random(n) < 0.1
        requested[low] = np.floor(requested[low] / 3)  # some outlive what they asked for
        requested[rng.random(n) < 0.05] = np.nan
    return table(
        submit=np.sort(rng.integers(0, 6 * n, n)).astype(float),
        run_time=run.astype(float),
        requested_time=requested,
        processors=rng.integers(1, processors + 1, n) // rng.integers(1, 6, n) + 1,
        user=rng.choice(["ada", "bob", "cyd"], n),
    ).assign(processors=lambda t: t["processors"].clip(upper=processors))


def random_gpu_jobs(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Jobs for SMALL_CLUSTER: shares of a GPU, whole GPUs, several nodes, CPUs only."""
    jobs = random_jobs(rng, n, 4)
    kind = rng.integers(0, 5, n)
    gpus = np.select(
        [kind == 0, kind == 1, kind == 2, kind == 3],
        [rng.choice([0.25, 0.4, 0.5], n), rng.integers(1, 5, n), rng.choice([4, 8], n), rng.integers(1, 3, n)],
        0.0,
    )
    jobs["gpus"] = gpus
    jobs["nodes"] = np.where(gpus == 8, 2, 1)
    jobs["memory"] = rng.choice([np.nan, 4e9, 16e9], n)
    jobs["gpu_kind"] = pd.Categorical(rng.choice(["", "", "A", "B", "A|B"], n))
    jobs["partition"] = pd.Categorical(rng.choice(["", "", "a"], n))
    return jobs


SMALL_CLUSTER = Machine.model_validate(
    {
        "name": "small",
        "groups": [
            {"name": "a", "count": 3, "cpus": 8, "memory_gib": 64, "gpus": 4, "gpu_kind": "A"},
            {"name": "b", "count": 2, "cpus": 16, "memory_gib": 32, "gpus": 4, "gpu_kind": "B"},
            {"name": "c", "count": 1, "cpus": 32, "memory_gib": 128},
        ],
        "partitions": [{"name": "a", "groups": ["a"]}],
    }
)


# What the oracle takes each formula for.
HEADROOMS = {
    "0.3 * (requested_time > 40)": lambda job, now: 0.3 * (job.estimate > 40),
    "0.6 / (1 + exp(3 - log(max(requested_time, 1))))": lambda job, now: (
        0.6 / (1 + math.exp(3 - math.log(max(job.estimate, 1))))
    ),
    "0.5 - wait / 100": lambda job, now: max(0.5 - (now - job.submit) / 100, 0.0),
    "0.4 * (predicted_time > 25)": lambda job, now: 0.4 * (job.predicted > 25),
}


def oracle_starts(
    jobs: pd.DataFrame, machine: Machine, policy: Policy, past: pd.DataFrame | None = None
) -> list[float]:
    """The oracle's start of every job, nan if it never starts. ``jobs`` are replayable and sorted by submit."""
    array = job_array(jobs, machine, policy)
    size = features(jobs, machine, policy, array)[SIZE]
    need = demand(jobs, machine)
    believed = estimates(jobs, policy)
    plain = [
        Job(
            row=j,
            submit=float(jobs["submit"].iloc[j]),
            run=float(array["run"][j]),
            estimate=float(believed[j]),
            size=int(need.size[j]),
            cpu=int(need.cpu[j]),
            memory=int(need.memory[j]),
            gpu=int(need.gpu[j]),
            groups=int(need.groups[j]),
            account=str(jobs[policy.fairshare_by].iloc[j]),
            after=int(array["after"][j]) if array["after"][j] >= 0 else None,
            think=float(array["think"][j]),
            bulk=float(size[j]),
            counted=int(array["bulk"][j]),
            user=str(jobs["user"].iloc[j]),
            requested=float(np.nan_to_num(jobs["requested_time"].iloc[j], nan=np.inf)),
        )
        for j in range(len(jobs))
    ]
    names = machine.node_names if machine.by_node else ()
    windows = [
        Window(r.start, r.end, r.processors, tuple(names.index(name) for name in r.nodes)) for r in machine.reservations
    ]
    if machine.by_node:
        nodes = [
            Node(group.cpus * 1000, int(group.memory_gib * 2**30), [1000] * group.gpus, g)
            for g, group in enumerate(machine.groups)
            for _ in range(group.count)
        ]
        most = max(len(node.gpus) for node in nodes)
        for node in nodes:
            node.gpus += [0] * (most - len(node.gpus))
        room = Nodes(nodes)
    else:
        room = Processors(machine.total_cpus)
    predictor = {"none": None, "actual": Perfect(), "tsafrir": LastTwo(_ended_before(jobs, past))}[policy.predictor]
    starts = Replay(
        plain,
        room,
        policy.ordering,
        policy.backfill,
        windows,
        policy.backfill_depth or float("inf"),
        policy.usage_half_life,
        total=(machine.total_gpus or machine.total_cpus) if machine.by_node else machine.total_cpus,
        predictor=predictor,
        believed=policy.estimate == "predicted" and policy.predictor == "tsafrir",
        multiplier=policy.estimate_multiplier,
        headroom=HEADROOMS[policy.headroom] if policy.headroom else None,
    ).run()
    return [float("nan") if start is None else start for start in starts]


def _ended_before(jobs: pd.DataFrame, past: pd.DataFrame | None) -> list[tuple[float, str, float]]:
    """End, user and run time of the past jobs that had ended before the first of ``jobs``."""
    if past is None:
        return []
    rows = zip(past["start"], past["submit"], past["run_time"], past["user"], strict=True)
    ended = [((submit if np.isnan(start) else start) + run, user, run) for start, submit, run, user in rows]
    return [known for known in ended if known[0] < jobs["submit"].min()]


def starts(
    jobs: pd.DataFrame,
    machine: Machine,
    policy: Policy,
    engine: Engine = "compiled",
    past: pd.DataFrame | None = None,
) -> list[float]:
    """The start of every job on one of the clocks, nan if it never starts."""
    return replay(jobs, machine, policy, past=past, engine=engine).table["start"].tolist()


def same(a: list[float], b: list[float]) -> bool:
    """Whether two lists of starts are equal to the last bit, nan included."""
    return np.array_equal(a, b, equal_nan=True)
