"""Closed forms of checkpoints at two levels: every k-th goes to the shared file system, the others to local disks.

A fault of level 1 leaves the nodes' disks readable, one of level 2 does not. Each kind comes at a constant rate.
Moody et al., "Design, Modeling, and Evaluation of a Scalable Multi-level Checkpointing System", SC 2010; the first
order is that of Di et al., IEEE TPDS 28(1), 2017, and Benoit et al., IEEE TC 66(7), 2017.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

from hpcai.faults.checkpoints.job import CheckpointedJob


def two_level_waste(interval: float, every: int, job: CheckpointedJob, local_mtbf: float, global_mtbf: float) -> float:
    """Return the exact waste of ``every`` intervals of which the last ends with a checkpoint on the file system.

    The expected time of such a pattern solves linear equations: unknown are the time left from the beginning of each
    segment, from each local restart, and from the global restart.
    """
    rates = np.array([1.0 / local_mtbf, 1.0 / global_mtbf])
    total = rates.sum()
    lengths = interval + np.where(np.arange(every) == every - 1, job.write, job.local_write)
    of_all = np.concatenate([lengths, np.full(every, job.local_restart), [job.restart]])
    states, last = len(of_all), len(of_all) - 1
    survive = np.exp(-total * of_all)
    # Where each state goes on: a segment to the next (the last is done), a restart to the segment it is for.
    onward = np.concatenate([np.arange(1, every), [-1], np.arange(every), [0]])
    local = np.concatenate([every + np.arange(every), every + np.arange(every), [last]])
    matrix = np.eye(states)
    for i in range(states):
        if onward[i] >= 0:
            matrix[i, onward[i]] -= survive[i]
        matrix[i, local[i]] -= (1.0 - survive[i]) * rates[0] / total
        matrix[i, last] -= (1.0 - survive[i]) * rates[1] / total
    spent = (1.0 - survive) * (1.0 / total + job.down)
    return float(1.0 - every * interval / np.linalg.solve(matrix, spent)[0])


def first_order_two_level(
    interval: float, every: int, job: CheckpointedJob, local_mtbf: float, global_mtbf: float
) -> float:
    """Return the waste to first order: writing, and half a segment (pattern) lost at each fault of level 1 (2)."""
    writing = (job.local_write * (every - 1) + job.write) / every / interval
    local = (job.down + job.local_restart + interval / 2.0) / local_mtbf
    return float(writing + local + (job.down + job.restart + every * interval / 2.0) / global_mtbf)


def best_two_level(job: CheckpointedJob, local_mtbf: float, global_mtbf: float, most: int = 1000) -> tuple[float, int]:
    """Return interval and ``every`` of least exact waste; ``every`` is searched around its first-order value."""
    extra = max(job.write - job.local_write, 0.0)
    guess = np.sqrt(extra * global_mtbf / (max(job.local_write, 1e-9) * local_mtbf)) if extra else 1.0
    first = max(int(min(guess, most) * 0.5), 1)
    found: list[tuple[float, float, int]] = []
    for every in range(first, min(int(guess * 1.5) + 2, most) + 1):
        mean_write = job.local_write + extra / every
        centre = np.sqrt(2.0 * mean_write / (1.0 / local_mtbf + every / global_mtbf))
        result = minimize_scalar(
            lambda x, k=every: two_level_waste(np.exp(x), k, job, local_mtbf, global_mtbf),
            bounds=(np.log(centre / 4.0), np.log(centre * 4.0)),
            method="bounded",
        )
        found.append((float(result.fun), float(np.exp(result.x)), every))
    _, interval, every = min(found)
    return interval, every
