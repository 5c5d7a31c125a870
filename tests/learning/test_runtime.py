"""The fit of a run-time predictor: compiled trees are scikit-learn's, and the past is worth knowing."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.errors import InputError
from hpcai.learning.boosting import assemble, pinball
from hpcai.learning.runtime import fit_outputs, train_runtime
from hpcai.records import Trace, write_trace
from hpcai.scheduling.history import recorded_features
from hpcai.scheduling.predictor import OUTPUTS, add_trees, load_model
from tests.workloads import random_jobs


def habitual_jobs(n: int = 900) -> pd.DataFrame:
    """Jobs of users who each have a run time of their own, and ask for far more."""
    rng = np.random.default_rng(5)
    jobs = random_jobs(rng, n, 16)
    jobs["user"] = pd.Categorical(rng.choice([f"u{k}" for k in range(12)], n))
    habit = np.exp(rng.uniform(2, 9, 12))[jobs["user"].cat.codes]
    jobs["run_time"] = np.ceil(habit * rng.uniform(0.8, 1.2, n))
    jobs["requested_time"] = np.where(rng.random(n) < 0.1, np.nan, 36000.0)
    jobs["submit"] *= 50
    jobs["start"] = jobs["submit"] + rng.integers(0, 100, n)
    jobs["end"] = jobs["start"] + jobs["run_time"]
    return jobs


@pytest.fixture(scope="module")
def jobs() -> pd.DataFrame:
    return habitual_jobs()


@pytest.fixture(scope="module")
def log(jobs, tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "habits.swf"
    write_trace(Trace("habits", jobs), path)
    return path


def test_compiled_trees_predict_what_scikit_learn_predicts(jobs):
    boosted = fit_outputs([jobs.iloc[:800]])
    trees = assemble(boosted).trees()
    x = recorded_features(jobs)
    x = x[np.random.default_rng(0).permutation(len(x))[:300]]
    assert np.isnan(x).any()
    compiled = np.empty((len(x), len(OUTPUTS)))
    for row, y in zip(x, compiled, strict=True):
        add_trees(trees, row, y)
    for k, name in enumerate(OUTPUTS):
        *_, expected = itertools.islice(boosted[name].regressor.staged_predict(x), boosted[name].rounds)
        found = compiled[:, k] if name in ("low", "median", "high") else np.exp(compiled[:, k])
        assert np.allclose(found, expected, rtol=1e-9, atol=1e-9), name


def test_pinball_loss():
    y = np.array([1.0, 4.0])
    assert pinball(y, np.array([3.0, 3.0]), 0.25) == pytest.approx((0.75 * 2 + 0.25 * 1) / 2)


def test_habits_are_learned_and_the_folder_says_so(log, tmp_path):
    summary = train_runtime(log, out=tmp_path / "a")
    assert summary == json.loads((tmp_path / "a" / "summary.json").read_text())
    error = {name: scores["mean_absolute_log_error"] for name, scores in summary["logs"][0]["validation"].items()}
    assert error["boosted"] < 0.3 < error["requested"]
    assert len(load_model(tmp_path / "a" / "predictor.npz").roots) == summary["predictor"]["trees"]
    again = train_runtime(log, out=tmp_path / "b")
    assert again == summary  # hash of the predictor included: the same seed gives the same bytes


def test_one_predictor_serves_several_logs(log, tmp_path):
    """It knows habits of both; where the log names no users, those of tenants."""
    nameless = habitual_jobs()
    nameless["tenant"] = nameless["user"]
    nameless["user"] = pd.Categorical([""] * len(nameless))
    other = tmp_path / "nameless.parquet"
    write_trace(Trace("nameless", nameless), other)
    summary = train_runtime([log, other], out=tmp_path / "p")
    assert [about["trace"] for about in summary["logs"]] == ["habits", "nameless"]
    for about in summary["logs"]:
        error = {name: scores["mean_absolute_log_error"] for name, scores in about["validation"].items()}
        assert error["boosted"] < 0.3 < error["requested"]
        assert error["tsafrir"] < 0.3


def test_the_command_line_trains_and_evaluates(log, tmp_path):
    run = CliRunner().invoke
    trained = run(app, ["train", "runtime", "--trace", str(log), "--out", str(tmp_path / "p")])
    assert trained.exit_code == 0, trained.output
    assert "boosted" in trained.output
    predictor = str(tmp_path / "p" / "predictor.npz")
    options = ["--windows", "2x50", "--machine", "16", "--quiet", "--out", str(tmp_path / "e")]
    policies = ["--policies", "saf,cmu-predicted", "--predictor", predictor, "--estimate", "predicted"]
    evaluated = run(app, ["evaluate", "--trace", str(log), *policies, *options])
    assert evaluated.exit_code == 0, evaluated.output
    summary = json.loads((tmp_path / "e" / "summary.json").read_text())
    assert list(summary["predictors"]) == [predictor]


def test_a_predictor_that_is_not_there_is_bad_input(log, tmp_path):
    result = CliRunner().invoke(
        app, ["evaluate", "--trace", str(log), "--predictor", str(tmp_path / "none.npz"), "--out", str(tmp_path / "e")]
    )
    assert isinstance(result.exception, InputError)
    assert "cannot be read" in str(result.exception)
    result = CliRunner().invoke(app, ["evaluate", "--trace", str(log), "--policies", "saf-predicted"])
    assert "need a predictor" in str(result.exception)


def test_too_few_jobs_are_refused(jobs):
    with pytest.raises(InputError, match="needs 200 jobs to learn from, found 100"):
        fit_outputs([jobs.iloc[:100]])
