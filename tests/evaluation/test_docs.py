"""The manual says what the code does."""

from __future__ import annotations

from pathlib import Path

from hpcai.evaluation.config import EvaluationConfig
from hpcai.evaluation.metrics import METRICS

MANUAL = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text("utf-8")


def test_every_metric_is_defined_as_in_the_registry():
    for metric in METRICS.values():
        row = f"| `{metric.name}` | {metric.unit} | {metric.better or '–'} | {metric.definition} | {metric.source} |"
        assert row in MANUAL


def test_every_key_is_explained():
    for key in EvaluationConfig.model_fields:
        assert f"`{key}`" in MANUAL
