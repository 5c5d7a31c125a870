"""How fast jobs run: their size, the GPUs and links they have, and who shares these with them."""

from __future__ import annotations

from hpcai.cluster.network.fair_share import isolated, max_min, speed_of
from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.lifecycle import set_speed
from hpcai.scheduling.gpu_cluster.state import RUNNING, Cluster
from hpcai.scheduling.gpu_cluster.traffic import look_where
from hpcai.scheduling.jobs import MILLI


@jit
def set_speeds(st: Cluster) -> None:
    """Bring the speed of all that runs up to date."""
    rules, ids, n = st.rules[0], st.ids[0], 0
    st.nodes.traffic[:] = 0.0
    for i in range(st.at[0].running):
        j = st.running[i]
        if st.run[j].status == RUNNING:
            look_at(st, j)
            if st.traffic.flows.demand[j] > 0:
                count_traffic(st, j)
                ids[n] = j
                n += 1
    if rules.isolation:
        isolated(st.traffic.fabric, st.traffic.flows, ids[:n])
    elif rules.contention:
        max_min(st.traffic.fabric, st.traffic.flows, ids[:n], st.traffic.filling)
    for i in range(st.at[0].running):
        j = st.running[i]
        if st.run[j].status == RUNNING:
            set_speed(st, j, shared_speed(st, j))
    st.at[0].stale = False


@jit
def look_at(st: Cluster, j: int) -> None:
    """Find out how fast job ``j`` is where it is now, if that is not known."""
    work, run = st.work[j], st.run[j]
    if run.alone > 0:
        return
    places = st.places[work.entries : work.entries + run.tasks]
    speed = look_where(st.traffic, j, work, places, st.rules[0].communication)
    run.alone = 1.0 if work.service else speed


@jit
def count_traffic(st: Cluster, j: int) -> None:
    """Count what job ``j`` sends when alone as traffic of the links it uses, for placements that avoid it."""
    flows, capacity = st.traffic.flows, st.traffic.fabric.capacity
    for k in range(flows.first[j], flows.first[j] + flows.number[j]):
        st.nodes.traffic[flows.links[k]] += flows.demand[j] / capacity[flows.links[k]]


@jit
def shared_speed(st: Cluster, j: int) -> float:
    """Return the s of work per s of job ``j``, which may share links and its GPU."""
    speed = float(st.run[j].alone)
    if (st.rules[0].contention or st.rules[0].isolation) and not st.work[j].service:
        speed *= speed_of(st.traffic.flows, j)
    if st.work[j].pairs and shares_gpu(st, j):
        speed *= st.rules[0].shared_speed
    return speed


@jit
def shares_gpu(st: Cluster, j: int) -> bool:
    """Return whether another job is on the GPU of job ``j``, which takes half of it."""
    place, found = st.places[st.work[j].entries], 0
    for g in range(st.nodes.gpus[place.node]):
        # Whole GPUs that somebody waits for are on the books, too, and slow nobody down.
        found += (place.gpus >> g) & 1 and st.nodes.gpu[place.node, g] % MILLI != st.work[j].gpu
    return found > 0
