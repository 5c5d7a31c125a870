"""A detector in its file: what is read says what was written, and what is no detector is refused in a line."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from hpcai.errors import InputError
from hpcai.faults.detection.detector import (
    Boosted,
    Costs,
    Detector,
    DetectorMeta,
    Isolation,
    Weibull,
    load_detector,
    rule_of_thumb,
)
from hpcai.faults.detection.hazard import COVARIATES, Hazard
from hpcai.faults.detection.trees import Trees

DAY = 86400.0


def meta(kind: str, **fields) -> DetectorMeta:
    given = {"hpcai": "1", "kind": kind, "lead": 3600.0, "horizon": DAY, "hold": DAY, "threshold": 0.4}
    return DetectorMeta.model_validate(given | fields)


SEEN = meta("base").seen


def drawn_trees(features: int, seed: int = 0, trees: int = 5) -> Trees:
    """Trees of depth two over drawn features: nodes 0 and 1, 2 inside, 3 to 6 leaves."""
    rng = np.random.default_rng(seed)
    inner = np.tile([True, True, True, False, False, False, False], trees)
    offset = np.repeat(7 * np.arange(trees), 7)
    left, right = (np.tile(sides, trees) for sides in ([1, 3, 5, 0, 0, 0, 0], [2, 4, 6, 0, 0, 0, 0]))
    return Trees(
        roots=7 * np.arange(trees),
        feature=np.where(inner, rng.integers(features, size=7 * trees), -1),
        threshold=rng.normal(size=7 * trees),
        left=np.where(inner, left + offset, -1),
        right=np.where(inner, right + offset, -1),
        missing_left=rng.random(7 * trees) < 0.5,
        value=rng.normal(size=7 * trees),
    )


def model(kind: str):
    width = len(SEEN)
    if kind == "boosting":
        return Boosted(drawn_trees(width), -2.5)
    if kind == "isolation":
        return Isolation(drawn_trees(width), 40.0, np.arange(width, dtype=np.float64))
    if kind == "weibull":
        return Weibull(Hazard(0.8, np.log(9 * DAY), np.linspace(-1, 1, len(COVARIATES))), SEEN, meta(kind).ahead)
    return rule_of_thumb(kind, SEEN)


@pytest.mark.parametrize("kind", ["boosting", "isolation", "weibull", "count", "last", "base"])
def test_what_is_read_says_what_was_written(tmp_path, kind):
    detector = Detector(meta(kind, costs=Costs(missed=7.0)), model(kind))
    path = tmp_path / "d.npz"
    path.write_bytes(detector.packed())
    again = load_detector(path)
    assert again.meta == detector.meta
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, len(SEEN))) ** 2 * 1e5
    x[rng.random(x.shape) < 0.2] = np.nan
    x[:, SEEN.index("since_last")] = rng.exponential(DAY, 50)
    np.testing.assert_array_equal(again.risk(x), detector.risk(x))
    assert again.packed() == detector.packed()


def test_a_tree_by_hand():
    trees = Trees(
        roots=np.array([0]),
        feature=np.array([1, -1, -1]),
        threshold=np.array([2.0, 0.0, 0.0]),
        left=np.array([1, -1, -1]),
        right=np.array([2, -1, -1]),
        missing_left=np.array([False, False, False]),
        value=np.array([0.0, 10.0, 20.0]),
    )
    assert trees.sums(np.array([[9.0, 2.0], [9.0, 2.1], [9.0, np.nan]])).tolist() == [10.0, 20.0, 20.0]


def test_rules_of_thumb_put_nodes_in_order():
    x = np.zeros((3, len(SEEN)))
    x[:, SEEN.index("failures_30d")] = [0, 2, 1]
    x[:, SEEN.index("since_last")] = [5.0, 1.0, 9.0]
    assert np.argsort(-rule_of_thumb("count", SEEN).risk(x)).tolist() == [1, 2, 0]
    assert np.argsort(-rule_of_thumb("last", SEEN).risk(x)).tolist() == [1, 0, 2]


def written(path: Path, **changes) -> Path:
    arrays = dict(np.load(_packed(path.with_name("whole.npz"))))
    np.savez(path, **{name: value for name, value in (arrays | changes).items() if value is not None})
    return path


def _packed(path: Path) -> Path:
    path.write_bytes(Detector(meta("boosting"), model("boosting")).packed())
    return path


WRONG = {
    "no meta": ({"meta": None}, "not a detector's .npz file of plain arrays"),
    "another schema": (
        {"meta": np.array('{"schema_name": "other"}')},
        "expected schema 'hpcai failure detector 1', found",
    ),
    "a list": ({"meta": np.array("[]")}, "expected schema"),
    "a walk without end": ({"trees_left": np.zeros(35, np.int64)}, "a tree's nodes point outside it"),
    "a feature too many": ({"trees_feature": np.full(35, 999)}, "a feature or root is out of range|point outside"),
    "a leaf that is no number": ({"trees_value": np.full(35, np.nan)}, "a leaf is not a number"),
    "a leaf too few": ({"trees_value": np.zeros(3)}, "value is not one for each node"),
    "no trees": ({"trees_roots": None}, "damaged"),
    "no baseline": ({"baseline": np.array(np.nan)}, "baseline is not a number"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_detector_is_refused(tmp_path, case):
    changes, message = WRONG[case]
    with pytest.raises(InputError, match=message):
        load_detector(written(tmp_path / "d.npz", **changes))


def test_nothing_is_unpickled(tmp_path):
    (tmp_path / "d.npz").write_bytes(pickle.dumps({"meta": "x"}))
    with pytest.raises(InputError, match="not a detector's"):
        load_detector(tmp_path / "d.npz")
    np.savez(tmp_path / "objects.npz", meta=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="not a detector's"):
        load_detector(tmp_path / "objects.npz")
    with pytest.raises(InputError, match="not a detector's"):
        load_detector(tmp_path / "missing.npz")


def test_other_features_are_refused():
    with pytest.raises(InputError, match=f"expected {len(SEEN)} features, found 3"):
        Detector(meta("base"), rule_of_thumb("base", SEEN)).risk(np.zeros((2, 3)))


def test_drains_are_of_the_riskiest_within_the_budget():
    rule = meta("base", most=0.5).rule
    assert rule.drain(np.array([0.5, 0.39, 0.9, np.nan, 0.4]), held=0, nodes=5).tolist() == [
        True,
        False,
        True,
        False,
        False,
    ]
    assert rule.drain(np.array([0.5, 0.39, 0.9, np.nan, 0.4]), held=1, nodes=5).tolist() == [
        False,
        False,
        True,
        False,
        False,
    ]
    assert not rule.drain(np.array([0.5, 0.9]), held=2, nodes=5).any()
    assert meta("base", most=0.01).rule.budget(5) == 1
    assert not meta("base", threshold=None).rule.drain(np.array([1.0]), held=0, nodes=5).any()
