"""Moves units off devices whose memory does not suffice."""

from __future__ import annotations

import numpy as np

from hpcai.device_placement.graph import Floats, Ints
from hpcai.device_placement.methods.problem import Problem


def fitted(problem: Problem, by_unit: Ints) -> Ints:
    """Return the placement (n,) of units (u,), moved until memory suffices or no move makes less lack.

    From the device that lacks most, the unit goes that just makes room, or the largest, to the device with most room;
    whichever move leaves least lacking.
    """
    chosen = np.where(problem.allowed[by_unit, np.arange(problem.units)], by_unit, problem.seconds.argmin(axis=0))
    timing = problem.simulator.time(problem.spread(chosen))
    while timing.excess > 0:
        lacking = timing.peak - problem.devices.memory
        moves = _moves(problem, chosen, int(lacking.argmax()), lacking)
        if not moves:
            break
        tried = np.array([_moved(chosen, unit, device) for unit, device in moves])
        _, excess = problem.simulator.times(problem.spread(tried))
        if excess.min() >= timing.excess:
            break
        chosen = tried[excess.argmin()]
        timing = problem.simulator.time(problem.spread(chosen))
    return problem.spread(chosen)


def _moves(problem: Problem, chosen: Ints, device: int, lacking: Floats) -> list[tuple[int, int]]:
    here = np.flatnonzero((chosen == device) & (problem.memory > 0))
    large = here[np.argsort(problem.memory[here])]
    enough = large[problem.memory[large] >= lacking[device]][:4]
    units = dict.fromkeys([*enough, *large[::-1][:4], *large[:: max(1, len(large) // 8)]])
    roomy = [d for d in np.argsort(lacking) if d != device][:3]
    return [(unit, target) for unit in units for target in roomy if problem.allowed[target, unit]]


def _moved(chosen: Ints, unit: int, device: int) -> Ints:
    moved = chosen.copy()
    moved[unit] = device
    return moved
