"""What whoever answers a decision of the pass sees: one function from the state of the cluster to numbers.

Every column is within 0..1, means the same on every machine, and is known to a live scheduler.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.books import pod_of
from hpcai.scheduling.gpu_cluster.progress import expected_left, gpus_of
from hpcai.scheduling.gpu_cluster.state import Cluster
from hpcai.scheduling.gpu_cluster.victims import loss, nodes_of, stopping_time
from hpcai.scheduling.gpu_cluster.work import CHALLENGE, NORMAL, PREEMPTIBLE
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.placement.nodes import fits, free_gpu, may_be_on

HOUR, DAY = 3600.0, 86400.0
PLACE_FEATURES: Final = {
    "possible": "1 if a pod fits there, else 0",
    "takes": "pods of the gang that have room there / pods left, at most 1",
    "gpus": "free GPUs / GPUs there; under a leaf switch, here and below, the mean of its nodes",
    "whole": "GPUs of which no part is taken / GPUs there",
    "cpus": "free CPUs / CPUs there",
    "memory": "free memory / memory there",
    "traffic": "t / (1 + t), t the traffic on the NICs / what they carry",
    "speed": "of the GPUs, the fastest = 1",
    "rest": "GPUs free there once it has taken what it takes / GPUs there",
    "held": "pods of the gang that are there already / pods of the gang",
    "near": "pods of the gang that are under the same leaf switch / pods of the gang",
    "leaf_takes": "pods of the gang that have room under the leaf switch / pods left, at most 1",
    "leaf_gpus": "free GPUs under the leaf switch / GPUs there",
    "uplink": "t / (1 + t), t the traffic on the uplinks of the leaf switch / what they carry",
    "rule": "1 if the discipline would put the next pod there, else 0",
}
GANG_COLUMNS: Final = {
    "left": "pods left / pods of the gang",
    "pods": "p / (p + 16), p the pods of the gang",
    "pod_gpus": "GPUs of a pod / most GPUs of a node",
    "pod_cpus": "CPUs of a pod / most CPUs of a node",
    "pod_memory": "memory of a pod / most memory of a node",
    "leaves": "leaf switches that the gang is under / leaf switches",
    "communication": "c / (1 + c), c the time to send its gradients once through a NIC / a step close together",
    "service": "1 if it is a service, else 0",
    "elastic": "1 if it can change its size, else 0",
}
JOB_COLUMNS: Final = {
    "normal": "1 if it is of class normal, else 0",
    "challenge": "1 if it is a grand challenge, else 0",
    "size": "its GPUs / GPUs of the machine",
    "estimate": "log(1 + t) / log(1 + 30 d), t its estimated run time",
    "waited": "w / (w + 1 h), w the wait since it joined the queue",
    "stops": "s / (s + 3), s how often it was stopped",
    "free": "free GPUs / GPUs of the machine",
    "queue": "q / (q + 100), q the jobs waiting",
    "asked": "g / (g + 1), g the GPUs asked for by those who wait / GPUs of the machine",
    "running": "r / (r + 100), r the jobs that hold places",
}
MOVE_FEATURES: Final = {
    "present": "1; 0 in a slot without a move, where all else is 0 too",
    "shrinks": "1 if it gives a pod, 0 if it is stopped",
    "lost": "l / (l + 1 h), l the running that would have to be repeated",
    "age": "a / (a + 1 d), a the time since its latest start",
    "gpus": "g / (g + 8), g the GPUs it holds",
    "frees": "GPUs it would give / GPUs missing, at most 1",
    "surplus": "GPUs it would give beyond what is missing / GPUs it would give",
    "nodes": "nodes it is on / its pods",
    "left": "t / (t + 1 d), t the time it is expected to run on",
    "saves": "1 if it writes a checkpoint when told to stop, else 0",
    "stops": "s / (s + 3), s how often it was stopped before",
    "normal": "1 if it is of class normal, else 0",
    "usable": "1 if its GPUs are of a kind that the job may have, else 0",
    "tenant": "1 if it is of the job's tenant, else 0",
}
PLAN_COLUMNS: Final = {
    "missing": "GPUs missing / GPUs asked for",
    "moves": "m / (m + 16), m the moves made for it so far",
    "beyond_window": "share of the moves that the window does not show",
    "deadline": "t / (t + 1 h), t the time to the deadline of a grand challenge; 0 without one",
    "preemptible": "GPUs of preemptible jobs / GPUs of the machine",
}
GANG_FEATURES: Final = {**GANG_COLUMNS, **JOB_COLUMNS}
PLAN_FEATURES: Final = {**JOB_COLUMNS, **PLAN_COLUMNS}
_PLACE = {name: k for k, name in enumerate(PLACE_FEATURES)}
GPUS, WHOLE, CPUS, MEMORY, TRAFFIC, SPEED = (
    _PLACE[name] for name in ("gpus", "whole", "cpus", "memory", "traffic", "speed")
)
POSSIBLE, TAKES, REST, HELD, NEAR, LEAF_TAKES, LEAF_GPUS, UPLINK, RULE = (
    _PLACE[name] for name in ("possible", "takes", "rest", "held", "near", "leaf_takes", "leaf_gpus", "uplink", "rule")
)
_PER_LOG_SECOND: Final = 1.0 / math.log1p(30 * DAY)
_GANG, _JOB = len(GANG_COLUMNS), len(JOB_COLUMNS)


@jit
def part(x: float, half: float) -> float:
    """Return x / (x + half), for x above 0."""
    return float(max(x, 0.0) / (max(x, 0.0) + half))


@jit
def observe_places(
    st: Cluster, by_leaf: bool, placed: int, rule: int, places: NDArray[np.float32], gang: NDArray[np.float32]
) -> None:
    """Write what is seen of each place and of the gang asked about, of which ``placed`` pods are placed.

    ``rule`` is the place, -1 for none, where the discipline would put the next.
    """
    j = st.at[0].asked
    work, nodes = st.work[j], st.nodes
    places[:] = 0.0
    for n in range(nodes.cpu.shape[0]):
        places[nodes.leaf[n] if by_leaf else n, RULE] += 1.0  # nodes of the place, for now
    for n in range(nodes.cpu.shape[0]):
        row = places[nodes.leaf[n] if by_leaf else n]
        look_at_node(st, n, 1.0 / row[RULE], row)
        if fits(nodes, n, st.types[pod_of(st, j)]):
            row[POSSIBLE] = 1.0
    pods = st.by_node[0]
    pods[:] = 0.0
    for k in range(work.entries, work.entries + placed):
        n = st.places[k].node
        pods[nodes.leaf[n]] += 1.0
        places[nodes.leaf[n] if by_leaf else n, HELD] += 1.0 / st.run[j].tasks
    if by_leaf:
        for leaf in range(nodes.leaf_gpu.shape[0]):
            look_at_leaf(st, leaf, placed, nodes.room[1, leaf], places[leaf])
    else:
        for n in range(nodes.cpu.shape[0]):
            look_at_leaf(st, nodes.leaf[n], placed, nodes.room[0, n], places[n])
    if rule >= 0:
        places[rule, RULE] = 1.0
    observe_gang(st, j, placed, gang)
    observe_job(st, j, gang[_GANG:])


@jit
def look_at_node(st: Cluster, n: int, share: float, row: Any) -> None:
    """Add to ``row`` what node ``n`` is like, as a ``share`` of its place."""
    nodes, whole = st.nodes, 0
    for g in range(nodes.gpus[n]):
        whole += nodes.gpu[n, g] == MILLI
    gpus = max(nodes.gpus[n], 1)
    row[GPUS] += share * max(free_gpu(nodes, n), 0) / (gpus * MILLI)
    row[WHOLE] += share * whole / gpus
    row[CPUS] += share * max(nodes.cpu[n], 0) / max(nodes.cpus[n], 1)
    row[MEMORY] += share * max(nodes.memory[n], 0) / max(nodes.memories[n], 1)
    row[TRAFFIC] += share * part(nodes.traffic[n], 1.0)
    row[SPEED] += share * nodes.speed[n]
    row[REST] += gpus  # of the place, for now


@jit
def look_at_leaf(st: Cluster, leaf: int, placed: int, room: int, row: Any) -> None:
    """Write to ``row`` how the gang would fill a place under ``leaf`` that has room for ``room`` of its pods."""
    j, nodes = st.at[0].asked, st.nodes
    left = st.run[j].tasks - placed
    takes, under = min(room, left), nodes.room[1, leaf]
    row[TAKES] = takes / left
    row[REST] = min(max(row[GPUS] - takes * st.work[j].gpu / MILLI / row[REST], 0.0), 1.0)
    row[NEAR] = st.by_node[0, leaf] / st.run[j].tasks
    row[LEAF_TAKES] = min(under, left) / left
    row[LEAF_GPUS] = min(max(nodes.leaf_gpu[leaf] / max(nodes.leaf_gpus[leaf], 1), 0.0), 1.0)
    row[UPLINK] = part(nodes.traffic[nodes.cpu.shape[0] + leaf], 1.0)
    row[RULE] = 0.0


@jit
def observe_gang(st: Cluster, j: int, placed: int, gang: NDArray[np.float32]) -> None:
    """Write the columns of GANG_COLUMNS; ``st.by_node[0]`` says how many of its pods are under each leaf switch."""
    work, pod, most, leaves = st.work[j], st.types[st.work[j].type], st.nodes.most, 0
    for leaf in range(st.nodes.leaf_gpu.shape[0]):
        leaves += st.by_node[0, leaf] > 0
    gang[0] = 1.0 - placed / st.run[j].tasks
    gang[1] = part(st.run[j].tasks, 16.0)
    gang[2] = min(pod.gpu / most[2], 1.0)
    gang[3] = min(pod.cpu / most[0], 1.0)
    gang[4] = min(pod.memory / most[1], 1.0)
    gang[5] = leaves / st.nodes.leaf_gpu.shape[0]
    gang[6] = part(sending(st, j), 1.0)
    gang[7] = 1.0 if work.service else 0.0
    gang[8] = 1.0 if work.least < work.most else 0.0


@jit
def sending(st: Cluster, j: int) -> float:
    """Return how long job ``j`` sends its gradients once through a NIC, relative to a step close together."""
    model, step = st.work[j].model, st.traffic.step[j]
    if model < 0 or step <= 0 or st.traffic.fabric.capacity[0] <= 0:
        return 0.0
    return float(st.traffic.models[model].size / st.traffic.fabric.capacity[0] / step)


@jit
def observe_job(st: Cluster, j: int, job: NDArray[np.float32]) -> None:
    """Write the columns of JOB_COLUMNS, of job ``j``, the machine and the queue."""
    run, work, at = st.run[j], st.work[j], st.at[0]
    asked = 0.0
    for i in range(at.queued):
        asked += gpus_of(st, st.queue[i])
    gpus = max(st.total[2] / MILLI, 1.0)
    job[0] = 1.0 if work.rank == NORMAL else 0.0
    job[1] = 1.0 if work.rank == CHALLENGE else 0.0
    job[2] = min(gpus_of(st, j) / gpus, 1.0)
    job[3] = min(np.log1p(work.estimate) * _PER_LOG_SECOND, 1.0)
    job[4] = part(at.now - run.queued, HOUR)
    job[5] = part(run.stops, 3.0)
    job[6] = min(max(at.free / MILLI / gpus, 0.0), 1.0)
    job[7] = part(at.queued, 100.0)
    job[8] = part(asked / gpus, 1.0)
    job[9] = part(at.running, 100.0)


@jit
def observe_moves(
    st: Cluster,
    who: NDArray[np.int64],
    shrinks: NDArray[np.bool_],
    shown: int,
    found: int,
    moves: NDArray[np.float32],
    job: NDArray[np.float32],
) -> None:
    """Write what is seen of the ``shown`` moves, of ``found``, and of the job that they would make room for."""
    at, j = st.at[0], st.at[0].asked
    wanted = gpus_of(st, j)
    missing = wanted - max(at.free, 0) / MILLI
    moves[:] = 0.0
    for k in range(shown):
        observe_move(st, j, who[k], shrinks[k], missing, moves[k])
    preemptible = 0.0
    for i in range(at.running):
        if st.work[st.running[i]].rank == PREEMPTIBLE:
            preemptible += gpus_of(st, st.running[i])
    observe_job(st, j, job)
    deadline = st.run[j].deadline
    job[_JOB] = min(max(missing, 0.0) / max(wanted, 1e-3), 1.0)
    job[_JOB + 1] = part(at.lifted, 16.0)
    job[_JOB + 2] = 1.0 - shown / max(found, 1)
    job[_JOB + 3] = part(deadline - at.now, HOUR) if np.isfinite(deadline) else 0.0
    job[_JOB + 4] = min(preemptible * MILLI / st.total[2], 1.0)


@jit
def observe_move(st: Cluster, j: int, v: int, shrinks: bool, missing: float, row: NDArray[np.float32]) -> None:
    """Write the columns of MOVE_FEATURES, of job ``v`` that makes way for job ``j``."""
    run, work, now = st.run[v], st.work[v], st.at[0].now
    gpus = gpus_of(st, v)
    gives = work.gpu / MILLI if shrinks else gpus
    lost = 0.0 if shrinks else loss(st, v, stopping_time(st, j)) / max(gpus, 1e-3)
    row[0] = 1.0
    row[1] = 1.0 if shrinks else 0.0
    row[2] = part(lost, HOUR)
    row[3] = part(now - run.begun, DAY)
    row[4] = part(gpus, 8.0)
    row[5] = min(gives / missing, 1.0) if missing > 0 else 1.0
    row[6] = min(max(gives - max(missing, 0.0), 0.0) / max(gives, 1e-3), 1.0)
    row[7] = nodes_of(st, v) / max(run.tasks, 1)
    row[8] = part(expected_left(st, v), DAY)
    row[9] = 1.0 if work.on_signal else 0.0
    row[10] = part(run.stops, 3.0)
    row[11] = 1.0 if work.rank == NORMAL else 0.0
    row[12] = 1.0 if may_be_on(st.nodes, st.places[work.entries].node, st.types[st.work[j].type]) else 0.0
    row[13] = 1.0 if work.tenant == st.work[j].tenant else 0.0
