"""The compiled search of the hybrid: simulated annealing of units, from a placement that a policy proposes.

A move takes a unit, a connected block or a run of units in the order of placing, from one device to another, most often
to one where a neighbour is; or two units change places. Source of the method: Kirkpatrick, Gelatt and Vecchi,
Optimization by Simulated Annealing, Science 220, 1983.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.device_placement.graph import Floats, Ints
from hpcai.device_placement.learned.units import Units
from hpcai.device_placement.step import Room, Step, run
from hpcai.jit import inlined, jit

SWAPS: Final = 0.15  # of the moves; the rest takes one unit or several
SINGLE: Final = 0.5
NEAR: Final = 0.7  # of the targets: the device of a neighbour
LACKING: Final = 0.1  # of all work on one device: what a placement costs at least beside its seconds if memory lacks
PENALTY: Final = 2.0  # of it, and so much more for each mean device's memory that is lacking
LARGEST: Final = 6  # blocks have up to 2 ** 6 units


class Ground(NamedTuple):
    """What is searched, and room to work in; u units of g groups on d devices."""

    seconds: Floats  # (d, u)
    near_at: Ints  # (u + 1,)
    near: Ints  # neighbours of v from near_at[v]
    group_at: Ints  # (u + 1,)
    group: Ints  # (g,) groups of v from group_at[v]
    serial: float  # seconds of all work on one device
    room: float  # bytes of a mean device
    place: Ints  # (u,) where the search is
    groups: Ints  # (g,) the same of groups
    changed: Ints  # (u,) units of a move
    before: Ints  # (u,) where they were
    random: NDArray[np.uint64]  # (1,) state of the generator


def make_ground(units: Units, seed: int) -> Ground:
    """Return what :func:`anneal` needs."""
    u, g = len(units), len(units.unit)
    both = np.unique(np.concatenate([units.edges, units.edges[:, ::-1]]), axis=0)
    return Ground(
        seconds=units.seconds,
        near_at=_starts(both[:, 0], u),
        near=np.ascontiguousarray(both[:, 1]),
        group_at=_starts(units.unit, u),
        group=np.argsort(units.unit, kind="stable").astype(np.int64),
        serial=_serial(units),
        room=_room(units),
        place=np.zeros(u, np.int64), groups=np.zeros(g, np.int64), changed=np.zeros(u, np.int64),
        before=np.zeros(u, np.int64),
        random=np.random.SeedSequence(seed).generate_state(1, np.uint64).astype(np.uint64),
    )  # fmt: skip


def _starts(key: Ints, u: int) -> Ints:
    return np.concatenate([[0], np.cumsum(np.bincount(key, minlength=u))]).astype(np.int64)


def _serial(units: Units) -> float:
    return float(units.mean.sum()) or 1.0


def _room(units: Units) -> float:
    return float(np.minimum(units.simulator.devices.memory, max(units.memory.sum(), 1.0)).mean())


def costs(units: Units, places: Ints) -> Floats:
    """Return the costs (k,) of placements of units (k, u), which :func:`anneal` minimises, s."""
    seconds, excess = units.simulator.times(units.groups_placed(places))
    lacking = LACKING + PENALTY * excess / _room(units)
    found: Floats = seconds + np.where(excess > 0, _serial(units) * lacking, 0.0)
    return found


@jit
def anneal(
    step: Step, room: Room, ground: Ground, best: Ints, least: float, hot: float, cold: float, evaluations: int
) -> float:
    """Search from ``ground.place``, cooling from ``hot`` to ``cold`` seconds; return the least cost.

    ``best`` (u,) holds the best placement so far, of cost ``least``, and is written to whenever there is a better one.
    """
    for v in range(ground.place.shape[0]):
        move(ground, v, ground.place[v])
    now = cost(step, room, ground)
    if now < least:
        least = keep(ground, best, now)
    for i in range(evaluations):
        heat = hot * math.pow(cold / hot, i / evaluations)
        count = propose(ground)
        if count == 0:
            continue
        found = cost(step, room, ground)
        if found <= now or uniform(ground) < math.exp((now - found) / heat):
            now = found
            if found < least:
                least = keep(ground, best, found)
        else:
            for j in range(count - 1, -1, -1):
                move(ground, ground.changed[j], ground.before[j])
    return least


@inlined
def keep(ground: Ground, best: Ints, least: float) -> float:
    """Write where the search is to ``best``; return its cost."""
    for v in range(best.shape[0]):
        best[v] = ground.place[v]
    return least


@inlined
def cost(step: Step, room: Room, ground: Ground) -> float:
    """Return the seconds of a step, and more if memory lacks."""
    seconds, excess = run(step, ground.groups, room)
    if excess > 0.0:
        seconds += ground.serial * (LACKING + PENALTY * excess / ground.room)
    return seconds


@inlined
def move(ground: Ground, v: int, k: int) -> None:
    """Place unit ``v`` on device ``k``."""
    ground.place[v] = k
    for i in range(ground.group_at[v], ground.group_at[v + 1]):
        ground.groups[ground.group[i]] = k


@inlined
def propose(ground: Ground) -> int:
    """Make a move; return how many units have changed, which is 0 if none can."""
    u, d = ground.place.shape[0], ground.seconds.shape[0]
    v = below(ground, u)
    k = target(ground, v, d)
    home = ground.place[v]
    kind, count = uniform(ground), 0
    if k == home:
        return 0
    if kind < SWAPS:
        w = below(ground, u)
        if ground.place[w] == k:
            count = take(ground, w, home, count)
        return take(ground, v, k, count)
    if kind < SWAPS + SINGLE:
        return take(ground, v, k, count)
    size = 2 + below(ground, 1 << (1 + below(ground, LARGEST)))
    if uniform(ground) < 0.5:
        return take_run(ground, v, k, size)
    return take_block(ground, v, k, size)


@inlined
def target(ground: Ground, v: int, d: int) -> int:
    """Return a device for unit ``v``, most often that of a neighbour."""
    first, last = ground.near_at[v], ground.near_at[v + 1]
    if last > first and uniform(ground) < NEAR:
        k = ground.place[ground.near[first + below(ground, last - first)]]
        if k != ground.place[v]:
            return int(k)
    return below(ground, d)


@inlined
def take(ground: Ground, v: int, k: int, count: int) -> int:
    """Move unit ``v`` to device ``k`` as the next of ``count`` changes, if it can run there; return their number."""
    if ground.seconds[k, v] == np.inf:
        return count
    ground.changed[count], ground.before[count] = v, ground.place[v]
    move(ground, v, k)
    return count + 1


@inlined
def take_run(ground: Ground, v: int, k: int, size: int) -> int:
    """Move unit ``v`` and those after it in order that are on its device, ``size`` in all."""
    home, count = ground.place[v], 0
    for w in range(v, ground.place.shape[0]):
        if count == size:
            break
        if ground.place[w] == home:
            count = take(ground, w, k, count)
    return count


@inlined
def take_block(ground: Ground, v: int, k: int, size: int) -> int:
    """Move unit ``v`` and those on its device that are joined to it, ``size`` in all, nearest first."""
    home, head = ground.place[v], 0
    count = take(ground, v, k, 0)
    while head < count and count < size:
        first, last = ground.near_at[ground.changed[head]], ground.near_at[ground.changed[head] + 1]
        for e in range(first, last):
            if count < size and ground.place[ground.near[e]] == home:
                count = take(ground, ground.near[e], k, count)
        head += 1
    return count


@inlined
def below(ground: Ground, n: int) -> int:
    """Return a whole number from 0 to n - 1 at random."""
    return int(uniform(ground) * n)


@inlined
def uniform(ground: Ground) -> float:
    """Return the next number in [0, 1) (SplitMix64: Steele, Lea and Flood, 2014)."""
    ground.random[0] += np.uint64(0x9E3779B97F4A7C15)
    z = ground.random[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) / 9007199254740992.0
