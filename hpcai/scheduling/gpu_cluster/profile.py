"""What is believed to be free over time, as jobs of the class that is served see it.

It begins with the nodes now, without all who give way to that class (copy EXTRA of the nodes); then come changes in
order of time: a job that runs is believed to end, one for which a place is kept takes it and gives it back.
"""

from __future__ import annotations

import numpy as np

from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.ahead import copy_nodes, copy_of, hold, hold_if_free, lower_to
from hpcai.scheduling.gpu_cluster.books import pod_of
from hpcai.scheduling.gpu_cluster.clearing import cleared, stays
from hpcai.scheduling.gpu_cluster.order import sort_ids
from hpcai.scheduling.gpu_cluster.progress import believed, expected_end
from hpcai.scheduling.gpu_cluster.state import BEGIN, CURSOR, EXTRA, LEAST, Cluster
from hpcai.scheduling.placement import Nodes
from hpcai.scheduling.placement.gangs import has_count, place_gang
from hpcai.scheduling.state import GIVE, TAKE

ROUNDING = 1e-6  # s by which believed times may be off


@jit
def list_leavers(st: Cluster) -> int:
    """Write to ``st.ids[0]`` who gives no way, by expected end (``st.cost``); the rest has left copy EXTRA.

    Return how many there are.
    """
    at, n = st.at[0], 0
    copy_nodes(cleared(st, at.rank), copy_of(st, EXTRA))
    for i in range(at.running):
        v = st.running[i]
        if stays(st, at.rank, v) > 0:
            st.cost[v] = max(expected_end(st, v), at.now)
            st.ids[0, n] = v
            n += 1
    sort_ids(st.ids[0], n, st.cost, st.ids[1])
    return n


@jit
def lay_profile(st: Cluster) -> None:
    """Lay the profile, unless it lies already as things are, with the places that were found so far."""
    at, ahead = st.at[0], st.ahead
    if ahead.changed[EXTRA] == at.changed and ahead.now[EXTRA] == at.now:
        return
    ahead.changed[EXTRA], ahead.now[EXTRA] = at.changed, at.now
    at.changes = 0
    for i in range(list_leavers(st)):
        v = st.ids[0, i]
        enter_change(st, st.cost[v], v, GIVE)
    for i in range(at.laid):
        keep(st, st.kept[i], st.kept_at[i])


@jit
def keep(st: Cluster, j: int, time: float) -> None:
    """Keep the places of waiting job ``j`` from ``time`` on for as long as it is believed to run."""
    enter_change(st, time, j, TAKE)
    enter_change(st, time + believed(st, j), j, GIVE)


@jit
def enter_change(st: Cluster, time: float, j: int, sign: int) -> None:
    """Enter a change: by now it takes effect at once, and at one time what is given comes before what is taken."""
    at, changes = st.at[0], st.changes
    if time <= at.now:
        apply(st, copy_of(st, EXTRA), j, sign)
        return
    if time == np.inf:
        return
    k = at.changes
    while k > 0 and (changes[k - 1].time > time or (changes[k - 1].time == time and changes[k - 1].sign > sign)):
        changes[k] = changes[k - 1]
        k -= 1
    changes[k].time, changes[k].what, changes[k].sign = time, j, sign
    at.changes += 1


@jit
def apply(st: Cluster, nodes: Nodes, j: int, sign: int) -> None:
    """Take (TAKE) or give back (GIVE) what job ``j`` has at its places, as far as nobody makes it give way."""
    work, run = st.work[j], st.run[j]
    tasks = stays(st, st.at[0].rank, j) if run.place >= 0 else run.tasks
    for k in range(work.entries, work.entries + tasks):
        hold(nodes, st.types[work.type], st.places[k], sign)


@jit
def lower_over(st: Cluster, first: int, end: float) -> None:
    """Lower copy LEAST to the least that is free until ``end``; CURSOR is what is free before change ``first``."""
    cursor, least = copy_of(st, CURSOR), copy_of(st, LEAST)
    k = first
    while k < st.at[0].changes and st.changes[k].time < end - ROUNDING:
        j, sign = st.changes[k].what, st.changes[k].sign
        apply(st, cursor, j, sign)
        if sign == TAKE:
            work = st.work[j]
            for e in range(work.entries, work.entries + st.run[j].tasks):
                lower_to(least, cursor, st.places[e].node)
        k += 1


@jit
def place_now(st: Cluster, j: int) -> bool:
    """Find places for job ``j`` that are free now and stay so for as long as it is believed to run, and take none."""
    work, cursor, least = st.work[j], copy_of(st, CURSOR), copy_of(st, LEAST)
    copy_nodes(copy_of(st, EXTRA), cursor)
    copy_nodes(st.nodes, least)
    for n in range(least.cpu.shape[0]):
        lower_to(least, cursor, n)
    lower_over(st, 0, st.at[0].now + believed(st, j))
    held = st.places[work.entries : work.entries + st.run[j].tasks]
    return place_gang(least, st.types[pod_of(st, j)], -1, st.rule, held)


@jit
def stay_free(st: Cluster, j: int) -> bool:
    """Return whether the places that job ``j`` has been given stay free for as long as it is believed to run."""
    copy_nodes(copy_of(st, EXTRA), copy_of(st, CURSOR))
    copy_nodes(copy_of(st, EXTRA), copy_of(st, LEAST))
    lower_over(st, 0, st.at[0].now + believed(st, j))
    return hold_if_free(st, copy_of(st, LEAST), j)


@jit
def place_later(st: Cluster, j: int) -> float:
    """Find places for job ``j`` at the earliest time at which they are free for long enough.

    Return that time, inf if there is none.
    """
    at, work, tasks = st.at[0], st.work[j], st.run[j].tasks
    begin, pod = copy_of(st, BEGIN), st.types[work.type]
    copy_nodes(copy_of(st, EXTRA), begin)
    time, k = at.now, 0
    while True:
        while k < at.changes and st.changes[k].time <= time:
            apply(st, begin, st.changes[k].what, st.changes[k].sign)
            k += 1
        if has_count(begin, pod, tasks):
            copy_nodes(begin, copy_of(st, CURSOR))
            copy_nodes(begin, copy_of(st, LEAST))
            lower_over(st, k, time + believed(st, j))
            held = st.places[work.entries : work.entries + tasks]
            if place_gang(copy_of(st, LEAST), pod, -1, st.rule, held):
                return float(time)
        while k < at.changes and st.changes[k].sign == TAKE:  # where room is only lost nothing new fits
            apply(st, begin, st.changes[k].what, TAKE)
            k += 1
        if k == at.changes:
            return np.inf
        time = st.changes[k].time
