"""Graphs drawn at random to learn on, in the shapes that models have; no model's own.

Seconds, bytes and shapes are drawn anew for each: branches that meet (as in convolutional networks), chains with
skipped connections (residual networks, transformers), a grid of steps and layers with shared weights (recurrent
networks), and layers of operators joined at random.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from hpcai.device_placement.graph import FORWARD, NO_GROUP, Ints, OperatorGraph
from hpcai.device_placement.machine_devices import HOST

Edges = list[tuple[int, int]]
KIND: Final = "V100"
_TYPICAL: Final = 1e-3  # s of an operator
_BYTES: Final = 4e6  # of an output
_SLOWER: Final = 12.0


class _Drawing:
    """A graph as it grows: the size of each operator relative to a typical one, and what it weighs."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.seconds: list[float] = []
        self.weights: list[float] = []
        self.output: list[float] = []
        self.edges: Edges = []
        self.spread = rng.uniform(0.1, 1.2)

    def add(self, inputs: list[int], seconds: float = 1.0, weights: float = 1.0, output: float = 1.0) -> int:
        """Add an operator of about that size, in typical ones, and return its number."""
        for amounts, size in ((self.seconds, seconds), (self.weights, weights), (self.output, output)):
            amounts.append(size * float(self.rng.lognormal(0.0, self.spread)))
        self.edges += [(source, len(self.seconds) - 1) for source in dict.fromkeys(inputs)]
        return len(self.seconds) - 1

    def chain(self, start: list[int], length: int, size: float = 1.0) -> int:
        """Add operators one after another and return the last."""
        last = self.add(start, size)
        for _ in range(length - 1):
            last = self.add([last], size)
        return last


def _branches(drawing: _Drawing) -> None:
    rng = drawing.rng
    last = drawing.chain([], int(rng.integers(1, 5)))
    for _ in range(rng.integers(3, 13)):
        ends = [drawing.chain([last], int(rng.integers(1, 6))) for _ in range(rng.integers(2, 6))]
        skipped = [last] if rng.random() < 0.2 else []
        last = drawing.add([*ends, *skipped], 0.1, weights=0.0, output=float(rng.uniform(0.5, 3.0)))
    drawing.chain([last], 2)


def _cells(drawing: _Drawing) -> None:
    """As found by search of architectures: each cell takes the two before, and adds up pairs of branches."""
    rng = drawing.rng
    before = last = drawing.add([])
    for _ in range(rng.integers(4, 13)):
        inside = [before, last]
        for _ in range(rng.integers(3, 6)):
            pair = [drawing.chain([int(rng.choice(inside))], int(rng.integers(1, 4))) for _ in range(2)]
            inside.append(drawing.add(pair, 0.1, weights=0.0))
        before, last = last, drawing.add(inside[2:], 0.1, weights=0.0, output=2.0)


def _skips(drawing: _Drawing) -> None:
    rng = drawing.rng
    wide = int(rng.choice([1, 1, 2, 3, 8]))
    last = drawing.add([])
    for _ in range(rng.integers(6, 25)):
        heads = [drawing.chain([last], int(rng.integers(1, 4)), 1.0 / wide) for _ in range(wide)]
        last = drawing.add([drawing.chain(heads, int(rng.integers(1, 4))), last], 0.1, weights=0.0)


def _grid(drawing: _Drawing) -> None:
    rng = drawing.rng
    layers, steps = int(rng.integers(1, 5)), int(rng.integers(6, 25))
    weights, output = float(rng.uniform(1.0, 30.0)), float(rng.lognormal(0.0, 1.0))
    attended: list[int] = []
    below = [drawing.add([], 0.0, weights=0.0)] * steps
    for layer in range(layers):
        shared = drawing.add([], 0.0, weights=weights, output=weights)
        row: list[int] = []
        backwards = rng.random() < 0.15
        for step in range(steps)[:: -1 if backwards else 1]:
            row.append(drawing.add([below[step], shared, *row[-1:], *attended], 1.0, weights=0.0, output=output))
        below = row[::-1] if backwards else row
        if layer + 1 < layers and rng.random() < 0.3:
            attended = [drawing.add(below, 0.2, weights=0.0, output=float(rng.uniform(1.0, 5.0)))]
    if rng.random() < 0.7:
        size = float(rng.uniform(0.3, 5.0))
        shared = drawing.add([], 0.0, weights=2 * weights, output=2 * weights)
        for state in below:
            drawing.add([state, shared], size, weights=0.0)


def _layers(drawing: _Drawing) -> None:
    rng = drawing.rng
    before = [drawing.add([])]
    for _ in range(rng.integers(4, 16)):
        width = int(rng.integers(1, 9))
        now = []
        for _ in range(width):
            inputs = rng.choice(before, size=min(len(before), int(rng.integers(1, 4))), replace=False)
            now.append(drawing.add([int(i) for i in inputs]))
        before = now


SHAPES: Final[dict[str, Callable[[_Drawing], None]]] = {
    "branches": _branches,
    "cells": _cells,
    "skips": _skips,
    "grid": _grid,
    "layers": _layers,
}


def generate(rng: np.random.Generator) -> OperatorGraph:
    """Return a graph of a shape drawn from :data:`SHAPES`, of a training three times of four, else of inference."""
    shape = str(rng.choice(list(SHAPES)))
    drawing = _Drawing(rng)
    SHAPES[shape](drawing)
    n = len(drawing.seconds)
    slower = rng.lognormal(np.log(_SLOWER), 0.5, n)  # on a CPU
    forward = _TYPICAL * np.array(drawing.seconds) * np.stack([np.ones(n), slower])
    backward = forward * rng.uniform(1.0, 2.5, n) if rng.random() < 0.75 else np.zeros_like(forward)
    output = _BYTES * np.array(drawing.output) * rng.lognormal(0.0, 1.0)
    return OperatorGraph(
        name=f"generated {shape}",
        operators=tuple(f"operator {i}" for i in range(n)),
        kinds=("unknown",) * n,
        device_kinds=(KIND, HOST),
        forward=forward,
        backward=backward,
        weights=_BYTES * np.array(drawing.weights) * rng.lognormal(0.0, 1.0),
        activations=output * (forward[0] > 0),
        output=output,
        group=np.full(n, NO_GROUP, np.int64),
        phase=np.full(n, FORWARD, np.int64),
        edges=_unique(drawing.edges),
    )


def _unique(edges: Edges) -> Ints:
    return np.array(list(dict.fromkeys(edges)), np.int64).reshape(-1, 2)
