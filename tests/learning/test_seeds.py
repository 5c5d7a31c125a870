"""A run for each of several seeds, one after another or side by side."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.errors import InputError
from hpcai.launching import Launch
from hpcai.learning import seeds as module
from hpcai.learning.config import make_config
from hpcai.learning.seeds import parse_seeds, seed_config, train_seeds
from hpcai.learning.training import train
from tests.learning.test_training import AGENT, SMALL

LOG = Path(__file__).parents[2] / "traces" / "lublin-256.swf.gz"
FIELDS = {key: value for key, value in SMALL.items() if key != "quiet"}


@pytest.fixture
def formula(tmp_path):
    return make_config(
        {"trace": LOG, "algo": "formula", "budget": "12 steps", "out": tmp_path / "runs", "window": 60, **FIELDS}
    )


def test_workers_learn_what_one_process_would(formula, tmp_path):
    side_by_side = train_seeds(formula, [0, 3], Launch(workers=2), quiet=True)
    assert [run.config.seed for run in side_by_side] == [0, 3]
    assert [run.folder for run in side_by_side] == [tmp_path / "runs" / f"seed-{seed}" for seed in (0, 3)]
    alone = train(seed_config(formula, 3).model_copy(update={"out": str(tmp_path / "alone")}), quiet=True)
    assert (side_by_side[1].score, side_by_side[1].result) == (alone.score, alone.result)
    assert json.loads((side_by_side[1].folder / "run.json").read_text())["finished"]
    assert not (tmp_path / "runs" / "workers").exists()


def test_interrupted_runs_are_gone_on_with(formula, tmp_path, monkeypatch):
    def interrupt(config, **keywords):
        done.append(config.seed)
        if len(done) == 2:
            raise KeyboardInterrupt
        return train(config, **keywords)

    done: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(module, "train", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_seeds(formula, [0, 1], quiet=True)
    first = (tmp_path / "runs" / "seed-0" / "trials.csv").read_bytes()
    runs = train_seeds(formula, [0, 1], resume=True, quiet=True)
    assert (tmp_path / "runs" / "seed-0" / "trials.csv").read_bytes() == first
    assert len((tmp_path / "runs" / "seed-1" / "trials.csv").read_text().splitlines()) == 1 + 12
    anew = train_seeds(formula, [0], quiet=True)
    assert anew[0].score == runs[0].score


def test_the_command_prints_the_scores_with_their_range(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        f"trace: {LOG}\nalgo: formula\nbudget: 3 steps\ntraining_windows: 2\nfinal_windows: 4\n"
        "validation_windows: 3\nvalidation_length: 30\n"
    )
    out = tmp_path / "runs"
    command = ["train", "scheduling", str(path), "--out", str(out)]
    result = CliRunner().invoke(app, [*command, "--seeds", "1,2"])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    rows = [line for line in lines if re.fullmatch(r" {3}[12]  \d\.\d{3} of saf", line)]
    assert len(rows) == 2
    scores = [float(row.split()[1]) for row in rows]
    low, high = min(scores), max(scores)
    mean = next(line for line in lines if line.startswith("mean"))
    assert f"from {low:.3f} to {high:.3f}" in mean
    assert float(mean.split()[1].rstrip(",")) == pytest.approx(sum(scores) / 2, abs=1e-3)
    assert f"run:{out}/seed-1,run:{out}/seed-2" in result.output
    for wrong, complaint in (
        (["--seeds", "1,1"], "seeds: expected different numbers such as '0,1,2', found '1,1'"),
        (["--seeds", "1,2", "--seed", "0"], "expected one of the two"),
        (["--workers", "2"], "expected --seeds beside them"),
    ):
        assert complaint in str(CliRunner().invoke(app, [*command, *wrong]).exception)


@pytest.mark.parametrize("text", ["", "a", "1,", "-1", "2,2"])
def test_what_is_no_list_of_seeds_is_refused(text):
    with pytest.raises(InputError, match="seeds: expected different numbers"):
        parse_seeds(text)


def test_who_watches_an_agents_validations_may_end_it(swf, tmp_path):
    class Hopeless(Exception):
        pass

    def judge(steps: int, score: float) -> None:
        told.append((steps, score))
        if len(told) == 3:
            raise Hopeless

    told: list[tuple[int, float]] = []
    with pytest.raises(Hopeless):
        train(trace=swf, budget="1000 steps", out=tmp_path / "run", validated=judge, **AGENT)
    rows = list(csv.DictReader((tmp_path / "run" / "curves.csv").read_text().splitlines()))
    assert told == [(int(row["steps"]), float(row["validation"])) for row in rows]
    assert told[0][0] == 0
    assert told[2][0] > told[1][0] > 0
