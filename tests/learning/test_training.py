"""Training runs from the configuration to the folder, interrupted and gone on with."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.errors import InputError
from hpcai.evaluation.config import make_config as make_evaluation
from hpcai.learning import agent_training, environment, training
from hpcai.learning.agents import decide_by, load_policy
from hpcai.learning.config import make_config
from hpcai.learning.environment import Arena
from hpcai.learning.logs import read_logs
from hpcai.learning.training import train
from tests.learning.sequential import ID

SMALL = {"training_windows": 2, "final_windows": 4, "validation_windows": 3, "validation_length": 30, "quiet": True}
AGENT = SMALL | {
    "slots": 12,
    "n_envs": 2,
    "window": 30,
    "network": {"hidden": 16},
    "validate_every": 128,
    "ppo": {"n_steps": 32, "batch_size": 32, "n_epochs": 2},
    "dqn": {"learning_starts": 32, "target_update_interval": 64},
    "cloning": {"decisions": 200, "max_epochs": 4},
}


@pytest.fixture
def sequential(monkeypatch):
    monkeypatch.setattr(environment.Arena.__init__, "__defaults__", (ID,))


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def interrupt_at(monkeypatch, module, name, call):
    """Raise KeyboardInterrupt at that call of a function of a module."""
    function, calls = getattr(module, name), iter(range(1, 10**9))

    def interrupted(*args, **kwargs):
        if next(calls) == call:
            raise KeyboardInterrupt
        return function(*args, **kwargs)

    monkeypatch.setattr(module, name, interrupted)


def test_a_tuned_formula_is_never_worse_than_smallest_area_first_in_the_final(swf, tmp_path):
    out = tmp_path / "run"
    trained = train(trace=swf, algo="formula", budget="60 steps", out=out, **SMALL)
    assert trained.score < 1 + 1e-9
    assert len(rows(out / "trials.csv")) == 60
    first = rows(out / "trials.csv")[0]
    assert (first["family"], first["weights"]) == ("area", "shift=0.0 narrow=1.0 aging=0.0")
    assert float(first["score"]) == pytest.approx(1, abs=0.02)
    run = json.loads((out / "run.json").read_text())
    assert run["finished"]
    assert run["identity"]["inputs"]["tiny"] == read_logs(make_config({"trace": swf}))[0].hashes
    card = (out / "model_card.md").read_text()
    assert "| tiny | train | 240 |" in card
    assert "**" in card.split("## Before the test")[1]
    learned = make_evaluation({"trace": swf, "policies": f"saf,run:{out}"}).entries[1].policy
    assert learned.ordering == trained.result


def test_a_seeded_search_gone_on_with_is_the_same_as_one_without_interrupt(swf, tmp_path, monkeypatch):
    fields = {"trace": swf, "algo": "formula", "budget": "55 steps", "seed": 3, **SMALL}
    whole = train(out=tmp_path / "whole", **fields)
    with monkeypatch.context() as patch:
        from hpcai.learning import tuning

        interrupt_at(patch, tuning, "_append", 31)
        with pytest.raises(KeyboardInterrupt):
            train(out=tmp_path / "parts", **fields)
    assert len(rows(tmp_path / "parts" / "trials.csv")) == 30
    assert (tmp_path / "parts" / "policy.yaml").is_file()
    assert json.loads((tmp_path / "parts" / "run.json").read_text())["finished"] is None
    parts = train(out=tmp_path / "parts", resume=True, **fields)
    assert parts.result == whole.result
    assert parts.score == whole.score
    for one, two in zip(*(rows(tmp_path / name / "trials.csv") for name in ("whole", "parts")), strict=True):
        assert {**one, "seconds": ""} == {**two, "seconds": ""}


@pytest.mark.parametrize("algo", ["maskable-ppo", "ppo", "dqn"])
def test_every_agent_trains_and_its_best_network_comes_back(swf, tmp_path, algo, sequential):
    out = tmp_path / "run"
    trained = train(trace=swf, algo=algo, budget="400 steps", out=out, **AGENT)
    curve = rows(out / "curves.csv")
    assert [float(row["best"]) for row in curve] == list(np.minimum.accumulate([float(r["validation"]) for r in curve]))
    assert trained.score == float(curve[-1]["best"])
    assert int(curve[-1]["steps"]) >= 400
    assert list((out / "tensorboard").glob("*/events.out.*"))
    config = make_config({"trace": swf, "algo": algo} | {k: v for k, v in AGENT.items() if k != "quiet"})
    logs = read_logs(config)
    windows = logs[0].draw("validation", 3, 30, 0)
    decide = decide_by(load_policy(out / "best"))
    again = Arena(config, logs).judge_of(decide)(logs[0], windows)
    assert np.isfinite(again).all()
    assert f"{algo} agent" in (out / "model_card.md").read_text()


@pytest.mark.parametrize("kind", ["attention", "mlp"])
def test_other_networks(swf, tmp_path, kind, sequential):
    fields = AGENT | {"network": {"kind": kind, "hidden": 16}, "budget": "64 steps", "teacher": None}
    trained = train(trace=[swf, swf], out=tmp_path, **fields)
    assert trained.score > 0
    load_policy(tmp_path / "best")


def test_cloning_starts_an_agent_near_its_teacher(swf, tmp_path, sequential):
    fields = AGENT | {"cloning": {"decisions": 2000, "max_epochs": 20, "learning_rate": 3e-3, "batch_size": 64}}
    train(trace=swf, budget="64 steps", out=tmp_path, **fields)
    assert "cloned from saf" in (tmp_path / "model_card.md").read_text()
    data = torch.load(tmp_path / "checkpoint" / "latest.pt", weights_only=True)
    assert data["standing"]["cloned"] > 0.8


def test_an_interrupted_agent_leaves_a_usable_folder_and_goes_on(swf, tmp_path, monkeypatch, sequential):
    fields = AGENT | {"trace": swf, "budget": "600 steps", "out": tmp_path}
    with monkeypatch.context() as patch:
        patch.setattr(agent_training.Watch, "_on_rollout_end", interrupted_after(3))
        with pytest.raises(KeyboardInterrupt):
            train(**fields)
    assert "interrupted" in (tmp_path / "model_card.md").read_text()
    load_policy(tmp_path / "best")
    before = torch.load(tmp_path / "checkpoint" / "latest.pt", weights_only=True)
    assert 0 < before["standing"]["steps"] < 600
    assert before["optimizer"]["state"]
    train(resume=True, **fields)
    after = torch.load(tmp_path / "checkpoint" / "latest.pt", weights_only=True)
    assert after["standing"]["steps"] >= 600
    assert after["optimizer"]["state"][0]["step"] > before["optimizer"]["state"][0]["step"]
    assert rows(tmp_path / "curves.csv")[0]["steps"] == "0"


def interrupted_after(rollouts):
    calls = iter(range(1, 10**9))

    def on_rollout_end(self):
        if next(calls) == rollouts:
            raise KeyboardInterrupt

    return on_rollout_end


def test_patience_ends_a_run_early(swf, tmp_path, sequential, monkeypatch):
    monkeypatch.setattr(agent_training.Panel, "score", lambda self, judge: 2.0)
    train(trace=swf, budget="100000 steps", patience=2, out=tmp_path, **AGENT)
    assert len(rows(tmp_path / "curves.csv")) == 3


def test_another_configuration_is_not_gone_on_with(swf, tmp_path):
    fields = {"trace": swf, "algo": "formula", "budget": "13 steps", "out": tmp_path, **SMALL}
    train(**fields)
    with pytest.raises(InputError, match="cannot resume: config seed was 0, is now 1"):
        train(seed=1, resume=True, **fields)
    train(**fields | {"budget": "20 steps"}, resume=True)
    assert len(rows(tmp_path / "trials.csv")) == 20
    train(**fields)
    assert len(rows(tmp_path / "trials.csv")) == 13


def test_a_folder_of_something_else_is_left_alone(swf, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="expected an empty folder or an earlier training run"):
        train(trace=swf, algo="formula", budget="1 step", out=tmp_path, **SMALL)


def test_weights_that_hold_anything_but_weights_are_refused(swf, tmp_path, sequential):
    train(trace=swf, budget="64 steps", out=tmp_path, **AGENT)

    class Trap:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"a": Trap()}, tmp_path / "best" / "weights.pt")
    with pytest.raises(InputError, match="cannot be read as weights"):
        load_policy(tmp_path / "best")
    torch.save({"a": torch.zeros(1)}, tmp_path / "best" / "weights.pt")
    with pytest.raises(InputError, match="does not fit") as caught:
        load_policy(tmp_path / "best")
    assert "\n" not in str(caught.value)


def test_the_command(swf, tmp_path, monkeypatch):
    path = tmp_path / "run.yaml"
    small = "validation_length: 30\nvalidation_windows: 2\ntraining_windows: 2\nfinal_windows: 3\n"
    path.write_text(f"trace: {swf}\nalgo: formula\n{small}")
    command = ["train", "scheduling", str(path), "--budget", "15 steps", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert " of saf, before the test part" in result.output
    assert f"run:{tmp_path / 'run'}" in result.output

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "search", interrupted)
    result = CliRunner().invoke(app, [*command, "--resume"])
    assert result.exit_code == 130
    assert "--resume goes on" in result.output
