"""What must hold at every moment of a GPU cluster, whatever the discipline and the jobs."""

from __future__ import annotations

import os

import numpy as np
import pytest

from hpcai.scheduling.gpu_cluster.discipline import Discipline, Quota
from hpcai.scheduling.gpu_cluster.progress import bring_up_to_date
from hpcai.scheduling.gpu_cluster.state import CLAIMED, DONE, RUNNING, STOPPING, Cluster, make_cluster
from hpcai.scheduling.gpu_cluster.work import CHALLENGE, make_workload
from hpcai.simulation.gpu_cluster.clock import happen, next_time
from tests.gpu_workloads import CLUSTER, gpu_cluster_jobs

QUOTAS = {"a": Quota(gpus=24), "b": Quota(gpus=16, borrow=8), "c": Quota(gpus=8)}
BY_KIND = {
    "a": Quota(gpus={"P100": 8, "V100": 16}),
    "b": Quota(gpus={"P100": 8}, borrow={"P100": 4, "V100": 8}),
    "c": Quota(gpus={"V100": 16}, borrow=4),
}
DISCIPLINES = {
    "none": Discipline(preemption="none", elastic=False),
    "class": Discipline(storage_gbyte_s=1),
    "strict": Discipline(queueing="strict", placement="topology-aware", victims="latest-start"),
    "patient": Discipline(patience=600, placement="fgd", victims="least-lost", requeue="back"),
    "deadline": Discipline(drain="deadline", storage_gbyte_s=1, victims="by-node", grace=120, drain_bound=900),
    "staggered": Discipline(drain="staggered", storage_gbyte_s=0.5, victims="by-node", grace=120, drain_bound=900),
    "learned": Discipline(victims="learned", victim_weights={"lost": 1.0, "surplus": 0.5}, placement="best-fit"),
    "quotas": Discipline(quotas=QUOTAS, storage_gbyte_s=1),
    "quotas-strict": Discipline(quotas=QUOTAS, queueing="strict", elastic=False, preemption="none"),
    "quotas-by-kind": Discipline(quotas=BY_KIND, storage_gbyte_s=1),
    "quotas-by-kind-conservative": Discipline(quotas=BY_KIND, queueing="strict", backfill="conservative"),
    "easy": Discipline(queueing="strict", backfill="easy", drain="deadline", grace=120, drain_bound=900),
    "easy-none": Discipline(patience=600, backfill="easy", preemption="none"),
    "conservative": Discipline(queueing="strict", backfill="conservative", placement="topology-aware"),
    "conservative-none": Discipline(queueing="strict", backfill="conservative", preemption="none", elastic=False),
    "las": Discipline(order="las", preemption="order", quantum=120, tick=300),
    "srtf": Discipline(order="srtf", preemption="order", quantum=60, restart=5),
    "themis": Discipline(order="themis", preemption="order", quantum=600, tick=600, margin=0.5),
    "multifactor": Discipline(order="multifactor", tick=600),
    "drf": Discipline(order="drf", preemption="none"),
    "fair-share": Discipline(order="fair-share", isolation=True),
    "gandiva": Discipline(
        order="round-robin", preemption="order", quantum=300, tick=300, saves="all", share_gpus=True, placement="spread"
    ),
}
SEEDS = range(int(os.environ.get("FUZZ", "3")))


def begun(seed: int, discipline: Discipline, n: int = 120) -> Cluster:
    jobs = gpu_cluster_jobs(np.random.default_rng(seed), n, challenges=seed % 3)
    return make_cluster(make_workload(jobs, CLUSTER, discipline), CLUSTER, discipline)


def moments(cluster: Cluster):
    """Let everything happen, one moment after the other; fail if the clock does not come to an end."""
    for _ in range(200_000):
        time = next_time(cluster)
        if time == np.inf:
            return
        happen(cluster, time)
        cluster.at["logged"] = 0
        yield
    pytest.fail("the clock goes on for ever")


def held(cluster: Cluster, statuses: tuple[int, ...]) -> np.ndarray:
    """Return the thousandths of each GPU that jobs of these statuses hold, (N, G)."""
    nodes = cluster.nodes
    total = np.zeros_like(nodes.gpu)
    for j in cluster.running[: cluster.at[0]["running"]]:
        if cluster.run[j]["status"] not in statuses:
            continue
        work = cluster.work[j]
        for place in cluster.places[work["entries"] : work["entries"] + cluster.run[j]["tasks"]]:
            bits = (int(place["gpus"]) >> np.arange(total.shape[1])) & 1
            assert bits.sum() == -(-int(work["gpu"]) // 1000)  # every pod is somewhere, with all its GPUs
            total[place["node"]] += bits * min(int(work["gpu"]), 1000)
    return total


@pytest.mark.parametrize("name", DISCIPLINES)
@pytest.mark.parametrize("seed", SEEDS)
def test_what_holds_at_every_moment(name, seed):
    cluster = begun(seed, DISCIPLINES[name])
    nodes, at = cluster.nodes, cluster.at[0]
    room = np.where(np.arange(nodes.gpu.shape[1])[None, :] < nodes.gpus[:, None], 1000, 0)
    for _ in moments(cluster):
        assert (held(cluster, (RUNNING, STOPPING)) <= room).all()
        booked = held(cluster, (RUNNING, STOPPING, CLAIMED))
        assert (nodes.gpu == room - booked).all()
        assert at["free"] == np.maximum(nodes.gpu, 0).sum()
        waiting = cluster.queue[: at["queued"]]
        assert len(set(waiting)) == len(waiting)
        assert not set(waiting) & set(cluster.running[: at["running"]])
        assert (cluster.run["remaining"] <= cluster.run["saved"] + 1e-6).all()
        if cluster.rules[0]["quotas"]:
            check_quotas(cluster)
    run = cluster.run
    left = run["status"] != DONE
    if not cluster.rules[0]["quotas"]:
        assert not left.any()
    assert (nodes.gpu + held(cluster, (RUNNING, STOPPING, CLAIMED)) == room).all()
    assert np.allclose(run["executed"], cluster.work["work"] - run["remaining"] + run["undone"])
    assert (run["undone"] >= -1e-9).all()


def check_quotas(cluster: Cluster) -> None:
    """What runs is within every limit; where quotas are by GPU kind, by the kind of the nodes where each pod is."""
    by_kind = cluster.quotas.shape[1] > 1
    used = np.zeros(cluster.quotas.shape, dtype=np.int64)
    for j in cluster.running[: cluster.at[0]["running"]]:
        work, run = cluster.work[j], cluster.run[j]
        if run["status"] not in (RUNNING, STOPPING) or work["rank"] == CHALLENGE or work["gpu"] == 0:
            continue
        nodes = cluster.places["node"][work["entries"] : work["entries"] + run["tasks"]]
        bits = np.unique(cluster.nodes.kind[nodes])
        assert not by_kind or len(bits) == 1
        used[work["tenant"], int(bits[0]).bit_length() if by_kind else 0] += run["tasks"] * work["gpu"]
    assert (used <= cluster.quotas["limit"]).all()
    for c, guaranteed in enumerate(cluster.cohorts["nominal"]):
        assert (used[cluster.tenants["cohort"] == c].sum(axis=0) <= guaranteed).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_work_is_conserved_at_every_moment(seed):
    cluster = begun(seed, DISCIPLINES["staggered"])
    for _ in moments(cluster):
        for j in cluster.running[: cluster.at[0]["running"]]:
            bring_up_to_date(cluster, j)
        run = cluster.run
        assert np.allclose(run["executed"] - run["undone"] + run["remaining"], cluster.work["work"])
