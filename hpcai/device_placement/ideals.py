"""The best contiguous split of an instance of dnn-partitioning: dynamic programming over the ideals of its graph.

An ideal is a set of units with all that they depend on; what a device of a contiguous split has is the difference of
two. With ``best[I, k, l]`` the least load of the fullest of k accelerators and l CPUs that hold the ideal I,

    best[J, k + 1, l] = min over ideals I in J of max(best[I, k, l], load of J - I on an accelerator)

and likewise for a CPU. Source: Tarnawski et al., NeurIPS 2020, section 5.1. For each I all J are visited along the
edges of the lattice, and the load kept up unit by unit; what alone exceeds the best split of one topological order is
not followed.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hpcai.device_placement.graph import Floats, Ints
from hpcai.device_placement.max_load import Instance, loads
from hpcai.errors import InputError
from hpcai.jit import inlined, jit

Bools = NDArray[np.bool_]

MOST: Final = 60_000  # ideals
_TINY: Final = 1e-12  # of a load: rounding of sums kept up


class Split(NamedTuple):
    """A placement and the load of its fullest device."""

    placement: Ints  # (n,) accelerators, then CPUs
    load: float
    ideals: int


class Lattice(NamedTuple):
    """Ideals by number, in an order of growing size, and those with one unit more."""

    next_at: Ints  # (ideals + 1,)
    next: Ints  # ideals with one unit more than i, from next_at[i]
    added: Ints  # the unit


class Parts(NamedTuple):
    """The instance by unit, for the compiled loop."""

    member_at: Ints  # (units + 1,)
    member: Ints  # operators
    before_at: Ints  # (n + 1,)
    before: Ints  # operators whose output an operator takes
    degree: Ints  # (n,) operators that take its output
    cost: Floats  # (n,)
    time: Floats  # (units,) on an accelerator; inf where not supported
    cpu: Floats  # (units,)
    size: Floats  # (units,)


class Visit(NamedTuple):
    """Room of the walk over the lattice."""

    seen: Ints  # (ideals,) the last start that came by, -1 for none
    at: Ints  # (units + 1,) ideals on the path
    child: Ints  # (units + 1,) next edge of each
    unit: Ints  # (units + 1,) the unit that it has more than the one before
    inside: Ints  # (n,) whether an operator is in the part
    taken: Ints  # (n,) how many of those that take its output are
    sums: Floats  # (4,) of the part: time, transfers, time on a CPU, size


class Best(NamedTuple):
    """The table, and where each entry comes from."""

    load: Floats  # (ideals, accelerators + 1, CPUs + 1)
    origin: Ints  # the ideal before the last part
    on_cpu: Ints  # whether the last part is on a CPU


def best_contiguous(instance: Instance) -> Split:
    """Return the contiguous split with the least load of its fullest device.

    Raises InputError if there are more than MOST ideals, or no split fits the memory.
    """
    unit, edges = contracted(instance)
    parts, count = _parts(instance, unit), int(unit.max()) + 1
    lattice, ideals = _lattice(count, edges)
    order = _one_order(lattice)
    chain = [0, *np.bitwise_or.accumulate(np.array([1 << unit for unit in order], object)).tolist()]
    limit = _solve(instance, parts, _chain(order), chain, np.inf)[1]
    found, load = _solve(instance, parts, lattice, ideals, limit * (1 + _TINY))
    if load == np.inf:
        raise InputError("expected a contiguous split that fits the memory of the accelerators, found none")
    placement = found[unit]
    return Split(placement, float(loads(instance, placement).max()), len(ideals))


def contracted(instance: Instance) -> tuple[Ints, Ints]:
    """Return (n,) the unit of each operator, and the edges between units (e, 2), without cycles.

    A unit is a colour; colours on a cycle are one, and so are what takes no time and its only neighbour. A colour of
    backward operators alone comes where its mirror image in the forward pass would.
    """
    colour, edges, backward = instance.colour, instance.edges, instance.backward.astype(bool)
    forward = np.zeros(int(colour.max()) + 1, bool)
    forward[colour[~backward]] = True
    source, target = edges.T
    onward = ~backward[source] & ~backward[target]
    orphan = backward[source] & backward[target] & ~(forward[colour[source]] & forward[colour[target]])
    between = np.concatenate([colour[edges[onward]], colour[edges[orphan][:, ::-1]]])
    ones = coo_array((np.ones(len(between)), (between[:, 0], between[:, 1])), shape=(len(forward),) * 2)
    _, cycle = connected_components(ones, connection="strong")
    time = np.where(np.isfinite(instance.accelerator), instance.accelerator, 1.0) + instance.cpu
    busy = np.bincount(cycle[colour], weights=time)
    into = _without_leaves(busy == 0, {(int(a), int(b)) for a, b in cycle[between] if a != b})
    _, number = np.unique(into, return_inverse=True)
    unit = np.asarray(number[cycle], np.int64)
    joined = np.unique(unit[between], axis=0)
    return unit[colour], joined[joined[:, 0] != joined[:, 1]]


def _without_leaves(idle: Bools, edges: set[tuple[int, int]]) -> Ints:
    """Return what each node is joined with: idle ones with their only neighbour, until there are none."""
    near: list[set[int]] = [set() for _ in idle]
    for a, b in edges:
        near[a].add(b)
        near[b].add(a)
    into = np.arange(len(idle))
    leaves = [node for node in range(len(idle)) if idle[node] and len(near[node]) == 1]
    while leaves:
        node = leaves.pop()
        if len(near[node]) != 1:
            continue
        other = near[node].pop()
        into[node] = other
        near[other].discard(node)
        if idle[other] and len(near[other]) == 1:
            leaves.append(other)
    while (into[into] != into).any():
        into = into[into]
    return into


def _lattice(units: int, edges: Ints) -> tuple[Lattice, list[int]]:
    """Return the lattice, and its ideals as sets of bits. Raises InputError if there are more than MOST."""
    before, after = [0] * units, [[] for _ in range(units)]  # type: list[int], list[list[int]]
    for source, target in edges.tolist():
        before[target] |= 1 << source
        after[source].append(target)
    ideals, ready = [0], [[unit for unit in range(units) if before[unit] == 0]]
    number, next_at, following, added = {0: 0}, [0], list[int](), list[int]()
    for ideal in ideals:  # grows while it is walked
        own = ready[number[ideal]]
        for unit in own:
            more = ideal | 1 << unit
            if more not in number:
                number[more] = len(ideals)
                ideals.append(more)
                freed = [target for target in after[unit] if before[target] & ~more == 0]
                ready.append([other for other in own if other != unit] + freed)
            following.append(number[more])
            added.append(unit)
        next_at.append(len(following))
        if len(ideals) > MOST:
            raise InputError(f"expected at most {MOST} ideals, found more: the graph is too wide for this method")
    return Lattice(np.array(next_at), np.array(following, np.int64), np.array(added, np.int64)), ideals


def _one_order(lattice: Lattice) -> list[int]:
    """Return the units in one order: a path through the lattice, which takes up what has become ready last."""
    order, ideal = [], 0
    while lattice.next_at[ideal] < lattice.next_at[ideal + 1]:
        edge = lattice.next_at[ideal + 1] - 1
        order.append(int(lattice.added[edge]))
        ideal = int(lattice.next[edge])
    return order


def _chain(order: list[int]) -> Lattice:
    """Return the lattice of an order alone."""
    count = len(order)
    return Lattice(np.append(np.arange(count + 1), count), np.arange(1, count + 1), np.array(order, np.int64))


def _parts(instance: Instance, unit: Ints) -> Parts:
    n, units = len(unit), int(unit.max()) + 1
    source, target = instance.edges.T

    def summed(values: Floats) -> Floats:
        return np.bincount(unit, weights=values, minlength=units).astype(np.float64)

    return Parts(
        member_at=np.concatenate([[0], np.cumsum(np.bincount(unit, minlength=units))]),
        member=np.argsort(unit, kind="stable"),
        before_at=np.concatenate([[0], np.cumsum(np.bincount(target, minlength=n))]),
        before=source[np.argsort(target, kind="stable")],
        degree=np.bincount(source, minlength=n),
        cost=instance.cost,
        time=summed(instance.accelerator),
        cpu=summed(instance.cpu),
        size=summed(instance.size),
    )


def _solve(instance: Instance, parts: Parts, lattice: Lattice, ideals: list[int], limit: float) -> tuple[Ints, float]:
    """Return (units,) the device of each unit in the best split of at most ``limit``, and its load; inf if none is."""
    shape = (len(ideals), instance.accelerators + 1, instance.cpus + 1)
    best = Best(np.full(shape, np.inf), np.zeros(shape, np.int64), np.zeros(shape, np.int64))
    best.load[0, 0, 0] = 0.0
    units, n = len(parts.time), len(parts.cost)
    path, some = np.zeros((3, units + 1), np.int64), np.zeros((2, n), np.int64)
    visit = Visit(np.full(len(ideals), -1), path[0], path[1], path[2], some[0], some[1], np.zeros(4))
    walk(lattice, parts, visit, best, instance.memory, limit)
    last = best.load[-1]
    k, cpus = (int(count) for count in np.unravel_index(last.argmin(), last.shape))
    device, ideal = np.zeros(units, np.int64), len(ideals) - 1
    load = float(last[k, cpus])
    while ideal > 0 and load < np.inf:
        origin, on_cpu = int(best.origin[ideal, k, cpus]), int(best.on_cpu[ideal, k, cpus])
        k, cpus = k - (1 - on_cpu), cpus - on_cpu
        part = ideals[ideal] & ~ideals[origin]
        device[[unit for unit in range(units) if part >> unit & 1]] = instance.accelerators + cpus if on_cpu else k
        ideal = origin
    return device, load


@jit
def walk(lattice: Lattice, parts: Parts, visit: Visit, best: Best, memory: float, limit: float) -> None:
    """Fill the table: from each ideal that can be had within ``limit``, visit all larger ones whose rest can be too."""
    for start in range(visit.seen.shape[0]):
        if not reachable(best, start, limit):
            continue
        for i in range(4):
            visit.sums[i] = 0.0
        depth = 0
        visit.at[0], visit.child[0] = start, lattice.next_at[start]
        while depth >= 0:
            edge = visit.child[depth]
            if edge == lattice.next_at[visit.at[depth] + 1]:
                if depth > 0:
                    take_out(parts, visit, visit.unit[depth])
                depth -= 1
                continue
            visit.child[depth] += 1
            ideal, unit = lattice.next[edge], lattice.added[edge]
            if visit.seen[ideal] == start:
                continue
            visit.seen[ideal] = start
            put_in(parts, visit, unit)
            if relax(visit, best, start, ideal, memory, limit):
                depth += 1
                visit.at[depth], visit.child[depth], visit.unit[depth] = ideal, lattice.next_at[ideal], unit
            else:
                take_out(parts, visit, unit)


@inlined
def reachable(best: Best, ideal: int, limit: float) -> bool:
    """Whether some devices can hold an ideal within the limit."""
    for k in range(best.load.shape[1]):
        for cpus in range(best.load.shape[2]):
            if best.load[ideal, k, cpus] <= limit:
                return True
    return False


@inlined
def relax(visit: Visit, best: Best, start: int, ideal: int, memory: float, limit: float) -> bool:
    """Try the part as one more device's; return whether larger parts can be within the limit."""
    fits = visit.sums[3] <= memory and visit.sums[0] <= limit
    slow = best.load.shape[2] > 1 and visit.sums[2] <= limit
    for k in range(best.load.shape[1]):
        for cpus in range(best.load.shape[2]):
            before = best.load[start, k, cpus]
            if before > limit:
                continue
            if fits and k + 1 < best.load.shape[1]:
                keep(best, ideal, k + 1, cpus, max(before, visit.sums[0] + visit.sums[1]), start, 0)
            if slow and cpus + 1 < best.load.shape[2]:
                keep(best, ideal, k, cpus + 1, max(before, visit.sums[2]), start, 1)
    return bool(fits or slow)


@inlined
def keep(best: Best, ideal: int, k: int, cpus: int, load: float, start: int, on_cpu: int) -> None:
    """Keep an entry if it is the least so far."""
    if load < best.load[ideal, k, cpus]:
        best.load[ideal, k, cpus] = load
        best.origin[ideal, k, cpus] = start
        best.on_cpu[ideal, k, cpus] = on_cpu


@inlined
def put_in(parts: Parts, visit: Visit, unit: int) -> None:
    """Add a unit to the part: an output costs a transfer while only one of its ends, or some of them, are inside."""
    visit.sums[0] += parts.time[unit]
    visit.sums[2] += parts.cpu[unit]
    visit.sums[3] += parts.size[unit]
    for m in range(parts.member_at[unit], parts.member_at[unit + 1]):
        i = parts.member[m]
        visit.sums[1] += parts.cost[i] * ((visit.taken[i] < parts.degree[i]) - (visit.taken[i] > 0))
        visit.inside[i] = 1
        for b in range(parts.before_at[i], parts.before_at[i + 1]):
            source = parts.before[b]
            visit.taken[source] += 1
            if visit.inside[source] == 1:
                visit.sums[1] -= parts.cost[source] * (visit.taken[source] == parts.degree[source])
            else:
                visit.sums[1] += parts.cost[source] * (visit.taken[source] == 1)


@inlined
def take_out(parts: Parts, visit: Visit, unit: int) -> None:
    """Undo :func:`put_in`."""
    visit.sums[0] -= parts.time[unit]
    visit.sums[2] -= parts.cpu[unit]
    visit.sums[3] -= parts.size[unit]
    for m in range(parts.member_at[unit + 1] - 1, parts.member_at[unit] - 1, -1):
        i = parts.member[m]
        for b in range(parts.before_at[i], parts.before_at[i + 1]):
            source = parts.before[b]
            if visit.inside[source] == 1:
                visit.sums[1] += parts.cost[source] * (visit.taken[source] == parts.degree[source])
            else:
                visit.sums[1] -= parts.cost[source] * (visit.taken[source] == 1)
            visit.taken[source] -= 1
        visit.inside[i] = 0
        visit.sums[1] -= parts.cost[i] * ((visit.taken[i] < parts.degree[i]) - (visit.taken[i] > 0))
