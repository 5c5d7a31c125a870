"""The data sheet says what the environment does."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from hpcai.scheduling.features import CHANGING_FEATURES, MACHINE_FEATURES, TRAITS
from hpcai.simulation.rewards import Reward
from hpcai_envs.scheduling import SchedulingEnv

SHEET = (Path(__file__).parents[2] / "docs" / "environment.md").read_text("utf-8")


@pytest.mark.parametrize("columns", [CHANGING_FEATURES, TRAITS, MACHINE_FEATURES], ids=["changing", "fixed", "machine"])
def test_every_column_is_described_as_in_the_code_and_in_its_order(columns):
    rows = [f"| `{name}` | {meaning} |" for name, meaning in columns.items()]
    assert "| column | value |\n|---|---|\n" + "\n".join(rows) + "\n\n" in SHEET


def test_shapes_are_right():
    assert f"float32 (K, {len(CHANGING_FEATURES) + len(TRAITS)}) in 0..1" in SHEET
    assert f"float32 ({len(MACHINE_FEATURES)},) in −1..1" in SHEET


def test_every_argument_and_reward_is_explained():
    arguments = [name for name in inspect.signature(SchedulingEnv.__init__).parameters if name != "self"]
    for name in [*arguments, *Reward.model_fields]:
        assert f"`{name}`" in SHEET, name


def test_the_first_example_says_what_comes_out(capsys):
    """It is run as a reader would, and its last line is a comment of what it prints."""
    example = SHEET.split("```python\n")[1].split("```")[0]
    names: dict[str, object] = {}
    exec(example, names)
    info = names["info"]
    assert f"cost {info['cost']:.1f}, heuristic_cost {info['heuristic_cost']:.1f}" in example
    assert f"ratio {info['ratio']:.1f}, steps {info['steps']}" in example
