"""A cluster under faults: by hand, against a replay without faults, and whatever falls: no job and no time is lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.cluster import Machine, Reservation
from hpcai.errors import InputError
from hpcai.faults.checkpoints.constant import Fixed
from hpcai.faults.checkpoints.cost import Storage
from hpcai.faults.lifetimes import Lifetime
from hpcai.scheduling.policy import Policy
from hpcai.simulation import replay
from hpcai.simulation.faults.cluster import FaultSetting
from hpcai.simulation.faults.cluster_run import KINDS, ClusterRun, run_cluster
from hpcai.simulation.faults.node_books import BUSY, DOWN, SPARE
from hpcai.simulation.faults.outages import Domain, Outage, merged
from hpcai.simulation.faults.storage import SharedStorage
from tests.workloads import table


def machine(nodes: int) -> Machine:
    return Machine.model_validate(
        {"name": "toy", "groups": [{"name": "n", "count": nodes, "cpus": 4, "memory_gib": 8, "gpus": 2}]}
    )


def jobs(submit: list[float], run: list[float], nodes: list[int]) -> pd.DataFrame:
    return table(submit=submit, run_time=run, requested_time=run, processors=nodes, nodes=nodes)


def setting(outages: list[Outage], interval: float = np.inf, **others: object) -> FaultSetting:
    defaults = {"storage": Storage(shared=10.0), "node_bytes": 20.0, "node_rate": 1e-4, "requeue": 5.0}
    return FaultSetting(outages, Fixed(interval), **(defaults | others))  # type: ignore[arg-type]


def run(table_: pd.DataFrame, nodes: int, what: FaultSetting, duration: float = 1000.0, **policy: str) -> ClusterRun:
    return run_cluster(table_, machine(nodes), Policy(**policy), what, duration)


def test_a_job_goes_on_from_its_checkpoint_by_hand() -> None:
    # 40 s of work; 2 s (20 bytes at 10 B/s) to write after each 10 s; its node falls at 30, when 20 s are kept.
    what = setting([Outage(30.0, (0,), 50.0)], interval=10.0)
    found = run(jobs([0.0], [40.0], [1]), 2, what).jobs.iloc[0]
    # 0-10, write to 12, 12-22, write to 24, 24-30 lost; requeued at 35 on node 1; read to 37; -47, write to 49; -59
    assert found["end"] == 59.0
    assert found[list(KINDS)].tolist() == [40.0, 6.0, 6.0, 2.0]
    assert found["interruptions"] == 1
    assert found["running"] == 30.0 + 24.0


def test_without_checkpoints_it_begins_anew_and_waits_for_the_repair() -> None:
    found = run(jobs([0.0], [40.0], [2]), 2, setting([Outage(30.0, (0,), 50.0)]))
    assert found.jobs.iloc[0]["end"] == 120.0
    assert found.node_seconds[:, DOWN].tolist() == [50.0, 0.0]
    assert found.node_seconds[:, BUSY].tolist() == [70.0, 70.0]
    assert found.metrics()["goodput"] == pytest.approx(80 / 2000)
    assert found.metrics()["mtti"] == 70.0
    assert found.mtti_by_size() == {"2 to 3": (70.0, 1)}


def test_a_spare_takes_the_place_and_the_repaired_node_is_the_spare() -> None:
    what = setting([Outage(30.0, (0,), 50.0), Outage(200.0, (2,), 10.0)], spares=1)
    found = run(jobs([0.0, 190.0], [40.0, 30.0], [2, 2]), 3, what)
    assert found.jobs["end"].tolist() == [75.0, 235.0]
    assert found.node_seconds[0, SPARE] == pytest.approx(200.0 - 80.0)
    assert found.node_seconds[2, SPARE] == pytest.approx(30.0 + 1000.0 - 210.0)


def test_crews_repair_one_after_the_other() -> None:
    falls = [Outage(10.0, (0,), 100.0), Outage(20.0, (1,), 100.0)]
    assert run(jobs([30.0], [5.0], [2]), 2, setting(falls, crews=1)).jobs["end"].tolist() == [215.0]
    assert run(jobs([30.0], [5.0], [2]), 2, setting(falls)).jobs["end"].tolist() == [125.0]


def test_a_switch_takes_its_nodes_and_a_node_that_is_down_does_not_fall_again() -> None:
    falls = [Outage(10.0, (0, 1), 50.0, "network"), Outage(20.0, (1,), 500.0)]
    found = run(jobs([0.0, 0.0], [30.0, 30.0], [1, 1]), 3, setting(falls), ordering="fcfs")
    assert found.outages == 1
    assert found.jobs["interruptions"].tolist() == [1, 1]
    assert found.node_seconds[:, DOWN].tolist() == [50.0, 50.0, 0.0]


def test_a_drained_node_gets_no_new_job() -> None:
    def drain(history, books, now):
        return np.arange(2) == 0

    what = setting([], drain=drain, drain_every=50.0, drain_for=500.0)
    found = run(jobs([0.0, 60.0], [100.0, 10.0], [1, 2]), 2, what, 600.0)
    assert found.jobs["end"].tolist()[0] == 100.0  # it may end what it has
    assert np.isnan(found.jobs["end"].tolist()[1])  # drained again as soon as it is back
    assert found.metrics()["drained"] == pytest.approx((600 - 100) / 1200, abs=0.01)


def test_without_faults_it_is_the_replay_beside_reservations() -> None:
    """EASY places backfilled jobs otherwise where the machine has reservations (docs/semantics.md): here far off."""
    rng = np.random.default_rng(3)
    n = 60
    work = jobs(
        np.sort(rng.integers(0, 400, n)).astype(float).tolist(),
        rng.integers(1, 60, n).astype(float).tolist(),
        rng.integers(1, 5, n).tolist(),
    )
    for policy in (Policy(), Policy(ordering="sjf"), Policy(backfill="conservative"), Policy(backfill="none")):
        found = run_cluster(work, machine(5), policy, setting([]), 1e5)
        whole = work.assign(processors=work["nodes"] * 4, gpus=work["nodes"] * 2.0)
        reserved = tuple(Reservation(nodes=(name,), start=1e8, end=2e8) for name in machine(5).node_names)
        alike = replay(whole, machine(5).model_copy(update={"reservations": reserved}), policy)
        assert found.jobs["end"].tolist() == pytest.approx(alike.table["end"].tolist())


OUTAGES = st.lists(
    st.tuples(st.integers(0, 300), st.sets(st.integers(0, 3), min_size=1, max_size=3), st.integers(1, 80)), max_size=12
)
JOBS = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 60), st.integers(1, 3)), min_size=1, max_size=10)


@settings(max_examples=70, deadline=None)
@given(
    OUTAGES,
    JOBS,
    st.sampled_from([3.0, 17.0, np.inf]),
    st.sampled_from([None, 1, 2]),
    st.integers(0, 1),
    st.sampled_from(["easy", "conservative", "none"]),
    st.integers(1, 400),
)
def test_no_job_and_no_time_is_lost(falls, work, interval, crews, spares, backfill, cut) -> None:
    outages = [Outage(float(t), tuple(sorted(nodes)), float(repair)) for t, nodes, repair in falls]
    outages.sort(key=lambda outage: outage.time)
    work = sorted(work)
    asked = jobs([float(t) for t, _, _ in work], [float(r) for _, r, _ in work], [n for _, _, n in work])

    def drain(history, books, now):
        return history.last > 0.5 * now

    what = setting(outages, interval, crews=crews, spares=spares, drain=drain, drain_every=60.0, drain_for=40.0)
    for duration in (float(cut), 4000.0):
        found = run(asked, 4, what, duration, backfill=backfill)
        table_ = found.jobs
        assert found.node_seconds.sum(axis=1) == pytest.approx([duration] * 4)
        assert (found.node_seconds >= 0).all()
        by_kind = table_[list(KINDS)].to_numpy()
        assert by_kind.sum(axis=1) == pytest.approx(table_["running"].to_numpy(), abs=1e-6)
        assert (by_kind >= -1e-9).all()
        assert (by_kind.sum(axis=1) * table_["nodes"]).sum() == pytest.approx(found.node_seconds[:, BUSY].sum())
        ended = np.isfinite(table_["end"])
        assert table_["useful"][ended].tolist() == pytest.approx(table_["work"][ended].tolist(), abs=1e-5)
        assert (table_["useful"] <= table_["work"] + 1e-6).all()
    assert ended.all()  # in the end all is repaired, and every job is through


def test_the_same_seed_draws_the_same_domains() -> None:
    domain = Domain("network", 4, Lifetime("weibull", 1000.0, 0.7), Lifetime("lognormal", 100.0, 1.0))
    draws = [domain.draw(10, 5000.0, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert {outage.nodes for outage in draws[0]} <= {(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)}
    times = [outage.time for outage in merged(draws)]
    assert times == sorted(times)


def test_transfers_share_what_others_cannot_use() -> None:
    env, ends = simpy.Environment(), {}
    storage = SharedStorage(env, Storage(shared=10.0, node_link=2.0))
    storage.begin(20.0, 1, lambda: ends.setdefault("slow", env.now))  # 2 B/s at most
    storage.begin(40.0, 9, lambda: ends.setdefault("first", env.now))  # 8 B/s alone, 4 beside another
    env.run(until=2.0)
    stopped = storage.begin(100.0, 9, lambda: ends.setdefault("never", env.now))
    env.run(until=4.0)
    storage.cancel(stopped)
    env.run()
    # first: 16 bytes by 2 s, 24 by 4 s, then 8 B/s; slow: 2 B/s all the time
    assert ends == {"first": pytest.approx(6.0), "slow": pytest.approx(10.0)}


def test_what_cannot_be_simulated_is_said() -> None:
    one = jobs([0.0], [1.0], [2])
    for what, words in (
        (setting([Outage(0.0, (7,), 1.0)]), r"outage at 0 s: found nodes \(7,\), expected 0 to 1"),
        (setting([], spares=2), "spares 2: expected 0 to 1 of 2 nodes"),
        (setting([], spares=1), "a job needs 2 nodes: expected at most 1 beside the spares"),
        (setting([], crews=0), "crews 0: expected 1 or more"),
    ):
        with pytest.raises(InputError, match=words):
            run(one, 2, what)
