"""On which nodes, and on which of their GPUs, the tasks of running jobs are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from hpcai.errors import InputError
from hpcai.live.slurm.client import Job
from hpcai.live.slurm.layout import Layout
from hpcai.scheduling.jobs import MILLI, demand
from hpcai.scheduling.snapshot import Tasks


def equal_shares(job: Job) -> int:
    """Return of how many tasks, all alike, a running job consists: one a node, unless its GPUs are uneven.

    6 GPUs as 4 + 2 are three tasks of two.
    """
    counts = [len(gpus) for gpus in job.gpu_indices]
    if not counts or min(counts) in (0, max(counts)):
        return job.nodes
    return sum(counts) // math.gcd(*counts)


def tasks_of(jobs: Sequence[Job], table: pd.DataFrame, layout: Layout) -> list[Tasks]:
    """Return where the tasks of each of the running ``jobs`` are; ``table`` is theirs, row by row.

    GPUs that Slurm does not tell are taken to be the first ones free. Raises InputError if a job is on a node that
    the machine lacks.
    """
    need = demand(table, layout.machine)
    index = {name: i for i, name in enumerate(layout.names)}
    free = _Free(layout)
    for job in jobs:
        for name, gpus in zip(job.node_names, job.gpu_indices, strict=False):
            free.take(_index(job, name, index), gpus)
    return [
        list(_tasks(job, int(size), int(gpu), [_index(job, name, index) for name in job.node_names], free))
        for job, size, gpu in zip(jobs, need.size, need.gpu, strict=True)
    ]


class _Free:
    """The GPUs of each node that no job is known to have."""

    def __init__(self, layout: Layout) -> None:
        self._left = [set(range(group.gpus)) for group in layout.machine.groups for _ in range(group.count)]

    def take(self, node: int, gpus: Sequence[int]) -> None:
        self._left[node] -= set(gpus)

    def take_any(self, node: int, count: int) -> list[int]:
        taken = sorted(self._left[node])[:count]
        self.take(node, taken)
        return taken


def _index(job: Job, name: str, index: dict[str, int]) -> int:
    if name not in index:
        raise InputError(f"job {job.id}: runs on node {name!r}, expected a node of the machine")
    return index[name]


def _tasks(job: Job, size: int, gpu: int, nodes: Sequence[int], free: _Free) -> Iterator[tuple[int, int]]:
    """Yield node and GPU mask of each of ``size`` tasks of ``gpu`` thousandths of a GPU, node after node."""
    each = -(-gpu // MILLI)  # a share of a GPU is on one
    counts = _counts(job, size, each, len(nodes))
    for i, (node, count) in enumerate(zip(nodes, counts, strict=True)):
        shared = gpu < MILLI
        gpus = list(job.gpu_indices[i]) if job.gpu_indices else free.take_any(node, each if shared else count * each)
        for task in range(count):
            first = 0 if shared else task * each
            last = None if task == count - 1 else first + each  # no GPU of an uneven job is left out
            yield node, sum(1 << g for g in gpus[first:last])


def _counts(job: Job, size: int, each: int, n: int) -> list[int]:
    """Return how many of the tasks are on each of the job's ``n`` nodes: as its GPUs are, else evenly."""
    if job.gpu_indices and each:
        counts = [len(gpus) // each for gpus in job.gpu_indices]
        if sum(counts) == size:
            return counts
    return [size // n + (i < size % n) for i in range(n)]
