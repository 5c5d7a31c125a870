"""The search space: what it takes, what it refuses, what exists beside what."""

from __future__ import annotations

import optuna
import pytest

from hpcai.errors import InputError
from hpcai.learning.sweeps.config import make_config
from hpcai.learning.sweeps.space import suggest
from hpcai.learning.sweeps.template import fill, names

COMMAND = ["prog", "{x}"]


def sweep_of(space, **fields):
    return make_config({"name": "s", "function": "f", "space": space} | fields, "here")


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({}, "space: empty"),
        ({"x": {"low": 3, "high": 1}}, "low 3 is above high 1"),
        ({"x": {"low": 0, "high": 1, "log": True}}, "logarithmic range needs low above 0"),
        ({"x": {"low": 1, "high": 2, "log": True, "step": 0.1}}, "log and step"),
        ({"x": {"low": 1, "high": 2, "step": 3}}, "step 3 is wider"),
        ({"x": {"low": 0.5, "high": 2, "type": "int"}}, "whole numbers"),
        ({"x": {"choices": []}}, "choices"),
        ({"x": {"choices": [1, 1]}}, "given twice"),
        ({"x": {"choices": [1]}}, "nothing to search"),
        ({"x": {"low": 2, "high": 2}}, "nothing to search"),
        ({"seed": {"low": 1, "high": 2}}, "space.seed"),
        ({"x": {"low": 1, "high": 2, "when": {"y": 1}}}, "none of the space"),
        ({"x": {"low": 1, "high": 2, "when": {"x": 1}}}, "itself"),
        ({"x": {"low": 1, "high": 2, "when": {"y": 1}}, "y": {"choices": [1, 2]}}, "a later one"),
        ({"y": {"choices": [1, 2]}, "x": {"low": 1, "high": 2, "when": {"y": 3}}}, "is never 3"),
        ({"x": {"low": 1, "high": 2, "hihg": 2}}, "hihg"),
        ({"x": {"low": 1}}, "high"),
    ],
)
def test_contradictions_are_named(space, said):
    with pytest.raises(InputError) as error:
        sweep_of(space)
    assert said in str(error.value)
    assert str(error.value).startswith("here: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"command": ["prog"]}, "no {x} in command takes it"),
        ({"command": ["prog", "{x}", "{y}"]}, "{y} is not in the space"),
        ({"command": COMMAND, "train": {}}, "command"),
        ({}, "expected one of evaluate, train and command, found none"),
        ({"command": COMMAND, "objectives": ["a", "b"], "sampler": "cma-es"}, "takes one objective"),
        ({"command": COMMAND, "objectives": ["a", "b"], "pruner": "median"}, "takes one objective"),
        ({"command": COMMAND, "sampler": "grid"}, "a grid takes choices"),
        ({"command": COMMAND, "budget": "lots"}, "budget: expected a time"),
        ({"command": COMMAND, "start": [{"x": 9}]}, "start.0: x = 9 lies outside"),
        ({"command": COMMAND, "start": [{"z": 1}]}, "start.0: 'z' is not in the space"),
        ({"command": COMMAND, "sampler": "gradient"}, "sampler"),
        ({"command": COMMAND, "smapler": "tpe"}, "did you mean 'sampler'"),
    ],
)
def test_contradictory_sweeps_are_refused(fields, said):
    with pytest.raises(InputError, match=r"^here: ") as error:
        make_config({"name": "s", "space": {"x": {"low": 0, "high": 1}}} | fields, "here")
    assert said in str(error.value)


def test_a_parameter_exists_only_where_its_condition_holds():
    space = sweep_of(
        {
            "kind": {"choices": ["mlp", "attention"]},
            "heads": {"choices": [2, 4], "when": {"kind": "attention"}},
            "width": {"low": 1, "high": 64, "log": True, "type": "int"},
        }
    ).space
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    points = []
    for _ in range(30):
        trial = study.ask()
        points.append(suggest(space, trial))
        study.tell(trial, 0.0)
    assert {"mlp", "attention"} == {point["kind"] for point in points}
    assert all(("heads" in point) == (point["kind"] == "attention") for point in points)
    assert all(1 <= point["width"] <= 64 and isinstance(point["width"], int) for point in points)


def test_otherwise_takes_the_place_of_what_does_not_exist():
    space = {"k": {"choices": [1, 2]}, "h": {"low": 0, "high": 1, "when": {"k": 1}, "otherwise": 7}}
    assert sweep_of(space).complete({"k": 2}) == {"k": 2, "h": 7}
    assert sweep_of(space).complete({"k": 1, "h": 0.5}) == {"k": 1, "h": 0.5}


def test_a_grid_is_no_longer_than_it_has_points():
    grid = sweep_of(
        {"x": {"low": 0, "high": 1, "step": 0.25}, "y": {"choices": ["a", "b"]}}, sampler="grid", budget="100 trials"
    )
    assert grid.limits.steps == 10


def test_placeholders_keep_types_and_leave_out_what_has_no_value():
    template = {
        "a": "{x}",
        "b": "n={n}, x={x}",
        "c": [1, "{gone}", "{n}"],
        "d": {"e": "{gone}", "f": "{t}"},
        "g": "{{x}}",
    }
    filled = fill(template, {"x": 0.1, "n": 3, "t": True})
    assert filled == {"a": 0.1, "b": "n=3, x=0.1", "c": [1, 3], "d": {"f": True}, "g": "{0.1}"}
    assert names(template) == {"x", "n", "gone", "t"}
    assert fill("{t}{n}", {"t": True, "n": 3}) == "true3"
