"""What holds of every pass over a queue of pods, whatever the cluster."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.live.kubernetes.binding import room_left
from hpcai.live.kubernetes.jobs import Job, queue_of
from hpcai.live.kubernetes.objects import Keys, Node, Pod, node_of, pod_of
from hpcai.live.kubernetes.placement import SCORES
from hpcai.live.kubernetes.plan import Planner
from tests.live.kubernetes_objects import gang, node, pod

KEYS, NOW = Keys(), 1000.0
NODES = [node_of(node(f"n{i}", rack=f"r{i // 2}")) for i in range(4)]
LIMITS = st.sampled_from([100.0, 200.0, 300.0, math.nan])


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[Job], list[Pod]]:
    """A queue of gangs, and pods that have been running since some time and fit the nodes."""
    pods: list[Pod] = []
    sizes = draw(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 8), LIMITS), min_size=1, max_size=7))
    for k, (size, gpus, limit) in enumerate(sizes):
        pods += [replace(pod_of(each, KEYS), limit=limit, created=float(k)) for each in gang(f"g{k}", size, gpus)]
    bound: list[Pod] = []
    for k, (where, gpus, limit) in enumerate(draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 8), LIMITS)))):
        if gpus + sum(each.amounts["nvidia.com/gpu"] for each in bound if each.node == f"n{where}") <= 8:
            item = pod_of(pod(f"r{k}", gpus, node=f"n{where}"), KEYS)
            bound.append(replace(item, limit=limit, started=draw(st.sampled_from([850.0, 950.0]))))
    return queue_of(pods, bound).jobs, bound


def _planner(nodes: list[Node], bound: list[Pod], jobs: list[Job], score: str) -> Planner:
    return Planner(nodes, room_left(nodes, bound, jobs, KEYS), SCORES[score])


@settings(deadline=None)
@given(clusters(), st.sampled_from(sorted(SCORES)))
def test_jobs_start_whole_fit_and_delay_none_that_room_is_held_for(
    cluster: tuple[list[Job], list[Pod]], score: str
) -> None:
    jobs, bound = cluster
    plan = _planner(NODES, bound, jobs, score).plan(jobs, bound, NOW, 10**6)
    for job, places in plan.starts:
        assert sorted(each.name for each, _ in places) == sorted(each.name for each in job.pods)
    started = [replace(each, node=where, started=NOW) for _, places in plan.starts for each, where in places]
    assert np.all(room_left(NODES, bound + started, jobs, KEYS).free >= 0)
    if plan.held is not None:
        # Pods keep to their limits; those without one are over only if the reservation counts on them.
        left = [each for each in bound + started if not each.started + each.limit <= plan.at]
        left = [] if plan.at == math.inf else left
        again = _planner(NODES, left, [plan.held], score).plan([plan.held], left, plan.at, 10**6)
        assert [job for job, _ in again.starts] == [plan.held]
    elif not plan.starts:
        assert all(sum(each.amounts["nvidia.com/gpu"] for each in job.pods) > 8 for job in jobs)


@settings(deadline=None)
@given(clusters())
def test_the_first_job_starts_if_it_fits(cluster: tuple[list[Job], list[Pod]]) -> None:
    jobs, bound = cluster
    alone = _planner(NODES, bound, jobs, "best-fit").plan(jobs[:1], bound, NOW, 1).starts
    among = _planner(NODES, bound, jobs, "best-fit").plan(jobs, bound, NOW, 1).starts
    assert [job for job, _ in alone] == [job for job, _ in among if job == jobs[0]]
