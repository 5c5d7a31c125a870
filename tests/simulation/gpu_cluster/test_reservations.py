"""Places kept for who waits: the plain replay's, start for start, and what is special to a GPU cluster."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hpcai.cluster.spec import Partition
from hpcai.scheduling.gpu_cluster.discipline import Discipline
from hpcai.scheduling.policy import Policy
from hpcai.simulation import replay
from hpcai.simulation.gpu_cluster.replay import replay_cluster
from tests.gpu_workloads import CLUSTER
from tests.simulation.gpu_cluster.test_replay import played, table

PLAIN = {"queueing": "strict", "preemption": "none", "elastic": False, "communication": False}
HALVES = CLUSTER.model_copy(
    update={"partitions": (Partition(name="left", groups=("p",)), Partition(name="right", groups=("v",)))}
)


def crowd(seed: int, n: int = 200) -> pd.DataFrame:
    """Return jobs of whole GPUs, each for one half of the cluster, that come faster than they can be served."""
    rng = np.random.default_rng(seed)
    jobs = table(*({} for _ in range(n)))
    gpus = rng.choice([1, 2, 4, 8, 16], n)
    return jobs.assign(
        submit=np.sort(np.round(rng.uniform(0, 4000, n), 1)),
        run_time=np.round(rng.lognormal(5.5, 1.2, n), 1).clip(2),
        gpus=gpus.astype(float),
        processors=gpus,
        pods=np.maximum(gpus // 4, 1),
        nodes=np.maximum(gpus // 4, 1),
        gpu_kind="",
        partition=rng.choice(["left", "right"], n),
        requested_time=lambda t: t["run_time"] * rng.uniform(1, 3, n),
    )


@pytest.mark.parametrize("backfill", ["none", "easy", "conservative"])
@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_plain_replay(backfill, seed):
    """The fullest nodes first, without a network or preemption: the two simulations agree start for start."""
    jobs = crowd(seed)
    plain = replay(jobs, HALVES, Policy(ordering="fcfs", backfill=backfill)).table["start"]
    own = replay_cluster(jobs, HALVES, Discipline.model_validate(PLAIN | {"backfill": backfill})).jobs["start"]
    assert np.allclose(own, plain)


def test_the_three_differ():
    """So that the test above says something."""
    means = [
        replay_cluster(crowd(0), HALVES, Discipline.model_validate(PLAIN | {"backfill": each})).jobs["start"].mean()
        for each in ("none", "easy", "conservative")
    ]
    assert len({round(mean) for mean in means}) == 3
    assert means[0] > means[1]


EIGHT = {"gpus": 8.0, "pods": 1}
ALL = {"gpus": 32.0, "pods": 4}


@pytest.mark.parametrize("backfill", ["easy", "conservative"])
def test_who_ends_in_time_starts_before_and_who_does_not_waits(backfill):
    jobs = table(
        {"gpus": 24.0, "pods": 3, "run_time": 1000.0},
        ALL | {"submit": 10.0},
        EIGHT | {"submit": 20.0, "run_time": 981.0},  # would end a second late
        EIGHT | {"submit": 30.0, "run_time": 970.0},  # ends with the first
    )
    assert played(jobs, **PLAIN, backfill=backfill).jobs["start"].tolist() == [0, 1000, 1100, 30]


def test_only_conservative_keeps_a_place_for_the_second_who_waits():
    """The last may have the eight GPUs that the second leaves free, but the third needs them all."""
    jobs = table(
        {"gpus": 24.0, "pods": 3, "run_time": 1000.0},
        {"gpus": 24.0, "pods": 3, "run_time": 500.0, "submit": 10.0},
        ALL | {"submit": 20.0, "run_time": 500.0},
        EIGHT | {"submit": 30.0, "run_time": 5000.0},
    )
    assert played(jobs, **PLAIN, backfill="easy").jobs["start"].tolist() == [0, 1000, 5030, 30]
    assert played(jobs, **PLAIN, backfill="conservative").jobs["start"].tolist() == [0, 1000, 1500, 2000]


@pytest.mark.parametrize("backfill", ["easy", "conservative"])
def test_who_gives_way_starts_beside_and_gives_way(backfill):
    """A preemptible job runs on the GPUs that the second waits for, until it has them."""
    jobs = table(
        {"gpus": 24.0, "pods": 3, "run_time": 1000.0},
        ALL | {"submit": 10.0},
        EIGHT | {"submit": 20.0, "run_time": 5000.0, "qos": "preemptible"},
    )
    outcome = played(jobs, queueing="strict", backfill=backfill).jobs
    assert outcome["start"].tolist() == [0, 1000, 20]
    assert outcome["stops"].tolist() == [0, 0, 1]


@pytest.mark.parametrize("backfill", ["easy", "conservative"])
def test_who_waits_may_not_stop_others_where_it_would_delay_the_first(backfill):
    """Eight GPUs of a preemptible job: who ends in time has them, who does not has not."""
    jobs = table(
        {"gpus": 24.0, "pods": 3, "run_time": 1000.0},
        EIGHT | {"run_time": 9000.0, "qos": "preemptible", "checkpoint_interval": 1.0},
        ALL | {"submit": 10.0},
        EIGHT | {"submit": 20.0, "run_time": 2000.0},
        EIGHT | {"submit": 30.0, "run_time": 500.0},
    )
    outcome = played(jobs, queueing="strict", backfill=backfill).jobs
    assert outcome["start"].tolist() == [0, 0, 1000, 1100, 30]


def test_patience_keeps_a_place_for_who_has_waited_long():
    jobs = table(
        {"gpus": 24.0, "pods": 3, "run_time": 1000.0},
        ALL | {"submit": 10.0},
        EIGHT | {"submit": 20.0, "run_time": 300.0},
        EIGHT | {"submit": 340.0, "run_time": 3000.0},
        EIGHT | {"submit": 350.0, "run_time": 500.0},
    )
    late = played(jobs, preemption="none", backfill="easy", patience=325.0).jobs["start"].tolist()
    assert late == [0, 1000, 20, 1100, 350]
    assert played(jobs, preemption="none").jobs["start"].tolist()[3] == 340


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"backfill": "easy"}, "nobody is held up; expected queueing strict or a patience"),
        ({"backfill": "easy", "queueing": "strict", "preemption": "order"}, "expected none where an order pre-empts"),
    ],
)
def test_reservations_that_mean_nothing_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Discipline.model_validate(settings)
