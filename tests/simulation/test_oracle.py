"""Both clocks against the oracle, start for start, on random traces and on recorded ones."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from hpcai.cluster import Machine
from hpcai.cluster.spec import Reservation
from hpcai.records.machine import machine_of
from hpcai.scheduling.jobs import replayable
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.state import make_state
from hpcai.simulation import compiled
from tests.workloads import (
    HEADROOMS,
    PLAIN,
    PREDICTED,
    SMALL_CLUSTER,
    oracle_starts,
    random_gpu_jobs,
    random_jobs,
    same,
    starts,
)

BACKFILLS = ("none", "easy", "conservative")
SIXTEEN = Machine.by_processors(16)
INFINITE = float("inf")


def agree(jobs: pd.DataFrame, machine: Machine, policy: Policy, past: pd.DataFrame | None = None) -> list[float]:
    """Hold both clocks and the oracle equal; return the starts."""
    expected = oracle_starts(jobs, machine, policy, past)
    assert same(starts(jobs, machine, policy, past=past), expected), f"compiled {policy}"
    assert same(starts(jobs, machine, policy, "simpy", past), expected), f"simpy {policy}"
    return expected


def variation(seed: int) -> dict[str, object]:
    """A policy's other settings; every one comes up many times in 200 traces."""
    return {
        **({"backfill_depth": seed % 7} if seed % 5 == 1 and seed % 7 else {}),
        **({"estimate": "actual"} if seed % 4 == 2 else {}),
        **({"estimate_multiplier": (0.5, 1.7, 5.0)[seed % 3]} if seed % 6 == 3 else {}),
        **({"kill_at_limit": True} if seed % 8 == 4 else {}),
        **({"usage_half_life": 100.0} if seed % 3 == 2 else {}),
        **({"fairshare_by": "group"} if seed % 10 == 7 else {}),
    }


def vary(jobs: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Change some traces: fractions of seconds, long idle stretches."""
    rng = np.random.default_rng(seed + 10_000)
    jobs["group"] = pd.Categorical(rng.choice(["x", "y"], len(jobs)))
    if seed % 4 == 1:
        jobs["submit"] = np.sort(jobs["submit"] + rng.integers(0, 10, len(jobs)) / 10)
        jobs["run_time"] += rng.integers(0, 10, len(jobs)) / 10
    if seed % 9 == 5:
        jobs.loc[len(jobs) // 2 :, "submit"] += 1e6
    return jobs


def follow(jobs: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Let a third of the jobs follow an earlier one, some of them one that is not there."""
    rng = np.random.default_rng(seed + 20_000)
    n = len(jobs)
    before = [str(rng.integers(0, i + 1)) if rng.random() < 0.33 else "" for i in range(n)]  # job ids count from 1
    jobs["preceding_job"] = pd.array(before, dtype="str")
    jobs["think_time"] = rng.choice([np.nan, 0.0, 3.0, 50.0], n)
    return jobs


def with_reservations(machine: Machine, seed: int) -> Machine:
    rng = np.random.default_rng(seed + 30_000)
    reservations = []
    for _ in range(rng.integers(1, 4)):
        start = float(rng.choice([-INFINITE, 0, rng.integers(0, 300)]))
        end = float(rng.choice([INFINITE, max(start, 0) + rng.integers(1, 200)], p=[0.2, 0.8]))
        if machine.by_node:
            names = rng.choice(machine.node_names, size=rng.integers(1, 4), replace=False)
            reservations.append(Reservation(start=start, end=end, nodes=tuple(names.tolist())))
        else:
            reservations.append(Reservation(start=start, end=end, processors=int(rng.integers(1, 12))))
    return machine.model_copy(update={"reservations": tuple(reservations)})


def policies(seed: int, **settings: object) -> list[Policy]:
    """Every plain ordering with one backfilling each, shifted by ``seed``: all 39 pairs in three traces."""
    return [
        Policy(ordering=ordering, backfill=BACKFILLS[(seed + k) % 3], **settings) for k, ordering in enumerate(PLAIN)
    ]


@pytest.mark.parametrize("block", range(10))
def test_200_random_traces_on_processors(block):
    waited = []
    for seed in range(20 * block, 20 * block + 20):
        jobs = vary(random_jobs(np.random.default_rng(seed), 60, 16), seed)
        for policy in policies(seed, **variation(seed)):
            begun = agree(jobs, SIXTEEN, policy)
            waited.append(np.mean(np.array(begun) > jobs["submit"]))
    assert np.mean(waited) > 0.3  # there were queues to judge by


@pytest.mark.parametrize("seed", range(24))
def test_headroom(seed):
    """What must stay free, fixed or changing, whatever the machine and the backfilling."""
    on_nodes = seed % 4 == 3
    machine = SMALL_CLUSTER if on_nodes else with_reservations(SIXTEEN, seed) if seed % 4 == 2 else SIXTEEN
    jobs = random_cluster_jobs(seed, 45) if on_nodes else vary(random_jobs(np.random.default_rng(seed), 60, 16), seed)
    held_back = []
    for k, headroom in enumerate(HEADROOMS):
        settings = {"predictor": "tsafrir", "estimate": "predicted"} if "predicted" in headroom else {}
        for backfill in ("none", "easy") if on_nodes else BACKFILLS:
            policy = Policy(ordering=PLAIN[(seed + k) % len(PLAIN)], backfill=backfill, headroom=headroom, **settings)
            begun = agree(jobs, machine, policy)
            without = starts(jobs, machine, policy.model_copy(update={"headroom": None}))
            held_back.append(not same(begun, without))
    assert any(held_back)


def random_cluster_jobs(seed: int, n: int) -> pd.DataFrame:
    """A workload for SMALL_CLUSTER that crowds it."""
    jobs = random_gpu_jobs(np.random.default_rng(seed), n)
    jobs["submit"] = np.floor(jobs["submit"] / 3)
    return replayable(vary(jobs, seed), SMALL_CLUSTER)[0]


@pytest.mark.parametrize("block", range(10))
def test_60_random_traces_on_nodes(block):
    waited = []
    for seed in range(6 * block, 6 * block + 6):
        jobs = random_cluster_jobs(seed, 50)
        for policy in policies(seed, **variation(seed)):
            begun = agree(jobs, SMALL_CLUSTER, policy)
            waited.append(np.mean(np.array(begun) > jobs["submit"]))
    assert np.mean(waited) > 0.3


@pytest.mark.parametrize("seed", range(12))
def test_dependencies(seed):
    on_nodes = seed % 3 == 2
    machine = SMALL_CLUSTER if on_nodes else SIXTEEN
    jobs = random_cluster_jobs(seed, 50) if on_nodes else vary(random_jobs(np.random.default_rng(seed), 60, 16), seed)
    jobs = follow(jobs.reset_index(drop=True), seed)
    for policy in policies(seed // 3, dependencies=True):
        begun = agree(jobs, machine, policy)
        assert not np.isnan(begun).any()


@pytest.mark.parametrize("seed", range(14))
def test_reservations_and_drains(seed):
    on_nodes = seed % 2 == 1
    machine = with_reservations(SMALL_CLUSTER if on_nodes else SIXTEEN, seed)
    jobs = random_cluster_jobs(seed, 35) if on_nodes else random_jobs(np.random.default_rng(seed), 50, 16)
    for policy in policies(seed // 2, **variation(seed)):
        agree(jobs, machine, policy)


@pytest.mark.parametrize("seed", range(12))
def test_the_quick_passes_give_what_the_profile_gives(seed):
    """None and EASY have passes of their own without reservations; on the profile they must start the same jobs.

    On processors only: a head's tasks may lie on other nodes when they also have to stay there. And only if no
    estimate is 0: such a job takes no room in a profile, but is charged to the extra.
    """
    jobs = vary(random_jobs(np.random.default_rng(seed), 120, 16), seed)
    jobs[["run_time", "requested_time"]] += 1
    for ordering, backfill in itertools.product(PLAIN, ("none", "easy")):
        policy = Policy(ordering=ordering, backfill=backfill, **variation(seed))
        state = make_state(jobs, SIXTEEN, policy, profile=True)
        compiled.run(state)
        assert same(state.start.tolist(), starts(jobs, SIXTEEN, policy)), policy


# --- predicted run times ---------------------------------------------------------------------------------------


def predicting(seed: int) -> list[Policy]:
    """Orderings by prediction and by request, backfilling that believes in requests or in predictions."""
    settings = {
        **({"estimate": "predicted"} if seed % 3 else {}),
        **({"estimate_multiplier": (0.3, 2.0)[seed % 2]} if seed % 4 == 1 else {}),
        **({"kill_at_limit": True} if seed % 5 == 2 else {}),
        "predictor": "actual" if seed % 7 == 3 else "tsafrir",
    }
    return [
        Policy(ordering=ordering, backfill=BACKFILLS[(seed + k) % 3], **settings)
        for k, ordering in enumerate((*PREDICTED, "fcfs", "saf", "wfp3"))
    ]


def with_past(jobs: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Part a trace in two; of the first half some jobs ended as recorded, some had not when the second began."""
    if seed % 2:
        return jobs, None
    recorded = jobs.assign(start=jobs["submit"] + np.random.default_rng(seed).integers(0, 100, len(jobs)))
    cut = len(jobs) // 3
    return recorded.iloc[cut:].reset_index(drop=True), recorded.iloc[:cut]


@pytest.mark.parametrize("block", range(5))
def test_predictions_on_processors(block):
    for seed in range(8 * block, 8 * block + 8):
        jobs, past = with_past(vary(random_jobs(np.random.default_rng(seed), 60, 16), seed), seed)
        jobs["run_time"] *= 1 + 20 * (seed % 2)  # some are overrun by hours
        for policy in predicting(seed):
            agree(jobs, SIXTEEN, policy, past)


@pytest.mark.parametrize("seed", range(12))
def test_predictions_on_nodes(seed):
    jobs, past = with_past(random_cluster_jobs(seed, 50).reset_index(drop=True), seed)
    for policy in predicting(seed):
        agree(jobs, SMALL_CLUSTER, policy, past)


@pytest.mark.parametrize("seed", range(6))
def test_predictions_beside_reservations_and_dependencies(seed):
    jobs = follow(vary(random_jobs(np.random.default_rng(seed), 60, 16), seed), seed)
    for policy in predicting(seed):
        agree(jobs, SIXTEEN, policy.model_copy(update={"dependencies": True}))
        agree(jobs, with_reservations(SIXTEEN, seed), policy)


# --- recorded logs ---------------------------------------------------------------------------------------------

LOGS = ("CTC-SP2-1996", "SDSC-SP2-1998", "lublin_256")
STATIC = ("fcfs", "sjf", "ljf", "saf", "srf", "f1", "f2", "f3", "f4")
DEFAULT = [
    (o, b) for o, b in itertools.product(STATIC, ("none", "easy")) if (o, b) in {("fcfs", "none"), ("sjf", "easy")}
]
LONG = [pair for pair in itertools.product(PLAIN, BACKFILLS) if pair not in DEFAULT]


def first_jobs(recorded_swf, log: str, n: int) -> tuple[pd.DataFrame, Machine]:
    trace = recorded_swf(log)
    machine = machine_of(trace)[0]
    return replayable(trace.jobs.iloc[:n], machine)[0].reset_index(drop=True), machine


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize(("ordering", "backfill"), DEFAULT)
def test_recorded(recorded_swf, log, ordering, backfill):
    agree(*first_jobs(recorded_swf, log, 5000), Policy(ordering=ordering, backfill=backfill))


@pytest.mark.long
@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize(("ordering", "backfill"), LONG)
def test_recorded_long(recorded_swf, log, ordering, backfill):
    agree(*first_jobs(recorded_swf, log, 5000), Policy(ordering=ordering, backfill=backfill))
