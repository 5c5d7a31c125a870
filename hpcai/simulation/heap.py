"""A binary heap of (time, job) in two arrays, for the compiled clock. Equal times come out by job."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcai.jit import jit


@jit
def heap_push(times: NDArray[np.float64], jobs: NDArray[np.int64], n: int, time: float, job: int) -> None:
    """Add an event to a heap of ``n``; the caller counts it."""
    i = n
    while i > 0:
        parent = (i - 1) // 2
        if times[parent] < time or (times[parent] == time and jobs[parent] <= job):
            break
        times[i], jobs[i] = times[parent], jobs[parent]
        i = parent
    times[i], jobs[i] = time, job


@jit
def heap_pop(times: NDArray[np.float64], jobs: NDArray[np.int64], n: int) -> int:
    """Remove the first event of a heap of ``n`` and return its job; the caller counts it."""
    first = int(jobs[0])
    time, job = times[n - 1], jobs[n - 1]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= n - 1:
            break
        right = child + 1
        if right < n - 1 and (
            times[right] < times[child] or (times[right] == times[child] and jobs[right] < jobs[child])
        ):
            child = right
        if time < times[child] or (time == times[child] and job <= jobs[child]):
            break
        times[i], jobs[i] = times[child], jobs[child]
        i = child
    times[i], jobs[i] = time, job
    return first
