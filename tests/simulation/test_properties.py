"""What must hold of every schedule, on random traces and, where it can be seen from the table, from it alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.cluster import Machine
from hpcai.cluster.spec import Reservation
from hpcai.records.generators import generate
from hpcai.scheduling.jobs import demand, node_capacity, replayable
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.state import make_state
from hpcai.simulation import compiled, replay
from tests import oracle
from tests.workloads import PLAIN, SMALL_CLUSTER, oracle_starts, random_gpu_jobs, random_jobs, same, starts

SIXTEEN = Machine.by_processors(16)
BACKFILLS = ("none", "easy", "conservative")

seeds = st.integers(0, 2**32 - 1)
any_policy = st.builds(
    Policy,
    ordering=st.sampled_from(sorted(PLAIN)),
    backfill=st.sampled_from(BACKFILLS),
    estimate=st.sampled_from(["requested", "actual"]),
    estimate_multiplier=st.sampled_from([0.5, 1.0, 3.0]),
    kill_at_limit=st.booleans(),
    backfill_depth=st.sampled_from([None, 1, 5]),
)


def some_jobs(seed: int, *, exact: bool = False, n: int = 60) -> pd.DataFrame:
    return random_jobs(np.random.default_rng(seed), n, 16, exact=exact)


def some_gpu_jobs(seed: int, n: int = 50) -> pd.DataFrame:
    jobs = random_gpu_jobs(np.random.default_rng(seed), n)
    jobs["submit"] = np.floor(jobs["submit"] / 3)
    return replayable(jobs, SMALL_CLUSTER)[0].reset_index(drop=True)


def most_in_use(start: np.ndarray, end: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """The most of each column of ``amount`` (jobs, resources) held at any time; ends come before starts."""
    lasting = end > start
    times = np.concatenate((end[lasting], start[lasting]))
    changes = np.concatenate((-amount[lasting], amount[lasting]))
    return np.cumsum(changes[np.argsort(times, kind="stable")], axis=0).max(axis=0, initial=0)


# --- every schedule -------------------------------------------------------------------------------------------


@given(seeds, any_policy)
@settings(deadline=None, max_examples=60)
def test_every_job_runs_once_for_its_run_time_and_none_before_it_is_submitted(seed, policy):
    jobs = some_jobs(seed)
    done = replay(jobs, SIXTEEN, policy).table
    assert done["job_id"].tolist() == jobs["job_id"].tolist()
    run = np.fmin(jobs["run_time"], jobs["requested_time"]) if policy.kill_at_limit else jobs["run_time"]
    assert (done["end"] == done["start"] + run).all()
    assert (done["start"] >= jobs["submit"]).all()
    assert (done["processors"] == jobs["processors"]).all()


@given(seeds, any_policy)
@settings(deadline=None, max_examples=60)
def test_never_more_processors_in_use_than_there_are(seed, policy):
    done = replay(some_jobs(seed), SIXTEEN, policy).table
    used = most_in_use(done["start"].to_numpy(), done["end"].to_numpy(), done[["processors"]].to_numpy())
    assert used[0] <= 16


@given(seeds, st.sampled_from(BACKFILLS), st.integers(1, 16))
@settings(deadline=None, max_examples=40)
def test_what_is_reserved_is_not_used_by_jobs_whose_estimate_is_not_too_short(seed, backfill, processors):
    machine = Machine(name="m", processors=16, reservations=(Reservation(start=50, end=200, processors=processors),))
    jobs = some_jobs(seed, exact=True)
    done = replay(jobs, machine, Policy(backfill=backfill)).table
    inside = done[(done["start"] < 200) & (done["end"] > 50)]
    start, end = inside["start"].clip(lower=50).to_numpy(), inside["end"].clip(upper=200).to_numpy()
    assert most_in_use(start, end, inside[["processors"]].to_numpy())[0] <= 16 - processors
    assert done["start"].notna().all()


@given(seeds, any_policy)
@settings(deadline=None, max_examples=60)
def test_never_more_of_a_node_in_use_than_it_has(seed, policy):
    """CPUs, memory and the share of every single GPU, from the tasks' places and what the log says of the jobs."""
    jobs = some_gpu_jobs(seed)
    state = make_state(jobs, SMALL_CLUSTER, policy)
    compiled.run(state)
    need = demand(jobs, SMALL_CLUSTER)
    cpu, memory, gpus, group = node_capacity(SMALL_CLUSTER)
    nodes = len(cpu)
    amount = np.zeros((len(jobs), nodes, 2 + gpus.max()))
    for j in range(len(jobs)):
        first, tasks = state.jobs["entries"][j], need.size[j]
        for node, mask in state.entries[first : first + tasks].tolist():
            assert (int(need.groups[j]) >> int(group[node])) & 1
            held = [g for g in range(gpus.max()) if (mask >> g) & 1]
            assert len(held) == -(-need.gpu[j] // 1000)
            amount[j, node, :2] += need.cpu[j], need.memory[j]
            amount[j, node, [2 + g for g in held]] += min(need.gpu[j], 1000)
    # What the tasks hold adds up to what the log says (rounded up to thousandths per task).
    assert np.allclose(amount[:, :, 2:].sum(axis=(1, 2)), jobs["gpus"] * 1000, atol=jobs["nodes"].max())
    assert (amount[:, :, 0].sum(axis=1) >= jobs["processors"] * 1000).all()

    used = most_in_use(state.start, state.start + state.jobs["run"], amount.reshape(len(jobs), -1)).reshape(nodes, -1)
    assert (used[:, 0] <= cpu).all()
    assert (used[:, 1] <= memory).all()
    assert (used[:, 2:] <= np.where(np.arange(gpus.max()) < gpus[:, None], 1000, 0)).all()


@given(seeds, any_policy)
@settings(deadline=None, max_examples=30)
def test_the_table_names_the_nodes_that_are_used(seed, policy):
    jobs = some_gpu_jobs(seed)
    done = replay(jobs, SMALL_CLUSTER, policy).table
    spread = done["nodes"].str.split(",").map(len)
    tasks = demand(jobs, SMALL_CLUSTER).size
    assert ((spread >= 1) & (spread <= tasks)).all()
    assert done["nodes"].str.split(",").map(lambda names: len(set(names)) == len(names)).all()
    only_a = (jobs["partition"] == "a") | (jobs["gpu_kind"] == "A")
    assert set(",".join(done["nodes"][only_a]).split(",")) <= {"0", "1", "2", ""}


# --- backfilling ----------------------------------------------------------------------------------------------


@given(seeds)
@settings(deadline=None, max_examples=40)
def test_fcfs_without_backfilling_starts_in_order_of_submission(seed):
    begun = starts(some_jobs(seed), SIXTEEN, Policy(backfill="none"))
    assert begun == sorted(begun)
    begun = starts(some_gpu_jobs(seed), SMALL_CLUSTER, Policy(backfill="none"))
    assert begun == sorted(begun)


class Reservations(oracle.Replay):
    """The oracle, noting the first reservation that each job is given as head."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.promised: dict[int, float] = {}

    def reservation(self, head, now):
        shadow, extra = super().reservation(head, now)
        self.promised.setdefault(head.row, shadow)
        return shadow, extra


@given(seeds, st.sampled_from(["processors", "nodes"]))
@settings(deadline=None, max_examples=60)
def test_easy_never_delays_the_head_past_its_reservation_if_estimates_are_exact(seed, kind):
    """With FCFS a head stays head until it starts, so the first reservation it was given binds."""
    jobs, machine = (some_jobs(seed), SIXTEEN) if kind == "processors" else (some_gpu_jobs(seed), SMALL_CLUSTER)
    policy = Policy(estimate="actual")
    made: list[Reservations] = []
    keep = oracle_starts.__globals__["Replay"]
    try:
        oracle_starts.__globals__["Replay"] = lambda *a, **k: made.append(Reservations(*a, **k)) or made[-1]
        oracle_starts(jobs, machine, policy)
    finally:
        oracle_starts.__globals__["Replay"] = keep
    for engine in ("compiled", "simpy"):
        begun = starts(jobs, machine, policy, engine)
        for row, promised in made[0].promised.items():
            assert begun[row] <= promised


def lasting_jobs(seed: int) -> pd.DataFrame:
    """Jobs of at least a second, which they ask for."""
    jobs = some_jobs(seed, exact=True, n=40)
    jobs["run_time"] = jobs["requested_time"] = jobs["run_time"].clip(lower=1)
    return jobs


@given(seeds)
@settings(deadline=None, max_examples=12)
def test_conservative_with_exact_estimates_delays_no_earlier_job(seed):
    """No job would start earlier if all that were submitted after it did not exist.

    A job without length is not promised anything: in the profile it takes no room, so its place may go to others.
    """
    jobs = lasting_jobs(seed)
    policy = Policy(backfill="conservative")
    begun = starts(jobs, SIXTEEN, policy)
    for n in range(1, len(jobs)):
        assert starts(jobs.iloc[:n], SIXTEEN, policy) == begun[:n]


def test_easy_does_delay_an_earlier_job_so_that_the_last_test_can_fail():
    policy = Policy(backfill="easy")
    delayed = 0
    for seed in range(5):
        jobs = lasting_jobs(seed)
        begun = starts(jobs, SIXTEEN, policy)
        delayed += any(starts(jobs.iloc[:n], SIXTEEN, policy) != begun[:n] for n in range(1, len(jobs)))
    assert delayed > 0


# --- the same in, the same out ----------------------------------------------------------------------------------


def schedule_bytes(seed: int, folder: Path) -> tuple[bytes, bytes]:
    trace = generate("lublin", 300, seed=seed)
    table = replay(trace.jobs, trace.machine or Machine.by_processors(256), Policy(ordering="multifactor")).table
    table.to_parquet(folder / "schedule.parquet")
    return (folder / "schedule.parquet").read_bytes(), table.to_csv().encode()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    first, again, other = (schedule_bytes(seed, tmp_path) for seed in (5, 5, 6))
    assert first == again
    assert first[0] != other[0]
    assert first[1] != other[1]


@given(seeds, any_policy)
@settings(deadline=None, max_examples=30)
def test_a_replay_leaves_its_input_unchanged(seed, policy):
    jobs = some_gpu_jobs(seed)
    before = hashlib.sha256(jobs.to_csv().encode()).hexdigest(), jobs.dtypes.to_dict(), SMALL_CLUSTER.model_dump()
    replay(jobs, SMALL_CLUSTER, policy)
    after = hashlib.sha256(jobs.to_csv().encode()).hexdigest(), jobs.dtypes.to_dict(), SMALL_CLUSTER.model_dump()
    assert before == after


@given(seeds, any_policy)
@settings(deadline=None, max_examples=30)
def test_rows_in_any_order_give_the_same_schedule(seed, policy):
    """If no two are submitted at once: ties go by row."""
    jobs = some_jobs(seed)
    jobs["submit"] += np.arange(len(jobs)) / 128
    expected = replay(jobs, SIXTEEN, policy).table
    shuffled = jobs.sample(frac=1, random_state=seed)
    got = replay(shuffled, SIXTEEN, policy).table
    assert got["job_id"].tolist() == shuffled["job_id"].tolist()
    pd.testing.assert_frame_equal(got.sort_index(), expected)


def test_no_jobs_no_schedule():
    for engine in ("compiled", "simpy"):
        assert len(replay(some_jobs(0).iloc[:0], SIXTEEN, Policy(), engine=engine).table) == 0
        assert len(replay(some_gpu_jobs(0).iloc[:0], SMALL_CLUSTER, Policy(), engine=engine).table) == 0


def test_progress_counts_the_jobs_that_have_ended():
    seen: list[int] = []
    trace = generate("lublin", 20_000, seed=1)
    table = replay(trace.jobs, trace.machine or Machine.by_processors(256), Policy(), progress=seen.append).table
    assert seen
    assert seen == sorted(seen)
    assert 0 < seen[0] < len(table)
    assert same(table["start"].tolist(), starts(trace.jobs, trace.machine or Machine.by_processors(256), Policy()))
