"""Answering the decisions that a pass asks for: where a job that fits goes, and who makes way for one that does not.

PLACE: job ``st.at.asked`` stands on the books where the discipline would have it. Going on as it is accepts that; else
:func:`vacate` takes it off, and :func:`put_on_node` and :func:`put_under_leaf` enter its pods elsewhere, all of them.
PREEMPT: each :func:`make_move` takes a pod or a whole job off the books until there is room; whoever has room in spite
of it then keeps its places. Going on before that leaves all as it was, and the job waits; after :func:`wait` it is not
asked about again at this instant.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.books import count, leave, pod_of
from hpcai.scheduling.gpu_cluster.plans import ALL, enters, lift, lift_pod
from hpcai.scheduling.gpu_cluster.state import Cluster
from hpcai.scheduling.gpu_cluster.victims import candidates, may_stop, shrinkable
from hpcai.scheduling.placement.gangs import count_room, fill_leaf
from hpcai.scheduling.placement.nodes import take
from hpcai.scheduling.placement.policies import cost_on, forget


@jit
def vacate(st: Cluster, where: NDArray[np.int64]) -> int:
    """Take the job asked about off the books; write to ``where`` the nodes it had, return how many pods it has."""
    at, j = st.at[0], st.at[0].asked
    work, tasks = st.work[j], st.run[j].tasks
    released, changed = at.released, at.changed
    for k in range(tasks):
        where[k] = st.places[work.entries + k].node
    leave(st, j, 0, tasks)
    at.released, at.changed = released, changed  # it enters again at once
    count_room(st.nodes, st.types[pod_of(st, j)], tasks)
    return int(tasks)


@jit
def put_on_node(st: Cluster, placed: int, n: int) -> int:
    """Enter pod ``placed`` of the job asked about on node ``n``, where it fits; return how many pods are entered."""
    j = st.at[0].asked
    work = st.work[j]
    pod = st.types[pod_of(st, j)]
    _, mask = cost_on(st.nodes, n, pod, st.rule)
    take(st.nodes, n, pod, mask, st.places[work.entries + placed])
    return entered(st, placed, placed + 1)


@jit
def put_under_leaf(st: Cluster, placed: int, leaf: int) -> int:
    """Enter pods of the job asked about under a leaf switch until all are or it is full, as topology-aware does."""
    j = st.at[0].asked
    work = st.work[j]
    held = st.places[work.entries : work.entries + st.run[j].tasks]
    filled = fill_leaf(st.nodes, leaf, st.types[pod_of(st, j)], st.rule, held, placed)
    return entered(st, placed, filled)


@jit
def entered(st: Cluster, first: int, last: int) -> int:
    """Count pods ``first`` to ``last`` (exclusive) of the job asked about, which have just been put somewhere."""
    at, j = st.at[0], st.at[0].asked
    work, changed = st.work[j], st.at[0].changed
    for k in range(work.entries + first, work.entries + last):
        forget(st.rule, st.places[k].node)
    at.free -= (last - first) * work.gpu
    count(st, j, last - first)
    at.changed = changed  # it did when the discipline entered it
    count_room(st.nodes, st.types[pod_of(st, j)], st.run[j].tasks)
    return int(last)


@jit
def find_moves(st: Cluster, who: NDArray[np.int64], shrinks: NDArray[np.bool_]) -> tuple[int, int]:
    """Write who could make way next for the job asked about, and whether it would give a pod or all that it has.

    First comes what the discipline would do. Return how many moves are written, and how many there are.
    """
    at, j = st.at[0], st.at[0].asked
    n = find_shrinking(st, j, who, shrinks)
    if at.found < 0 or not any_stopped(st):
        at.found = candidates(st, j)
    for i in range(at.found):
        v = st.ids[0, i]
        if not st.run[v].lifted and may_stop(st, j, v):
            if n < who.shape[0]:
                who[n], shrinks[n] = v, False
            n += 1
    return min(n, who.shape[0]), n


@jit
def find_shrinking(st: Cluster, j: int, who: NDArray[np.int64], shrinks: NDArray[np.bool_]) -> int:
    """Write who could give a pod to job ``j``, in turn; return how many could."""
    at, n, turn = st.at[0], 0, 0
    if at.lifted > 0 and st.lifted[at.lifted - 1, 1] != ALL:
        turn = st.run[st.lifted[at.lifted - 1, 0]].place + 1
    for i in range(at.running):
        v = st.running[(turn + i) % at.running]
        if not st.run[v].lifted and shrinkable(st, j, v):
            if n < who.shape[0]:
                who[n], shrinks[n] = v, True
            n += 1
    return n


@jit
def any_stopped(st: Cluster) -> bool:
    """Return whether the plan has taken a whole job off the books; from then on the order of the others stands."""
    stopped = 0
    for i in range(st.at[0].lifted):
        stopped += st.lifted[i, 1] == ALL
    return stopped > 0


@jit
def make_move(st: Cluster, v: int, shrinks: bool) -> bool:
    """Take a pod of job ``v``, or all of it, off the books; return whether the job asked about has room now."""
    at = st.at[0]
    at.lifted = lift_pod(st, v, at.lifted) if shrinks else lift(st, v, at.lifted)
    at.placed = enters(st, at.asked)
    return bool(at.placed)


@jit
def wait(st: Cluster) -> None:
    """Decide that the job asked about waits, although others could make way."""
    st.run[st.at[0].asked].waived = st.at[0].now


@jit
def place_where(st: Cluster, by_leaf: bool, where: NDArray[np.int64], placed: int, place: int) -> int:
    """Place the next pod, or pods, at ``place``, a node or leaf switch; then what is clear; return how many are placed.

    A place without room counts as the discipline's own, or the first that has. As the pods are alike, each takes the
    room of one: wherever one fits, the rest still fits, too.
    """
    n = ruled(st, where, placed)
    chosen = -1
    for i in range(st.nodes.cpu.shape[0]):
        if st.nodes.room[0, i] > 0:
            n = i if n < 0 else n
            chosen = i if chosen < 0 and (st.nodes.leaf[i] if by_leaf else i) == place else chosen
    n = n if chosen < 0 else chosen
    placed = put_under_leaf(st, placed, st.nodes.leaf[n]) if by_leaf else put_on_node(st, placed, n)
    return place_what_is_clear(st, by_leaf, where, placed)


@jit
def place_what_is_clear(st: Cluster, by_leaf: bool, where: NDArray[np.int64], placed: int) -> int:
    """Place pods of the job asked about as long as there is one place for the next, or no place too many for all.

    ``where`` are the nodes that the discipline had for it, ``placed`` the pods that are placed; return how many are.
    """
    tasks = st.run[st.at[0].asked].tasks
    while placed < tasks:
        first, found, room = -1, 0, 0
        for n in range(st.nodes.cpu.shape[0]):
            if st.nodes.room[0, n] > 0:
                found += first < 0 or not by_leaf or st.nodes.leaf[n] != st.nodes.leaf[first]
                first = n if first < 0 else first
                room += st.nodes.room[0, n]
        if found > 1 and room > tasks - placed:
            break
        n = ruled(st, where, placed)
        placed = (
            put_under_leaf(st, placed, st.nodes.leaf[first if n < 0 else n])
            if by_leaf
            else put_on_node(st, placed, first if n < 0 else n)
        )
    return placed


@jit
def ruled(st: Cluster, where: NDArray[np.int64], placed: int) -> int:
    """Return the node where the discipline had the next pod, or a later one if there is no room any more; -1: none."""
    for k in range(placed, st.run[st.at[0].asked].tasks):
        if st.nodes.room[0, where[k]] > 0:
            return int(where[k])
    return -1
