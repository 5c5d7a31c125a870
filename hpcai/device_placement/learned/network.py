"""The policy's network in a file of plain arrays."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from hpcai.arrays import read_arrays
from hpcai.device_placement.learned.construction import CHOICES
from hpcai.device_placement.learned.decoding import Decoder
from hpcai.device_placement.learned.encoder import FEATURES, Weights, encode
from hpcai.device_placement.learned.units import Units
from hpcai.errors import InputError

SCHEMA: Final = "hpcai device placement network 1"
SHIPPED: Final = "network.npz"  # experiments/device-placement-network.yaml trains it, on generated graphs alone


class NetworkMeta(BaseModel):
    """What a network was made for, and on what it learned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_name: Literal["hpcai device placement network 1"] = SCHEMA
    features: tuple[str, ...] = FEATURES
    choices: tuple[str, ...] = CHOICES
    graphs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """A policy that places any graph on any devices."""

    weights: Weights
    meta: NetworkMeta = field(default_factory=NetworkMeta)

    def decoder(self, units: Units) -> Decoder:
        """Return how it scores devices for ``units``, with an empty table."""
        table = np.zeros((len(units), len(units.simulator.devices)))
        unit = encode(self.weights, units).astype(np.float64)
        choice, out, direct = self.weights.choice, self.weights.out, self.weights.direct
        return Decoder(unit, choice.astype(np.float64), out.astype(np.float64), direct.astype(np.float64), table)


def packed(network: Network) -> bytes:
    """Return a network as the content of a file."""
    arrays: dict[str, Any] = {"meta": np.array(network.meta.model_dump_json()), **network.weights._asdict()}
    stream = BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def read_network(path: str | Path) -> Network:
    """Return the network in a file. Raises InputError if it is none, or was made for other features."""
    try:
        arrays = read_arrays(path)
        meta = NetworkMeta.model_validate(json.loads(str(arrays.pop("meta"))))
        weights = Weights(**{name: np.asarray(arrays[name], np.float32) for name in Weights._fields})
    except (ValueError, KeyError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected a network of device placement (.npz), found {reason}") from error
    if meta.features != FEATURES or meta.choices != CHOICES:
        raise InputError(f"{path}: expected a network for the features of this version, found one for others")
    hidden, rounds = len(weights.out), len(weights.own)
    for name, shape in shapes(hidden, rounds).items():
        if getattr(weights, name).shape != shape:
            raise InputError(f"{path}: {name}: expected the shape {shape}, found {getattr(weights, name).shape}")
    return Network(weights, meta)


def shapes(hidden: int, rounds: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array of a network."""
    return {
        "into": (len(FEATURES), hidden),
        "into_bias": (hidden,),
        "own": (rounds, hidden, hidden),
        "before": (rounds, hidden, hidden),
        "after": (rounds, hidden, hidden),
        "bias": (rounds, hidden),
        "unit": (hidden, hidden),
        "unit_bias": (hidden,),
        "choice": (len(CHOICES), hidden),
        "out": (hidden,),
        "direct": (len(CHOICES),),
    }


@cache
def known_network(path: str | None = None) -> Network:
    """Return the network in a file, read once, or the one that ships with the package. Raises InputError."""
    return read_network(path or Path(str(resources.files("hpcai.device_placement.learned") / SHIPPED)))
