"""What is not tried, because it cannot succeed, would not succeed."""

from __future__ import annotations

import copy

import pytest

from hpcai.scheduling.gpu_cluster.books import leave
from hpcai.scheduling.gpu_cluster.clearing import fits_without_others
from hpcai.scheduling.gpu_cluster.plans import enters
from hpcai.scheduling.gpu_cluster.state import Cluster
from hpcai.scheduling.gpu_cluster.victims import may_stop, shrinkable
from hpcai.scheduling.gpu_cluster.work import CHALLENGE
from tests.simulation.gpu_cluster.test_properties import DISCIPLINES, begun, moments


def copied(cluster: Cluster) -> Cluster:
    return copy.deepcopy(cluster._replace(log=cluster.log[:1]))


def has_room(cluster: Cluster, j: int, tasks: int) -> bool:
    st = copied(cluster)
    st.run[j]["tasks"] = tasks
    return enters(st, j)


def has_room_without_others(cluster: Cluster, j: int) -> bool:
    """Return whether job ``j`` finds places once all have left whom it may stop or shrink, tried out on a copy."""
    st = copied(cluster)
    for v in cluster.running[: cluster.at[0]["running"]]:
        if may_stop(cluster, j, v):
            leave(st, v, 0, cluster.run[v]["tasks"])
        elif shrinkable(cluster, j, v):
            leave(st, v, cluster.work[v]["least"], cluster.run[v]["tasks"])
    return enters(st, j)


@pytest.mark.parametrize("name", ["none", "class", "learned"])
@pytest.mark.parametrize("seed", range(3))
def test_nobody_waits_who_could_have_room(name, seed):
    """After a pass there is no room for who waits, nor could there be; whatever was remembered instead of tried."""
    cluster, waited = begun(seed, DISCIPLINES[name]), 0
    for _ in moments(cluster):
        at, elastic = cluster.at[0], cluster.rules[0]["elastic"]
        for j in cluster.queue[: min(at["queued"], 8)]:
            work = cluster.work[j]
            if work["rank"] == CHALLENGE or at["challenge"] >= 0:  # others wait for it although there is room
                continue
            waited += 1
            assert not has_room(cluster, j, work["least"] if elastic else work["tasks"])
            if cluster.rules[0]["preemption"]:
                assert not has_room_without_others(cluster, j)


@pytest.mark.parametrize("seed", range(3))
def test_room_that_could_be_made_is_known(seed):
    """At any moment, for jobs of any class: what a class can clear at most is what it would find."""
    cluster, answers = begun(seed, DISCIPLINES["class"]), set()
    for k, _ in enumerate(moments(cluster)):
        for j in range(k % 7, len(cluster.work), 7) if k % 5 == 0 else ():
            if cluster.run[j]["place"] < 0:
                found = fits_without_others(cluster, j)
                assert found == has_room_without_others(cluster, j)
                answers.add(found)
    assert answers == {True, False}
