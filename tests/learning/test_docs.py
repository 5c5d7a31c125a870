"""The manual says what a training run can be told."""

from __future__ import annotations

from pathlib import Path

from hpcai.learning.config import TrainingConfig
from hpcai.learning.families import FAMILIES

MANUAL = (Path(__file__).parents[2] / "docs" / "learning.md").read_text("utf-8")


def test_every_key_is_explained():
    for key in TrainingConfig.model_fields:
        assert f"`{key}`" in MANUAL, key


def test_defaults_are_those_of_the_code():
    fields = TrainingConfig.model_fields
    for key in ("budget", "validate_every", "checkpoint_every", "n_envs", "slots", "validation_windows"):
        row = next(line for line in MANUAL.splitlines() if line.startswith("| ") and f"`{key}`" in line)
        default = fields[key].default
        assert (default if isinstance(default, str) else f"{default:,g}") in row, key


def test_every_family_is_named():
    for family in FAMILIES:
        assert f"`{family.name}`" in MANUAL
