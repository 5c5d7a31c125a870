"""Sweeps of Python functions: what comes out, what is written, what goes wrong."""

from __future__ import annotations

import math
import time

import pytest

import hpcai
from hpcai.errors import HpcaiError, InputError
from hpcai.learning.sweeps.config import make_config
from hpcai.learning.sweeps.study import open_study, standing_of
from hpcai.learning.sweeps.worker import Worker

PLANE = {"x": {"low": -5, "high": 5}, "y": {"low": -3, "high": 3}}
SAMPLERS = ("tpe", "gp", "cma-es", "nsga-ii", "nsga-iii", "qmc", "random")


def bowl(point):
    return (point["x"] - 2) ** 2 + point["y"] ** 2


def values(result):
    return result.trials["value"].tolist()


def swept(tmp_path, objective=bowl, space=PLANE, **fields):
    return hpcai.sweep(objective, space, **({"out": tmp_path / "out", "budget": "20 trials", "quiet": True} | fields))


def test_the_best_point_is_found_and_everything_is_written(tmp_path):
    result = swept(tmp_path, budget="60 trials")
    assert abs(result.best["x"] - 2) < 0.5
    assert result.value == min(values(result))
    assert len(result.trials) == 60
    assert result.report.is_file()
    assert (tmp_path / "out" / "trials.csv").read_text().splitlines()[0].startswith("trial,state,value,x,y,duration")
    attributes = result.study.trials[5].user_attrs
    assert attributes["identity"]["config"] == result.config.hash
    assert attributes["identity"]["version"] == hpcai.__version__
    assert set(attributes["seconds"]) == {"suggest", "objective", "storage"}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_trial_k_is_the_same_in_one_sitting_or_two(tmp_path, sampler):
    space = {"k": {"choices": ["a", "b"]}, **PLANE, "z": {"low": 1, "high": 4, "type": "int", "when": {"k": "a"}}}

    def objective(point):
        return bowl(point) + point.get("z", 0)

    whole = swept(tmp_path / "whole", objective, space, sampler=sampler, budget="14 trials", seed=3)
    swept(tmp_path / "parts", objective, space, sampler=sampler, budget="6 trials", seed=3)
    parts = swept(tmp_path / "parts", objective, space, sampler=sampler, budget="14 trials", seed=3)
    other = swept(tmp_path / "other", objective, space, sampler=sampler, budget="14 trials", seed=4)
    assert values(parts) == values(whole)
    assert values(other) != values(whole)


def test_a_grid_tries_every_point_once(tmp_path):
    space = {"x": {"low": -1, "high": 1, "step": 0.5}, "y": {"choices": [0, 1]}}
    result = swept(tmp_path, space=space, sampler="grid", budget="100 trials")
    assert sorted(zip(result.trials["x"], result.trials["y"], strict=True)) == sorted(
        (x, y) for x in (-1, -0.5, 0, 0.5, 1) for y in (0, 1)
    )


def test_several_objectives_leave_a_front(tmp_path):
    result = swept(
        tmp_path,
        lambda p: {"near": p["x"] ** 2, "far": (p["x"] - 2) ** 2},
        {"x": {"low": -5, "high": 5}},
        objectives=["near", {"name": "far", "direction": "minimize"}],
        sampler="nsga-ii",
        budget="60 trials",
    )
    assert all(-0.6 < trial.params["x"] < 2.6 for trial in result.study.best_trials)
    assert len(result.study.best_trials) > 3


def test_a_maximum_is_found_too(tmp_path):
    result = swept(tmp_path, lambda p: -bowl(p), objectives={"name": "value", "direction": "maximize"})
    assert result.value == max(values(result))


def test_points_to_begin_with_are_tried_first(tmp_path):
    result = swept(tmp_path, budget="3 trials", start=[{"x": 2, "y": 0}, {"x": 1}])
    assert values(result)[0] == 0
    assert result.trials["x"].tolist()[:2] == [2, 1]


def test_repeats_have_seeds_of_their_own_and_give_their_mean(tmp_path):
    result = swept(tmp_path, lambda p: p["x"] * 0 + p["seed"], repeats=3, seed=5, budget="2 trials")
    assert values(result) == [6, 6]
    assert result.study.trials[0].user_attrs["steps"] == {"value": [5, 6, 7]}


def test_what_comes_on_the_way_of_a_repeat_is_no_step(tmp_path):
    def told(point, report):
        report(100.0)
        return float(point["seed"])

    result = swept(tmp_path, told, repeats=3, pruner="median", budget="1 trials")
    assert list(result.study.trials[0].intermediate_values.values()) == [0, 0.5, 1]


def test_hopeless_trials_end_early(tmp_path):
    steps = []

    def slow(point, report):
        for step in range(10):
            report(abs(point["x"]) + 1 / (step + 1))
            steps.append(step)
        return abs(point["x"])

    result = swept(tmp_path, slow, pruner={"kind": "median", "trials": 4, "steps": 1}, budget="30 trials")
    states = result.trials["state"].value_counts()
    assert states["pruned"] > 5
    assert len(steps) < 30 * 10 * 0.8
    assert result.trials.loc[result.trials["state"] == "pruned", "value"].isna().all()
    assert result.value < 1


def test_wilcoxon_compares_repeat_by_repeat(tmp_path):
    calls = []

    def noisy(point):
        calls.append(point)
        return point["x"] ** 2 + [40.0, 0.0, 20.0, 10.0, 30.0, 5.0, 50.0, 15.0][point["seed"]]

    result = swept(tmp_path, noisy, repeats=8, pruner={"kind": "wilcoxon", "steps": 3}, budget="20 trials")
    assert len(calls) < 20 * 8 * 0.8
    assert (result.trials["state"] == "pruned").sum() > 5


def test_a_crash_and_a_nan_are_told_and_the_study_survives(tmp_path):
    def fragile(point):
        if point["x"] < -2:
            raise ZeroDivisionError("too far left")
        return math.nan if point["y"] < -1 else bowl(point)

    result = swept(tmp_path, fragile, budget="40 trials")
    failed = result.trials[result.trials["state"] == "fail"]
    errors = set(failed["error"])
    assert errors == {"ZeroDivisionError: too far left", "value is nan in step 0, expected a finite number"}
    assert (failed["x"] < -2).sum() + (failed["y"] < -1).sum() >= len(failed)
    assert (result.trials["state"] == "complete").sum() + len(failed) == 40


def test_a_sweep_of_which_every_trial_fails_ends(tmp_path):
    with pytest.raises(HpcaiError, match="all of 10 trials failed, the last: KeyError: 'q'"):
        swept(tmp_path, lambda p: p["q"], budget="1000 trials")


def test_what_is_no_number_is_told(tmp_path):
    with pytest.raises(HpcaiError, match=r"expected 1 numbers \(value\), found 'fast'"):
        swept(tmp_path, lambda p: "fast")


def test_another_sweep_of_the_same_name_is_refused(tmp_path):
    swept(tmp_path, budget="2 trials")
    other = {"x": {"low": -9, "high": 5}, "y": {"low": -3, "high": 3}}
    with pytest.raises(InputError, match=r"holds a sweep of this name whose config space was .*-5.* is now .*-9"):
        swept(tmp_path, space=other)
    assert len(swept(tmp_path, budget="3 trials").trials) == 3


def test_a_callback_is_told_every_trial(tmp_path):
    told = []
    swept(tmp_path, budget="4 trials", callback=told.append)
    assert [(record.number, record.state) for record in told] == [(i, "complete") for i in range(4)]
    assert told[0].values == (bowl(told[0].point),)


def test_a_budget_of_time_ends_a_sweep_and_counts_over_sittings(tmp_path):
    def slow(point):
        time.sleep(0.1)
        return point["x"]

    first = len(swept(tmp_path, slow, budget="1s").trials)
    assert 3 <= first <= 11
    assert len(swept(tmp_path, slow, budget="1s").trials) == first
    assert len(swept(tmp_path, slow, budget="2s").trials) > first


def test_an_interrupt_puts_the_point_back(tmp_path):
    tried = []

    def interrupted(point):
        tried.append(point)
        if len(tried) == 3:
            raise KeyboardInterrupt
        return bowl(point)

    with pytest.raises(KeyboardInterrupt):
        swept(tmp_path, interrupted, budget="6 trials")
    result = swept(tmp_path, interrupted, budget="6 trials")
    assert (result.trials["state"] == "complete").sum() == 6
    assert tried[2] == tried[3]


def test_workers_that_ask_at_one_moment_do_not_exceed_the_budget(tmp_path):
    config = make_config({"name": "s", "function": "f", "space": PLANE, "budget": "3 trials", "out": tmp_path})

    class Objective:
        def __init__(self):
            self.inputs = {}

        def __call__(self, point, number, told):
            raise AssertionError("a surplus trial ran")

    study = open_study(config, Objective())
    running = [study.ask() for _ in range(3)]
    late = study.ask()
    assert Worker(study, config, Objective())._is_surplus(late)
    assert not any(Worker(study, config, Objective())._is_surplus(trial) for trial in running)
    assert standing_of(study.get_trials()).done == 0
