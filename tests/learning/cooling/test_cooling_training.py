"""Learned cooling: agents and their plain networks, learning from records alone, the best fixed setpoints."""

from __future__ import annotations

import csv
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from stable_baselines3.common.base_class import BaseAlgorithm
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.cooling.action import Actions
from hpcai.cooling.controllers.controller import Fixed
from hpcai.cooling.controllers.learned import Learned
from hpcai.cooling.interface import READINGS, Floats
from hpcai.cooling.observation import OBSERVED
from hpcai.errors import InputError
from hpcai.evaluation.cooling.controllers import controller_config
from hpcai.evaluation.cooling.metrics import summary
from hpcai.evaluation.cooling.records import table_of
from hpcai.learning.cooling.agent import actor_of, make_agent, make_env
from hpcai.learning.cooling.config import CoolingTraining, load_cooling_training
from hpcai.learning.cooling.offline import make_offline_agent
from hpcai.learning.cooling.scoring import play_days, score, spread_days
from hpcai.learning.cooling.training import train_cooling
from hpcai.simulation.cooling.case import CoolingCase
from tests.cooling_weather import write_epw


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_epw(tmp_path_factory.mktemp("weather") / "sine.epw"))


def a_training(weather: str, out: Path, **settings: Any) -> CoolingTraining:
    fields = {
        "weather": weather,
        "reward": {"energy": "hvac", "scale": 0.05, "hot_weight": 5.0},
        "learner": {"hidden": [32, 32], "learning_starts": 200, "batch_size": 64, "gamma": 0.5},
        "budget": "1500 steps",
        "validate_every": 1500,
        "validation_episodes": 2,
        "out": str(out),
    }
    return CoolingTraining.model_validate(fields | settings)


def rows_of(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "curves.csv").read_text().splitlines()))


def deterministic(agent: BaseAlgorithm, observation: np.ndarray[Any, Any]) -> Floats:
    return np.asarray(agent.predict(observation, deterministic=True)[0], dtype=np.float64)


@pytest.mark.parametrize("method", ["ddpg", "td3", "sac", "ppo"])
def test_the_plain_network_acts_as_its_agent_does(weather: str, tmp_path: Path, method: str) -> None:
    config = a_training(weather, tmp_path, method=method, actions="stages" if method == "ddpg" else "simple")
    with closing(make_env(config, "train")) as env:
        agent = make_agent(config, env)
        with torch.no_grad():
            for parameter in agent.policy.parameters():  # far from the beginning, where all actions are small
                parameter.mul_(2.0)
        network = actor_of(agent, config, 1e5)
        seen = np.random.default_rng(0).uniform(-1, 1, (20, len(OBSERVED))).astype(np.float32)
        for observation in seen:
            np.testing.assert_allclose(network.action(observation), deterministic(agent, observation), atol=1e-5)
    assert network.meta.layers == 3


@pytest.mark.parametrize("method", ["ddpg", "sac", "ppo"])
def test_an_agent_begins_where_it_is_told(weather: str, tmp_path: Path, method: str) -> None:
    config = a_training(weather, tmp_path, method=method, begin={"supply": 24.0, "airflow": 0.5, "economizer": 1.0})
    with closing(make_env(config, "train")) as env:
        network = actor_of(make_agent(config, env), config, 1e5)
    for observation in np.random.default_rng(0).uniform(-1, 1, (5, len(OBSERVED))).astype(np.float32):
        told = Actions().values(network.action(observation))
        np.testing.assert_allclose(told, [24.0, 24.0, 0.5, 0.5, 11.0, 0.975], rtol=0.05)


def test_an_agent_learns_to_cool_with_less(weather: str, tmp_path: Path) -> None:
    config = a_training(weather, tmp_path / "run", method="sac", budget="1200 steps", validate_every=400)
    trained = train_cooling(config)
    rows = rows_of(tmp_path / "run")
    assert [int(row["steps"]) for row in rows] == [400, 800, 1200]
    assert trained.best.value == pytest.approx(min(float(row["score"]) for row in rows))
    hall = CoolingCase(weather=weather).open()
    days = spread_days(4, 25)
    learned = controller_config(str(tmp_path / "run"), "learned").make()
    assert isinstance(learned, Learned)
    own = score(config, play_days(hall, Fixed(), days, 2))
    assert score(config, play_days(hall, learned, days, 2)).value < 0.8 * own.value


def test_a_seed_repeats_a_training(weather: str, tmp_path: Path) -> None:
    curves = []
    for name in ("one", "two"):
        train_cooling(a_training(weather, tmp_path / name, method="td3", budget="300 steps", validate_every=300))
        rows = rows_of(tmp_path / name)
        curves.append([(row["steps"], row["score"]) for row in rows])
    assert curves[0] == curves[1]


def record(weather: str, file: Path) -> Path:
    """Write a month under setpoints that wander, as a careful operator's would; some of it is better than others."""
    rng = np.random.default_rng(0)

    class Wandering(Fixed):
        def setpoints(self, observation: Floats) -> Floats:
            return Actions().setpoints(np.concatenate((rng.uniform(-0.3, 0.8, 2), rng.uniform(-1, 1, 3), [1.0])))

    hall = CoolingCase(weather=weather).open()
    table_of(hall.play(Wandering(), 180 * 96, 30 * 96), hall.surroundings).to_parquet(file)
    return file


def test_records_alone_teach_more_than_they_show(weather: str, tmp_path: Path) -> None:
    log = record(weather, tmp_path / "log.parquet")
    config = a_training(weather, tmp_path / "run", method="td3-bc", logs=str(log), budget="1500 steps")
    train_cooling(config)
    hall = CoolingCase(weather=weather).open()
    learned = controller_config(str(tmp_path / "run"), "learned").make()
    table = np.asarray(hall.play(learned, 215 * 96, 5 * 96).readings)
    hvac = [point.name for point in READINGS].index("hvac")
    import pandas as pd

    shown = pd.read_parquet(log)["hvac"].mean()
    assert table[:, hvac].mean() < 0.9 * shown


def test_days_of_a_log_are_spread_over_it(weather: str, tmp_path: Path) -> None:
    log = record(weather, tmp_path / "log.parquet")
    given = {"method": "td3-bc", "logs": str(log), "budget": "60 steps"}
    config = a_training(weather, tmp_path / "few", log_days=3, **given)
    with closing(make_env(config, "all")) as env:
        agent = make_offline_agent(config, env)
    assert agent.replay_buffer is not None
    assert agent.replay_buffer.size() == 3 * 96 - 3  # a day's last step leads nowhere
    with pytest.raises(InputError, match="log_days 40 days at least, found 29"):
        train_cooling(a_training(weather, tmp_path / "many", log_days=40, **given))


def test_the_search_finds_the_warmest_coolant_that_the_water_allows(weather: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"plant": "liquid", "budget": "8 trials", "step_minutes": 60, "begin": {"supply": 32.0}}
    config = a_training(weather, tmp_path / "run", method="fixed", **settings)
    assert config.reward.high == 32.0
    best = train_cooling(config).best
    points = controller_config(str(tmp_path / "run"), "fixed").points
    own = CoolingCase(weather=weather, plant="liquid", step_minutes=60).open().play(Fixed())
    assert 32.0 < points["supply"] < 34.5
    assert best.value < score(config, [own]).value
    with pytest.raises(ValueError, match="method: found rules, which knows air alone, for a liquid-cooled plant"):
        a_training(weather, tmp_path, method="rules", plant="liquid")


def test_the_search_finds_better_fixed_setpoints_and_keeps_the_limit(weather: str, tmp_path: Path) -> None:
    config = a_training(weather, tmp_path / "run", method="fixed", budget="10 trials", step_minutes=60)
    trained = train_cooling(config)
    hall = CoolingCase(weather=weather, step_minutes=60).open()
    found = controller_config(str(tmp_path / "run"), "fixed")
    best = summary(hall.play(found.make()))
    assert best["hvac_kwh"] < summary(hall.play(Fixed()))["hvac_kwh"]
    assert best["hvac_kwh"] / 365 == pytest.approx(trained.best.energy, rel=1e-6)
    assert len(rows_of(tmp_path / "run")) == 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "magic"}, "method"),
        ({"method": "td3-bc"}, "logs: expected records to learn from"),
        ({"logs": "a.parquet"}, "logs: expected records to learn from"),
        ({"budget": "soon"}, "budget: expected a time"),
        ({"weather": []}, "weather"),
        ({"reward": {"energy": "it"}}, "energy"),
    ],
)
def test_wrong_settings_are_a_line_and_exit_code_2(
    weather: str, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump({"weather": weather} | settings))
    with pytest.raises(InputError, match=message):
        load_cooling_training(path)


def test_the_command_line_trains(weather: str, tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump({"weather": weather, "method": "fixed", "step_minutes": 60}))
    out = tmp_path / "run"
    done = CliRunner().invoke(app, ["train", "cooling", str(path), "--budget", "2 trials", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert f"Controller: {out}" in done.output
    log = tmp_path / "no-log.parquet"
    log.write_text("no table")
    settings = {"weather": weather, "method": "td3-bc", "logs": str(log)}
    with pytest.raises(InputError, match=r"no-log\.parquet: expected a Parquet file"):
        train_cooling(a_training(weather, tmp_path / "other", **{k: v for k, v in settings.items() if k != "weather"}))
