"""What is free on every node over future time, for reservations and conservative backfilling.

Row b of the profile is what is free from ``times[b]`` to ``times[b + 1]``; the last row has no end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.scheduling._jit import jit, jit_allocating
from hpcai.scheduling.nodes import hold
from hpcai.scheduling.state import State


class NodeProfile(NamedTuple):
    """B rows of room, N nodes, G GPUs a node."""

    times: NDArray[np.float64]  # (B,) s
    nodes: NDArray[np.void]  # NODE (B, N)
    gpu_free: NDArray[np.int32]  # (B, N, G)


@jit_allocating
def lay_node_profile(st: State, now: float) -> tuple[NodeProfile, int]:
    """Return the profile of the running jobs and the reservations from ``now`` on, and its length."""
    s = st.scalars[0]
    n_nodes, n_gpus = st.gpu_free.shape
    room = s.running + 2 * st.windows.shape[0] + 16
    profile = NodeProfile(
        np.empty(room), np.empty((room, n_nodes), st.nodes.dtype), np.empty((room, n_nodes, n_gpus), np.int32)
    )
    profile.times[0] = now
    profile.nodes[0] = st.nodes
    profile.gpu_free[0] = st.gpu_free
    for i in range(n_nodes):
        profile.nodes[0, i].reserved = 0
    n = 1
    for r in range(s.running - 1, -1, -1):
        end = max(now, st.running[r].end)
        if end == np.inf:
            break
        if end > profile.times[n - 1]:
            _copy_row(profile, n - 1, n)
            profile.times[n] = end
            n += 1
        hold(profile.nodes[n - 1], profile.gpu_free[n - 1], st.jobs[st.running[r].job], st.entries, -1)
    for w in range(st.windows.shape[0]):
        window = st.windows[w]
        if window.end > now:
            profile, n, first = cut(profile, n, max(now, window.start))
            last = n
            if window.end < np.inf:
                profile, n, last = cut(profile, n, window.end)
            for b in range(first, last):
                for i in range(n_nodes):
                    profile.nodes[b, i].reserved += st.window_nodes[w, i]
    return profile, n


@jit_allocating
def _copy_row(profile: NodeProfile, source: int, target: int) -> None:
    profile.times[target] = profile.times[source]
    profile.nodes[target] = profile.nodes[source]
    profile.gpu_free[target] = profile.gpu_free[source]


@jit_allocating
def cut(profile: NodeProfile, n: int, t: float) -> tuple[NodeProfile, int, int]:
    """Make ``t`` a breakpoint; return the profile (it may have moved), its length and the index of ``t``."""
    i = int(np.searchsorted(profile.times[:n], t))
    if i < n and profile.times[i] == t:
        return profile, n, i
    if n == profile.times.shape[0]:
        larger = NodeProfile(
            np.empty(2 * n),
            np.empty((2 * n, profile.nodes.shape[1]), profile.nodes.dtype),
            np.empty((2 * n, profile.gpu_free.shape[1], profile.gpu_free.shape[2]), np.int32),
        )
        larger.times[:n] = profile.times
        larger.nodes[:n] = profile.nodes
        larger.gpu_free[:n] = profile.gpu_free
        profile = larger
    for b in range(n, i, -1):
        _copy_row(profile, b - 1, b)
    _copy_row(profile, i - 1, i)
    profile.times[i] = t
    return profile, n + 1, i


@jit
def least_free(
    profile: NodeProfile, n: int, first: int, duration: float, nodes: NDArray[np.void], gpu_free: NDArray[np.int32]
) -> None:
    """Lower ``nodes`` and ``gpu_free`` to the least that is free from row ``first`` on for ``duration``."""
    end = profile.times[first] + duration
    b = first
    while b < n and (b == first or profile.times[b] < end):
        for i in range(nodes.shape[0]):
            row = profile.nodes[b, i]
            nodes[i].cpu = min(nodes[i].cpu, row.cpu)
            nodes[i].memory = min(nodes[i].memory, row.memory)
            nodes[i].gpu = min(nodes[i].gpu, row.gpu)
            nodes[i].reserved = max(nodes[i].reserved, row.reserved)
            for g in range(gpu_free.shape[1]):
                gpu_free[i, g] = min(gpu_free[i, g], profile.gpu_free[b, i, g])
        b += 1


@jit_allocating
def take_nodes(
    profile: NodeProfile, n: int, first: int, duration: float, job: Any, entries: NDArray[np.void]
) -> tuple[NodeProfile, int]:
    """Take what the job's placed tasks hold from row ``first`` on for ``duration``; return profile and length."""
    if duration <= 0.0:
        return profile, n
    last = n
    end = profile.times[first] + duration
    if end < np.inf:
        profile, n, last = cut(profile, n, end)
    for b in range(first, last):
        hold(profile.nodes[b], profile.gpu_free[b], job, entries, 1)
    return profile, n
