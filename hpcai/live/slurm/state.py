"""From what Slurm said to the live state that policies read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from hpcai.cluster.spec import Machine
from hpcai.live.slurm.client import Job, Poll
from hpcai.live.slurm.layout import layout
from hpcai.live.slurm.tasks import equal_shares, tasks_of
from hpcai.live.slurm.words import HAS_NODES, NOT_YET, WAITS
from hpcai.live.state import LiveState
from hpcai.records.readers._table import canonical

UNLIMITED: Final = 365 * 86400.0  # s; what Slurm's own backfilling takes for no limit


def live_state(poll: Poll, origin: float, machine: Machine | None = None) -> LiveState:
    """Return the state at ``poll``, in s from ``origin`` (Unix time).

    The machine is inferred from the nodes if none is given (:func:`hpcai.live.slurm.layout.layout`, which also says
    what Slurm calls its nodes). A running job whose GPUs are spread unevenly counts as many nodes as it has equal
    shares. Raises InputError if the machine does not match the nodes.
    """
    placed = layout(poll, machine)
    jobs = _with_memory_that_counts(poll.jobs)
    waiting = [_whole_nodes(job, placed.machine) for job in jobs if may_start(job)]
    running = [job for job in jobs if job.node_names and job.start is not None]
    table = job_table(running, origin, placed.machine, "running", equal_shares)
    return LiveState(
        now=poll.at - origin,
        origin=origin,
        machine=placed.machine,
        waiting=job_table(waiting, origin, placed.machine, "pending", lambda job: job.nodes),
        running=table,
        tasks=tasks_of(running, table, placed) if placed.machine.by_node else (),
    )


def may_start(job: Job) -> bool:
    """Whether ``job`` waits for nothing but its turn and free nodes."""
    return job.state == WAITS and job.priority > 0 and job.reason not in NOT_YET


def _with_memory_that_counts(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs in order of submission, without memory where Slurm does not count it.

    There running jobs have none, while waiting ones seem to ask for all that a node has.
    """
    ordered = sorted(jobs, key=lambda job: (job.waits_since, job.number))
    if all(job.memory is not None for job in jobs if job.state in HAS_NODES):
        return ordered
    return [replace(job, memory=None) for job in ordered]


def _whole_nodes(job: Job, machine: Machine) -> Job:
    """Return ``job`` with all CPUs of its nodes if it will share them with nobody."""
    if not job.exclusive or not machine.by_node:
        return job
    each = -(-job.cpus // max(job.nodes, 1))
    groups = {name for part in machine.partitions if part.name == _partition(job) for name in part.groups}
    sizes = [group.cpus for group in machine.groups if group.cpus >= each and (not groups or group.name in groups)]
    return replace(job, cpus=min(sizes, default=each) * max(job.nodes, 1))


def _partition(job: Job) -> str:
    """Return the partition that it was submitted to, or the first of several."""
    return job.partition.partition(",")[0]


def _limit(job: Job, machine: Machine) -> float:
    most = {part.name: part.max_time for part in machine.partitions}.get(_partition(job))
    return job.time_limit or most or UNLIMITED


def job_table(
    jobs: Sequence[Job], origin: float, machine: Machine, status: str, nodes: Callable[[Job], int]
) -> pd.DataFrame:
    """Return the canonical table of ``jobs``, in their order; ``nodes`` says how many of them a job counts as."""

    def each(value: Callable[[Job], Any], dtype: Any = np.float64) -> Any:
        return np.array([value(job) for job in jobs], dtype=dtype)

    columns = {
        "job_id": each(lambda job: job.id, object),
        "submit": each(lambda job: job.waits_since) - origin,
        "start": each(lambda job: np.nan if job.start is None else job.start) - origin,
        "requested_time": each(lambda job: _limit(job, machine)),
        "processors": each(lambda job: job.cpus),
        "requested_processors": each(lambda job: job.cpus),
        "nodes": each(nodes),
        "gpus": each(lambda job: job.gpus),
        "gpu_kind": each(lambda job: job.gpu_kind, object),
        "memory": each(lambda job: np.nan if job.memory is None else job.memory),
        "user": each(lambda job: job.user, object),
        "group": each(lambda job: job.account, object),
        "tenant": each(lambda job: job.account, object),
        "partition": each(_partition, object),
        "qos": each(lambda job: job.qos, object),
        "status": each(lambda job: status, object),
    }
    return canonical(columns, np.arange(len(jobs), dtype=np.int64))
