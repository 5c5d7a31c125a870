"""Trees grown by scikit-learn, taken apart into plain arrays that need it no more."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.ensemble._iforest import _average_path_length
from threadpoolctl import threadpool_limits

from hpcai.errors import HpcaiError, InputError
from hpcai.faults.detection.detector import Boosted, Isolation
from hpcai.faults.detection.trees import Trees
from hpcai.learning.boosting import taken_apart

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_SETTINGS: Final[dict[str, Any]] = {
    "learning_rate": 0.05,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 40,
    "l2_regularization": 5.0,
    "early_stopping": False,
}
_CHECKED: Final = 1000  # rows on which trees are compared with scikit-learn's
TOLERANCE: Final = 1e-6
_ISOLATING: Final = 100  # trees of an isolation forest, each of 256 rows, as Liu, Ting and Zhou have it


def grow(x: Floats, label: Mask, later: Floats, later_label: Mask, seed: int, rounds: int) -> Boosted:
    """Return boosted trees for the probability that ``label`` is true; the rows of ``later`` say how many are kept.

    Raises InputError if all rows are of one kind.
    """
    if label.all() or not label.any():
        raise InputError(f"{len(label)} rows to learn from, of which {int(label.sum())} fail: expected both kinds")
    x = np.where(np.isnan(x).all(axis=0), 0.0, x)  # scikit-learn finds no bins for what is never known
    model = HistGradientBoostingClassifier(max_iter=rounds, random_state=seed, **_SETTINGS)
    with threadpool_limits(limits=1, user_api="openmp"):  # one thread: see hpcai.learning.boosting
        model.fit(x, label)
        losses = [_log_loss(p[:, 1], later_label) for p in model.staged_predict_proba(later)] if len(later) else [0.0]
        kept = int(np.argmin(losses)) + 1 if later_label.any() else rounds
        ours = boosted(model, kept)
        _check(ours.risk(x[:_CHECKED]), _stage(model, x[:_CHECKED], kept))
    return ours


def boosted(model: HistGradientBoostingClassifier, rounds: int) -> Boosted:
    """Return the first ``rounds`` trees of a classifier of two classes."""
    nodes, roots, offset = [], [], 0
    for stage in model._predictors[:rounds]:
        nodes.append(taken_apart(stage[0].nodes, offset))
        roots.append(offset)
        offset += len(nodes[-1])
    own = np.concatenate(nodes)
    trees = Trees(
        roots=np.array(roots, dtype=np.int64),
        feature=np.where(own["left"] >= 0, own["feature"], -1).astype(np.int64),
        threshold=own["threshold"].astype(np.float64),
        left=own["left"].astype(np.int64),
        right=own["right"].astype(np.int64),
        missing_left=own["missing_left"].astype(np.bool_),
        value=own["value"].astype(np.float64),
    )
    return Boosted(trees, float(np.squeeze(model._baseline_prediction)))


def isolate(x: Floats, seed: int) -> Isolation:
    """Return a forest in which strange rows end early, grown without labels."""
    middle = np.zeros(x.shape[1])
    known = ~np.isnan(x).all(axis=0)
    middle[known] = np.nanmedian(x[:, known], axis=0)
    forest = IsolationForest(n_estimators=_ISOLATING, random_state=seed).fit(np.where(np.isnan(x), middle, x))
    parts, roots, offset = [], [], 0
    for tree in (each.tree_ for each in forest.estimators_):
        parts.append((tree, offset))
        roots.append(offset)
        offset += tree.node_count
    trees = Trees(
        roots=np.array(roots, dtype=np.int64),
        feature=np.concatenate([np.where(t.children_left >= 0, t.feature, -1) for t, _ in parts]).astype(np.int64),
        threshold=np.concatenate([t.threshold for t, _ in parts]).astype(np.float64),
        left=np.concatenate([np.where(t.children_left >= 0, t.children_left + at, -1) for t, at in parts]),
        right=np.concatenate([np.where(t.children_left >= 0, t.children_right + at, -1) for t, at in parts]),
        missing_left=np.zeros(offset, dtype=np.bool_),
        value=np.concatenate([_depths(t) for t, _ in parts]),
    )
    usual = _ISOLATING * float(_average_path_length(np.array([forest.max_samples_]))[0])
    ours = Isolation(trees, usual, middle)
    _check(ours.risk(x[:_CHECKED]), -forest.score_samples(np.where(np.isnan(x), middle, x)[:_CHECKED]))
    return ours


def _stage(model: HistGradientBoostingClassifier, x: Floats, rounds: int) -> Floats:
    return np.asarray(next(islice(model.staged_predict_proba(x), rounds - 1, None))[:, 1])


def _check(ours: Floats, theirs: Floats) -> None:
    """Raise HpcaiError if trees that were taken apart do not say what scikit-learn says."""
    apart = float(np.abs(ours - theirs).max())
    if apart > TOLERANCE:
        raise HpcaiError(f"trees differ from scikit-learn's by {apart:.3g}; expected at most {TOLERANCE:g}")


def _depths(tree: Any) -> Floats:
    """Return the depth of each node, and of a leaf besides the mean depth at which its rows would have come apart."""
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):  # children lie behind their parents
        for child in (tree.children_left[node], tree.children_right[node]):
            if child >= 0:
                depth[child] = depth[node] + 1
    leaf = tree.children_left < 0
    return np.asarray(depth + np.where(leaf, _average_path_length(tree.n_node_samples), 0.0))


def _log_loss(probability: Floats, label: Mask) -> float:
    p = np.clip(probability, 1e-12, 1 - 1e-12)
    return float(-np.mean(np.where(label, np.log(p), np.log1p(-p))))
