"""The load of a replay as a table, and that all of cooling takes it."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.cooling.observation import OBSERVED_INDEX
from hpcai.errors import InputError
from hpcai.evaluation.energy.it_load import Wanted, it_load, write_it_load
from hpcai.evaluation.evaluate import Evaluation, evaluate
from hpcai.simulation.energy.it_power import KWH
from tests.cooling_weather import write_epw


@pytest.fixture(scope="module")
def evaluation(swf: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    out = tmp_path_factory.mktemp("load") / "out"
    settings = {"policies": "fcfs,sjf", "windows": "all", "power": True, "fair_start": False}
    return evaluate(trace=str(swf), out=out, quiet=True, resamples=2000, **settings)


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_epw(tmp_path_factory.mktemp("weather") / "sine.epw"))


def test_a_load_is_the_power_of_the_machines_over_the_most_they_can_draw(evaluation: Evaluation) -> None:
    table = it_load(evaluation.folder, Wanted(policy="sjf"), 15)
    metrics = evaluation.metrics.set_index(["policy", "metric"])["value"]
    ends = 2 * 900 * metrics["sjf", "peak_power"] * 1000 / KWH  # the parts of steps at both ends
    assert 0 <= metrics["sjf", "it_energy"] - table["it_power"].sum() * 900 / KWH <= ends
    scale = table["it_power"] / table["it_load"]
    np.testing.assert_allclose(scale, scale[0])
    assert 0 < table["it_load"].min() < table["it_load"].max() <= 1
    assert 0 <= table["time"].iloc[0].timestamp() - 800_000_000 < 86400  # the log's UnixStartTime
    assert table["time"].iloc[0].timestamp() % 900 == 0
    assert (table["time"].diff().dropna() == pd.Timedelta(minutes=15)).all()
    hourly = it_load(evaluation.folder, Wanted(policy="sjf"))
    whole = table[table["time"] >= hourly["time"].iloc[0]][: 4 * len(hourly)]
    np.testing.assert_allclose(hourly["it_load"], whole["it_load"].to_numpy().reshape(-1, 4).mean(axis=1))
    assert table.attrs["replay"] == {"trace": "tiny", "policy": "sjf", "backfill": "easy", "window": 0}


def test_the_record_has_a_load_too(evaluation: Evaluation) -> None:
    loads = {name: it_load(evaluation.folder, Wanted(policy=name))["it_load"] for name in ("recorded", "fcfs")}
    assert loads["recorded"].mean() < 0.9 * loads["fcfs"].mean()  # it took longer, mostly idle


def test_a_load_through_the_command_line_runs_a_comparison_a_training_and_an_environment(
    evaluation: Evaluation, weather: str, tmp_path: Path
) -> None:
    file = tmp_path / "load.parquet"
    arguments = ["cooling", "load", str(evaluation.folder), "--policy", "fcfs", "--step-minutes", "15"]
    done = CliRunner().invoke(app, [*arguments, "--out", str(file)])
    assert done.exit_code == 0, done.output
    load = pd.read_parquet(file)
    assert f"{len(load):,} steps of 15 min" in done.output
    config = {"cases": {"replay": {"weather": weather, "it_load": str(file)}}, "controllers": {"default": "default"}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config | {"days": 1, "out": str(tmp_path / "run")}))
    assert CliRunner().invoke(app, ["cooling", "run", str(tmp_path / "run.yaml")]).exit_code == 0
    record = pd.read_parquet(tmp_path / "run" / "records" / "replay.default.parquet")
    over = record["it"][:-1] / record["east_load"].to_numpy()[1:]  # the load is seen a step later
    np.testing.assert_allclose(over, over[0])
    assert set(record["east_load"].round(9)) <= set(load["it_load"].round(9))
    assert str(file) in json.loads((tmp_path / "run" / "results.json").read_text())["sha256"]
    fixed = {"method": "fixed", "weather": weather, "it_load": str(file), "step_minutes": 60, "budget": "1 trials"}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(fixed | {"out": str(tmp_path / "best")}))
    assert CliRunner().invoke(app, ["train", "cooling", str(tmp_path / "train.yaml"), "--quiet"]).exit_code == 0
    assert str(file) in json.loads((tmp_path / "best" / "run.json").read_text())["identity"]["inputs"]
    env = gym.make("hpcai_envs:hpcai/Cooling-v0", weather=weather, it_load=str(file))
    env.reset(seed=0, options={"day": 0})
    action = np.zeros(6, np.float32)
    seen = [env.step(action)[0] for _ in range(8)]
    hall = env.unwrapped.hall  # type: ignore[attr-defined]
    np.testing.assert_array_equal(hall.it_load[:95, 0], record["east_load"][1:])
    assert seen[3][OBSERVED_INDEX["east_load"]] == pytest.approx(2 * hall.it_load[3, 0] - 1, abs=1e-6)


def test_what_is_not_there_is_told(evaluation: Evaluation, swf: Path, tmp_path: Path) -> None:
    table = it_load(evaluation.folder, Wanted(policy="sjf"))
    for wanted, message in (
        (Wanted(), "policy: expected one of fcfs, sjf, none named"),
        (Wanted(policy="saf"), "policy: expected one of fcfs, sjf, recorded, found 'saf'"),
        (Wanted(policy="sjf", window=3), "window: expected one of 0, found 3"),
        (Wanted(policy="sjf", backfill="none"), "backfill: expected one of easy, found 'none'"),
        (Wanted(policy="sjf", trace="big"), "trace: expected one of tiny, found 'big'"),
    ):
        with pytest.raises(InputError, match=message):
            it_load(evaluation.folder, wanted)
    with pytest.raises(InputError, match="step_minutes 7: expected a divisor of 60"):
        it_load(evaluation.folder, Wanted(policy="sjf"), 7)
    with pytest.raises(InputError, match=r"load\.txt: expected a name that ends in \.parquet or \.csv"):
        write_it_load(table, tmp_path / "load.txt")
    with pytest.raises(InputError, match=r"expected the folder of an evaluation, found no run\.json of one"):
        it_load(tmp_path)
    copy = tmp_path / "tiny.swf"
    copy.write_text(swf.read_text())
    fields = {"policies": "fcfs", "windows": "all", "fair_start": False, "resamples": 2000}
    evaluate(trace=str(copy), out=tmp_path / "out", quiet=True, **fields)
    next((tmp_path / "out").glob("schedules/tiny/fcfs.*")).unlink()
    with pytest.raises(InputError, match="the replay of FCFS with EASY in window 0 is not finished"):
        it_load(tmp_path / "out")
    copy.write_text(swf.read_text() + "\n")
    with pytest.raises(InputError, match=r"tiny\.swf is not what it was when the evaluation was made"):
        it_load(tmp_path / "out")
