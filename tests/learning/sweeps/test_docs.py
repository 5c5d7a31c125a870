"""The manual of sweeps names every key, sampler and pruner, and the experiments can be read."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from hpcai.errors import InputError
from hpcai.learning.sweeps.config import PrunerConfig, Sampler, SweepConfig, load_config

REPOSITORY = Path(__file__).parents[3]
MANUAL = (REPOSITORY / "docs" / "sweeps.md").read_text("utf-8")
ONLY_PYTHON = {"function"}


def test_every_key_is_explained():
    for key in SweepConfig.model_fields.keys() - ONLY_PYTHON:
        assert f"`{key}`" in MANUAL, key


def test_every_method_is_named():
    for name in (*get_args(Sampler), *get_args(PrunerConfig.model_fields["kind"].annotation)):
        assert f"`{name}`" in MANUAL, name


def test_defaults_are_those_of_the_code():
    for key in ("sampler", "budget", "test_windows", "compared", "patience", "out"):
        row = next(line for line in MANUAL.splitlines() if line.startswith(f"| `{key}`"))
        default = SweepConfig.model_fields[key].default
        assert (default if isinstance(default, str) else f"{default:g}") in row, key


@pytest.mark.parametrize("path", sorted((REPOSITORY / "experiments").glob("sweep-*.yaml")), ids=lambda path: path.stem)
def test_experiments_can_be_read(path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    try:
        assert path.stem in load_config(path).out
    except InputError as error:  # a published log is not part of the repository
        pytest.fail(str(error))
