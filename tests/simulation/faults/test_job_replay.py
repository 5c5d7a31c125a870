"""The replay of a job under faults: against closed forms, a plain second implementation, and conservation of time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.faults.checkpoints.constant import ConstantRate, Fixed, Form, TwoLevel
from hpcai.faults.checkpoints.faults import GLOBAL, Faults
from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.two_level import two_level_waste
from hpcai.faults.checkpoints.waste import exact_waste, first_order_waste
from hpcai.simulation.faults.job_replay import CHECKPOINTS, DOWNTIME, FAULTS, USEFUL, play, waste

MTBF = 20000.0


def poisson(mtbf: float, n: int = 100_000, seed: int = 0) -> Faults:
    return Faults.all_global(np.cumsum(np.random.default_rng(seed).exponential(mtbf, n)))


def measured(rule, job: CheckpointedJob, faults: Faults, parts: int = 100) -> tuple[float, float]:
    """The waste over all time, and its standard error from ``parts`` windows."""
    each = waste(play(rule, job, faults, np.linspace(0.0, faults.time[-1], parts + 1)))
    return float(each.mean()), float(each.std(ddof=1) / np.sqrt(parts))


@pytest.mark.parametrize("form", ["young", "daly-first", "daly", "best"])
@pytest.mark.parametrize(
    ("write", "restart", "down"), [(300.0, 400.0, 200.0), (20.0, 0.0, 0.0), (5000.0, 2000.0, 900.0)]
)
def test_waste_at_a_constant_rate_is_the_exact_form(form: Form, write: float, restart: float, down: float) -> None:
    rule = ConstantRate(MTBF, form).rule(CheckpointedJob(write))
    found, error = measured(rule, CheckpointedJob(write, restart, down), poisson(MTBF))
    assert found == pytest.approx(float(exact_waste(rule.numbers[0], write, MTBF, restart, down)), abs=4 * error)


@pytest.mark.parametrize("form", ["young", "daly-first"])
def test_waste_is_the_first_order_form_where_faults_are_rare(form: Form) -> None:
    job = CheckpointedJob(2.0, 3.0, 4.0)
    rule = ConstantRate(1e6, form).rule(job)
    found, error = measured(rule, job, poisson(1e6, 8_000))
    assert found == pytest.approx(float(first_order_waste(rule.numbers[0], 2.0, 1e6, 3.0, 4.0)), abs=4 * error)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.0])
def test_waste_at_two_levels_is_the_exact_form(share: float) -> None:
    job = CheckpointedJob(write=300.0, restart=400.0, down=200.0, local_write=20.0, local_restart=30.0)
    faults = poisson(MTBF)
    local = np.random.default_rng(1).random(len(faults.time)) < share
    faults = Faults(faults.time, np.where(local, 1, GLOBAL).astype(np.int8))
    mtbfs = MTBF / max(share, 1e-9), MTBF / (1 - share)
    rule = TwoLevel(*mtbfs).rule(job)
    found, error = measured(rule, job, faults)
    assert found == pytest.approx(two_level_waste(rule.numbers[0], rule.every, job, *mtbfs), abs=4 * error)


def test_no_checkpoint_keeps_only_what_comes_after_the_last_fault() -> None:
    faults = Faults.all_global(np.array([100.0, 250.0]))
    row = play(Fixed().rule(CheckpointedJob(1.0)), CheckpointedJob(1.0, 10.0, 5.0), faults, np.array([0.0, 400.0]))[0]
    assert row.tolist() == [135.0, 0.0, 235.0, 20.0, 10.0, 2.0, 0.0]


def test_work_that_only_local_checkpoints_hold_is_lost_with_its_node() -> None:
    job = CheckpointedJob(write=10.0, restart=5.0, local_write=2.0, local_restart=1.0)
    rule = Fixed(100.0, every=3).rule(job)
    node_lost = play(rule, job, Faults.all_global(np.array([210.0])), np.array([0.0, 300.0]))[0]
    assert node_lost.tolist() == [85.0, 4.0, 206.0, 5.0, 0.0, 1.0, 2.0]
    process_lost = play(rule, job, Faults(np.array([210.0]), np.array([1], np.int8)), np.array([0.0, 300.0]))[0]
    assert process_lost.tolist() == [289.0, 4.0, 6.0, 1.0, 0.0, 1.0, 2.0]


def test_no_downtime_is_struck() -> None:
    faults = Faults.all_global(np.array([50.0, 55.0, 62.0]))  # the second while down, the third in the restart
    row = play(Fixed().rule(CheckpointedJob(1.0)), CheckpointedJob(1.0, 10.0, 10.0), faults, np.array([0.0, 100.0]))[0]
    assert row[FAULTS] == 2
    assert row[DOWNTIME] == 20.0
    assert row.tolist()[:4] == [18.0, 0.0, 50.0, 12.0]


def plain_play(interval: float, every: int, job: CheckpointedJob, faults: Faults, end: float) -> list[float]:
    """The same replay of one window in plain steps."""
    now, held_locally, held, since, lost_level = 0.0, 0.0, 0.0, 0, 0
    kinds = dict.fromkeys(("checkpointing", "lost", "restarting", "downtime"), 0.0)
    strikes = [(t, e) for t, e in zip(faults.time, faults.effect, strict=True) if e]
    while now < end:
        if lost_level:
            up = min(now + job.down, end)
            lost_level = max([lost_level, *(e for t, e in strikes if now <= t < up)])
            kinds["downtime"] += up - now
            strikes = [strike for strike in strikes if strike[0] >= up]
            if lost_level == 2 or every == 1:
                kinds["lost"] += held_locally
                held_locally, since = 0.0, 0
            length, name = (job.restart if lost_level == 2 or every == 1 else job.local_restart), "restarting"
            now = up
        else:
            length, name = interval, "lost"
        write = job.write if since + 1 == every else job.local_write
        limit = min(now + length + (write if name == "lost" else 0.0), end)
        hit = next((strike for strike in strikes if strike[0] < limit), None)
        stop = hit[0] if hit else limit
        worked = min(stop - now, length)
        if name == "restarting" or hit:
            kinds[name] += worked
        else:
            held_locally += worked
        kinds["checkpointing"] += stop - now - worked
        if hit:
            lost_level = max(lost_level, hit[1])
            strikes.remove(hit)
        elif name == "restarting":
            lost_level = 0
        elif limit < end or now + length + write <= end:
            since += 1
            if since == every:
                held, held_locally, since = held + held_locally, 0.0, 0
        now = stop
    return [held + held_locally, *kinds.values()]


SECONDS = st.integers(0, 30).map(float)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 2)), max_size=12),
    st.tuples(SECONDS, SECONDS, SECONDS, SECONDS, SECONDS),
    st.integers(1, 60),
    st.integers(1, 4),
    st.integers(1, 400),
)
def test_plain_steps_give_the_same_and_no_time_is_lost(
    strikes: list[tuple[int, int]], costs: tuple[float, ...], interval: int, every: int, end: int
) -> None:
    job = CheckpointedJob(costs[0], costs[1], costs[2], 1, costs[3], costs[4])
    ordered = sorted(strikes, key=lambda strike: strike[0])
    times = np.array([t for t, _ in ordered], dtype=np.float64)
    faults = Faults(times, np.array([e for _, e in ordered], dtype=np.int8))
    row = play(Fixed(interval, every).rule(job), job, faults, np.array([0.0, end]))[0]
    assert row[: DOWNTIME + 1].sum() == pytest.approx(end)
    assert (row >= 0).all()
    assert row[: DOWNTIME + 1].tolist() == pytest.approx(plain_play(interval, every, job, faults, end))


def test_windows_are_jobs_of_their_own_under_faults_seen_before() -> None:
    job, faults = CheckpointedJob(5.0, 7.0, 3.0), poisson(500.0, 400)
    rule = ConstantRate(500.0).rule(job)
    edges = np.linspace(1000.0, 90000.0, 8)
    together = play(rule, job, faults, edges)
    alone = [play(rule, job, faults, edges[i : i + 2])[0] for i in range(7)]
    np.testing.assert_allclose(together, alone)
    assert (together[:, USEFUL] > 0).all()
    assert (together[:, CHECKPOINTS] > 0).all()
