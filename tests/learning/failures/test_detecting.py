"""Detections from log to report: planted faults are foretold, dealt-out labels are not, and the split is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcai.errors import InputError
from hpcai.faults.detection.detector import load_detector
from hpcai.learning.failures.config import DetectionConfig, load_detection_config
from hpcai.learning.failures.detecting import detect, learned
from hpcai.learning.failures.rows import PARTS, read_inputs, rows_of
from hpcai.records.generators.telemetry import generate
from tests.learning.failures.site import SEED, SITE, write_site

CONFIG = DetectionConfig(log="generated", resamples=200, rounds=60, models=("boosting", "isolation", "base"), seed=1)


@pytest.fixture(scope="module")
def generated():
    return generate(SITE, seed=SEED)


@pytest.fixture(scope="module")
def rows(generated):
    return rows_of(generated.failures, generated.telemetry, CONFIG)


@pytest.fixture(scope="module")
def judged(rows):
    return learned(rows, CONFIG)[1]


def test_parts_share_neither_time_nor_nodes(rows):
    samples, parts = rows.samples, rows.parts
    nodes = {name: set(samples.node[parts[name]]) for name in PARTS}
    assert not nodes["unseen"] & (nodes["train"] | nodes["validation"] | nodes["later"])
    assert len(nodes["unseen"]) == round(0.3 * SITE.nodes)
    ends = {name: samples.time[parts[name]].max() for name in PARTS}
    begins = {name: samples.time[parts[name]].min() for name in PARTS}
    assert ends["train"] + CONFIG.reach <= begins["validation"]
    assert ends["validation"] + CONFIG.reach <= min(begins["later"], begins["unseen"])
    assert not np.any(np.sum(list(parts.values()), axis=0) > 1)


def test_planted_faults_are_foretold_with_and_without_labels(judged):
    for part in ("all", "later"):
        boosting, isolation = judged["boosting"][part], judged["isolation"][part]
        assert boosting["lift"]["low"] > 3
        assert isolation["lift"]["low"] > 2
        assert boosting["average_precision"]["low"] > judged["base"][part]["average_precision"]["high"]
    assert judged["base"]["all"]["lift"]["value"] == 1


def test_it_pays_to_drain_where_failures_are_dear(judged):
    dear = judged["boosting"]["all"]["by_cost"][-1]
    assert dear["missed"] == 1000
    assert dear["saved"]["low"] > 0
    assert judged["boosting"]["all"]["by_cost"][0]["drains"] == 0  # and not where they are cheap


def test_dealt_out_labels_are_not_foretold(rows):
    """The same rows with labels dealt out anew: nothing is left to learn, and nothing is found."""
    dealt = rows.with_label(np.random.default_rng(0).permutation(rows.samples.label))
    _, found = learned(dealt, CONFIG.model_copy(update={"models": ("boosting",)}))
    for part in ("all", "unseen", "later"):
        lift = found["boosting"][part]["lift"]
        assert lift["low"] <= 1.1
        assert lift["value"] < 1.4


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return write_site(tmp_path_factory.mktemp("site"))


def test_what_is_kept_says_what_was_judged(written, tmp_path, generated):
    config = load_detection_config(written / "detection.yaml", {"out": str(tmp_path / "run")})
    results = detect(config)
    rows = rows_of(generated.failures, generated.telemetry, config)
    detector = load_detector(tmp_path / "run" / "detector.npz")
    where = rows.rows_of("unseen")
    score, label = detector.risk(rows.x[where]), rows.samples.label[where]
    brier = np.mean((score - label) ** 2)
    assert results["models"]["boosting"]["unseen"]["brier"] == pytest.approx(brier, rel=1e-3)
    assert detect(config.model_copy(update={"out": str(tmp_path / "again")})) == results


def test_a_recorded_log_is_foretold_better_than_by_guessing():
    """GPU servers that failed lately fail sooner, by a survival model and by the rule of thumb."""
    log = Path(__file__).parents[3].parent / "shared" / "data" / "failures" / "infinitehbd_faults_a.json.gz"
    if not log.is_file():
        pytest.skip(f"the recorded log {log.name} is not part of the repository")
    given = {
        "log": str(log),
        "options": {"servers": 267},
        "step": "1d",
        "models": ("weibull", "last", "base"),
        "resamples": 200,
    }
    config = DetectionConfig.model_validate(given)
    _, found = learned(rows_of(*read_inputs(config), config), config)
    for kind in ("weibull", "last"):
        assert found[kind]["all"]["lift"]["low"] > 1.5
    assert found["weibull"]["all"]["brier"] < found["base"]["all"]["average_precision"]["value"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("log: {log}\nhorizon: soon\n", "horizon: .*found 'soon'"),
        ("log: {log}\nparts: [0.5, 0.2, 0.2]\n", "parts: expected shares that add up to 1, found 0.9"),
        ("log: {log}\nmodels: [count]\nchosen: boosting\n", "chosen: expected one of count, found 'boosting'"),
        ("log: {log}\nonly: system=7\n", "found no node of 'system=7'"),
        ("log: {log}\nhorizon: 300d\n", "no node is watched for as long as|no node fails in the part"),
        ("log: {log}\nhorison: 3d\n", "unknown key 'horison'; did you mean 'horizon'"),
    ],
)
def test_bad_configurations_are_told(written, tmp_path, text, message):
    (tmp_path / "d.yaml").write_text(text.format(log=written / "log.parquet"))
    with pytest.raises(InputError, match=message):
        detect(load_detection_config(tmp_path / "d.yaml", {"out": str(tmp_path / "run")}))
