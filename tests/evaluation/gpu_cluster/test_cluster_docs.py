"""The manual says what the code does, and shows the committed results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpcai.evaluation.gpu_cluster.commands import table
from hpcai.evaluation.gpu_cluster.config import ClusterConfig, load_cluster_config
from hpcai.evaluation.gpu_cluster.metrics import METRICS
from hpcai.scheduling.gpu_cluster.discipline import Discipline
from hpcai.scheduling.gpu_cluster.presets import PRESETS
from hpcai.scheduling.gpu_cluster.static_order import names

ROOT = Path(__file__).parents[3]
MANUAL = (ROOT / "docs" / "gpu-cluster.md").read_text("utf-8")


def test_every_metric_is_defined_as_in_the_registry():
    for metric in METRICS.values():
        row = f"| `{metric.name}` | {metric.unit} | {metric.better or '–'} | {metric.definition} | {metric.source} |"
        assert row in MANUAL


def test_every_setting_key_order_and_preset_is_explained():
    for setting in Discipline.model_fields:
        assert f"| `{setting}` |" in MANUAL
    short = {f"f{k}" for k in (2, 3)}  # within f1–f4
    for name in (*ClusterConfig.model_fields, *PRESETS, *(name for name in names() if name not in short)):
        assert f"`{name}`" in MANUAL


@pytest.mark.parametrize("name", ["cluster-baselines"])
def test_the_manual_shows_the_committed_results(name):
    results = json.loads((ROOT / "experiments" / "results" / f"{name}.json").read_text("utf-8"))
    config = load_cluster_config(ROOT / "experiments" / f"{name}.yaml")
    for line in table(results, config.objective, config.baseline):
        assert line in MANUAL


@pytest.mark.parametrize("name", ["baselines", "philly", "gangs", "victims", "drain-slow"])
def test_committed_experiments_are_configurations(name, monkeypatch):
    monkeypatch.chdir(ROOT)  # they name files beside them
    assert load_cluster_config(f"experiments/cluster-{name}.yaml").settings
