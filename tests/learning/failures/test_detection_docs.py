"""The manuals say what the code does, and show the committed results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpcai.evaluation.detection.report import table
from hpcai.faults.detection.detector import Costs
from hpcai.learning.failures.config import KINDS, DetectionConfig, load_detection_config
from hpcai.live.faults.advisor import Kind
from hpcai.live.slurm.drain_config import DrainConfig
from hpcai.records.generators.telemetry import Parameters
from hpcai.records.telemetry import TELEMETRY_COLUMNS

ROOT = Path(__file__).parents[3]
MANUAL = (ROOT / "docs" / "failure-detection.md").read_text("utf-8")
LIVE = (ROOT / "docs" / "live.md").read_text("utf-8")
NAMES = ("lanl", "lanl-large", "infinitehbd", "titan", "planted")


@pytest.mark.parametrize("name", NAMES)
def test_the_manual_shows_the_committed_results(name):
    results = json.loads((ROOT / "experiments" / "results" / f"detection-{name}.summary.json").read_text("utf-8"))
    for line in table(results):
        assert line in MANUAL
    config = load_detection_config(ROOT / "experiments" / f"detection-{name}.yaml", {})
    assert results["config"] == config.model_dump(mode="json", exclude={"out"})


def test_every_key_model_and_column_is_explained():
    for name in (*DetectionConfig.model_fields, *KINDS, *(column.name for column in TELEMETRY_COLUMNS)):
        assert f"`{name}`" in MANUAL, name
    for name in Costs.model_fields:
        assert f"`costs.{name}`" in MANUAL


def test_every_key_of_drains_and_every_kind_of_advice_is_explained():
    for name in DrainConfig.model_fields:
        assert f"`{name}`" in LIVE, name
    kinds = next(line for line in LIVE.splitlines() if line.startswith("kind: renewal"))
    assert kinds.partition("# ")[2].split(", ") == list(Kind.__args__)  # type: ignore[attr-defined]


def test_defaults_are_those_of_the_code():
    config = DetectionConfig(log="x")
    assert (config.lead, config.horizon, config.step, config.templates) == (3600, 86400, 21600, 20)
    assert (config.parts, config.unseen, config.rounds, config.resamples) == ((0.5, 0.2, 0.3), 0.3, 200, 500)
    assert (config.costs, config.most) == (Costs(missed=100, idle=1), 0.1)
    drains = DrainConfig(bundle="b")
    assert (drains.interval, drains.history, drains.strange, drains.timeout) == (600, 180 * 86400, 0.25, 30)


def test_the_planted_site_can_be_drawn():
    site = Parameters.load(ROOT / "experiments" / "detection-planted-site.yaml")
    assert (site.nodes, site.days, site.slowdown) == (128, 60, 0.15)
