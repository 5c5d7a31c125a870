"""Putting tasks on nodes: CPUs, memory, whole GPUs and shares of one GPU.

All functions work on any pair of NODE records (N,) and free GPUs (N, G), be it what is free now, what will be
free at some time, or the least that is free over an interval. A job's tasks are in ``entries`` from
``job.entries`` on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcai.scheduling._jit import jit, jit_allocating
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.state import UNBOUNDED


@jit
def room_on(node: Any, gpu_free: NDArray[np.int32], job: Any) -> int:
    """Return how many of the job's tasks fit on a node, at most all; ``gpu_free`` (G,)."""
    if node.reserved > 0 or (job.groups >> node.group) & 1 == 0 or node.gpu < job.gpu:
        return 0
    room = job.size
    if job.cpu > 0:
        room = min(room, node.cpu // job.cpu)
    if job.memory > 0:
        room = min(room, node.memory // job.memory)
    if job.gpu > 0 and room > 0:
        fits = 0
        if job.gpu >= MILLI:
            for g in range(gpu_free.shape[0]):
                fits += gpu_free[g] == MILLI
            fits //= job.gpu // MILLI
        else:
            for g in range(gpu_free.shape[0]):
                fits += gpu_free[g] // job.gpu
        room = min(room, fits)
    return int(max(room, 0))


@jit_allocating
def place(nodes: NDArray[np.void], gpu_free: NDArray[np.int32], job: Any, entries: NDArray[np.void]) -> bool:
    """Choose a place for each task and write it to ``entries``; return whether all found one. Takes nothing.

    Fullest node first: fewest free GPUs, then fewest free CPUs, then lowest index.
    """
    placed = 0
    last_gpu, last_cpu, last_node = -UNBOUNDED, -UNBOUNDED, -1
    while placed < job.size:
        best = -1
        for i in range(nodes.shape[0]):
            gpu, cpu = nodes[i].gpu, nodes[i].cpu
            if gpu < last_gpu or (gpu == last_gpu and (cpu < last_cpu or (cpu == last_cpu and i <= last_node))):
                continue
            if best >= 0 and (gpu > nodes[best].gpu or (gpu == nodes[best].gpu and cpu >= nodes[best].cpu)):
                continue
            if room_on(nodes[i], gpu_free[i], job) > 0:
                best = i
        if best < 0:
            return False
        room = min(room_on(nodes[best], gpu_free[best], job), job.size - placed)
        choose_gpus(gpu_free[best], job, entries, job.entries + placed, room)
        for k in range(job.entries + placed, job.entries + placed + room):
            entries[k].node = best
        placed += room
        last_gpu, last_cpu, last_node = nodes[best].gpu, nodes[best].cpu, best
    return True


@jit_allocating
def choose_gpus(gpu_free: NDArray[np.int32], job: Any, entries: NDArray[np.void], first: int, tasks: int) -> None:
    """Write to ``entries[first:first + tasks]`` which GPUs of one node each task takes; ``gpu_free`` (G,)."""
    left = gpu_free.copy()
    for k in range(first, first + tasks):
        mask = np.int64(0)
        if job.gpu >= MILLI:
            wanted = job.gpu // MILLI
            for g in range(left.shape[0]):
                if wanted > 0 and left[g] == MILLI:
                    mask |= np.int64(1) << g
                    left[g] = 0
                    wanted -= 1
        elif job.gpu > 0:
            best = -1
            for g in range(left.shape[0]):
                if left[g] >= job.gpu and (best < 0 or left[g] < left[best]):
                    best = g
            mask = np.int64(1) << best
            left[best] -= job.gpu
        entries[k].gpus = mask


@jit
def hold(nodes: NDArray[np.void], gpu_free: NDArray[np.int32], job: Any, entries: NDArray[np.void], sign: int) -> None:
    """Take (``sign`` 1) or give back (-1) what the job's tasks hold at their places."""
    each = min(job.gpu, MILLI)
    for k in range(job.entries, job.entries + job.size):
        i = entries[k].node
        nodes[i].cpu -= sign * job.cpu
        nodes[i].memory -= sign * job.memory
        nodes[i].gpu -= sign * job.gpu
        for g in range(gpu_free.shape[1]):
            if (entries[k].gpus >> g) & 1:
                gpu_free[i, g] -= sign * each


@jit
def hold_if_free(nodes: NDArray[np.void], gpu_free: NDArray[np.int32], job: Any, entries: NDArray[np.void]) -> bool:
    """Take what the job's tasks would hold at their very places if all of it is free; return whether it was."""
    hold(nodes, gpu_free, job, entries, 1)
    for k in range(job.entries, job.entries + job.size):
        i = entries[k].node
        free = nodes[i].cpu >= 0 and nodes[i].memory >= 0
        for g in range(gpu_free.shape[1]):
            free &= gpu_free[i, g] >= 0
        if not free:
            hold(nodes, gpu_free, job, entries, -1)
            return False
    return True
