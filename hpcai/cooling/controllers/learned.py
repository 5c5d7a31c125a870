"""A learned policy: a network from what is seen to setpoints, as plain arrays and evaluated by NumPy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hpcai.arrays import read_arrays
from hpcai.cooling.action import Actions, Scheme
from hpcai.cooling.interface import Floats
from hpcai.cooling.observation import OBSERVED, Scaling
from hpcai.errors import InputError

SCHEMA: Final = "hpcai cooling network 1"


class PolicyMeta(BaseModel):
    """What a network is: its actions, how it is squashed, the design power that scales what it sees, and features."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_name: Literal["hpcai cooling network 1"] = SCHEMA
    actions: Scheme
    squash: Literal["tanh", "clip"]
    activation: Literal["relu", "tanh"] = "relu"
    design_power: float = Field(gt=0)  # W
    layers: int = Field(ge=1)
    observed: tuple[str, ...] = tuple(point.name for point in OBSERVED)


@dataclass(frozen=True)
class PolicyNetwork:
    """A multi-layer perceptron; ``weights`` are (matrix (out, in), bias (out,)) of each layer."""

    meta: PolicyMeta
    weights: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]

    def action(self, scaled: NDArray[np.float32]) -> Floats:
        """Return the action (size,) in -1..1 for a scaled observation (len(OBSERVED),)."""
        value = scaled
        for matrix, bias in self.weights[:-1]:
            value = matrix @ value + bias
            value = np.tanh(value) if self.meta.activation == "tanh" else np.maximum(value, 0.0)
        matrix, bias = self.weights[-1]
        value = matrix @ value + bias
        return np.asarray(np.tanh(value) if self.meta.squash == "tanh" else np.clip(value, -1.0, 1.0), np.float64)


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


def packed(network: PolicyNetwork) -> bytes:
    """Return a network as the content of a file."""
    arrays: dict[str, Any] = {"meta": np.array(network.meta.model_dump_json())}
    for i, (matrix, bias) in enumerate(network.weights):
        arrays |= {f"matrix_{i}": matrix, f"bias_{i}": bias}
    stream = BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def read_network(path: str | Path) -> PolicyNetwork:
    """Return the network in a file. Raises InputError if it is none, or was made for other features."""
    try:
        arrays = read_arrays(path)
        meta = PolicyMeta.model_validate(json.loads(str(arrays.pop("meta"))))
        weights = [(arrays[f"matrix_{i}"], arrays[f"bias_{i}"]) for i in range(meta.layers)]
    except (ValueError, KeyError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected a cooling policy network (.npz), found {reason}") from error
    now = PolicyMeta.model_fields["observed"].default
    if meta.observed != now:
        raise InputError(f"{path}: expected a network for the features of this version, found one for others")
    sizes = [len(OBSERVED), *(len(bias) for _, bias in weights)]
    if any(matrix.shape != (out, into) for (matrix, _), into, out in zip(weights, sizes, sizes[1:], strict=False)):
        raise InputError(f"{path}: expected layers that fit one another, found {[m.shape for m, _ in weights]}")
    if sizes[-1] != Actions(meta.actions).size:
        raise InputError(f"{path}: expected {Actions(meta.actions).size} outputs, found {sizes[-1]}")
    return PolicyNetwork(meta, weights)
