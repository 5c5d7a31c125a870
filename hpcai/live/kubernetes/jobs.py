"""Jobs as the queue controller sees them: a pod, a gang of pods, or a Workload of Kueue."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hpcai.live.kubernetes.objects import Keys, Pod


@dataclass(frozen=True)
class Job:
    """What waits as one; times are Unix seconds."""

    name: str  # namespace/name
    created: float
    priority: int  # of its class, higher first
    nodes: int  # pods, which is as many nodes at most
    amounts: Mapping[str, float]  # of all pods
    limit: float  # s; nan without
    like: Pod  # one of its pods, for what is the same in all: namespace, user, queue, GPU model
    pods: tuple[Pod, ...] = ()  # those that wait; none for a Workload
    begun: bool = False  # others of the gang have nodes already
    item: Any = None  # the Workload


@dataclass(frozen=True)
class Queue:
    """The jobs that may start now, and those that may not and why."""

    jobs: list[Job]
    incomplete: int  # gangs of which not enough pods are there yet
    unmet: dict[str, str]  # job name -> what it asks for that the controller does not know


def queue_of(waiting: Iterable[Pod], bound: Iterable[Pod]) -> Queue:
    """Return the jobs that pods make up; those of one gang are one job once enough of them are there.

    A gang without a size of its own is complete with the pods that there are.
    """
    gangs: dict[str, list[Pod]] = {}
    for pod in waiting:
        gangs.setdefault(pod.gang or f"{pod.namespace}/{pod.name}\n", []).append(pod)
    placed: dict[str, int] = {}
    for pod in bound:
        if pod.gang:
            placed[pod.gang] = placed.get(pod.gang, 0) + 1
    jobs, incomplete, unmet = [], 0, {}
    for key, pods in gangs.items():
        name = key.rstrip("\n")  # which a pod on its own has, not to be taken for a gang of its name
        size = max(pod.gang_size for pod in pods) if pods[0].gang else 1
        if why := next((pod.unmet for pod in pods if pod.unmet), ""):
            unmet[name] = why
        elif len(pods) + placed.get(key, 0) < size:
            incomplete += 1
        else:
            jobs.append(_job(name, pods, begun=key in placed))
    return Queue(sorted(jobs, key=lambda job: (job.created, job.name)), incomplete, unmet)


def _job(name: str, pods: list[Pod], begun: bool) -> Job:
    return Job(
        name=name,
        created=min(pod.created for pod in pods),
        priority=max(pod.priority for pod in pods),
        nodes=len(pods),
        amounts=total(pod.amounts for pod in pods),
        limit=max((pod.limit for pod in pods if not math.isnan(pod.limit)), default=math.nan),
        like=pods[0],
        pods=tuple(sorted(pods, key=lambda pod: (pod.created, pod.name))),
        begun=begun,
    )


def total(amounts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the sum of amounts, resource by resource."""
    found: dict[str, float] = {}
    for each in amounts:
        for name, amount in each.items():
            found[name] = found.get(name, 0.0) + amount
    return found


def resources_beside(jobs: Iterable[Job], keys: Keys) -> list[str]:
    """Return the resources that jobs ask for beside GPUs, so that none is left out of account."""
    return sorted({name for job in jobs for name, amount in job.amounts.items() if amount and name not in keys.gpus})
