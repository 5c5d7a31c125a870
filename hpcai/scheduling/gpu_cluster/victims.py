"""Who may be stopped for whom, and in which order: victims of preemption and their cost."""

from __future__ import annotations

import numpy as np

from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.discipline import PREEMPTIONS, VICTIMS
from hpcai.scheduling.gpu_cluster.order import sort_ids
from hpcai.scheduling.gpu_cluster.progress import expected_left, gpus_of, risk_at, unsaved_at
from hpcai.scheduling.gpu_cluster.state import CLAIMED, RUNNING, STOPPING, Cluster
from hpcai.scheduling.gpu_cluster.work import CHALLENGE
from hpcai.scheduling.jobs import MILLI

NONE, BY_CLASS, BY_ORDER = range(len(PREEMPTIONS))
LOWEST_PRIORITY, LATEST_START, LEAST_LOST, BY_NODE, LEARNED = range(len(VICTIMS))
HOUR = 3600.0


@jit
def may_stop(st: Cluster, j: int, v: int) -> bool:
    """Return whether job ``v`` may be stopped for job ``j``.

    It may if it is of a lower class, uses what others lent it, or is behind in an order that pre-empts.
    """
    rules, run = st.rules[0], st.run[v]
    mine, other = st.work[j], st.work[v]
    if run.status == STOPPING or v == j or not could_stop(st, mine.rank, v):
        return bool(run.status == STOPPING and mine.rank == CHALLENGE)  # nothing is lost by waiting for it
    if other.rank < mine.rank and rules.preemption != NONE:
        return True
    if rules.quotas and rules.reclaim and other.rank <= mine.rank and takes_back(st, j, v):
        return True
    if rules.preemption != BY_ORDER:
        return False
    return bool(st.key[v] > st.key[j] + rules.margin and st.at[0].now >= run.begun + rules.quantum)


@jit
def could_stop(st: Cluster, rank: int, v: int) -> bool:
    """Return whether there could be a job of class ``rank`` for which job ``v`` may be stopped now."""
    rules, run, other = st.rules[0], st.run[v], st.work[v]
    if run.status == STOPPING:
        return bool(rank == CHALLENGE)
    if (run.status != RUNNING and run.status != CLAIMED) or np.isfinite(run.signal):
        return False
    if other.rank < rank and rules.preemption != NONE:
        return True
    return bool(other.rank <= rank and (rules.preemption == BY_ORDER or (rules.quotas and rules.reclaim)))


@jit
def takes_back(st: Cluster, j: int, v: int) -> bool:
    """Return whether the tenant of job ``j`` is within its quota with it, and that of job ``v`` beyond its own.

    Of the flavour of job ``v``, which job ``j`` must be able to be of.
    """
    mine, other, flavour = st.work[j], st.work[v], st.run[v].flavour
    if mine.tenant == other.tenant or st.tenants[mine.tenant].cohort != st.tenants[other.tenant].cohort:
        return False
    own, lent = st.quotas[mine.tenant, flavour], st.quotas[other.tenant, flavour]
    if lent.used <= lent.nominal or st.flavours[mine.type, flavour] < 0:
        return False
    return bool(own.used + st.run[j].tasks * mine.gpu <= own.nominal)


@jit
def loss(st: Cluster, v: int, time: float) -> float:
    """Return the GPU-s that would be lost if job ``v`` were told to stop at ``time``: work, or writing it down."""
    rules, work, run = st.rules[0], st.work[v], st.run[v]
    if run.status != RUNNING:
        return 0.0
    unsaved, risk = unsaved_at(st, v, time), risk_at(st, v, time)
    if work.on_signal and unsaved > 0:
        writes = work.writes / rules.bandwidth
        risk = min(risk, writes * gpus_of(st, v)) if writes <= rules.grace else risk
    return float(risk + rules.restart * gpus_of(st, v))


@jit
def stopping_time(st: Cluster, j: int) -> float:
    """Return when whoever is stopped for job ``j`` will be: a grand challenge has a deadline, others are served now."""
    deadline = st.run[j].deadline
    return float(deadline if np.isfinite(deadline) else st.at[0].now)


@jit
def cost_of(st: Cluster, j: int, v: int) -> float:
    """Return the cost of stopping job ``v`` for job ``j`` by the rule of the discipline; lowest first."""
    rules, run = st.rules[0], st.run[v]
    if run.status == STOPPING:
        return -np.inf
    if run.status == CLAIMED:  # after those that it waits for, so that it is given back before them
        return -1e300
    if rules.victims == LATEST_START:
        return float(-run.begun)
    if rules.victims == LEAST_LOST or rules.victims == BY_NODE:
        return loss(st, v, stopping_time(st, j)) / max(gpus_of(st, v), 1e-3)
    if rules.victims == LEARNED:
        return learned_cost(st, j, v)
    # lowest priority: by class, then whoever is last in an order that pre-empts, else whoever started last
    last = st.key[v] if rules.preemption == BY_ORDER else run.begun
    return float(st.work[v].rank * 1e12 - last)


@jit
def learned_cost(st: Cluster, j: int, v: int) -> float:
    """Return the weighted sum of the features of stopping job ``v`` for job ``j``."""
    total = 0.0
    for k in range(st.victim_weights.shape[0]):
        if st.victim_weights[k] != 0:
            total += st.victim_weights[k] * victim_feature(st, j, v, k)
    return total


@jit
def victim_feature(st: Cluster, j: int, v: int, k: int) -> float:
    """Return feature ``k`` of discipline.VICTIM_FEATURES."""
    run, work, now = st.run[v], st.work[v], st.at[0].now
    gpus = gpus_of(st, v)
    if k == 0:
        return loss(st, v, stopping_time(st, j)) / max(gpus, 1e-3) / HOUR
    if k == 1:
        return float((now - run.begun) / HOUR)
    if k == 2:
        return float(gpus * MILLI / st.nodes.most[2])
    if k == 3:
        missing = gpus_of(st, j) - max(st.at[0].free, 0) / MILLI
        return float(max(gpus - missing, 0.0) / max(gpus, 1e-3))
    if k == 4:
        return float(nodes_of(st, v) / run.tasks)
    if k == 5:
        return expected_left(st, v) / HOUR
    if k == 6:
        return 1.0 if work.on_signal else 0.0
    if k == 7:
        return float(run.stops)
    return float(work.rank)


@jit
def nodes_of(st: Cluster, v: int) -> int:
    """Return on how many nodes job ``v`` is; its pods on one node follow each other."""
    found, work, last = 0, st.work[v], -1
    for k in range(work.entries, work.entries + st.run[v].tasks):
        found += st.places[k].node != last
        last = st.places[k].node
    return found


@jit
def candidates(st: Cluster, j: int) -> int:
    """Write to ``st.ids[0]`` who may be stopped for job ``j``, in order of cost; return how many there are."""
    n, ids = 0, st.ids[0]
    for i in range(st.at[0].running):
        v = st.running[i]
        if may_stop(st, j, v):
            st.cost[v] = cost_of(st, j, v)
            ids[n] = v
            n += 1
    sort_ids(ids, n, st.cost, st.ids[1])
    return n


@jit
def shrinkable(st: Cluster, j: int, v: int) -> bool:
    """Return whether running job ``v`` may give pods to job ``j``."""
    return could_shrink(st, st.work[j].rank, v)


@jit
def could_shrink(st: Cluster, rank: int, v: int) -> bool:
    """Return whether running job ``v`` may give pods to jobs of class ``rank``."""
    run, work = st.run[v], st.work[v]
    if run.status != RUNNING or run.tasks <= work.least or np.isfinite(run.signal):
        return False
    return bool(st.rules[0].elastic and work.rank <= rank)
