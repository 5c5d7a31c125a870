"""Fast replays of many windows give what replays give."""

from __future__ import annotations

import numpy as np
import pytest

from hpcai.cluster import Machine
from hpcai.scheduling.jobs import replayable
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.predictor import NO_TREES, recorded_predictions
from hpcai.simulation import replay
from hpcai.simulation.rollouts import Rollouts
from tests.workloads import SMALL_CLUSTER, random_gpu_jobs, random_jobs

LENGTH = 50
FIRSTS = np.array([0, 30, 37])
SIXTEEN = Machine.by_processors(16)


def some_jobs():
    jobs = random_jobs(np.random.default_rng(5), 120, 16)
    jobs["requested_time"] = jobs["requested_time"].fillna(jobs["run_time"])
    return jobs


def replayed(jobs, machine, policy, first):
    table = replay(jobs.iloc[first : first + LENGTH].reset_index(drop=True), machine, policy).table
    return (table["start"] - table["submit"]).to_numpy()


POLICIES = (
    Policy(ordering="saf"),
    Policy(ordering="saf", headroom="0.3 * (requested_time > 30)"),
    Policy(ordering="wfp3", headroom="0.5 - wait / 100"),
    Policy(ordering="fair-share", backfill="none"),
    Policy(ordering="f2", backfill="conservative"),
)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: f"{policy.ordering}-{policy.backfill}")
def test_waits_are_those_of_replays(policy):
    jobs = some_jobs()
    rollouts = Rollouts(jobs, SIXTEEN, Policy(backfill=policy.backfill), LENGTH)
    waits = rollouts.waits(policy, FIRSTS)
    for w, first in enumerate(FIRSTS.tolist()):
        np.testing.assert_array_equal(waits[w], replayed(jobs, SIXTEEN, policy, first))
    assert waits.max() > 0


@pytest.mark.long
def test_waits_on_nodes_are_those_of_replays():
    jobs = random_gpu_jobs(np.random.default_rng(3), 120)
    jobs["submit"] = np.floor(jobs["submit"] / 3)
    jobs = replayable(jobs, SMALL_CLUSTER)[0].reset_index(drop=True)
    firsts = FIRSTS[len(jobs) >= FIRSTS + LENGTH]
    policy = Policy(ordering="saf", headroom="0.2 * (requested_time > 30)")
    waits = Rollouts(jobs, SMALL_CLUSTER, Policy(), LENGTH).waits(policy, firsts)
    for w, first in enumerate(firsts.tolist()):
        np.testing.assert_array_equal(waits[w], replayed(jobs, SMALL_CLUSTER, policy, first))


def test_what_is_predicted_of_a_job_does_not_change_while_it_waits():
    """With a perfect predictor nothing would change anyway; with Tsafrir's the predictions at submission are kept."""
    jobs = some_jobs()
    policy = Policy(ordering="saf-predicted", headroom="0.3 * (predicted_time > 30)", predictor="tsafrir")
    truth = np.repeat(jobs["run_time"].to_numpy()[:, None], 5, axis=1)
    truth[:, 4] = 1 / np.maximum(truth[:, 0], 10)
    perfect = Rollouts(jobs, SIXTEEN, policy, LENGTH, truth).waits(policy, FIRSTS)
    knowing = policy.model_copy(update={"predictor": "actual"})
    np.testing.assert_array_equal(perfect[1], replayed(jobs, SIXTEEN, knowing, 30))

    frozen = recorded_predictions(jobs, NO_TREES)
    static = Policy(ordering="sjf")
    as_requests = jobs.assign(requested_time=frozen[:, 0])
    by_prediction = policy.model_copy(update={"ordering": "sjf-predicted", "headroom": None, "backfill": "none"})
    waits = Rollouts(jobs, SIXTEEN, by_prediction, LENGTH, frozen).waits(by_prediction, FIRSTS)
    expected = replayed(as_requests, SIXTEEN, static.model_copy(update={"backfill": "none"}), 30)
    np.testing.assert_array_equal(waits[1], expected)


def test_jobs_that_come_faster_wait_as_in_a_log_compressed_in_time():
    jobs = some_jobs()
    waits = Rollouts(jobs, SIXTEEN, Policy(), LENGTH).waits(Policy(ordering="saf"), FIRSTS, np.full(3, 2.0))
    window = jobs.iloc[30 : 30 + LENGTH].reset_index(drop=True)
    first = window["submit"].iloc[0]
    window["submit"] = first + (window["submit"] - first) / 2
    table = replay(window, SIXTEEN, Policy(ordering="saf")).table
    np.testing.assert_allclose(waits[1], (table["start"] - table["submit"]).to_numpy(), atol=1e-9)


def test_the_log_is_left_as_it_was():
    jobs = some_jobs()
    before = jobs.copy()
    rollouts = Rollouts(jobs, SIXTEEN, Policy(), LENGTH)
    one = rollouts.waits(POLICIES[1], FIRSTS)
    rollouts.waits(POLICIES[2], FIRSTS)
    np.testing.assert_array_equal(rollouts.waits(POLICIES[1], FIRSTS), one)
    assert jobs.equals(before)
