"""The fast plant under a small network, many steps without Python between them. Compiled.

The network is a multi-layer perceptron of one hidden layer (tanh) that sees some of OBSERVED and moves the points of
an action scheme; what it does is summed up as :class:`hpcai.simulation.cooling.reward.CoolingReward` counts it.
"""

from __future__ import annotations

from math import tanh
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.cooling.interface import READING_INDEX, READINGS
from hpcai.cooling.parameters import Arrays
from hpcai.cooling.plant import step
from hpcai.jit import jit

Floats = NDArray[np.float64]

_READINGS = len(READINGS)
_EAST = READING_INDEX["east_inlet"]
_WEST = READING_INDEX["west_inlet"]


class Perceptron(NamedTuple):
    """Weights: F features, H hidden, A actions."""

    features: NDArray[np.int64]  # (F,), places in OBSERVED
    middle: Floats  # (F,), what is taken from a feature
    half: Floats  # (F,), by what it is divided then
    first: Floats  # (H, F)
    first_bias: Floats  # (H,)
    last: Floats  # (A, H)
    last_bias: Floats  # (A,)


class Moves(NamedTuple):
    """An action scheme as arrays; see hpcai.cooling.action.Actions."""

    low: Floats  # (A,)
    high: Floats  # (A,)
    grid: Floats  # (A,)
    to: NDArray[np.int64]  # setpoints that are moved
    of: NDArray[np.int64]  # by which number of the action
    added: NDArray[np.int64]  # number that is added to it, or -1


class Terms(NamedTuple):
    """What counts: a power (place in READINGS), limits of the inlets (°C), and the rate's place in OBSERVED."""

    energy: int
    high: float
    low: float
    rate: int


@jit
def seen(place: int, readings: Floats, surroundings: Floats) -> float:
    """Return what is observed at a place of OBSERVED, from readings and the surroundings of the step."""
    return float(readings[place]) if place < _READINGS else float(surroundings[place - _READINGS])


@jit
def number(net: Perceptron, moves: Moves, hidden: Floats, a: int) -> float:
    """Return number ``a`` of the action in its unit, on its grid."""
    total = net.last_bias[a]
    for h in range(len(hidden)):
        total += net.last[a, h] * hidden[h]
    steps = (tanh(total) + 1.0) / 2.0 * (moves.high[a] - moves.low[a]) / moves.grid[a]
    return float(moves.low[a] + np.round(steps) * moves.grid[a])


@jit
def act(net: Perceptron, moves: Moves, readings: Floats, around: Floats, hidden: Floats, told: Floats) -> None:
    """Write the setpoints that the network tells into ``told``; ``hidden`` (H,) is room to work in."""
    for h in range(len(hidden)):
        total = net.first_bias[h]
        for f in range(len(net.features)):
            value = (seen(net.features[f], readings, around) - net.middle[f]) / net.half[f]
            total += net.first[h, f] * min(max(value, -3.0), 3.0)
        hidden[h] = tanh(total)
    for k in range(len(moves.to)):
        told[moves.to[k]] = number(net, moves, hidden, moves.of[k])
        if moves.added[k] >= 0:
            told[moves.to[k]] += number(net, moves, hidden, moves.added[k])


@jit
def roll_policy(
    plant: Arrays,
    state: Floats,
    net: Perceptron,
    moves: Moves,
    terms: Terms,
    surroundings: Floats,
    load: Floats,
    weather: Floats,
    start: int,
    steps: int,
    density: float,
    dt: float,
    readings: Floats,
    hidden: Floats,
    told: Floats,
    ledger: Floats,
    totals: Floats,
) -> None:
    """Go ``steps`` on from step ``start`` and add up energy, heat and cold.

    Args:
        plant: parameters.
        state: (side.ROWS, len(side.STATE)), overwritten.
        net: the network.
        moves: what its outputs move.
        terms: what counts.
        surroundings: (all steps, len(SURROUNDINGS)).
        load: (all steps, 2).
        weather: (all steps, len(WEATHER)).
        start: first step.
        steps: how many.
        density: kg/m3, see ``plant.step``.
        dt: s.
        readings: (len(READINGS),) of the step before, overwritten.
        hidden: (H,), room to work in.
        told: (len(SETPOINTS),), nan where nothing is moved, overwritten.
        ledger: (len(LEDGER),), room to work in.
        totals: (3,), added to: W times the rate, K beyond the high limit, K beyond the low limit, each over steps.
    """
    for i in range(start, start + steps):
        act(net, moves, readings, surroundings[i], hidden, told)
        rate = surroundings[i, terms.rate - _READINGS]
        step(plant, state, told, load[i], weather[i], density, dt, readings, ledger)
        warmer, cooler = max(readings[_EAST], readings[_WEST]), min(readings[_EAST], readings[_WEST])
        totals[0] += readings[terms.energy] * rate
        totals[1] += max(warmer - terms.high, 0.0)
        totals[2] += max(terms.low - cooler, 0.0)
