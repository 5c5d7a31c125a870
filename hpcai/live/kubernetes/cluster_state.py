"""The cluster as policies read it: from jobs, pods and nodes to the tables of a :class:`hpcai.live.state.LiveState`.

What a policy is shown is counted in whole CPUs and GiB, a little coarser than what pods are bound by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from hpcai.cluster.spec import Machine, Reservation
from hpcai.errors import InputError
from hpcai.live.kubernetes.eligibility import eligible
from hpcai.live.kubernetes.jobs import Job
from hpcai.live.kubernetes.objects import Keys, Needs, Node, Pod, gpus_in
from hpcai.live.state import LiveState
from hpcai.records.readers._nodes import machine_listed
from hpcai.records.schema import empty_jobs
from hpcai.scheduling.snapshot import Tasks

_GIB = 2.0**30


def live_state(
    jobs: Sequence[Job], running: Sequence[Pod], nodes: Sequence[Node], keys: Keys, now: float, default_limit: float
) -> LiveState:
    """Return what is known at ``now`` (Unix time).

    Each running pod is a job of its own, for it ends on its own. ``default_limit`` (s) stands in for the time that a
    job did not ask for. Raises InputError if no node has a CPU.
    """
    machine, places = machine_of(nodes, keys)
    placed = sorted((pod for pod in running if pod.node in places), key=lambda pod: pod.created)
    placed = [pod for pod in placed if _cpus(pod.amounts) or gpus_in(pod.amounts, keys)]
    origin = min([now, *(job.created for job in jobs), *(pod.created for pod in placed)])
    table = _table([_waiting_row(job, keys, origin, default_limit) for job in jobs])
    rows = [_running_row(pod, keys, origin, default_limit, now) for pod in placed]
    return LiveState(now - origin, origin, machine, table, _table(rows), _tasks(placed, places, keys))


def machine_of(nodes: Sequence[Node], keys: Keys) -> tuple[Machine, dict[str, int]]:
    """Return the machine that the nodes are, and the index in it of each node."""

    def like(node: Node) -> tuple[str, float, float, float]:
        memory = node.capacity.get("memory", 0.0)
        whole = math.floor(memory / _GIB) * _GIB or memory  # nodes of a kind differ by some KiB
        return node.gpu_kind, gpus_in(node.capacity, keys), float(_cpus(node.capacity)), whole

    usable = [node for node in nodes if _cpus(node.capacity) and node.capacity.get("memory", 0.0) > 0]
    usable.sort(key=like)
    kinds, gpus, cpus, memory = zip(*map(like, usable), strict=True) if usable else ((), (), (), ())
    machine = machine_listed("kubernetes", np.array(cpus), np.array(memory), np.array(gpus), kinds) if usable else None
    if machine is None:
        raise InputError("the cluster: found no node with CPUs and memory, expected one")
    closed = tuple(
        name for name, node in zip(machine.node_names, usable, strict=True) if not eligible(node, _tolerant(node, keys))
    )
    if closed:
        machine = machine.model_copy(update={"reservations": (Reservation(name="closed", nodes=closed),)})
    return machine, {node.name: i for i, node in enumerate(usable)}


def _tolerant(node: Node, keys: Keys) -> Needs:
    """Return needs that tolerate what merely keeps pods without GPUs away from nodes with them."""
    return Needs(tolerations=tuple((name, "Exists", "", "") for name in keys.gpus if name in node.capacity))


def _cpus(amounts: Mapping[str, float]) -> int:
    return int(amounts.get("cpu", 0.0) // 1000)


def _waiting_row(job: Job, keys: Keys, origin: float, default_limit: float) -> dict[str, object]:
    processors = max(1, math.ceil(job.amounts.get("cpu", 0.0) / 1000))
    return {
        **_row(job.like, job.amounts, keys, default_limit if math.isnan(job.limit) else job.limit),
        "job_id": job.name,
        "submit": job.created - origin,
        "processors": processors,
        "requested_processors": processors,
        "nodes": job.nodes,
        "status": "pending",
    }


def _running_row(pod: Pod, keys: Keys, origin: float, default_limit: float, now: float) -> dict[str, object]:
    start = now if math.isnan(pod.started) else min(max(pod.started, pod.created), now)
    return {
        **_row(pod, pod.amounts, keys, default_limit if math.isnan(pod.limit) else pod.limit),
        "job_id": f"{pod.namespace}/{pod.name}",
        "submit": pod.created - origin,
        "start": start - origin,
        "processors": _cpus(pod.amounts),
        "requested_processors": _cpus(pod.amounts),
        "nodes": 1,
        "status": "running",
    }


def _row(like: Pod, amounts: Mapping[str, float], keys: Keys, limit: float) -> dict[str, object]:
    return {
        "requested_time": limit,
        "gpus": gpus_in(amounts, keys),
        "gpu_kind": like.gpu_kind,
        "memory": amounts.get("memory") or math.nan,
        "user": like.user,
        "tenant": like.namespace,
        "queue": like.queue,
        "qos": like.qos,
    }


def _table(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    table = empty_jobs(len(rows))
    if not rows:
        return table
    for name in rows[0]:
        values = pd.Series([row[name] for row in rows])
        table[name] = values.astype("category" if table[name].dtype == "category" else table[name].dtype)
    return table


def _tasks(pods: Sequence[Pod], places: dict[str, int], keys: Keys) -> list[Tasks]:
    """Return where each pod is; which GPUs of a node it has is not known, so the first that are left."""
    taken: dict[int, int] = {}
    tasks: list[Tasks] = []
    for pod in pods:
        node, gpus = places[pod.node], int(gpus_in(pod.amounts, keys))
        first = taken.get(node, 0)
        taken[node] = first + gpus
        tasks.append([(node, ((1 << gpus) - 1) << first)])
    return tasks
