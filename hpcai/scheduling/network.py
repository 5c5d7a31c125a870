"""A learned policy without the library that taught it: weights in plain arrays, scores by NumPy.

The networks are those of :mod:`hpcai.learning.network`, where they are explained; a test holds both equal. A file is
an .npz of the weights, of ``meta`` (JSON: which network, which features in which order, how decisions are taken) and
of nothing else; it is read without ever unpickling.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hpcai.arrays import changed_at, read_arrays
from hpcai.errors import InputError
from hpcai.scheduling.decisions import Decide
from hpcai.scheduling.features import JOB_FEATURES, MACHINE_FEATURES

SCHEMA: Final = "hpcai scheduling network 1"
Floats = NDArray[np.float32]


class NetworkMeta(BaseModel):
    """What a network is and how it is asked. ``activation`` is that of a plain MLP, ``heads`` those of attention."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_name: Literal["hpcai scheduling network 1"] = SCHEMA
    kind: Literal["deep-sets", "attention", "mlp"]
    heads: int = Field(default=1, ge=1)
    activation: Literal["tanh", "relu"] = "tanh"
    window: int = Field(ge=1)
    decide: Decide
    defer: bool
    classes: tuple[str, ...] = ()
    job_features: tuple[str, ...] = tuple(JOB_FEATURES)
    machine_features: tuple[str, ...] = tuple(MACHINE_FEATURES)


@dataclass(frozen=True)
class Network:
    """A network and its weights by name."""

    meta: NetworkMeta
    weights: Mapping[str, Floats]

    def choose(self, jobs: Floats, machine: Floats, legal: NDArray[np.bool_]) -> int:
        """Return the possible action with the highest score.

        ``jobs`` is (K, job features), ``machine`` (machine features,), ``legal`` (K + 1,) with deferring last.
        """
        scores = self.scores(jobs, machine)
        return int(np.argmax(np.where(legal[: len(scores)], scores, -np.inf)))

    def scores(self, jobs: Floats, machine: Floats) -> Floats:
        """Return the score of every action, (K,) or with deferring (K + 1,); -inf in a slot without a job."""
        if self.meta.kind == "mlp":
            return self._plain(np.concatenate((jobs.reshape(-1), machine)))
        slots = len(jobs)
        jobs = jobs[: int(jobs[:, 0].sum())]  # those present come first
        of_machine = _relu(self._linear("machine", machine))
        h = _relu(self._linear("job", jobs) + self._linear("machine_to_job", of_machine))
        h = _relu(self._linear("embed", h))
        if self.meta.kind == "attention":
            h = _relu(h + self._linear("out", self._attend(self._linear("query_key_value", h))))
        summary = np.concatenate((h.mean(axis=0), h.max(axis=0), of_machine))
        own = _relu(self._linear("own", h) + self._linear("context", summary))
        scores = np.full(slots + int(self.meta.defer), -np.inf, dtype=np.float32)
        scores[: len(jobs)] = self._linear("score", own)[:, 0]
        if self.meta.defer:
            scores[-1] = self._linear("defer_1", _relu(self._linear("defer_0", summary)))[0]
        return scores

    def _linear(self, name: str, x: Floats) -> Floats:
        y: Floats = x @ self.weights[f"{name}_weight"].T
        bias = self.weights.get(f"{name}_bias")
        return y if bias is None else y + bias

    def _attend(self, query_key_value: Floats) -> Floats:
        """Return what each job gathers from all, (jobs, hidden)."""
        split = query_key_value.reshape(len(query_key_value), 3, self.meta.heads, -1).transpose(1, 2, 0, 3)
        query, key, value = split  # (heads, jobs, d) each
        weights = query @ key.transpose(0, 2, 1) / np.sqrt(np.float32(query.shape[2]))
        weights = np.exp(weights - weights.max(axis=2, keepdims=True))
        weights /= weights.sum(axis=2, keepdims=True)
        mixed: Floats = (weights @ value).transpose(1, 0, 2).reshape(len(query_key_value), -1)
        return mixed

    def _plain(self, x: Floats) -> Floats:
        last = sum(name.endswith("_weight") for name in self.weights) - 1
        for k in range(last):
            x = self._linear(f"layer_{k}", x)
            x = np.tanh(x) if self.meta.activation == "tanh" else _relu(x)
        return self._linear(f"layer_{last}", x)


def _relu(x: Floats) -> Floats:
    return np.maximum(x, np.float32(0))


def save_network(network: Network, path: Path) -> None:
    """Write a network to a file."""
    with path.open("wb") as file:
        arrays: dict[str, Any] = {"meta": np.array(network.meta.model_dump_json()), **network.weights}
        np.savez(file, **arrays)


def load_network(path: str | Path) -> Network:
    """Return the network in a file.

    Raises InputError if the file cannot be read, holds anything but plain arrays, or was made for other features.
    """
    return _load(str(path), changed_at(path, "network"))


@functools.lru_cache(maxsize=8)
def _load(path: str, changed: int) -> Network:
    """Read the file as it was at ``changed``: every replay asks for it anew."""
    try:
        arrays = read_arrays(path)
        meta = NetworkMeta.model_validate(json.loads(str(arrays.pop("meta"))))
    except (ValueError, KeyError) as error:
        reason = "made by another version" if isinstance(error, ValidationError) else "not a network's .npz file"
        raise InputError(f"network {path}: {reason}; expected schema {SCHEMA!r}") from error
    if meta.job_features != tuple(JOB_FEATURES) or meta.machine_features != tuple(MACHINE_FEATURES):
        raise InputError(f"network {path}: its features are not those of this version; train it again")
    network = Network(meta, {name: np.asarray(array, dtype=np.float32) for name, array in arrays.items()})
    try:  # on an observation of nothing in particular
        jobs = np.ones((meta.window, len(meta.job_features)), np.float32)
        actions = network.scores(jobs, np.ones(len(meta.machine_features), np.float32))
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"network {path}: damaged: {error}") from error
    if actions.shape != (meta.window + int(meta.defer),) or not np.isfinite(actions).all():
        raise InputError(f"network {path}: damaged: it does not score {meta.window} jobs")
    return network
