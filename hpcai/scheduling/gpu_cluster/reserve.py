"""Places kept for jobs that wait, so that those behind them may start as long as they do not delay them.

EASY keeps one for the first who holds up others: at its shadow time, by when enough jobs are believed to have ended,
it has places; who starts before it has ended by then, or leaves these places free. Conservative keeps one for each, at
the earliest time at which there is room for as long as it is believed to run. The rules are those of the plain replay
(hpcai.scheduling.node_passes, node_profile); who gives way to a class is not in its way.
"""

from __future__ import annotations

import numpy as np

from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.ahead import copy_of, hold, hold_if_free
from hpcai.scheduling.gpu_cluster.books import enter_again, leave
from hpcai.scheduling.gpu_cluster.clearing import stays
from hpcai.scheduling.gpu_cluster.discipline import BACKFILLS
from hpcai.scheduling.gpu_cluster.profile import (
    ROUNDING,
    keep,
    lay_profile,
    list_leavers,
    place_later,
    place_now,
    stay_free,
)
from hpcai.scheduling.gpu_cluster.progress import believed
from hpcai.scheduling.gpu_cluster.state import EXTRA, Cluster
from hpcai.scheduling.gpu_cluster.victims import NONE
from hpcai.scheduling.placement import Nodes
from hpcai.scheduling.placement.gangs import place_gang, tasks_on

NO_BACKFILL, EASY, CONSERVATIVE = range(len(BACKFILLS))


@jit
def keep_nothing(st: Cluster) -> None:
    """Keep no place: a pass begins."""
    at = st.at[0]
    at.kept = at.laid = 0
    st.ahead.changed[EXTRA] = -1


@jit
def turn_to_class(st: Cluster) -> None:
    """The next lower class is served: it gives way to those above it if anybody does; else their places are kept."""
    if st.rules[0].preemption != NONE:
        keep_nothing(st)
    st.ahead.changed[EXTRA] = -1  # others give way to it


@jit
def keep_place(st: Cluster, j: int) -> None:
    """Keep a place for job ``j``, which waits; a conservative one is found when somebody could start before it."""
    at = st.at[0]
    if st.rules[0].backfill == CONSERVATIVE:
        st.kept[at.kept] = j
        at.kept += 1
    elif at.kept == 0:
        at.shadow = find_shadow(st, j)
        at.kept = 1


@jit
def find_shadow(st: Cluster, j: int) -> float:
    """Return when job ``j`` is believed to have room, inf if never; copy EXTRA is what is then left beside it."""
    nodes, work, tasks = copy_of(st, EXTRA), st.work[j], st.run[j].tasks
    leavers, pod = list_leavers(st), st.types[work.type]
    room, shadow = 0, float(st.at[0].now)
    for n in range(nodes.cpu.shape[0]):
        room += tasks_on(nodes, n, pod, tasks)
    for i in range(leavers):
        v = st.ids[0, i]
        if room >= tasks and st.cost[v] > shadow:
            break
        shadow = st.cost[v]
        room += room_left_by(st, nodes, v, j)
    held = st.places[work.entries : work.entries + tasks]
    return shadow if place_gang(nodes, pod, -1, st.rule, held) else np.inf


@jit
def room_left_by(st: Cluster, nodes: Nodes, v: int, j: int) -> int:
    """Let job ``v`` leave ``nodes``; return how many more pods of job ``j`` have room because of it."""
    work, more = st.work[v], -room_beside(st, nodes, v, j)
    for k in range(work.entries, work.entries + stays(st, st.at[0].rank, v)):
        hold(nodes, st.types[work.type], st.places[k], -1)
    return int(more + room_beside(st, nodes, v, j))


@jit
def room_beside(st: Cluster, nodes: Nodes, v: int, j: int) -> int:
    """Return how many pods of job ``j`` have room on the nodes of job ``v``, whose pods on one node are adjacent."""
    work, pod, room, last = st.work[v], st.types[st.work[j].type], 0, -1
    for k in range(work.entries, work.entries + st.run[v].tasks):
        if st.places[k].node != last:
            last = st.places[k].node
            room += tasks_on(nodes, last, pod, st.run[j].tasks)
    return room


@jit
def place_kept(st: Cluster) -> None:
    """Find a place for each for whom one is kept."""
    at = st.at[0]
    if st.rules[0].backfill != CONSERVATIVE:
        return
    lay_profile(st)
    for i in range(at.laid, at.kept):
        st.kept_at[i] = place_later(st, st.kept[i])
        keep(st, st.kept[i], st.kept_at[i])
    at.laid = at.kept


@jit
def delays_nobody(st: Cluster, j: int) -> bool:
    """Return whether job ``j``, which has just been entered on the books, leaves alone all places that are kept."""
    at = st.at[0]
    if at.kept == 0:
        return True
    if st.rules[0].backfill == CONSERVATIVE:
        return stay_free(st, j)
    return bool(at.now + believed(st, j) <= at.shadow + ROUNDING) or hold_if_free(st, copy_of(st, EXTRA), j)


@jit
def stays_beside(st: Cluster, j: int) -> bool:
    """Leave job ``j``, which has just been entered on the books, there or elsewhere if it delays nobody; else not.

    Return whether it is on the books. EASY leaves it where it is; conservative looks for places that stay free.
    """
    at = st.at[0]
    if at.kept == 0:
        return True
    changed, released = at.changed - 1, at.released
    if st.rules[0].backfill != CONSERVATIVE and delays_nobody(st, j):
        return True
    leave(st, j, 0, st.run[j].tasks)
    at.changed, at.released = changed, released  # as before it was entered
    if st.rules[0].backfill == CONSERVATIVE:
        place_kept(st)
        if place_now(st, j):
            enter_again(st, j, 0, st.run[j].tasks)
            return True
    at.denied = True
    st.run[j].tasks = st.work[j].tasks
    return False
