"""The books: which places a job has, and what its tenant has used of its quota.

A job may be entered at places that others are still leaving. The books are then below zero there, so nobody else is
sent to them, and the job starts as soon as they are not.
"""

from __future__ import annotations

from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.ahead import is_settled
from hpcai.scheduling.gpu_cluster.state import Cluster
from hpcai.scheduling.gpu_cluster.work import CHALLENGE
from hpcai.scheduling.placement.gangs import place_gang
from hpcai.scheduling.placement.nodes import remove, take
from hpcai.scheduling.placement.policies import forget, place_pod


@jit
def pod_of(st: Cluster, j: int) -> int:
    """Return the type of the pods of job ``j``, of its flavour."""
    return int(st.flavours[st.work[j].type, st.run[j].flavour])


@jit
def find_places(st: Cluster, j: int) -> bool:
    """Enter job ``j`` on the books with all its pods, if there is room; return whether there was."""
    work, tasks = st.work[j], st.run[j].tasks
    if tasks * work.gpu > st.at[0].free:
        return False
    held, pod = st.places[work.entries : work.entries + tasks], pod_of(st, j)
    if not place_gang(st.nodes, st.types[pod], pod, st.rule, held):
        return False
    st.at[0].free -= tasks * work.gpu
    count(st, j, tasks)
    return True


@jit
def add_pod(st: Cluster, j: int) -> bool:
    """Enter one pod more of job ``j``, if there is room; return whether there was."""
    work, run, pod = st.work[j], st.run[j], pod_of(st, j)
    if not place_pod(st.nodes, st.types[pod], pod, st.rule, st.places[work.entries + run.tasks]):
        return False
    run.tasks += 1
    st.at[0].free -= work.gpu
    count(st, j, 1)
    return True


@jit
def leave(st: Cluster, j: int, first: int, last: int) -> None:
    """Take pods ``first`` to ``last`` (exclusive) of job ``j`` off the books; where they were stays noted."""
    work = st.work[j]
    for k in range(work.entries + first, work.entries + last):
        n = st.places[k].node
        before = free_among(st, n, st.places[k].gpus)
        remove(st.nodes, st.types[work.type], st.places[k])
        st.places[k].node = n
        st.at[0].free += free_among(st, n, st.places[k].gpus) - before
        forget(st.rule, n)
    count(st, j, first - last)


@jit
def enter_again(st: Cluster, j: int, first: int, last: int) -> None:
    """Put pods of job ``j`` back on the books where they were, whether there is room or not."""
    work = st.work[j]
    for k in range(work.entries + first, work.entries + last):
        n = st.places[k].node
        before = free_among(st, n, st.places[k].gpus)
        take(st.nodes, n, st.types[work.type], st.places[k].gpus, st.places[k])
        st.at[0].free += free_among(st, n, st.places[k].gpus) - before
        forget(st.rule, n)
    count(st, j, last - first)


@jit
def room_again(st: Cluster, j: int, first: int, last: int) -> bool:
    """Return whether there is room for pods of job ``j`` where they were; if so they are on the books again."""
    enter_again(st, j, first, last)
    if settled(st, j, first, last) and allowed(st, j, 0) > 0:
        return True
    leave(st, j, first, last)
    return False


@jit
def settled(st: Cluster, j: int, first: int, last: int) -> bool:
    """Return whether nobody else is, or is entered, where pods of job ``j`` are on the books."""
    entries = st.work[j].entries
    for k in range(entries + first, entries + last):
        if not is_settled(st.nodes, st.places[k].node, st.places[k].gpus):
            return False
    return True


@jit
def may_start(st: Cluster, j: int) -> bool:
    """Return whether job ``j``, which is on the books, need wait for nobody who has still to leave.

    Neither its places nor its quota are then held by others: who stops counts until it is gone.
    """
    return settled(st, j, 0, st.run[j].tasks) and allowed(st, j, 0) > 0


@jit
def free_among(st: Cluster, n: int, gpus: int) -> int:
    """Return the thousandths that are free of the GPUs ``gpus`` (bits) of node ``n``."""
    free = 0
    for g in range(st.nodes.gpus[n]):
        if (gpus >> g) & 1:
            free += max(st.nodes.gpu[n, g], 0)
    return free


@jit
def count(st: Cluster, j: int, tasks: int) -> None:
    """Count ``tasks`` more (fewer if negative) pods of job ``j`` as used by its tenant."""
    work, tenant = st.work[j], st.tenants[st.work[j].tenant]
    pod = st.types[work.type]
    tenant.gpu += tasks * work.gpu
    tenant.cpu += tasks * pod.cpu
    tenant.memory += tasks * pod.memory
    if work.rank < CHALLENGE:
        st.quotas[work.tenant, st.run[j].flavour].used += tasks * work.gpu
        st.cohorts[tenant.cohort, st.run[j].flavour].used += tasks * work.gpu
    if tasks < 0:
        st.at[0].released += 1
    st.at[0].changed += 1
    st.at[0].stale = True


@jit
def has_quota(st: Cluster, j: int) -> bool:
    """Return whether what job ``j`` has counts against a quota; a grand challenge's does not."""
    return bool(st.rules[0].quotas and st.work[j].rank < CHALLENGE and st.work[j].gpu > 0)


@jit
def first_flavour(st: Cluster, j: int) -> int:
    """Return the first flavour that job ``j`` may be of; the others follow (:func:`next_flavour`)."""
    by_kind = st.flavours.shape[1] > 1 and has_quota(st, j)
    return next_flavour(st, j, 0) if by_kind else 0


@jit
def next_flavour(st: Cluster, j: int, flavour: int) -> int:
    """Return the flavour that job ``j`` may be of after ``flavour``; as many as there are if there is none."""
    flavours, last = st.flavours[st.work[j].type], st.flavours.shape[1]
    flavour = flavour + 1 if has_quota(st, j) else last
    while flavour < last and flavours[flavour] < 0:
        flavour += 1
    return int(flavour)


@jit
def within_limit(st: Cluster, j: int) -> bool:
    """Return whether waiting job ``j`` could run without its tenant having more than it may ever have."""
    if not has_quota(st, j):
        return True
    wanted, found = st.run[j].tasks * st.work[j].gpu, False
    flavour = first_flavour(st, j)
    while flavour < st.flavours.shape[1]:
        quota = st.quotas[st.work[j].tenant, flavour]
        found |= quota.used + wanted <= quota.limit
        flavour = next_flavour(st, j, flavour)
    return found


@jit
def allowed(st: Cluster, j: int, more: int) -> int:
    """Return whether its quota lets job ``j``, of its flavour, have ``more`` thousandths of GPUs.

    2: of its own; 1: borrowed; 0: not.
    """
    if not has_quota(st, j):
        return 2
    tenant, flavour = st.work[j].tenant, st.run[j].flavour
    own, cohort = st.quotas[tenant, flavour], st.cohorts[st.tenants[tenant].cohort, flavour]
    if own.used + more > own.limit or cohort.used + more > cohort.nominal:
        return 0
    return 2 if own.used + more <= own.nominal else 1
