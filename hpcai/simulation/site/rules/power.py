"""What the jobs of a GPU cluster draw where they are, and what each has drawn, event by event."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.state import RUNNING, STOPPING, Cluster

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Account(NamedTuple):
    """The account of each job, all (jobs,) but where said."""

    of_node: Integers  # (nodes,), node group
    idle_of_pod: Floats  # (jobs, groups), W of idle power that a pod answers for
    dynamic_of: Floats  # (levels, jobs, groups), W that a pod adds under a limit
    speed_of: Floats  # (levels, jobs, groups), of that without a limit
    limits: Integers  # (groups,), the level of the limit on the GPUs of each group
    own: Integers  # of that on the GPUs of each job
    pods: Floats  # (jobs, groups), pods that it has there now
    drawn: Floats  # (groups, jobs), W that it adds now
    dynamic: Floats  # W that it adds now
    idle: Floats  # W of idle power that it answers for now
    speed: Floats  # of that without a limit
    since: Floats  # s, when the next two were brought up to date
    added: Floats  # J that it added since the account was settled
    answered: Floats  # J that it answers for since then
    active: Flags  # whether it draws now
    touched: Flags  # whether it has drawn since the account was settled


@jit
def count(ac: Account, j: int, now: float) -> None:
    """Count what job ``j`` has drawn by ``now``."""
    held = now - ac.since[j]
    if held > 0 and ac.active[j]:
        ac.added[j] += held * ac.dynamic[j]
        ac.answered[j] += held * (ac.dynamic[j] + ac.idle[j])
        ac.touched[j] = True
    ac.since[j] = now


@jit
def draw_as_told(ac: Account, j: int) -> None:
    """Say what job ``j`` draws, and how fast it is, as it stands; a gang is as fast as the slowest of its pods."""
    drawn, idle, speed = 0.0, 0.0, 1.0
    for g in range(ac.limits.shape[0]):
        pods = ac.pods[j, g]
        level = min(ac.limits[g], ac.own[j])
        ac.drawn[g, j] = ac.dynamic_of[level, j, g] * pods
        drawn += ac.drawn[g, j]
        idle += ac.idle_of_pod[j, g] * pods
        if pods > 0:
            speed = min(speed, ac.speed_of[level, j, g])
    ac.dynamic[j], ac.idle[j], ac.speed[j] = drawn, idle, speed


@jit
def look_at(st: Cluster, ac: Account, jobs: Integers, now: float) -> None:
    """Something happened to ``jobs`` (rows) by ``now``: look where they are, and what they draw there."""
    for i in range(jobs.shape[0]):
        j = jobs[i]
        count(ac, j, now)
        run, first = st.run[j], st.work[j].entries
        ac.active[j] = run.status == RUNNING or run.status == STOPPING
        ac.pods[j] = 0.0
        if ac.active[j]:
            for k in range(first, first + run.tasks):
                ac.pods[j, ac.of_node[st.places[k].node]] += 1.0
        draw_as_told(ac, j)


@jit
def draw_all_as_told(st: Cluster, ac: Account, now: float) -> None:
    """Limits are others from ``now`` on: say what everybody draws."""
    for i in range(st.at[0].running):
        j = st.running[i]
        count(ac, j, now)
        draw_as_told(ac, j)


@jit
def sum_up(st: Cluster, ac: Account, of_groups: Floats) -> None:
    """Add up what is drawn in each group (groups,); anew, so that nothing is left over of sums and differences."""
    of_groups[:] = 0.0
    for i in range(st.at[0].running):
        for g in range(of_groups.shape[0]):
            of_groups[g] += ac.drawn[g, st.running[i]]
