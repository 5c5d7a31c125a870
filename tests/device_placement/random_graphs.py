"""Random graphs and devices for properties that have to hold on all of them."""

from __future__ import annotations

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import NO_GROUP, OperatorGraph


def random_graph(rng, n, *, training=False, kinds=("V100",), groups=False):
    """Return a graph of n operators, each pair joined with the chance of two edges an operator."""
    chance = min(1.0, 4 / max(n - 1, 1))
    edges = [(i, j) for i in range(n) for j in range(i + 1, n) if rng.random() < chance]
    forward = rng.uniform(1, 10, (len(kinds), n)) * (rng.random(n) > 0.15)
    group = rng.integers(0, max(n // 2, 1), n) if groups else np.full(n, NO_GROUP)
    return OperatorGraph(
        name="random",
        operators=tuple(f"o{i}" for i in range(n)),
        kinds=("unknown",) * n,
        device_kinds=tuple(kinds),
        forward=forward,
        backward=2 * forward if training else np.zeros_like(forward),
        weights=rng.uniform(0, 10, n) * (rng.random(n) > 0.5),
        activations=rng.uniform(0, 10, n),
        output=rng.uniform(0, 10, n),
        group=group,
        phase=np.zeros(n, np.int64),
        edges=np.array(edges, np.int64).reshape(-1, 2),
    )


def random_devices(rng, d, *, kinds=("V100",), memory=np.inf):
    """Return d devices with a bandwidth of its own for each way, and some links that several ways share."""
    own = np.eye(d, dtype=bool)
    bandwidth = rng.uniform(1, 4, (d, d))
    return Devices(
        names=tuple(f"d{i}" for i in range(d)),
        kinds=tuple(rng.choice(kinds, d)),
        memory=np.full(d, memory),
        bandwidth=np.where(own, np.inf, bandwidth),
        latency=np.where(own, 0.0, rng.uniform(0, 1, (d, d))),
        links=np.where(own[:, :, None], -1, rng.integers(-1, 3, (d, d, 2))),
        link_names=("x", "y", "z"),
    )
