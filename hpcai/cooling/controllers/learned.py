"""A learned policy: a network from what is seen to setpoints, as plain arrays and evaluated by NumPy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hpcai.arrays import read_arrays
from hpcai.cooling.action import Actions, Scheme
from hpcai.cooling.interface import Floats
from hpcai.cooling.observation import OBSERVED, Scaling
from hpcai.errors import InputError

SCHEMA: Final = "hpcai cooling network 1"
Layers = Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]
"""The matrix (out, in) and the bias (out,) of each layer."""
Meta = TypeVar("Meta", bound="LayersMeta")


class LayersMeta(BaseModel):
    """How many layers there are, what follows each, and how the last is brought into -1..1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    squash: Literal["tanh", "clip"]
    activation: Literal["relu", "tanh"] = "relu"
    layers: int = Field(ge=1)


class PolicyMeta(LayersMeta):
    """What a network is: its layers, its actions, the design power that scales what it sees, and its features."""

    schema_name: Literal["hpcai cooling network 1"] = SCHEMA
    actions: Scheme
    design_power: float = Field(gt=0)  # W
    observed: tuple[str, ...] = tuple(point.name for point in OBSERVED)


@dataclass(frozen=True)
class PolicyNetwork:
    """A multi-layer perceptron; ``weights`` are (matrix (out, in), bias (out,)) of each layer."""

    meta: PolicyMeta
    weights: Layers

    def action(self, scaled: NDArray[np.float32]) -> Floats:
        """Return the action (size,) in -1..1 for a scaled observation (len(OBSERVED),)."""
        return forward(self.meta, self.weights, scaled)


class Learned:
    """A controller that asks a network."""

    def __init__(self, network: PolicyNetwork) -> None:
        """Take the network."""
        self.network = network
        self._actions = Actions(network.meta.actions)
        self.scaling = Scaling(network.meta.design_power)

    def reset(self) -> None:
        """Nothing to forget."""

    def setpoints(self, observation: Floats) -> Floats:
        """Return what the network says."""
        return self._actions.setpoints(self.network.action(self.scaling(observation)))


def forward(meta: LayersMeta, weights: Layers, seen: NDArray[np.float32]) -> Floats:
    """Return what a perceptron says of what is seen (in,), (out,) in -1..1."""
    value = seen
    for matrix, bias in weights[:-1]:
        value = matrix @ value + bias
        value = np.tanh(value) if meta.activation == "tanh" else np.maximum(value, 0.0)
    matrix, bias = weights[-1]
    value = matrix @ value + bias
    return np.asarray(np.tanh(value) if meta.squash == "tanh" else np.clip(value, -1.0, 1.0), np.float64)


def packed(network: PolicyNetwork) -> bytes:
    """Return a network as the content of a file."""
    return packed_layers(network.meta, network.weights)


def packed_layers(meta: LayersMeta, weights: Layers) -> bytes:
    """Return layers, and what is to be known of them, as the content of a file."""
    arrays: dict[str, Any] = {"meta": np.array(meta.model_dump_json())}
    for i, (matrix, bias) in enumerate(weights):
        arrays |= {f"matrix_{i}": matrix, f"bias_{i}": bias}
    stream = BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def read_network(path: str | Path) -> PolicyNetwork:
    """Return the network in a file. Raises InputError if it is none, or was made for other features."""
    meta, weights = read_layers(path, PolicyMeta, "cooling")
    now = PolicyMeta.model_fields["observed"].default
    if meta.observed != now:
        raise InputError(f"{path}: expected a network for the features of this version, found one for others")
    check_layers(path, weights, len(OBSERVED), Actions(meta.actions).size)
    return PolicyNetwork(meta, weights)


def read_layers(path: str | Path, model: type[Meta], what: str) -> tuple[Meta, Layers]:
    """Return what is to be known of the layers in a file, and these. Raises InputError if it holds none."""
    try:
        arrays = read_arrays(path)
        meta = model.model_validate(json.loads(str(arrays.pop("meta"))))
        weights = [(arrays[f"matrix_{i}"], arrays[f"bias_{i}"]) for i in range(meta.layers)]
    except (ValueError, KeyError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected a {what} policy network (.npz), found {reason}") from error
    return meta, weights


def check_layers(path: str | Path, weights: Layers, inputs: int, outputs: int) -> None:
    """Raise InputError if layers do not lead from so many inputs to so many outputs."""
    sizes = [inputs, *(bias.size for _, bias in weights)]
    if any(matrix.shape != (out, into) for (matrix, _), into, out in zip(weights, sizes, sizes[1:], strict=False)):
        raise InputError(f"{path}: expected layers that fit one another, found {[m.shape for m, _ in weights]}")
    if sizes[-1] != outputs:
        raise InputError(f"{path}: expected {outputs} outputs, found {sizes[-1]}")
