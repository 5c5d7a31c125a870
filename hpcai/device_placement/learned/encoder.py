"""What a graph network says of each unit: features without a scale, and messages along the edges, both ways.

    h = relu(x W_in + b_in);   h += relu(h W_own + mean over inputs(h) W_before + mean over consumers(h) W_after + b)

a few times over. Evaluated by NumPy here and by PyTorch where it is trained, to the same values.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hpcai.device_placement.graph import Floats
from hpcai.device_placement.learned.units import Units

FEATURES: Final = (  # of a unit, most as x / (1 + x)
    "seconds",  # to those of a mean unit
    "part_of_path",  # seconds to the longest path
    "memory",  # to an even share of all
    "memory_of_device",  # to the memory of a mean device
    "sent",  # seconds of sending its output once, to its own
    "sent_to_mean",  # the same, to a mean unit
    "taken",  # seconds of sending all its inputs, to a mean unit
    "to_end",  # longest path from it to the end, to the longest of all
    "from_start",  # longest path from the start to it, to the longest of all
    "slack",  # what the longest path over it is shorter than the longest of all, to that
    "inputs",  # number
    "consumers",  # number
    "position",  # in the order of placing, 0..1
    "devices",  # 1 / number of devices
    "communication",  # seconds of sending everything, to those of all units
    "width",  # seconds of all units to the longest path
    "width_of_devices",  # the same, to the number of devices
    "pressure",  # memory of all units to that of all devices
)


class Weights(NamedTuple):
    """Of a network with X features, H hidden values and L rounds of messages; F features of a device."""

    into: NDArray[np.float32]  # (X, H)
    into_bias: NDArray[np.float32]  # (H,)
    own: NDArray[np.float32]  # (L, H, H)
    before: NDArray[np.float32]  # (L, H, H)
    after: NDArray[np.float32]  # (L, H, H)
    bias: NDArray[np.float32]  # (L, H)
    unit: NDArray[np.float32]  # (H, H) to the decoder
    unit_bias: NDArray[np.float32]  # (H,)
    choice: NDArray[np.float32]  # (F, H)
    out: NDArray[np.float32]  # (H,)
    direct: NDArray[np.float32]  # (F,)


def unit_features(units: Units) -> Floats:
    """Return what the network sees (u, len(FEATURES)), in 0..1."""
    devices, mean, transfer = units.simulator.devices, units.mean, units.transfer
    u, (source, target) = len(units), units.edges.T
    tick, work = mean.mean() or 1.0, mean.sum() or 1.0
    to_end, from_start = _longest(units)
    path = (to_end + from_start).max() or 1.0
    once = np.zeros(u)
    np.maximum.at(once, source, transfer)
    taken = np.bincount(target, weights=transfer, minlength=u)
    room = float(np.minimum(devices.memory, 2 * units.memory.sum() + 1.0).mean()) or 1.0
    wide = work / path
    of_all = [1 / len(devices), _share(transfer.sum() / work), _share(wide), _share(wide / len(devices)),
              _share(units.memory.sum() / room / len(devices))]  # fmt: skip
    columns = [
        _share(mean / tick),
        _share(mean / path),
        _share(units.memory / (units.memory.mean() or 1.0)),
        _share(units.memory / room),
        _share(once / np.maximum(mean, 0.01 * tick)),
        _share(once / tick),
        _share(taken / tick),
        to_end / path,
        from_start / path,
        1 - (to_end + from_start) / path,
        _share(np.bincount(target, minlength=u).astype(np.float64)),
        _share(np.bincount(source, minlength=u).astype(np.float64)),
        np.arange(u) / u,
        *(np.full(u, value) for value in of_all),
    ]
    return np.stack(columns, axis=1)


def _share(value: Any) -> Any:
    return value / (1.0 + value)


def _longest(units: Units) -> tuple[Floats, Floats]:
    """Return (u,) the longest path from each unit to the end with it, and to its start; transfers count."""
    to_end, from_start = units.mean.copy(), np.zeros(len(units))
    ahead = units.edges[:, 0] < units.edges[:, 1]
    edges, transfer = units.edges[ahead], units.transfer[ahead]
    for e in np.argsort(-edges[:, 0], kind="stable"):
        source, target = edges[e]
        to_end[source] = max(to_end[source], units.mean[source] + transfer[e] + to_end[target])
    for e in np.argsort(edges[:, 1], kind="stable"):
        source, target = edges[e]
        from_start[target] = max(from_start[target], from_start[source] + units.mean[source] + transfer[e])
    return to_end, from_start


def neighbours(units: Units) -> tuple[csr_array, csr_array]:
    """Return matrices (u, u) that take means over the inputs of each unit, and over its consumers."""
    u, (source, target) = len(units), units.edges.T

    def means(to: NDArray[np.int64], of: NDArray[np.int64]) -> csr_array:
        degree = np.maximum(np.bincount(to, minlength=u), 1)
        return csr_array(((1.0 / degree[to]).astype(np.float32), (to, of)), shape=(u, u))

    return means(target, source), means(source, target)


def encode(weights: Weights, units: Units) -> NDArray[np.float32]:
    """Return what the decoder takes of each unit (u, H)."""
    inputs, consumers = neighbours(units)
    x = unit_features(units).astype(np.float32)
    h = np.maximum(x @ weights.into + weights.into_bias, 0.0)
    for own, before, after, bias in zip(weights.own, weights.before, weights.after, weights.bias, strict=True):
        h = h + np.maximum(h @ own + (inputs @ h) @ before + (consumers @ h) @ after + bias, 0.0)
    found: NDArray[np.float32] = h @ weights.unit + weights.unit_bias
    return found
