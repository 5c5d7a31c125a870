"""Metrics against arithmetic that is written out here."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcai.cluster.spec import Machine, NodeGroup
from hpcai.evaluation.fairness import fair_start, group_means, jain_index
from hpcai.evaluation.load import load_over_time
from hpcai.evaluation.metrics import METRICS, measure
from hpcai.scheduling.policy import Policy
from tests.evaluation.tables import jobs_table, schedule_table

FOUR = Machine.by_processors(4)

# Four processors. Job 1: 0-100 on 4. Jobs 2 and 3 wait for it: 2 on 1 from 100 to 104, 3 on 2 from 100
# to 200. Job 4, submitted at 50, wants 4 and starts at 200, ends at 4200 (it is long: more than 1 h).
SCHEDULE = schedule_table(
    submit=[0, 10, 20, 50],
    start=[0, 100, 100, 200],
    end=[100, 104, 200, 4200],
    processors=[4, 1, 2, 4],
)
JOBS = jobs_table(
    submit=[0.0, 10.0, 20.0, 50.0],
    run_time=[100.0, 4.0, 100.0, 4000.0],
    processors=[4, 1, 2, 4],
    user=["ada", "bob", "bob", ""],
    status=["completed", "failed", "completed", "cancelled"],
)


@pytest.fixture(scope="module")
def measured() -> dict[str, float]:
    return measure(SCHEDULE, JOBS, FOUR, fair_start=np.array([0.0, 100.0, 100.0, 150.0]))


def test_waits(measured):
    # waits 0, 90, 80, 150
    assert measured["mean_wait"] == (0 + 90 + 80 + 150) / 4
    assert measured["median_wait"] == (80 + 90) / 2
    assert measured["max_wait"] == 150
    assert measured["p95_wait"] == pytest.approx(90 + (150 - 90) * (0.95 * 3 - 2))


def test_bounded_slowdowns_have_a_floor_of_ten_seconds(measured):
    # job 1: 100/100; job 2 ran 4 s, so (104 - 10) / 10; job 3: 180/100; job 4: 4150/4000
    expected = (1 + 9.4 + 1.8 + 4150 / 4000) / 4
    assert measured["mean_bounded_slowdown"] == pytest.approx(expected)


def test_turnarounds(measured):
    assert measured["mean_turnaround"] == (100 + 94 + 180 + 4150) / 4


def test_usage(measured):
    # processor-seconds: 400 + 4 + 200 + 16000 = 16604 over 4 x 4200
    assert measured["makespan"] == 4200
    assert measured["utilisation"] == pytest.approx(16604 / (4 * 4200))
    assert measured["processor_hours"] == pytest.approx(16604 / 3600)
    assert measured["throughput"] == pytest.approx(4 / 4200)


def test_queue(measured):
    # waiting: 1 on 10-20, 2 on 20-50, 3 on 50-100, 1 on 100-200
    assert measured["mean_queue_length"] == pytest.approx((10 + 60 + 150 + 100) / 4200)
    assert measured["max_queue_length"] == 3


def test_lost_and_wasted_hours(measured):
    # lost: the failed job 2, 1 x 4 s (a cancelled job is its user's wish)
    assert measured["lost_processor_hours"] == pytest.approx(4 / 3600)
    # idle while somebody waits: 100-104 one of four is idle, 104-200 two are
    assert measured["wasted_processor_hours"] == pytest.approx((1 * 4 + 2 * 96) / 3600)


def test_a_job_killed_at_its_limit_is_lost():
    killed = SCHEDULE.assign(killed=[True, False, False, False])
    result = measure(killed, JOBS, FOUR)
    assert result["lost_processor_hours"] == pytest.approx((400 + 4) / 3600)
    assert result["killed"] == 1


def test_fair_start_delays(measured):
    # job 4 alone starts later than is fair, by 50 s
    assert measured["delayed_past_fair_start"] == 1 / 4
    assert measured["mean_fair_start_miss"] == 50 / 4


def test_jain_over_known_users(measured):
    # ada 1, bob (9.4 + 1.8) / 2 = 5.6; the job of an unknown user is in no group
    assert measured["jain_users"] == pytest.approx((1 + 5.6) ** 2 / (2 * (1 + 5.6**2)))
    assert "jain_tenants" not in measured


def test_classes(measured):
    # all narrow; job 4 runs 4000 s and is the only long one
    assert measured["mean_wait_narrow_long"] == 150
    assert measured["mean_wait_narrow_short"] == pytest.approx(170 / 3)
    assert "mean_wait_wide_short" not in measured


def test_gpu_machine_counts_gpus():
    machine = Machine(name="m", groups=(NodeGroup(name="g", count=2, cpus=8, memory_gib=1, gpus=8),))
    schedule = schedule_table([0, 0], [0, 100], [100, 200], [1, 1], gpus=[16, 4])
    jobs = jobs_table(submit=[0.0, 0.0], gpus=[16.0, 4.0], status=["node_fail", "completed"])
    result = measure(schedule, jobs, machine)
    assert result["gpu_utilisation"] == pytest.approx((1600 + 400) / (16 * 200))
    assert result["lost_gpu_hours"] == pytest.approx(1600 / 3600)
    assert result["wasted_gpu_hours"] == 0  # job 2 waits while all 16 are in use
    assert result["mean_wait_wide_short"] == 0
    assert result["mean_wait_narrow_short"] == 100


def test_a_job_that_never_starts_is_counted_and_in_no_average():
    schedule = schedule_table([0, 0], [0, np.nan], [100, np.nan], [1, 5])
    result = measure(schedule, JOBS.iloc[:2], FOUR)
    assert (result["jobs"], result["not_started"]) == (1, 1)
    assert result["mean_wait"] == 0
    assert result["mean_queue_length"] == 1


def test_nothing_that_starts_leaves_no_averages():
    schedule = schedule_table([0.0], [np.nan], [np.nan], [1])
    result = measure(schedule, JOBS.iloc[:1], FOUR)
    assert result == {"jobs": 0, "not_started": 1, "killed": 0}


def test_warmup_jobs_are_replayed_but_not_measured():
    result = measure(SCHEDULE, JOBS, FOUR, warmup=1)
    assert result["jobs"] == 3
    assert result["mean_wait"] == pytest.approx(320 / 3)
    # from the submission of job 2 at 10: job 1 still occupies 4 processors for 90 s
    assert result["makespan"] == 4190
    assert result["utilisation"] == pytest.approx((16604 - 40) / (4 * 4190))


def test_zero_length_jobs_at_one_instant():
    result = measure(schedule_table([5.0], [5.0], [5.0], [1]), JOBS.iloc[:1], FOUR)
    assert result["mean_bounded_slowdown"] == 1
    assert result["makespan"] == 0
    assert "utilisation" not in result


def test_every_metric_that_is_measured_is_defined(measured):
    assert set(measured) <= set(METRICS)
    for metric in METRICS.values():
        assert metric.definition.endswith(".")
        assert metric.unit in {"s", "h", "1", "jobs", "jobs/s", "kWh", "kW", "kg", "USD", "EUR"}


def test_jain_index_by_hand():
    assert jain_index(np.array([3.0, 3.0, 3.0])) == 1
    assert jain_index(np.array([1.0, 0.0, 0.0, 0.0])) == 1 / 4
    assert jain_index(np.array([1.0, 2.0, 3.0])) == pytest.approx(36 / (3 * 14))
    assert np.isnan(jain_index(np.array([])))


@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=30))
def test_jain_index_lies_between_one_nth_and_one(values):
    assert 1 / len(values) - 1e-9 <= jain_index(np.array(values)) <= 1 + 1e-9


def test_group_means_leave_out_the_unknown():
    means = group_means(JOBS["user"], np.array([1.0, 2.0, 4.0, 9.0]))
    assert means.to_dict() == {"ada": 1.0, "bob": 3.0}


def test_fair_start_is_the_start_when_nobody_overtakes():
    # Job 2 (4 wide) waits for job 1; job 3 (1 wide, 50 s) fits beside job 1 without delaying job 2; job 4
    # (1 wide, 500 s) would delay it, so its fair start is after job 2, whatever its user asked for.
    jobs = jobs_table(
        submit=[0.0, 1.0, 2.0, 3.0],
        run_time=[100.0, 100.0, 50.0, 500.0],
        requested_time=[1000.0, 1000.0, 1000.0, 10.0],
        processors=[3, 4, 1, 1],
    )
    assert fair_start(jobs, FOUR, Policy()).tolist() == [0, 100, 2, 200]


job = st.tuples(st.integers(0, 50), st.integers(0, 30), st.integers(0, 40), st.integers(1, 4))


@given(st.lists(job, min_size=1, max_size=20))
def test_load_integrates_to_work_and_waits(rows):
    submit, wait, run, processors = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    order = np.argsort(submit, kind="stable")
    submit, wait, run, processors = submit[order], wait[order], run[order], processors[order]
    load = load_over_time(schedule_table(submit, submit + wait, submit + wait + run, processors))
    assert load.integral(load.processors) == pytest.approx((run * processors).sum())
    assert load.integral(load.queue) == pytest.approx(wait.sum())
    assert load.time[0] == submit[0]
