"""The loops of searches over placements of units, compiled: annealing and descent, each a run of tried moves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.device_placement.step import Room, Step, run
from hpcai.jit import inlined, jit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Space(NamedTuple):
    """u units of n operators on d devices, and the price of lacking memory."""

    member_at: Ints  # (u + 1,)
    member: Ints  # (n,) operators of unit i from member_at[i]
    allowed: Bools  # (d, u)
    wall: float  # what a placement that is not feasible costs, with
    slope: float  # for each byte that lacks


class Walk(NamedTuple):
    """Where a search is and the best that it has seen."""

    units: Ints  # (u,) devices
    before: Ints  # (u,) room for those before a move
    placement: Ints  # (n,) the same of operators
    best: Ints  # (u,)
    costs: Floats  # (2,) of where it is, of the best
    tried: Ints  # (1,) placements timed


@jit
def enter(step: Step, room: Room, space: Space, walk: Walk) -> None:
    """Begin at ``walk.units``."""
    for unit in range(walk.units.shape[0]):
        move(space, walk, unit, walk.units[unit])
    walk.costs[0] = cost(step, room, space, walk)
    note(walk)


@jit
def anneal(step: Step, room: Room, space: Space, walk: Walk, draws: Floats, temperature: Floats) -> None:
    """Try as many moves as there are ``draws`` (k, 5), numbers in 0..1, at temperatures (k,) in seconds.

    Half of the moves send one unit to some device, a quarter to that of its neighbour in the topological order, and a
    quarter a run of units, its length log-uniform. Worse is accepted with the chance exp(-more / temperature).
    """
    u, d = walk.units.shape[0], step.memory.shape[0]
    for i in range(draws.shape[0]):
        first = min(int(draws[i, 1] * u), u - 1)
        last, device = first, min(int(draws[i, 2] * d), d - 1)
        if draws[i, 0] < 0.25:
            last = min(first + int(u ** draws[i, 3]), u - 1)
        elif draws[i, 0] < 0.5:
            neighbour = first + 1 if draws[i, 3] < 0.5 else first - 1
            device = walk.units[min(max(neighbour, 0), u - 1)]
        if not move_run(space, walk, first, last, device):
            continue
        found = cost(step, room, space, walk)
        more = found - walk.costs[0]
        if more <= 0 or draws[i, 4] < np.exp(-more / temperature[i]):
            walk.costs[0] = found
            note(walk)
        else:
            for unit in range(first, last + 1):
                move(space, walk, unit, walk.before[unit])


@jit
def descend(step: Step, room: Room, space: Space, walk: Walk, moves: Ints) -> int:
    """Try ``moves`` (k, 2) of a unit to a device in turn and keep each that is better; return how many were."""
    better = 0
    for i in range(moves.shape[0]):
        unit, device = moves[i, 0], moves[i, 1]
        if not move_run(space, walk, unit, unit, device):
            continue
        found = cost(step, room, space, walk)
        if found < walk.costs[0]:
            walk.costs[0] = found
            better += 1
            note(walk)
        else:
            move(space, walk, unit, walk.before[unit])
    return better


@inlined
def move_run(space: Space, walk: Walk, first: int, last: int, device: int) -> bool:
    """Move the units from ``first`` to ``last`` that may run there to a device; return whether any moved."""
    moved = False
    for unit in range(first, last + 1):
        walk.before[unit] = walk.units[unit]
        if space.allowed[device, unit] and walk.units[unit] != device:
            move(space, walk, unit, device)
            moved = True
    return moved


@inlined
def move(space: Space, walk: Walk, unit: int, device: int) -> None:
    """Move a unit to a device."""
    walk.units[unit] = device
    for k in range(space.member_at[unit], space.member_at[unit + 1]):
        walk.placement[space.member[k]] = device


@inlined
def cost(step: Step, room: Room, space: Space, walk: Walk) -> float:
    """Return the seconds of where the walk is, or behind a wall the memory that lacks."""
    seconds, excess = run(step, walk.placement, room)
    walk.tried[0] += 1
    if excess > 0 or seconds == np.inf:
        return space.wall + excess * space.slope
    return seconds


@inlined
def note(walk: Walk) -> None:
    """Keep where the walk is if it is the best so far."""
    if walk.costs[0] < walk.costs[1]:
        walk.costs[1] = walk.costs[0]
        for unit in range(walk.units.shape[0]):
            walk.best[unit] = walk.units[unit]
