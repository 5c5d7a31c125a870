"""The configuration of a training run."""

from __future__ import annotations

import math

import pytest

from hpcai.errors import InputError
from hpcai.learning.budget import Budget, parse_budget
from hpcai.learning.config import load_config, make_config


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("20m", Budget(seconds=1200)),
        ("90s", Budget(seconds=90)),
        ("1.5h", Budget(seconds=5400)),
        ("5000 steps", Budget(steps=5000)),
        ("1 step", Budget(steps=1)),
    ],
)
def test_budgets(text, budget):
    assert parse_budget(text) == budget


def test_a_budget_is_spent_by_whatever_it_limits():
    assert Budget(seconds=100).spent(50, 10**9) == 0.5
    assert Budget(steps=10).spent(10**9, 5) == 0.5
    assert Budget(seconds=1).spent(math.pi, 0) == 1


def test_defaults_depend_on_the_learner():
    assert make_config({"trace": "x"}).window_length == 256
    assert make_config({"trace": "x", "algo": "formula"}).window_length == 1024
    assert make_config({"trace": "x", "window": 64}).window_length == 64
    assert make_config({"trace": "x", "teacher": "f1", "backfill": "none"}).base_policy.ordering == "f1"


def test_yaml_with_overrides(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("trace: log.swf\nppo: {gamma: 0.9}\nseed: 3\n")
    config = load_config(path, {"seed": 4})
    assert (config.seed, config.ppo.gamma, config.ppo.n_epochs) == (4, 0.9, 4)


def test_where_and_how_long_are_no_part_of_what_a_resumed_run_must_share():
    one = make_config({"trace": "x", "budget": "1m", "out": "a", "threads": 1})
    two = make_config({"trace": "x", "budget": "2m", "out": "b", "threads": 2})
    assert one.identity() == two.identity()
    assert one.identity() != make_config({"trace": "x", "seed": 1}).identity()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "trace: required, not given"),
        ({"trace": "x", "alog": "ppo"}, "unknown key 'alog'; did you mean 'algo'?"),
        ({"trace": "x", "algo": "a2c"}, "algo: input should be 'maskable-ppo', 'ppo', 'dqn' or 'formula'"),
        ({"trace": "x", "budget": "soon"}, "budget: expected a time such as '20m', '90s', '1h', or a number"),
        ({"trace": "x", "budget": "0s"}, "budget: expected a time"),
        ({"trace": "x", "teacher": "safe"}, "teacher: ordering 'safe': expected"),
        (
            {"trace": "x", "network": {"kind": "attention", "hidden": 30}},
            "network: hidden 30 is no multiple of heads 4",
        ),
        ({"trace": "x", "ppo": {"gamma": 2}}, "ppo.gamma: input should be less than or equal to 1, found 2"),
        (
            {"trace": "x", "algo": "formula", "objective": "p95_wait"},
            "objective 'p95_wait': formulas are tuned for one",
        ),
        ({"trace": "x", "objective": "jobs"}, "objective 'jobs': expected a metric that has a better side"),
        ({"trace": "x", "objective": "pue"}, "objective 'pue': training measures no energy"),
    ],
)
def test_errors_are_one_line_that_names_the_key(fields, message):
    with pytest.raises(InputError) as caught:
        make_config(fields, "run.yaml")
    text = str(caught.value)
    assert text.startswith(f"run.yaml: {message}")
    assert "\n" not in text
