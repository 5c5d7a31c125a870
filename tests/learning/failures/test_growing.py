"""Trees that were taken apart say what scikit-learn says."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest

from hpcai.errors import InputError
from hpcai.faults.detection.detector import Boosted
from hpcai.faults.detection.trees import Trees
from hpcai.learning.failures.growing import boosted, grow, isolate


@pytest.fixture(scope="module")
def rows():
    """Rows with unknown features, among them one that is never known and one that takes few values."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6000, 8))
    x[:, 5] = rng.integers(3, size=6000)
    x[rng.random(x.shape) < 0.15] = np.nan
    label = np.nan_to_num(x[:, 0]) + np.nan_to_num(x[:, 1] * x[:, 2]) + rng.normal(size=6000) > 2
    return x, label


def test_boosted_trees_are_those_of_scikit_learn(rows):
    x, label = rows
    model = HistGradientBoostingClassifier(max_iter=40, random_state=0).fit(x[:4000], label[:4000])
    ours = boosted(model, 40)
    np.testing.assert_allclose(ours.risk(x), model.predict_proba(x)[:, 1], atol=1e-6)
    edges = np.concatenate([x[:200] for _ in range(2)])
    inner = ours.trees.feature >= 0
    edges[:200, ours.trees.feature[inner][0]] = ours.trees.threshold[inner][0]  # exactly at a threshold
    np.testing.assert_allclose(ours.risk(edges), model.predict_proba(edges)[:, 1], atol=1e-6)


def test_fewer_rounds_are_those_of_the_stage(rows):
    x, label = rows
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(x, label)
    stages = list(model.staged_predict_proba(x[:100]))
    np.testing.assert_allclose(boosted(model, 7).risk(x[:100]), stages[6][:, 1], atol=1e-6)


def test_what_is_written_as_arrays_is_the_same(rows):
    x, label = rows
    ours = grow(x[:4000], label[:4000], x[4000:], label[4000:], 0, 30)
    again = Boosted(Trees.of_arrays(ours.arrays(), x.shape[1]), float(ours.arrays()["baseline"]))
    np.testing.assert_array_equal(again.risk(x), ours.risk(x))


def test_later_rows_say_how_many_rounds_are_kept(rows):
    x, label = rows
    dealt = np.random.default_rng(1).permutation(label)
    kept = len(grow(x[:4000], label[:4000], x[4000:], label[4000:], 0, 60).trees.roots)
    nothing = len(grow(x[:4000], dealt[:4000], x[4000:], dealt[4000:], 0, 60).trees.roots)
    assert nothing < 15 < kept


def test_a_feature_that_is_never_known_is_no_hindrance(rows):
    x, label = rows
    x = np.column_stack([x, np.full(len(x), np.nan)])
    ours = grow(x[:4000], label[:4000], x[4000:], label[4000:], 0, 10)
    assert np.isfinite(ours.risk(x)).all()
    assert np.isfinite(isolate(x, 0).risk(x)).all()


def test_an_isolation_forest_is_that_of_scikit_learn(rows):
    x, _ = rows
    ours = isolate(x, 3)
    known = np.where(np.isnan(x), np.nanmedian(x, axis=0), x)
    theirs = -IsolationForest(n_estimators=100, random_state=3).fit(known).score_samples(known)
    np.testing.assert_allclose(ours.risk(x), theirs, atol=1e-6)
    assert ours.risk(np.full((1, 8), 50.0))[0] > np.quantile(ours.risk(x), 0.99)


def test_rows_of_one_kind_teach_nothing(rows):
    x, label = rows
    with pytest.raises(InputError, match="of which 0 fail: expected both kinds"):
        grow(x[:100], np.zeros(100, bool), x[100:], label[100:], 0, 5)
