"""Boosted trees by scikit-learn, taken apart into the arrays that compiled code evaluates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from hpcai.scheduling.predictor import OUTPUTS, TREE_NODE, Model

Floats = NDArray[np.float64]

ROUNDS: Final = 100  # at most, for each output
HELD_OUT: Final = 0.1  # share of the samples, the latest, by which the number of rounds is chosen
_SETTINGS: Final[dict[str, Any]] = {
    "learning_rate": 0.1,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 40,
    "early_stopping": False,
}


@dataclass(frozen=True)
class Boosted:
    """One output: the fitted regressor and how many of its rounds are used."""

    regressor: Any
    rounds: int


def boost(x: Floats, y: Floats, loss: dict[str, Any], seed: int, rounds: int = ROUNDS) -> Boosted:
    """Fit trees to samples in order of time; the latest samples decide how many rounds are used.

    ``loss`` are the regressor's arguments that say what is estimated. Its link is the identity for quantiles, the
    logarithm for expectations.
    """
    x = np.where(np.isnan(x).all(axis=0), 0.0, x)  # scikit-learn finds no bins for what is never known
    cut = len(x) - max(int(HELD_OUT * len(x)), 1)
    regressor = HistGradientBoostingRegressor(max_iter=rounds, random_state=seed, **loss, **_SETTINGS)
    # One thread: a small fit's threads wait for each other longer than they work, above all beside other processes.
    with threadpool_limits(limits=1, user_api="openmp"):
        regressor.fit(x[:cut], y[:cut])
        deviance = [_deviance(y[cut:], predicted, loss) for predicted in regressor.staged_predict(x[cut:])]
    return Boosted(regressor, int(np.argmin(deviance)) + 1)


def _deviance(y: Floats, predicted: Floats, loss: dict[str, Any]) -> float:
    """Return the mean loss: pinball for quantiles, Poisson's (less what does not depend on predictions) else."""
    if loss["loss"] == "quantile":
        return pinball(y, predicted, loss["quantile"])
    return float(np.mean(predicted - y * np.log(predicted)))


def pinball(y: Floats, predicted: Floats, quantile: float) -> float:
    """Return the mean pinball loss of a predicted quantile."""
    distance = y - predicted
    return float(np.mean(np.maximum(quantile * distance, (quantile - 1.0) * distance)))


def assemble(boosted: dict[str, Boosted]) -> Model:
    """Return the model whose outputs are ``boosted``, one for each of OUTPUTS."""
    nodes: list[NDArray[np.void]] = []
    roots, output = [], []
    offset = 0
    for k, name in enumerate(OUTPUTS):
        for stage in boosted[name].regressor._predictors[: boosted[name].rounds]:
            tree = taken_apart(stage[0].nodes, offset)
            nodes.append(tree)
            roots.append(offset)
            output.append(k)
            offset += len(tree)
    baseline = [float(np.squeeze(boosted[name].regressor._baseline_prediction)) for name in OUTPUTS]
    return Model(np.concatenate(nodes), np.array(roots), np.array(output), np.array(baseline))


def taken_apart(grown: NDArray[np.void], offset: int) -> NDArray[np.void]:
    """Return one of scikit-learn's trees as TREE_NODE records that come to lie at ``offset``."""
    tree = np.zeros(len(grown), dtype=TREE_NODE)
    leaf = grown["is_leaf"].astype(bool)
    tree["threshold"], tree["value"] = grown["num_threshold"], grown["value"]
    for name in ("left", "right"):
        tree[name] = np.where(leaf, -1, grown[name].astype(np.int64) + offset)
    tree["feature"], tree["missing_left"] = grown["feature_idx"], grown["missing_go_to_left"]
    return tree
