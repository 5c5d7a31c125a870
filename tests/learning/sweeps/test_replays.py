"""Sweeps of replays and of trainings: what is judged on which part, and proven on which."""

from __future__ import annotations

import json

import numpy as np
import pytest
from optuna.trial import create_trial

from hpcai.errors import InputError
from hpcai.evaluation.evaluate import evaluate
from hpcai.evaluation.inputs import prepare
from hpcai.learning.sweeps import proof
from hpcai.learning.sweeps.config import make_config
from hpcai.learning.sweeps.replays import Replays
from hpcai.learning.sweeps.sweep import run

LOG = "lublin-256.swf.gz"
FORMULA = "expr:a * log10(max(requested_time, 1)) + b * log10(size)"


def formula_sweep(tmp_path, evaluation=None, **fields):
    template = {
        "trace": LOG,
        "policies": [{"name": "f", "ordering": FORMULA, "parameters": {"a": "{a}", "b": "{b}"}}],
        "estimate": "actual",
        "windows": "6x256",
    }
    space = {"a": {"low": 0, "high": 2}, "b": {"low": -1, "high": 2}}
    return make_config(
        {
            "name": "formula",
            "evaluate": template | (evaluation or {}),
            "space": space,
            "rivals": ["saf", "fcfs"],
            "budget": "12 trials",
            "test_windows": "5x256",
            "compared": 4,
            "start": [{"a": 1, "b": 1}],
            "out": str(tmp_path / "out"),
        }
        | fields
    )


def test_a_trial_is_the_mean_that_an_evaluation_of_the_validation_part_gives(tmp_path):
    result = run(formula_sweep(tmp_path, budget="2 trials"), quiet=True)
    trial = result.study.trials[1]
    config = result.config.evaluation(trial.params, out=str(tmp_path / "alone"))
    assert config.part == "validation"
    alone = evaluate(config, quiet=True)
    values = alone.metrics.query("metric == 'mean_bounded_slowdown' and policy == 'f'")["value"].to_numpy()
    assert trial.value == pytest.approx(values.mean(), rel=1e-12)
    steps = np.array(trial.user_attrs["steps"]["mean_bounded_slowdown"])
    assert steps == pytest.approx(values[result.study.user_attrs["order"]], rel=1e-12)


def test_what_a_policy_does_about_power_can_be_swept_for_energy(tmp_path):
    policy = {"name": "limited", "ordering": "saf", "power_limit": "{limit}"}
    template = {"policies": [policy], "power": True, "trace": "slurm-64gpu.sacct.txt", "windows": "2x10"}
    fields = {"space": {"limit": {"low": 0.5, "high": 0.7}}, "start": [{"limit": 0.5}], "rivals": ["saf"]}
    config = formula_sweep(tmp_path, template, objectives=["energy_per_job"], budget="1 trials", **fields)
    config = config.model_copy(update={"part": "train", "test_windows": "2x10"})
    result = run(config, quiet=True)
    saf = result.study.user_attrs["rivals"]["SAF with EASY"]["energy_per_job"]
    assert result.study.trials[0].value < 0.98 * np.mean(saf)
    alone = evaluate(config.evaluation({"limit": 0.5}, out=str(tmp_path / "alone")), quiet=True)
    values = alone.metrics.query("metric == 'energy_per_job' and policy == 'limited'")["value"]
    assert result.study.trials[0].value == pytest.approx(values.mean())
    with pytest.raises(InputError, match="expected power: true in evaluate"):
        formula_sweep(tmp_path, {"power": False}, objectives=["energy_per_job"])


def test_the_first_point_is_smallest_area_first_itself(tmp_path):
    result = run(formula_sweep(tmp_path, budget="1 trials"), quiet=True)
    saf = result.study.user_attrs["rivals"]["SAF with EASY"]["mean_bounded_slowdown"]
    assert result.study.trials[0].user_attrs["steps"]["mean_bounded_slowdown"] == pytest.approx(saf)


def test_what_was_found_is_proven_once_on_the_test_part(tmp_path):
    config = formula_sweep(tmp_path, pruner={"kind": "wilcoxon", "steps": 3})
    result = run(config, quiet=True)
    proof = result.proof
    assert proof["trials"] == 12
    assert proof["winners"] == [result.study.best_trial.number]
    assert proof["looks"] == 1
    assert proof["baseline"] == "SAF with EASY"
    assert {row["policy"].split()[0] for row in proof["rows"]} == {"trial", "SAF", "FCFS"}
    summary = json.loads((tmp_path / "out" / "test" / "summary.json").read_text())
    assert summary["config"]["part"] == "test"
    won = next(row for row in proof["rows"] if row["trial"] is not None)
    compared = {row["trial"]: row for row in proof["compared"]}
    assert compared[won["trial"]]["test"] == pytest.approx(won["values"]["mean_bounded_slowdown"])
    assert len(compared) == 4
    written = (tmp_path / "out" / "proof.json").stat().st_mtime_ns
    run(config, quiet=True)
    assert (tmp_path / "out" / "proof.json").stat().st_mtime_ns == written
    more = run(formula_sweep(tmp_path, pruner={"kind": "wilcoxon", "steps": 3}, budget="14 trials"), quiet=True)
    assert more.proof["looks"] == 2
    assert more.proof["trials"] == 14


def test_a_front_is_proven_as_far_as_it_is_shown(tmp_path):
    config = formula_sweep(tmp_path, objectives=["mean_wait", "utilisation"], sampler="nsga-ii", budget="10 trials")
    assert [target.direction for target in config.targets] == ["minimize", "maximize"]
    proof = run(config, quiet=True).proof
    assert 1 <= len(proof["winners"]) <= 8
    assert sum(row["trial"] is not None for row in proof["rows"]) == len(proof["winners"])


def test_each_winner_is_proven_with_what_was_found_for_it(tmp_path):
    space = {"backfill": {"choices": ["easy", "conservative"]}, "depth": {"low": 1, "high": 50, "type": "int"}}
    evaluation = {"policies": "saf", "backfill": "{backfill}", "backfill_depth": "{depth}"}
    config = formula_sweep(tmp_path, evaluation, space=space, start=[])
    distributions = {name: parameter.distribution for name, parameter in config.space.items()}
    points = [{"backfill": "easy", "depth": 3}, {"backfill": "conservative", "depth": 40}]
    trials = [create_trial(value=1.0, params=point, distributions=distributions) for point in points]
    for number, trial in enumerate(trials):
        trial.number = number
    found = {entry.name: entry for entry in proof._evaluation(config, proof._alike(config, trials)).entries}
    assert [(found[f"trial {i}"].policy.backfill, found[f"trial {i}"].policy.backfill_depth) for i in (0, 1)] == [
        ("easy", 3),
        ("conservative", 40),
    ]


def test_what_if_the_machine_and_the_load_were_others(tmp_path):
    config = make_config(
        {
            "name": "what-if",
            "evaluate": {
                "trace": LOG,
                "policies": ["{ordering}"],
                "estimate": "actual",
                "windows": "3x128",
                "load": "{load}",
                "machine": "{machine}",
            },
            "space": {
                "ordering": {"choices": ["fcfs", "saf"]},
                "load": {"choices": [1.0, 1.2]},
                "machine": {"choices": [256, 512]},
            },
            "objectives": "mean_wait",
            "sampler": "grid",
            "rivals": "fcfs",
            "test_windows": "3x128",
            "out": str(tmp_path / "out"),
        }
    )
    trials = run(config, quiet=True).trials.set_index(["ordering", "load", "machine"])["mean_wait"]
    assert len(trials) == 8
    assert trials["fcfs", 1.2, 256] > trials["fcfs", 1.0, 256] > trials["fcfs", 1.0, 512]
    assert "rivals" in run(config, quiet=True).study.user_attrs


def test_a_log_is_read_once_whatever_of_the_policy_is_swept(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr("hpcai.learning.sweeps.replays.prepare", lambda *args: read.append(args[0]) or prepare(*args))
    config = formula_sweep(
        tmp_path,
        {"policies": "saf", "backfill": "{backfill}", "backfill_depth": "{depth}"},
        space={"backfill": {"choices": ["easy", "conservative"]}, "depth": {"low": 1, "high": 50, "type": "int"}},
        start=[],
        budget="6 trials",
    )
    replays = Replays(config, "validation")
    for depth in (1, 5, 50):
        list(replays.play({"backfill": "conservative", "depth": depth}, ["mean_wait"]))
    assert read == [LOG]


def test_several_logs_weigh_alike(tmp_path):
    config = formula_sweep(tmp_path, {"trace": [LOG, "mn-1b-mix.parquet"], "windows": "3x128"}, budget="2 trials")
    replays = Replays(config, "validation")
    rivals = replays.rivals(["mean_bounded_slowdown"])
    values = np.array(rivals["SAF with EASY"]["mean_bounded_slowdown"])
    order, _ = replays.layout()
    by_window = values[np.argsort(order)]
    assert by_window[:3].mean() == pytest.approx(1)
    assert by_window[3:].mean() == pytest.approx(1)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"objectives": "mean_beauty"}, "objective 'mean_beauty': expected a metric"),
        ({"objectives": "processor_hours"}, "objective 'processor_hours': expected a metric that has a better side"),
        ({"repeats": 2}, "give more windows"),
        ({"rivals": ["nosuch"]}, "nosuch"),
        ({"pruner": "wilcoxon", "evaluation": {"windows": "all"}}, "needs several windows"),
        ({"evaluation": {"policies": ["saf", "expr:{a}*{b}"]}}, "expected one policy"),
        ({"evaluation": {"window": "6x256", "windows": "6x256"}}, "unknown key 'window'"),
        ({"part": "test"}, "part"),
    ],
)
def test_a_sweep_of_replays_that_cannot_be_is_refused(tmp_path, fields, said):
    fields = dict(fields)
    with pytest.raises(InputError) as error:
        formula_sweep(tmp_path, fields.pop("evaluation", None), **fields)
    assert said in str(error.value)


def test_hyperparameters_of_an_agent(tmp_path):
    config = make_config(
        {
            "name": "ppo",
            "train": {
                "trace": LOG,
                "estimate": "actual",
                "teacher": None,
                "budget": "2000 steps",
                "validate_every": 500,
                "validation_windows": 2,
                "validation_length": 64,
                "window": 64,
                "n_envs": 4,
                "slots": 16,
                "network": {"kind": "{kind}", "heads": "{heads}", "hidden": 16},
                "ppo": {"learning_rate": "{learning_rate}", "n_steps": 64, "batch_size": 128},
            },
            "space": {
                "kind": {"choices": ["deep-sets", "attention"]},
                "heads": {"choices": [2, 4], "when": {"kind": "attention"}},
                "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
            },
            "pruner": {"kind": "median", "trials": 1, "steps": 0},
            "rivals": "saf",
            "budget": "4 trials",
            "test_windows": "2x64",
            "compared": 2,
            "out": str(tmp_path / "out"),
        }
    )
    result = run(config, quiet=True)
    assert (result.trials["state"].isin(["complete", "pruned"])).all()
    best = result.study.best_trial
    assert len(best.intermediate_values) >= 4
    assert best.value == pytest.approx(min(best.intermediate_values.values()))
    assert (tmp_path / "out" / "trials" / f"{best.number:04d}" / "policy.yaml").is_file()
    assert result.proof["rows"][0]["policy"].startswith(("trial", "SAF"))
