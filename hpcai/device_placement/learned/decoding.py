"""Placements drawn from a policy: unit by unit, each device's score from what is known of it and of the unit.

    score[v, k] = out . relu(unit[v] + seen[v, k] . hidden) + direct . seen[v, k] + table[v, k]

``unit`` is what a graph network says of the units (encoder.py); ``table`` is what is learned on one graph alone.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hpcai.device_placement.graph import Floats, Ints
from hpcai.device_placement.learned.construction import State, Task, allowed, clear, observe, put
from hpcai.jit import inlined, jit


class Decoder(NamedTuple):
    """How devices are scored; F features of a device, H hidden values."""

    unit: Floats  # (u, H)
    hidden: Floats  # (F, H)
    out: Floats  # (H,)
    direct: Floats  # (F,)
    table: Floats  # (u, d)


class Drawn(NamedTuple):
    """What came of a construction."""

    seen: Floats  # (u, d, F)
    chance: Floats  # (u, d); 0 where not allowed
    mask: Ints  # (u, d)


def make_drawn(task: Task, features: int) -> Drawn:
    """Return room for what comes of a construction."""
    d, u = task.seconds.shape
    return Drawn(np.zeros((u, d, features)), np.zeros((u, d)), np.zeros((u, d), np.int64))


@jit
def draw(task: Task, state: State, decoder: Decoder, noise: Floats, heat: float, value: Floats, drawn: Drawn) -> None:
    """Place all units in turn: with ``noise`` (u,) in 0..1 at random, with ``heat`` 0 the best score.

    ``state.place`` then has the devices; ``value`` (H,) is room to work in.
    """
    clear(state)
    for v in range(task.mean.shape[0]):
        observe(task, state, v, drawn.seen[v])
        allowed(task, state, v, drawn.mask[v])
        put(task, state, v, chosen(decoder, v, noise[v], heat, value, drawn))


@inlined
def chosen(decoder: Decoder, v: int, noise: float, heat: float, value: Floats, drawn: Drawn) -> int:
    """Write the chances of the devices for unit ``v``; return the one that is taken."""
    chance, best, most = drawn.chance[v], -1, -np.inf
    for k in range(chance.shape[0]):
        chance[k] = -np.inf
        if drawn.mask[v, k]:
            chance[k] = score(decoder, v, k, value, drawn)
            if chance[k] > most:
                most, best = chance[k], k
    total = 0.0
    for k in range(chance.shape[0]):
        if heat > 0.0:
            chance[k] = math.exp((chance[k] - most) / heat)
        else:
            chance[k] = 1.0 if k == best else 0.0
        total += chance[k]
    left = noise * total
    taken = best
    for k in range(chance.shape[0]):
        if 0.0 <= left < chance[k]:
            taken = k
        left -= chance[k]
    for k in range(chance.shape[0]):
        chance[k] /= total
    return taken if heat > 0.0 else best


@inlined
def score(decoder: Decoder, v: int, k: int, value: Floats, drawn: Drawn) -> float:
    """Return the score of device ``k`` for unit ``v``."""
    hidden, total = value.shape[0], float(decoder.table[v, k])
    for j in range(hidden):
        value[j] = decoder.unit[v, j]
    for f in range(decoder.direct.shape[0]):
        x = drawn.seen[v, k, f]
        total += decoder.direct[f] * x
        if x != 0.0:
            for j in range(hidden):
                value[j] += x * decoder.hidden[f, j]
    for j in range(hidden):
        total += decoder.out[j] * max(value[j], 0.0)
    return total
