"""Who is next: the place of every job in the order, lowest first.

srtf: shortest remaining time first. las: Gu et al., "Tiresias" (NSDI 2019): levels of attained GPU-seconds, first come
within a level. themis: Mahajan et al., "Themis" (NSDI 2020): highest finish-time fairness, time in the shared cluster
over time alone on a fair share, first. multifactor: Slurm's priority/multifactor. drf: Ghodsi et al., "Dominant
Resource Fairness" (NSDI 2011): the tenant with the smallest dominant share first. round-robin: Xiao et al.,
"Gandiva" (OSDI 2018): least recently served first.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.discipline import ORDERS
from hpcai.scheduling.gpu_cluster.progress import bring_up_to_date, expected_left, gpus_of
from hpcai.scheduling.gpu_cluster.state import RUNNING, Cluster
from hpcai.scheduling.jobs import MILLI

STATIC, SRTF, LAS, THEMIS, MULTIFACTOR, DRF, FAIR_SHARE, ROUND_ROBIN = range(len(ORDERS))
LEVEL: Final = 1e10  # s, more than any submission time: levels never mix


@jit
def set_keys(st: Cluster) -> None:
    """Bring the places in the order of all jobs that wait or hold places up to date."""
    order = st.rules[0].order
    whole = 1.0
    if order in (FAIR_SHARE, MULTIFACTOR):
        for i in range(st.at[0].running):
            bring_up_to_date(st, st.running[i])  # what runs counts as use
        whole = all_use(st)
    elif order == THEMIS:
        whole = crowding(st)
    for i in range(st.at[0].queued):
        st.key[st.queue[i]] = key_of(st, st.queue[i], order, whole)
    for i in range(st.at[0].running):
        st.key[st.running[i]] = key_of(st, st.running[i], order, whole)


@jit
def key_of(st: Cluster, j: int, order: int, whole: float) -> float:
    """Return the place of job ``j`` in the order; ``whole`` is what all share."""
    run, work = st.run[j], st.work[j]
    if order == SRTF:
        return expected_left(st, j)
    if order == LAS:
        return float(level_of(st, j) * LEVEL + run.queued)
    if order == THEMIS:
        return -finish_time_fairness(st, j, whole)
    if order == MULTIFACTOR:
        return -priority(st, j, whole)
    if order == DRF:
        return dominant_share(st, work.tenant)
    if order == FAIR_SHARE:
        return float(decayed_use(st, work.tenant) / st.tenants[work.tenant].share)
    if order == ROUND_ROBIN:
        if run.status == RUNNING:  # is served now: behind all who wait, the longest slice last
            return float(LEVEL + st.at[0].now - run.begun)
        return float(-np.inf if run.stops == 0 else run.queued)
    late = run.queued - work.submit if st.rules[0].back and st.rules[0].first_come else 0.0
    return float(work.order + late)


@jit
def attained(st: Cluster, j: int) -> float:
    """Return the GPU-seconds that job ``j`` has held, up to now."""
    run = st.run[j]
    held = st.at[0].now - run.since if run.status == RUNNING else 0.0
    return float(run.attained + held * gpus_of(st, j))


@jit
def level_of(st: Cluster, j: int) -> int:
    """Return the level of job ``j`` by its attained service: 0 has priority."""
    level, service = 0, attained(st, j)
    while level < st.levels.shape[0] and service >= st.levels[level]:
        level += 1
    return level


@jit
def crowding(st: Cluster) -> float:
    """Return how many GPUs are asked for by all jobs that wait or run, relative to those there are, at least 1."""
    asked = 0.0
    for i in range(st.at[0].queued):
        asked += gpus_of(st, st.queue[i])
    for i in range(st.at[0].running):
        asked += gpus_of(st, st.running[i])
    return float(max(asked * MILLI / st.total[2], 1.0))


@jit
def finish_time_fairness(st: Cluster, j: int, crowd: float) -> float:
    """Return rho: time from submission to the expected end over that alone with a 1/N share of the cluster.

    The share is what is left of its GPUs if all jobs that are there had equal parts of what they ask for.
    """
    shared = st.at[0].now - st.work[j].submit + expected_left(st, j)
    return float(shared / (st.work[j].estimate * crowd))


@jit
def priority(st: Cluster, j: int, used: float) -> float:
    """Return Slurm's multifactor priority, highest first; ``used`` is the decayed use of all tenants."""
    age_weight, size_weight, class_weight, fair_weight, max_age = st.weights
    work, tenant = st.work[j], st.tenants[st.work[j].tenant]
    shares = 0.0
    for k in range(st.tenants.shape[0]):
        shares += st.tenants[k].share
    part = decayed_use(st, work.tenant) / used if used > 0 else 0.0
    fair = 2.0 ** (-part / (tenant.share / shares))
    age = min((st.at[0].now - st.run[j].queued) / max_age, 1.0)
    return float(age_weight * age + size_weight * work.size + class_weight * work.rank / 2 + fair_weight * fair)


@jit
def all_use(st: Cluster) -> float:
    """Return the decayed GPU-seconds of all tenants."""
    used = 0.0
    for k in range(st.tenants.shape[0]):
        used += decayed_use(st, k)
    return used


@jit
def decayed_use(st: Cluster, k: int) -> float:
    """Return the decayed GPU-seconds of tenant ``k`` now."""
    tenant = st.tenants[k]
    return float(tenant.usage * 2.0 ** (-(st.at[0].now - tenant.since) / st.rules[0].half_life))


@jit
def dominant_share(st: Cluster, k: int) -> float:
    """Return the largest part of CPUs, memory or GPUs that tenant ``k`` holds."""
    tenant = st.tenants[k]
    return float(max(tenant.cpu / st.total[0], tenant.memory / st.total[1], tenant.gpu / st.total[2]))


@jit
def changes_within_a_pass(order: int) -> bool:
    """Return whether a start moves others in the order."""
    return order == DRF


@jit
def sort_ids(ids: Any, n: int, keys: Any, scratch: Any) -> None:
    """Sort ``ids[:n]`` by ``keys``, then by number; nearly sorted ones take no longer than looking at them."""
    width = 16
    for begin in range(0, n, width):
        insertion(ids, begin, min(begin + width, n), keys)
    while width < n:
        for begin in range(0, n, 2 * width):
            merge(ids, begin, min(begin + width, n), min(begin + 2 * width, n), keys, scratch)
        width *= 2


@jit
def before(a: int, b: int, keys: Any) -> bool:
    """Return whether job ``a`` is before job ``b``."""
    return bool(keys[a] < keys[b] or (keys[a] == keys[b] and a < b))


@jit
def insertion(ids: Any, begin: int, end: int, keys: Any) -> None:
    """Sort a short part."""
    for i in range(begin + 1, end):
        job, k = ids[i], i
        while k > begin and before(job, ids[k - 1], keys):
            ids[k] = ids[k - 1]
            k -= 1
        ids[k] = job


@jit
def merge(ids: Any, begin: int, middle: int, end: int, keys: Any, scratch: Any) -> None:
    """Merge two sorted parts that follow each other."""
    if middle >= end or not before(ids[middle], ids[middle - 1], keys):
        return
    for i in range(begin, middle):
        scratch[i] = ids[i]
    a, b = begin, middle
    for i in range(begin, end):
        if a < middle and (b >= end or not before(ids[b], scratch[a], keys)):
            ids[i] = scratch[a]
            a += 1
        else:
            ids[i] = ids[b]
            b += 1
