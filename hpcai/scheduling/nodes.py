"""Putting tasks on nodes: CPUs, memory, whole GPUs and shares of one GPU.

Room is a table of integers, a row per node, (N, 4 + G): what is free of each (state.CPU and so on). All functions
work on any such table, be it what is free now, what will be free at some time, or the least that is free over an
interval. Where a job's tasks are is in ``st.entries`` from ``job.entries`` on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcai.jit import jit
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.state import CPU, FIRST_GPU, GPU, MEMORY, OPEN, UNBOUNDED, State

Room = NDArray[np.int64]


@jit
def copy_room(source: Room, target: Room) -> None:
    """Copy one table of room over another."""
    for i in range(source.shape[0]):
        for c in range(source.shape[1]):
            target[i, c] = source[i, c]


@jit
def lower_to(least: Room, room: Room, i: int) -> None:
    """Lower what ``least`` says of node ``i`` to what ``room`` says."""
    for c in range(room.shape[1]):
        least[i, c] = min(least[i, c], room[i, c])
    least[i, GPU] = 0  # the sum of what stays free of each, which may be less than what is free at any one time
    for c in range(FIRST_GPU, room.shape[1]):
        least[i, GPU] += least[i, c]


@jit
def tasks_on(st: State, room: Room, i: int, job: Any) -> int:
    """Return how many of the job's tasks fit on node ``i``, at most all."""
    if room[i, OPEN] < 0 or (job.groups >> st.node_group[i]) & 1 == 0 or room[i, GPU] < job.gpu:
        return 0
    tasks = job.size
    if job.cpu > 0:
        tasks = min(tasks, room[i, CPU] // job.cpu)
    if job.memory > 0:
        tasks = min(tasks, room[i, MEMORY] // job.memory)
    if job.gpu > 0 and tasks > 0:
        fits = 0
        for g in range(FIRST_GPU, room.shape[1]):
            if job.gpu < MILLI:
                fits += room[i, g] // job.gpu
            elif room[i, g] == MILLI:
                fits += 1
        tasks = min(tasks, fits if job.gpu < MILLI else fits // (job.gpu // MILLI))
    return int(max(tasks, 0))


@jit
def place(st: State, room: Room, job: Any) -> bool:
    """Choose a place for each task and write it to the entries; return whether all found one. Takes nothing.

    Fullest node first: fewest free GPUs, then fewest free CPUs, then lowest index.
    """
    placed = 0
    last_gpu, last_cpu, last_node = -UNBOUNDED, -UNBOUNDED, -1
    while placed < job.size:
        best = -1
        for i in range(room.shape[0]):
            gpu, cpu = room[i, GPU], room[i, CPU]
            if gpu < last_gpu or (gpu == last_gpu and (cpu < last_cpu or (cpu == last_cpu and i <= last_node))):
                continue
            if best >= 0 and (gpu > room[best, GPU] or (gpu == room[best, GPU] and cpu >= room[best, CPU])):
                continue
            if tasks_on(st, room, i, job) > 0:
                best = i
        if best < 0:
            return False
        tasks = min(tasks_on(st, room, best, job), job.size - placed)
        _choose_gpus(st, room, best, job, job.entries + placed, tasks)
        placed += tasks
        last_gpu, last_cpu, last_node = room[best, GPU], room[best, CPU], best
    return True


@jit
def _choose_gpus(st: State, room: Room, i: int, job: Any, first: int, tasks: int) -> None:
    """Put ``tasks`` of the job's tasks on node ``i``: write their entries from ``first`` on."""
    left = st.left
    for g in range(left.shape[0]):
        left[g] = room[i, FIRST_GPU + g]
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
        st.entries[k].node = i
        st.entries[k].gpus = mask


@jit
def hold(st: State, room: Room, job: Any, sign: int) -> None:
    """Take (``sign`` 1) or give back (-1) what the job's tasks hold at their places."""
    each = min(job.gpu, MILLI)
    for k in range(job.entries, job.entries + job.size):
        i = st.entries[k].node
        room[i, CPU] -= sign * job.cpu
        room[i, MEMORY] -= sign * job.memory
        room[i, GPU] -= sign * job.gpu
        for g in range(room.shape[1] - FIRST_GPU):
            if (st.entries[k].gpus >> g) & 1:
                room[i, FIRST_GPU + g] -= sign * each


@jit
def hold_if_free(st: State, room: Room, job: Any) -> bool:
    """Take what the job's tasks would hold at their very places if all of it is free; return whether it was."""
    hold(st, room, job, 1)
    for k in range(job.entries, job.entries + job.size):
        i = st.entries[k].node
        for c in range(room.shape[1]):
            if room[i, c] < 0 and c != OPEN:
                hold(st, room, job, -1)
                return False
    return True
