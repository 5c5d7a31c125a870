"""Replays of logs on a GPU cluster: equal to the plain replay where they should be, and hand-worked cases."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hpcai.errors import InputError
from hpcai.records.schema import empty_jobs
from hpcai.scheduling.gpu_cluster.discipline import Discipline, Quota
from hpcai.scheduling.policy import Policy
from hpcai.simulation import replay
from hpcai.simulation.gpu_cluster.replay import Outcome, replay_cluster
from tests.gpu_workloads import CLUSTER, gpu_cluster_jobs

PLAIN = Discipline(queueing="strict", placement="first-fit", preemption="none", elastic=False, communication=False)
GPUS = CLUSTER.total_gpus


def table(*rows: dict[str, object]) -> pd.DataFrame:
    """Return jobs with these fields and one CPU; one GPU and 100 s unless they say otherwise."""
    jobs = empty_jobs(len(rows))
    fields = [
        {"submit": 0.0, "run_time": 100.0, "gpus": 1.0, "qos": "normal", "tenant": "a", "gpu_kind": "V100"} | row
        for row in rows
    ]
    for name in {name for row in fields for name in row}:
        jobs[name] = [row.get(name, jobs[name].iloc[0]) for row in fields]
    return jobs.assign(job_id=[str(i) for i in range(len(rows))], processors=1, requested_time=jobs["run_time"])


def played(jobs: pd.DataFrame, **settings: object) -> Outcome:
    return replay_cluster(jobs, CLUSTER, Discipline.model_validate({"restart": 0, "communication": False} | settings))


@pytest.mark.parametrize("seed", range(5))
def test_without_contention_it_is_the_plain_replay(seed):
    """First come first served, pods on any GPUs: the two simulations agree start for start."""
    jobs = gpu_cluster_jobs(np.random.default_rng(seed), 150, challenges=0)
    jobs = jobs.assign(qos="normal", min_gpus=np.nan, max_gpus=np.nan, nodes=jobs["pods"], gpu_kind="V100")
    jobs = jobs[(jobs["gpus"] >= 1) & (jobs["gpus"] % 4 == 0)].reset_index(drop=True)
    plain = replay(jobs, CLUSTER, Policy(ordering="fcfs", backfill="none")).table["start"]
    assert np.allclose(replay_cluster(jobs, CLUSTER, PLAIN).jobs["start"], plain)


@pytest.mark.parametrize("seed", range(3))
def test_contention_only_slows_down_who_shares_links(seed):
    jobs = gpu_cluster_jobs(np.random.default_rng(seed), 150)
    alone = replay_cluster(jobs.assign(model=""), CLUSTER, Discipline(contention=True))
    off = replay_cluster(jobs.assign(model=""), CLUSTER, Discipline(contention=False))
    pd.testing.assert_frame_equal(alone.jobs, off.jobs)


def test_preemption_costs_the_work_since_the_last_checkpoint():
    """A job of 32 GPUs with checkpoints every 300 s is stopped after 1,000 s, and 100 s have to be done again."""
    jobs = table(
        {"gpus": 32.0, "pods": 4, "run_time": 2000.0, "qos": "preemptible", "checkpoint_interval": 300.0},
        {"gpus": 32.0, "pods": 4, "run_time": 500.0, "submit": 1000.0},
    )
    outcome = played(jobs, restart=60).jobs
    assert outcome["start"].tolist() == [0, 1000]
    assert outcome["end"].tolist() == [1500 + 60 + 1100, 1500]
    assert outcome["lost"].tolist() == [100 * 32, 0]
    assert outcome["overhead"].tolist() == [60 * 32, 0]


def test_a_checkpoint_on_the_signal_saves_all_and_takes_its_time():
    jobs = table(
        {"gpus": 32.0, "pods": 4, "run_time": 2000.0, "qos": "preemptible", "on_signal": 1, "checkpoint_bytes": 2e10},
        {"gpus": 32.0, "pods": 4, "run_time": 500.0, "submit": 1000.0},
    )
    outcome = played(jobs, storage_gbyte_s=1, grace=30).jobs
    assert outcome["start"].tolist() == [0, 1020]
    assert outcome["end"].tolist() == [1520 + 1000, 1520]
    assert outcome["lost"].tolist() == [0, 0]
    late = played(jobs, storage_gbyte_s=1, grace=10).jobs  # not written in time: killed at its end, all is lost
    assert late["start"].tolist() == [0, 1010]
    assert late["lost"].tolist() == [1000 * 32, 0]


def test_an_elastic_job_shrinks_before_anybody_is_stopped():
    """On 32 GPUs a job that grew to 32 gives 8 back; without shrinking it would have been stopped."""
    jobs = table(
        {"gpus": 8.0, "min_gpus": 2.0, "max_gpus": 32.0, "run_time": 4000.0, "qos": "preemptible", "scaling": 1.0},
        {"gpus": 8.0, "pods": 1, "run_time": 100.0, "submit": 1000.0},
    )
    outcome = played(jobs, resize=0, resize_interval=0).jobs
    assert outcome["stops"].tolist() == [0, 0]
    assert outcome["start"].tolist() == [0, 1000]
    # 4,000 s on 8 GPUs: 1,000 s on 32, less the 8 that it lends for none of them
    assert outcome["end"].iloc[0] == pytest.approx(1000.0)


def test_a_tenant_takes_back_what_is_guaranteed_to_it():
    """Tenant a borrows all 32 GPUs; b gets its 16 at once, and a keeps its own 16."""
    quotas = {"a": Quota(gpus=16), "b": Quota(gpus=16)}
    jobs = table(
        *({"gpus": 8.0, "pods": 1, "run_time": 5000.0, "checkpoint_interval": np.inf} for _ in range(4)),
        {"gpus": 16.0, "pods": 2, "submit": 100.0, "tenant": "b", "run_time": 200.0},
    )
    outcome = played(jobs, quotas=quotas).jobs
    assert outcome["start"].iloc[4] == 100
    assert outcome["stops"].sum() == 2
    kept = played(jobs, quotas=quotas, reclaim=False).jobs
    assert kept["start"].iloc[4] == 5000


def test_a_job_beyond_its_quota_is_named():
    with pytest.raises(InputError, match="job '0': never starts"):
        played(table({"gpus": 8.0, "pods": 1}), quotas={"a": Quota(gpus=4, borrow=0)})


def test_jobs_that_stop_each_other_for_ever_are_found_out():
    jobs = table(*({"gpus": 32.0, "pods": 4, "run_time": 5000.0, "checkpoint_interval": np.inf} for _ in range(2)))
    with pytest.raises(InputError, match="stop each other for ever"):
        played(jobs, order="round-robin", preemption="order", quantum=10, tick=10)


def test_what_is_lost_is_counted_at_the_size_at_which_it_was_done():
    """3,000 s on 8 GPUs, shrunk to 4 of them for 100 s, then stopped: 8 x 3,000 + 4 x 100 GPU-s are lost."""
    jobs = table(
        {"gpus": 8.0, "min_gpus": 4.0, "max_gpus": 8.0, "run_time": 9000.0, "qos": "preemptible", "scaling": 1.0},
        *({"gpus": 8.0, "pods": 1, "run_time": 20_000.0} for _ in range(3)),
        {"gpus": 4.0, "pods": 1, "run_time": 20_000.0, "submit": 3000.0},
        {"gpus": 4.0, "pods": 1, "run_time": 20_000.0, "submit": 3100.0},
    ).assign(checkpoint_interval=np.inf)
    outcome = played(jobs, resize=0).jobs
    assert outcome["start"].iloc[-1] == 3100
    assert outcome["lost"].iloc[0] == 8 * 3000 + 4 * 100


def test_an_elastic_job_of_the_right_kind_shrinks():
    """Idle GPUs of another kind are no reason to wait, nor to stop anybody."""
    jobs = table(
        {"gpus": 16.0, "min_gpus": 1.0, "max_gpus": 16.0, "run_time": 9000.0, "gpu_kind": "P100", "scaling": 1.0},
        {"gpus": 4.0, "pods": 1, "submit": 10.0, "gpu_kind": "P100"},
    )
    assert played(jobs).jobs["start"].tolist() == [0, 10]


def test_an_elastic_job_grows_when_it_may():
    jobs = table(
        {"gpus": 4.0, "min_gpus": 1.0, "max_gpus": 8.0, "run_time": 9000.0, "scaling": 1.0},
        *({"gpus": 8.0, "pods": 1, "run_time": 200.0} for _ in range(3)),
        {"gpus": 4.0, "pods": 1, "run_time": 200.0},
    )
    grown = played(jobs, resize_interval=500.0).events.query("what == 'resize'")
    assert grown["time"].tolist() == [500.0]
    assert grown["tasks"].tolist() == [8]


def test_a_job_put_back_stands_as_if_submitted_anew():
    jobs = table(
        {"gpus": 32.0, "pods": 4, "run_time": 300.0, "qos": "preemptible"},
        {"gpus": 32.0, "pods": 4, "run_time": 100.0, "submit": 10.0},
        {"gpus": 32.0, "pods": 4, "run_time": 400.0, "submit": 20.0, "qos": "preemptible"},
    )
    assert played(jobs, requeue="back").jobs["end"].tolist() == [410, 110, 810]


def test_time_slices_go_round():
    jobs = table(*({"gpus": 32.0, "pods": 4, "run_time": 300.0} for _ in range(2)))
    outcome = played(jobs, order="round-robin", preemption="order", quantum=60, tick=60, saves="all")
    assert outcome.jobs["stops"].tolist() == [4, 4]
    assert outcome.jobs["end"].tolist() == [540, 600]


def test_a_job_that_ends_with_the_signal_has_ended():
    jobs = table(
        {"gpus": 32.0, "pods": 4, "run_time": 1000.0, "qos": "preemptible", "checkpoint_interval": np.inf},
        {"gpus": 32.0, "pods": 4, "submit": 100.0, "qos": "grand-challenge"},
    )
    outcome = played(jobs, drain="staggered", drain_bound=900.0).jobs
    assert outcome["stops"].tolist() == [0, 0]
    assert outcome["start"].tolist() == [0, 1000]


def test_a_tenant_beyond_its_limit_holds_nobody_up():
    jobs = table(
        {"gpus": 8.0, "pods": 1, "run_time": 900.0},
        {"gpus": 8.0, "pods": 1, "submit": 1.0},
        {"gpus": 8.0, "pods": 1, "submit": 2.0, "tenant": "b"},
    )
    quotas = {"a": Quota(gpus=8, borrow=0), "b": Quota(gpus=8)}
    assert played(jobs, quotas=quotas, queueing="strict").jobs["start"].tolist() == [0, 900, 2]


def test_a_challenge_counts_against_no_quota():
    quotas = {"a": Quota(gpus=8), "b": Quota(gpus=8)}
    jobs = table(
        {"gpus": 8.0, "pods": 1, "run_time": 900.0},
        {"gpus": 8.0, "pods": 1, "qos": "grand-challenge", "run_time": 900.0},
        {"gpus": 8.0, "pods": 1, "submit": 20.0, "tenant": "b"},
    )
    assert played(jobs, quotas=quotas).jobs["stops"].sum() == 0


def test_running_jobs_count_as_use():
    """Tenant a has held seven GPUs for 2,000 s, b used one for as long: b is next."""
    jobs = table(
        *({"gpus": 1.0, "run_time": 5000.0} for _ in range(7)),
        *({"gpus": 8.0, "pods": 1, "run_time": 2000.0, "tenant": "c"} for _ in range(3)),
        {"gpus": 1.0, "run_time": 2000.0, "tenant": "b"},
        {"gpus": 24.0, "pods": 3, "submit": 10.0, "run_time": 50.0},
        {"gpus": 24.0, "pods": 3, "submit": 20.0, "run_time": 50.0, "tenant": "b"},
    )
    outcome = played(jobs, order="fair-share", preemption="none").jobs
    assert outcome["start"].tolist()[-2:] == [2050, 2000]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"victim_weights": {"losst": 1}}, "victim_weights: unknown 'losst'"),
        ({"thresholds": (5.0, 1.0)}, "thresholds"),
        ({"shares": {"a": 0.0}}, "shares: expected numbers above 0"),
    ],
)
def test_wrong_settings(setting, said):
    with pytest.raises(ValueError, match=said):
        Discipline.model_validate(setting)


@pytest.mark.parametrize("drain", ["at-once", "deadline", "staggered"])
def test_a_grand_challenge_has_every_gpu_by_its_deadline(drain):
    jobs = gpu_cluster_jobs(np.random.default_rng(5), 200)
    outcome = replay_cluster(jobs, CLUSTER, Discipline(drain=drain, drain_bound=900, grace=60, storage_gbyte_s=1))
    challenge = outcome.jobs[outcome.jobs["rank"] == 2].iloc[0]
    assert challenge["start"] - challenge["submit"] <= (60 if drain == "at-once" else 900) + 1e-6
    assert outcome.jobs["end"].notna().all()


def test_who_stops_counts_against_its_quota_until_it_is_gone():
    """Idle GPUs do not help: tenant a has eight, and its own job has yet to write its checkpoint for 20 s."""
    jobs = table(
        {"gpus": 8.0, "pods": 1, "run_time": 900.0, "qos": "preemptible", "on_signal": 1, "checkpoint_bytes": 2e10},
        {"gpus": 8.0, "pods": 1, "submit": 100.0},
    )
    outcome = played(jobs, quotas={"a": Quota(gpus=8, borrow=0)}, storage_gbyte_s=1, grace=30).jobs
    assert outcome["start"].tolist() == [0, 120]
