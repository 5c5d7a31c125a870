"""What is measured of a replay: against hand-worked cases, and against the clock's own accounts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hpcai.evaluation.gpu_cluster.challenges import challenges_of
from hpcai.evaluation.gpu_cluster.metrics import finish_time_fairness, measure, pooled
from hpcai.evaluation.gpu_cluster.timeline import Steps, held_between, load_of
from hpcai.scheduling.gpu_cluster.discipline import Discipline, Quota
from hpcai.scheduling.gpu_cluster.presets import preset
from hpcai.simulation.energy.it_power import it_power, per_gpu
from hpcai.simulation.gpu_cluster.replay import replay_cluster
from tests.gpu_workloads import CLUSTER, gpu_cluster_jobs
from tests.simulation.gpu_cluster.test_replay import table

GPUS = CLUSTER.total_gpus  # 4 nodes of 4 P100, 4 of 8 V100
PLAIN = {"communication": False, "elastic": False}


def challenge(**fields: object) -> dict[str, object]:
    return {"gpus": float(GPUS), "pods": 12, "gpu_kind": "", "qos": "grand-challenge", "kind": "gang"} | fields


@pytest.mark.parametrize("name", ["kubernetes", "gandiva", "tiresias", "themis", "fifo"])
@pytest.mark.parametrize("seed", range(2))
def test_gpus_over_time_are_what_jobs_held(name, seed):
    """Two accounts of the same: the integral of GPUs by the log, and what the clock counted for each job."""
    jobs = gpu_cluster_jobs(np.random.default_rng(seed), 120, challenges=2)
    outcome = replay_cluster(jobs, CLUSTER, preset(name, storage_gbyte_s=2.0))
    steps = Steps.of(outcome)
    load = load_of(steps, outcome.jobs)
    assert load.gpus.max() <= GPUS + 1e-9
    assert load.gpus.min() >= -1e-9
    assert load.queue.min() >= 0
    assert load.integral(load.gpus) == pytest.approx(outcome.jobs["attained"].sum())
    one = int(outcome.jobs["attained"].argmax())
    own = load_of(steps, outcome.jobs, np.arange(len(jobs)) == one)
    assert own.integral(own.gpus) == pytest.approx(outcome.jobs["attained"].iloc[one])
    measured = measure(jobs, outcome, CLUSTER, preset(name))
    hours = sum(tenant["gpu_hours"] for tenant in measured["tenants"].values())
    assert hours == pytest.approx(measured["metrics"]["gpu_hours"])
    held = sum(tenant["mean_gpus"] for tenant in measured["tenants"].values())
    assert held * load.duration / 3600 == pytest.approx(hours)


def test_a_grand_challenge_costs_what_its_victims_lose_and_what_idles():
    """At 1,000 s a job of 32 GPUs with no checkpoint is stopped for an hour; 16 GPUs were idle, none while it waits."""
    jobs = table(
        {"gpus": 32.0, "pods": 4, "run_time": 5000.0, "qos": "preemptible", "checkpoint_interval": np.inf},
        challenge(submit=1000.0, run_time=3600.0),
    )
    discipline = Discipline.model_validate({"restart": 60, **PLAIN})
    outcome = replay_cluster(jobs, CLUSTER, discipline)
    (found,) = challenges_of(outcome, Steps.of(outcome), GPUS, 60)
    assert (found.wait, found.victims) == (0, 1)
    assert found.lost * 3600 == pytest.approx(1000 * 32)
    assert found.idle == found.stopping == 0
    assert found.restarting * 3600 == pytest.approx(60 * 32)
    metrics = measure(jobs, outcome, CLUSTER, discipline)["metrics"]
    assert metrics["gpu_hours_per_challenge"] * 3600 == pytest.approx(1060 * 32)
    assert metrics["node_hours_per_challenge"] * 3600 == pytest.approx(1060 * 32 / 6)  # 48 GPUs on 8 nodes
    assert metrics["goodput_of_held"] == pytest.approx(1 - 1060 * 32 / (3600 * 48 + (5000 + 1060) * 32))


def test_gpus_idle_while_a_grand_challenge_waits_count():
    """Its victim writes a checkpoint for 20 s on 32 GPUs, while 16 GPUs idle."""
    victim = {"gpus": 32.0, "pods": 4, "run_time": 5000.0, "qos": "preemptible", "on_signal": 1}
    jobs = table(victim | {"checkpoint_bytes": 2e10}, challenge(submit=1000.0, run_time=3600.0))
    discipline = Discipline.model_validate({"restart": 0, "storage_gbyte_s": 1, **PLAIN})
    outcome = replay_cluster(jobs, CLUSTER, discipline)
    (found,) = challenges_of(outcome, Steps.of(outcome), GPUS, 0)
    assert found.wait == 20
    assert (found.lost, found.restarting) == (0, 0)
    assert found.idle * 3600 == pytest.approx(20 * 16)
    assert found.stopping * 3600 == pytest.approx(20 * 32)


def test_completion_times_leave_services_out():
    jobs = table({"run_time": 50.0}, {"run_time": 150.0}, {"run_time": 9000.0, "kind": "service"})
    discipline = Discipline.model_validate(PLAIN)
    outcome = replay_cluster(jobs, CLUSTER, discipline)
    measured = measure(jobs, outcome, CLUSTER, discipline)
    assert measured["metrics"]["mean_jct"] == 100
    assert measured["metrics"]["makespan"] == 9000
    assert np.isnan(measured["metrics"]["time_to_full_machine"])
    assert measured["classes"]["normal"]["jobs"] == 3


def test_finish_time_fairness_divides_by_the_crowd():
    """Two jobs of the whole machine: together they ask for twice the GPUs; served in turn, the second is worst off."""
    jobs = pd.DataFrame(
        {"submit": [0.0, 0.0], "end": [100.0, 200.0], "gpus": [8.0, 8.0], "work": [100.0, 100.0]},
    )
    assert finish_time_fairness(jobs, 8).tolist() == pytest.approx([100 / 200, 200 / 150])


def test_tenants_are_told_with_their_quotas():
    jobs = table({"gpus": 8.0, "pods": 1, "tenant": "a"}, {"gpus": 8.0, "pods": 1, "tenant": "b", "run_time": 50.0})
    discipline = Discipline.model_validate(PLAIN | {"quotas": {"a": Quota(gpus=16), "b": Quota(gpus=8)}})
    outcome = replay_cluster(jobs, CLUSTER, discipline)
    tenants = measure(jobs, outcome, CLUSTER, discipline)["tenants"]
    assert [(t["guaranteed"], t["mean_gpus"], t["max_gpus"]) for t in tenants.values()] == [(16, 8, 8), (8, 4, 8)]


def test_energy_is_idle_power_and_what_jobs_add_while_they_hold_gpus():
    """Jobs that never stop: as from their schedule; of a victim what it lost and what restarting took is lost."""
    plain = table({"gpus": 4.0, "run_time": 1000.0}, {"gpus": 8.0, "submit": 500.0, "run_time": 2000.0})
    discipline = Discipline.model_validate({"restart": 60, **PLAIN})
    outcome = replay_cluster(plain, CLUSTER, discipline)
    metrics = measure(plain, outcome, CLUSTER, discipline)["metrics"]
    schedule = outcome.jobs[["start", "end"]].assign(submit=plain["submit"].to_numpy(), nodes="")
    assert metrics["energy"] == pytest.approx(it_power(schedule, plain, CLUSTER).energy / 3.6e6)
    assert metrics["lost_energy"] == 0
    victim = {"gpus": 32.0, "pods": 4, "run_time": 5000.0, "qos": "preemptible", "checkpoint_interval": np.inf}
    jobs = table(victim, challenge(submit=1000.0, run_time=3600.0))
    metrics = measure(jobs, replay_cluster(jobs, CLUSTER, discipline), CLUSTER, discipline)["metrics"]
    answers = per_gpu(jobs, CLUSTER)[1][0]
    assert metrics["lost_energy"] == pytest.approx((1000 + 60) * 32 * answers / 3.6e6)


def test_pooling_sums_amounts_and_averages_means():
    one = {"a": {"jobs": 2, "mean_jct": 10.0}}
    two = {"a": {"jobs": 4, "mean_jct": 30.0}, "b": {"jobs": 1, "mean_jct": 5.0}}
    assert pooled([one, two]) == {"a": {"jobs": 6, "mean_jct": 20}, "b": {"jobs": 1, "mean_jct": 5}}


def test_what_is_held_between_two_times():
    jobs = table({"gpus": 4.0, "run_time": 100.0})
    outcome = replay_cluster(jobs, CLUSTER, Discipline.model_validate(PLAIN))
    load = load_of(Steps.of(outcome), outcome.jobs)
    assert held_between(load, 50, 60) == 40
    assert held_between(load, -50, 500) == 400
