"""Making room: who shrinks and who stops so that a job that fits nowhere gets its places.

A plan takes jobs off the books one after the other until there is room, enters the job that needs it, and gives back,
latest first, to all who still have room. Those that do not are told to stop (or, in a staggered drain, will be): they
stand on the books beside the newcomer until they are gone (hpcai.scheduling.gpu_cluster.books).
"""

from __future__ import annotations

import numpy as np

from hpcai.jit import jit
from hpcai.scheduling.gpu_cluster.books import (
    allowed,
    enter_again,
    find_places,
    first_flavour,
    leave,
    may_start,
    next_flavour,
    room_again,
)
from hpcai.scheduling.gpu_cluster.clearing import fits_without_others
from hpcai.scheduling.gpu_cluster.discipline import PREEMPT
from hpcai.scheduling.gpu_cluster.drain import stagger
from hpcai.scheduling.gpu_cluster.lifecycle import claim, give_up, note, resized, start, tell_to_stop
from hpcai.scheduling.gpu_cluster.progress import bring_up_to_date
from hpcai.scheduling.gpu_cluster.reserve import delays_nobody, place_kept
from hpcai.scheduling.gpu_cluster.state import CLAIMED, RESIZED, RUNNING, Cluster
from hpcai.scheduling.gpu_cluster.victims import BY_NODE, BY_ORDER, NONE, candidates, may_stop, shrinkable
from hpcai.scheduling.placement.nodes import free_gpu, may_be_on

ALL = -1  # pods


@jit
def make_room(st: Cluster, j: int, answered: bool, staggered: bool) -> bool:
    """Stop and shrink others so that waiting job ``j`` gets places; return whether it has them now, or will have.

    If there is no way to, or it would delay who has a place kept, nothing changes. Whoever is off the queue afterwards,
    the caller finds out. Where it is left to somebody else who makes way, the plan is opened and that is asked;
    ``answered``, it is carried out as it is.
    """
    at = st.at[0]
    if not answered:
        at.lifted, at.found, at.placed = 0, -1, False
        at.released_before, at.changed_before = at.released, at.changed
        if hopeless_to_plan(st, j):
            return False
        if st.rules[0].external & PREEMPT:
            if st.run[j].waived < at.now and somebody_can(st, j):
                at.asked, at.asking = j, PREEMPT
            return False
        if at.kept > 0:
            place_kept(st)
        make_plan(st, j)
        if at.placed and not delays_nobody(st, j):
            leave(st, j, 0, st.run[j].tasks)
            at.placed, at.denied = False, True
    settle(st, j, at.lifted, at.placed, staggered)
    if not at.placed:  # all is as it was, and what others of its shape know still holds
        at.released, at.changed = at.released_before, at.changed_before
    return bool(at.placed)


@jit
def make_plan(st: Cluster, j: int) -> None:
    """Take others off the books, as the discipline has it, until job ``j`` has room and is entered."""
    at = st.at[0]
    at.lifted, at.placed = lift_pods(st, j)
    if not at.placed:
        at.found = candidates(st, j)
        if st.rules[0].victims == BY_NODE:
            at.lifted, at.placed = lift_by_node(st, j, at.found, at.lifted)
        else:
            at.lifted, at.placed = lift_in_order(st, j, at.found, at.lifted)


@jit
def somebody_can(st: Cluster, j: int) -> bool:
    """Return whether there is a job that could be stopped or shrunk for job ``j``."""
    for i in range(st.at[0].running):
        v = st.running[i]
        if may_stop(st, j, v) or shrinkable(st, j, v):
            return True
    return False


@jit
def hopeless_to_plan(st: Cluster, j: int) -> bool:
    """Return whether others cannot make room for job ``j``, whoever of them gives way."""
    rules = st.rules[0]
    if not rules.elastic and rules.preemption == NONE and not rules.quotas:
        return True
    of_the_job = rules.quotas or rules.preemption == BY_ORDER  # who gives way depends on more than the class
    if of_the_job and obtainable(st, j) < st.run[j].tasks * st.work[j].gpu:
        return True
    return bool(rules.preemption != BY_ORDER and not fits_without_others(st, j))


@jit
def obtainable(st: Cluster, j: int) -> int:
    """Return the thousandths of GPUs of its kinds that are free or that others could give up for job ``j``, at most."""
    pod, found = st.types[st.work[j].type], 0
    for i in range(st.at[0].running):
        v = st.running[i]
        work, run = st.work[v], st.run[v]
        if run.tasks == 1 and not may_be_on(st.nodes, st.places[work.entries].node, pod):
            continue
        if may_stop(st, j, v):
            found += run.tasks * work.gpu
        elif shrinkable(st, j, v):
            found += (run.tasks - work.least) * work.gpu
    for n in range(st.nodes.cpu.shape[0]):
        if may_be_on(st.nodes, n, pod):
            found += max(free_gpu(st.nodes, n), 0)
    return found


@jit
def enters(st: Cluster, j: int) -> bool:
    """Enter job ``j`` on the books if its quota and the room allow it now; of the first flavour of which they do."""
    run = st.run[j]
    run.flavour = first_flavour(st, j)
    while run.flavour < st.flavours.shape[1]:
        if allowed(st, j, run.tasks * st.work[j].gpu) > 0 and find_places(st, j):
            return True
        run.flavour = next_flavour(st, j, run.flavour)
    run.flavour = 0
    return False


@jit
def lift_pods(st: Cluster, j: int) -> tuple[int, bool]:
    """Take off the books what jobs have beyond their least, a pod of each in turn, until job ``j`` is entered.

    Return how many entries of ``st.lifted`` say so, and whether it is.
    """
    n, found = 0, True
    while found:
        found = False
        for i in range(st.at[0].running):
            v = st.running[i]
            if not shrinkable(st, j, v):
                continue
            n, found = lift_pod(st, v, n), True
            if enters(st, j):
                return n, True
    return n, False


@jit
def lift_pod(st: Cluster, v: int, n: int) -> int:
    """Take the last pod of job ``v`` off the books as entry ``n`` of ``st.lifted``; return the number of entries."""
    bring_up_to_date(st, v)  # its past counts at its old size
    k = st.run[v].tasks - 1
    leave(st, v, k, k + 1)
    st.run[v].tasks = k
    st.lifted[n, 0], st.lifted[n, 1] = v, k
    return n + 1


@jit
def lift(st: Cluster, v: int, n: int) -> int:
    """Take job ``v`` off the books as entry ``n`` of ``st.lifted``; return the number of entries."""
    leave(st, v, 0, st.run[v].tasks)
    st.run[v].lifted = True
    st.lifted[n, 0], st.lifted[n, 1] = v, ALL
    return n + 1


@jit
def lift_in_order(st: Cluster, j: int, n: int, lifted: int) -> tuple[int, bool]:
    """Take candidates ``st.ids[0, :n]`` off the books until job ``j`` has room and is entered."""
    for i in range(n):
        v = st.ids[0, i]
        if not may_stop(st, j, v):  # its tenant is no longer beyond its quota
            continue
        lifted = lift(st, v, lifted)
        if enters(st, j):
            return lifted, True
    return lifted, False


@jit
def lift_by_node(st: Cluster, j: int, n: int, lifted: int) -> tuple[int, bool]:
    """Clear the node that costs least, per GPU that becomes free there, until job ``j`` has room and is entered.

    A job on several nodes is paid for once: its other nodes are cheaper from then on.
    """
    while True:
        best = cheapest_node(st, j, n)
        if best < 0:
            return lifted, False
        for i in range(n):
            v = st.ids[0, i]
            if not st.run[v].lifted and is_on(st, v, best) and may_stop(st, j, v):
                lifted = lift(st, v, lifted)
        if enters(st, j):
            return lifted, True


@jit
def cheapest_node(st: Cluster, j: int, n: int) -> int:
    """Return the node whose clearing of candidates costs least per GPU that is freed on it; -1 if none has any."""
    freed, cost = st.by_node
    freed[:], cost[:] = 0.0, 0.0
    for i in range(n):
        v = st.ids[0, i]
        work, last = st.work[v], -1
        if st.run[v].lifted or not may_stop(st, j, v):
            continue
        bulk = max(work.gpu, 1)  # who has no GPU has CPUs that are in the way
        price = max(st.cost[v], 0.0) * st.run[v].tasks * bulk
        for k in range(work.entries, work.entries + st.run[v].tasks):
            node = st.places[k].node
            freed[node] += bulk
            cost[node] += price if node != last else 0.0  # its pods on one node follow each other
            last = node
    best, least = -1, np.inf
    for node in range(freed.shape[0]):
        if freed[node] > 0 and cost[node] / freed[node] < least:
            best, least = node, cost[node] / freed[node]
    return best


@jit
def is_on(st: Cluster, v: int, node: int) -> bool:
    """Return whether job ``v`` has a pod on a node."""
    found, work = 0, st.work[v]
    for k in range(work.entries, work.entries + st.run[v].tasks):
        found += st.places[k].node == node
    return found > 0


@jit
def settle(st: Cluster, j: int, lifted: int, placed: bool, staggered: bool) -> None:
    """Give back what a plan took and did not need, latest first, and carry out the rest; all of it if not placed."""
    victims = lifted  # those who stay off gather at the end of the list, behind what is still to be seen to
    for i in range(lifted - 1, -1, -1):
        v, k = st.lifted[i, 0], st.lifted[i, 1]
        run = st.run[v]
        first, last = (0, run.tasks) if k == ALL else (k, k + 1)
        back = not placed
        if not placed:
            enter_again(st, v, first, last)
        elif k == ALL or (run.tasks == k and not run.lifted):
            back = room_again(st, v, first, last)
        if back:
            run.tasks, run.lifted = last, False
        elif k == ALL:
            victims -= 1
            st.lifted[victims, 0] = v
            run.shrunk = False
        elif not run.lifted:
            run.shrunk = True
    if placed:
        tell_sizes(st)
        claim_and_stop(st, j, victims, lifted, staggered)


@jit
def tell_sizes(st: Cluster) -> None:
    """Note once for each job that shrank that it did."""
    for i in range(st.at[0].running):
        run = st.run[st.running[i]]
        if run.shrunk and run.resized < st.at[0].now:
            resized(st, st.running[i])
        elif run.shrunk:  # it started, or changed its size, at this very moment: that costs nothing more
            run.speed = run.alone = 0.0
            note(st, st.running[i], RESIZED, 0.0)
        run.shrunk = False


@jit
def claim_and_stop(st: Cluster, j: int, first: int, last: int, staggered: bool) -> None:
    """Job ``j`` has its places; victims ``first`` to ``last`` are told to stop, or when they will be."""
    claim(st, j)
    n = 0
    for i in range(first, last):
        v = st.lifted[i, 0]
        st.run[v].lifted = False
        if st.run[v].status == CLAIMED:
            give_up(st, v)
            continue
        enter_again(st, v, 0, st.run[v].tasks)
        if st.run[v].status == RUNNING:
            st.run[v].by = j
            st.ids[0, n] = v
            n += 1
    if staggered:
        stagger(st, j, n)
    for i in range(n):
        v = st.ids[0, i]
        if not np.isfinite(st.run[v].signal):
            stop_now(st, v)
    if may_start(st, j):
        start(st, j)


@jit
def stop_now(st: Cluster, v: int) -> None:
    """Tell running job ``v`` to stop; if it leaves nothing to be waited for, it is gone."""
    tell_to_stop(st, v)
    if st.run[v].due <= st.at[0].now:
        leave(st, v, 0, st.run[v].tasks)
        give_up(st, v)
