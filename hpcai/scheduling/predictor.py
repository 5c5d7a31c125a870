"""Predictors of run time: Tsafrir's, and boosted trees read from a file and evaluated in compiled code."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.arrays import changed_at, read_arrays
from hpcai.errors import InputError
from hpcai.jit import jit
from hpcai.scheduling.history import (
    FEATURES,
    SUBMITS,
    Histories,
    fill_features,
    make_histories,
    recorded_events,
    take_effect,
)
from hpcai.scheduling.jobs import SLOWDOWN_FLOOR
from hpcai.scheduling.policy import Policy

SCHEMA: Final = "hpcai run-time predictor 1"
# What the trees of a model add up to. Each is the logarithm of: three quantiles of the run time in s, its expectation
# as a share of the requested time (of a day if none is known), and 10 s times the expected 1 / max(run time, 10 s).
OUTPUTS: Final = ("low", "median", "high", "mean", "rate")
_LOW, _MEDIAN, _HIGH, _MEAN, _RATE = range(len(OUTPUTS))
UNKNOWN_REQUEST: Final = 86400.0  # s, stands for a requested time where none is known
FIRST_GUESS: Final = 3600.0  # s, of Tsafrir's predictor for a user without history who asked for no time

TREE_NODE = np.dtype(
    [
        ("threshold", "f8"),  # features up to it go left
        ("value", "f8"),  # of a leaf
        ("left", "i4"),  # nodes; left is -1 in a leaf
        ("right", "i4"),
        ("feature", "i4"),
        ("missing_left", "i4"),  # an unknown feature goes left
    ],
    align=True,
)


class Trees(NamedTuple):
    """A boosted model of the outputs; no tree at all means Tsafrir's predictor."""

    nodes: NDArray[np.void]  # TREE_NODE (nodes of all trees,)
    roots: NDArray[np.int64]  # (trees,)
    output: NDArray[np.int64]  # (trees,) which of OUTPUTS a tree adds to
    baseline: NDArray[np.float64]  # (outputs,)
    x: NDArray[np.float64]  # (features,) room for the features of one job
    y: NDArray[np.float64]  # (outputs,) room for its outputs


@dataclass(frozen=True)
class Model:
    """A trained predictor as read from its file."""

    nodes: NDArray[np.void]
    roots: NDArray[np.int64]
    output: NDArray[np.int64]
    baseline: NDArray[np.float64]

    def trees(self) -> Trees:
        """Return the trees with room to work in."""
        x, y = np.zeros(len(FEATURES)), np.zeros(len(OUTPUTS))
        return Trees(self.nodes, self.roots, self.output, self.baseline, x, y)


NO_TREES: Final = Model(
    np.zeros(0, dtype=TREE_NODE), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(len(OUTPUTS))
)


def save_model(model: Model, path: Path) -> None:
    """Write a model to an .npz file of plain arrays."""
    fields: dict[str, Any] = {f"node_{name}": model.nodes[name] for name in TREE_NODE.names or ()}
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            schema=np.array(SCHEMA),
            features=np.array(FEATURES),
            outputs=np.array(OUTPUTS),
            roots=model.roots,
            output=model.output,
            baseline=model.baseline,
            **fields,
        )


def load_model(path: str | Path) -> Model:
    """Return the model in a file.

    Raises InputError if the file cannot be read, holds anything but plain arrays, or was made for other features.
    """
    return _load(str(path), changed_at(path, "predictor"))


@functools.lru_cache(maxsize=8)
def _load(path: str, changed: int) -> Model:
    """Read the file as it was at ``changed``: every replay asks for it anew."""
    try:
        arrays = read_arrays(path)
    except ValueError as error:
        raise InputError(f"predictor {path}: not a predictor's .npz file of plain arrays") from error
    found = str(arrays.get("schema", "nothing"))
    if found != SCHEMA:
        raise InputError(f"predictor {path}: expected schema {SCHEMA!r}, found {found!r}")
    for key, expected in (("features", FEATURES), ("outputs", OUTPUTS)):
        if tuple(arrays.get(key, np.array([])).tolist()) != expected:
            raise InputError(f"predictor {path}: its {key} are not those of this version; train it again")
    try:
        return _model(arrays)
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"predictor {path}: damaged: {error}") from error


def _model(arrays: dict[str, NDArray[np.generic]]) -> Model:
    """Return the model of a file's arrays; ValueError or KeyError if they do not describe trees."""
    nodes = np.zeros(arrays["node_left"].shape, dtype=TREE_NODE)
    for name in TREE_NODE.names or ():
        nodes[name] = arrays[f"node_{name}"]
    model = Model(
        nodes,
        arrays["roots"].astype(np.int64),
        arrays["output"].astype(np.int64),
        arrays["baseline"].astype(np.float64),
    )
    own = np.arange(len(nodes))
    inner = nodes["left"] >= 0
    for side in ("left", "right"):  # a child lies behind its parent, so that every walk ends
        child = nodes[side][inner]
        if ((child <= own[inner]) | (child >= len(nodes))).any():
            raise ValueError("a tree's nodes point outside it")
    for name, values, bound in (
        ("feature", nodes["feature"][inner], len(FEATURES)),
        ("root", model.roots, len(nodes)),
        ("output", model.output, len(OUTPUTS)),
    ):
        if ((values < 0) | (values >= bound)).any():
            raise ValueError(f"a {name} is out of range")
    if not len(model.roots) or len(model.roots) != len(model.output) or model.baseline.shape != (len(OUTPUTS),):
        raise ValueError("the number of trees, or of outputs, is wrong")
    return model


def model_of(policy: Policy) -> Model:
    """Return the model of a policy's predictor, without trees unless it is a file.

    Raises InputError if the file cannot be used.
    """
    return load_model(policy.predictor) if policy.predictor_is_file else NO_TREES


@jit
def add_trees(t: Trees, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """Write to ``y`` the outputs of the model for the features ``x``."""
    for k in range(y.shape[0]):
        y[k] = t.baseline[k]
    for tree in range(t.roots.shape[0]):
        node = t.nodes[t.roots[tree]]
        while node.left >= 0:
            value = x[node.feature]
            if np.isnan(value):
                node = t.nodes[node.left if node.missing_left else node.right]
            else:
                node = t.nodes[node.left if value <= node.threshold else node.right]
        y[t.output[tree]] += node.value


@jit
def predict(h: Histories, t: Trees, c: int, now: float) -> None:
    """Predict the run time of a job of class ``c`` that waits at ``now``; the class then holds the prediction."""
    p = h.classes[c]
    p.revision = h.histories[h.keys[c, 0]].ended
    if t.roots.shape[0] == 0:
        _predict_last_two(h, c)
        return
    fill_features(h, c, now, t.x)
    add_trees(t, t.x, t.y)
    p.time = min(np.exp(t.y[_MEDIAN]), p.requested)
    p.low = min(np.exp(t.y[_LOW]), p.time)
    p.high = min(max(np.exp(t.y[_HIGH]), p.time), p.requested)
    p.mean = min(np.exp(t.y[_MEAN]) * (p.requested if p.requested < np.inf else UNKNOWN_REQUEST), p.requested)
    p.rate = max(min(np.exp(t.y[_RATE]), 1.0) / SLOWDOWN_FLOOR, 1.0 / max(p.requested, SLOWDOWN_FLOOR))


@jit
def _predict_last_two(h: Histories, c: int) -> None:
    """The mean of the last two run times of the user, at most the requested time, which also stands in for them.

    Tsafrir, Etsion and Feitelson: Backfilling using system-generated predictions rather than user runtime
    estimates, IEEE TPDS 18(6), 2007.
    """
    p = h.classes[c]
    user = h.histories[h.keys[c, 0]]
    if user.ended >= 2.0:
        p.time = min(0.5 * (user.last + user.before), p.requested)
    else:
        p.time = p.requested if p.requested < np.inf else FIRST_GUESS
    p.low = p.high = p.mean = p.time
    p.rate = 1.0 / max(p.time, SLOWDOWN_FLOOR)


PREDICTED: Final = ("time", "low", "high", "mean", "rate")


def recorded_predictions(jobs: pd.DataFrame, model: Model) -> NDArray[np.float64]:
    """Return what is predicted of every job when it is submitted as recorded; (n, PREDICTED).

    Nothing but what was recorded up to then is looked at. Rows of jobs without a run time are nan.
    """
    predicted = np.full((len(jobs), len(PREDICTED)), np.nan)
    run = jobs["run_time"].to_numpy(np.float64)
    _predict_all(make_histories(jobs), model.trees(), recorded_events(jobs), run, predicted)
    return predicted


@jit
def _predict_all(
    h: Histories, t: Trees, events: NDArray[np.void], run: NDArray[np.float64], predicted: NDArray[np.float64]
) -> None:
    for e in range(events.shape[0]):
        take_effect(h, events[e], run)
        if events[e].kind == SUBMITS:
            c = h.job_class[events[e].job]
            predict(h, t, c, events[e].time)
            row = predicted[events[e].job]
            row[0], row[1], row[2] = h.classes[c].time, h.classes[c].low, h.classes[c].high
            row[3], row[4] = h.classes[c].mean, h.classes[c].rate
