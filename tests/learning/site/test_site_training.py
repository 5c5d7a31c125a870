"""``hpcai train site``: agents and evolution on a small site, networks that act as they do, folders, bad input."""

from __future__ import annotations

import csv
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.cooling.action import Actions
from hpcai.cooling.controllers.learned import forward
from hpcai.errors import InputError
from hpcai.evaluation.site.config import merged
from hpcai.evaluation.site.evaluate import simulate
from hpcai.learning.site import evolution, scoring
from hpcai.learning.site.agent import make_agent, make_env, ruler_of
from hpcai.learning.site.config import SiteTraining, load_site_training
from hpcai.learning.site.environment import FlatSite
from hpcai.learning.site.evolution import Linear, drawn
from hpcai.learning.site.scoring import Ground
from hpcai.learning.site.training import train_site
from hpcai.simulation.site.action import parted
from hpcai.simulation.site.observation import seen
from hpcai.simulation.site.ruler import read_ruler
from tests.cooling_weather import write_epw

SITE = {"jobs": {"generator": "reference-site"}, "days": 0.25, "tick_minutes": 15, "name": "small"}
SMALL: dict[str, Any] = {
    "decides": ["power"],
    "tradeoff": 0.1,  # so that energy is worth much, and there is something to learn in a few hours
    "episode_days": 0.25,
    "validation": {"days": 0.25, "draws": 1},
    "evolution": {"population": 6, "sigma": 0.6, "features": ["pressure"], "validate_every": 3},
    "learner": {"learning_starts": 40, "batch_size": 32, "hidden": [16], "gamma": 0.5},
    "budget": "24 trials",
}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of a site without a plant and of one with."""
    folder = tmp_path_factory.mktemp("sites")
    (folder / "bare.yaml").write_text(yaml.safe_dump(SITE))
    weather = str(write_epw(folder / "weather.epw"))
    cooled = {"cooling": {"weather": weather, "controller": "rules"}, "starts": ["01-15", "07-15"]}
    (folder / "cooled.yaml").write_text(yaml.safe_dump(merged(SITE, cooled)))
    return folder


def a_training(site: Path, out: Path, **settings: Any) -> SiteTraining:
    return SiteTraining.model_validate(merged(SMALL, {"site": site, "out": str(out), **settings}))


def rows_of(run: Path) -> list[dict[str, float]]:
    rows = csv.DictReader((run / "curves.csv").read_text().splitlines())
    return [{name: float(value) for name, value in row.items()} for row in rows]


@pytest.mark.parametrize("method", ["ppo", "sac", "td3"])
def test_the_plain_network_acts_as_its_agent_does(sites: Path, tmp_path: Path, method: str) -> None:
    decides = ["admission", "power", "cooling"]
    config = a_training(sites / "cooled.yaml", tmp_path, method=method, decides=decides, begin={"long_limit": 0.7})
    with closing(make_env(config, {"energy": 1.0})) as env:
        agent = make_agent(config, env)
        own = ruler_of(agent, config)
        with torch.no_grad():
            for parameter in agent.policy.parameters():  # far from the beginning, where all actions are small
                parameter.mul_(2.0)
        ruler = ruler_of(agent, config)
    for scaled in np.random.default_rng(0).uniform(-1, 1, (20, len(config.observed()))).astype(np.float32):
        said = agent.predict(scaled, deterministic=True)[0]
        np.testing.assert_allclose(forward(ruler.meta, ruler.weights, scaled), said, atol=1e-5)
        begun = parted(forward(own.meta, own.weights, scaled), config.decides, Actions())
        assert begun["power"] == pytest.approx([0.95, 0.0], abs=0.1)
        assert begun["admission"] == 0


def test_the_wrapper_shows_what_the_twin_sees(sites: Path, tmp_path: Path) -> None:
    config = a_training(sites / "cooled.yaml", tmp_path, decides=["power", "cooling"])
    env = FlatSite(config, {"energy": 1.0})
    seeds, starts = set(), set()
    for k in range(6):
        observation, _ = env.reset(seed=3 if k == 0 else None)
        site: Any = env.unwrapped
        assert (observation == seen(site.site)).all()
        assert env.observation_space.contains(observation)
        seeds.add(site.site.setting.seed)
        starts.add(site.site.setting.weather_begin)
    observation, reward, ended, over, _ = env.step(env.action_space.sample())
    assert (observation == seen(site.site)).all()
    assert reward < 0
    assert not ended
    assert not over
    assert len(seeds) == 6
    assert min(seeds) >= 300
    assert len(starts) == 2
    again, _ = env.reset(seed=3)
    assert (again == FlatSite(config, {"energy": 1.0}).reset(seed=3)[0]).all()


def test_evolution_rules_better_than_chance_and_than_nobody(sites: Path, tmp_path: Path) -> None:
    config = a_training(sites / "bare.yaml", tmp_path / "run", budget="36 trials")
    trained = train_site(config)
    rows = rows_of(tmp_path / "run")
    assert [row["steps"] for row in rows] == [0, 18, 36]
    assert trained.best is not None
    assert trained.best.value == pytest.approx(min(row["value"] for row in rows), abs=1e-5)
    assert trained.best.value < 0.97 * rows[0]["value"]
    assert rows[0]["value"] == pytest.approx(1.0)  # it begins as if there were nobody
    unseen = Ground(config, [config.episode(900, None)])
    shape, rng = Linear(config), np.random.default_rng(0)
    learned = unseen.score(read_ruler(tmp_path / "run")).value
    chance = np.mean([unseen.score(shape.ruler(rng.normal(0, 1, len(shape.names)))).value for _ in range(3)])
    assert learned < min(chance - 0.01, 0.98)  # 0.97 is the best there is on it


def test_an_agent_rules_better_than_nobody(sites: Path, tmp_path: Path) -> None:
    config = a_training(sites / "bare.yaml", tmp_path / "run", method="sac", budget="250 steps", validate_every=100)
    trained = train_site(config)
    rows = rows_of(tmp_path / "run")
    assert [row["steps"] for row in rows] == [0, 100, 200, 250]
    assert trained.best is not None
    assert trained.best.value < 0.97
    assert read_ruler(tmp_path / "run").meta.squash == "tanh"


def test_rewards_of_the_untaught_site_are_minus_one(sites: Path, tmp_path: Path) -> None:
    config = a_training(sites / "cooled.yaml", tmp_path, tradeoff=4.0)
    ground = Ground(config, config.validations())
    env = FlatSite(config, ground.weights())
    env.reset(options={"seed": config.validation.seed, "start": "01-15"})
    rewards, over = [], False
    while not over:
        _, reward, _, over, _ = env.step(np.ones(2, np.float32))
        rewards.append(reward)
    assert len(rewards) == 23  # the first control step is nobody's, and counts with the second
    assert np.sum(rewards) / 24 == pytest.approx(-1.0, rel=1e-9)


def test_a_score_weighs_energy_per_work_slowdown_and_heat(sites: Path, tmp_path: Path) -> None:
    begin = {"limit": 0.5, "long_limit": 1.0, "east_supply": 28.0, "west_supply": 28.0}
    begin |= {"east_airflow": 0.25, "west_airflow": 0.25}
    config = a_training(sites / "cooled.yaml", tmp_path, decides=["power", "cooling"], begin=begin, tradeoff=3.0)
    ground = Ground(config, config.validations())
    shape = Linear(config)
    ruler = shape.ruler(np.array([shape.begin.get(name, 0.0) for name in shape.names]))
    found = ground.score(ruler)
    plain = simulate(ground.draws[0]).metrics
    (tmp_path / "policy.npz").write_bytes(ruler.packed())
    ruled = simulate(ground.draws[0].model_copy(update={"agent": str(tmp_path)})).metrics
    assert found.per_work == pytest.approx(ruled["per_work"] / plain["per_work"])
    assert found.slowdown == pytest.approx(ruled["slowdown"] / plain["slowdown"])
    assert found.work == pytest.approx(ruled["work"] / plain["work"])
    hot = (ruled["hot_kelvin_hours"] - plain["hot_kelvin_hours"]) / 0.25
    assert hot > 0
    assert found.value == pytest.approx((found.per_work + 3 * found.slowdown) / 4 + hot)


def test_an_interrupt_leaves_the_best_so_far(sites: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "play", interrupted_after(3, scoring.play))
    config = a_training(sites / "bare.yaml", tmp_path / "run", begin={"limit": 0.8})
    trained = train_site(config)
    assert trained.interrupted
    assert trained.best is not None
    assert len(rows_of(tmp_path / "run")) == 1
    assert read_ruler(tmp_path / "run").weights[0][1] == pytest.approx([1 / 3, 1.0])
    monkeypatch.setattr(scoring, "play", interrupted_after(0, scoring.play))
    assert train_site(config).best is None
    assert not (tmp_path / "run" / "policy.npz").exists()


def interrupted_after(calls: int, function: Callable[..., Any]) -> Callable[..., Any]:
    left = [calls]

    def instead(*given: Any) -> Any:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return function(*given)

    return instead


def test_a_seed_repeats_a_training_and_episodes_are_drawn_anew(
    sites: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    episodes: list[int] = []

    def noted(*given: Any) -> Any:
        site = drawn(*given)
        episodes.append(site.seed)
        return site

    monkeypatch.setattr(evolution, "drawn", noted)
    curves = []
    for name in ("one", "two"):
        settings = {"population": 4, "validate_every": 2}
        train_site(a_training(sites / "bare.yaml", tmp_path / name, evolution=settings, budget="8 trials"))
        curves.append([row["value"] for row in rows_of(tmp_path / name)])
    assert curves[0] == curves[1]
    assert episodes[:2] == episodes[2:]
    assert len(set(episodes)) == 2
    assert all(300 <= seed <= 999 for seed in episodes)


def test_the_command_teaches_and_the_twin_uses_it(sites: Path, tmp_path: Path) -> None:
    fields = SMALL | {"site": str(sites / "bare.yaml"), "begin": {"limit": 0.7}, "out": str(tmp_path / "run")}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(fields | {"evolution": {"population": 4}}))
    done = CliRunner().invoke(app, ["train", "site", str(tmp_path / "train.yaml"), "--budget", "4 trials"])
    assert done.exit_code == 0, done.output
    assert "the untaught site being 1" in done.output
    again = ["train", "site", str(tmp_path / "run" / "config.yaml"), "--out", str(tmp_path / "other"), "--quiet"]
    assert CliRunner().invoke(app, again).exit_code == 0
    assert (tmp_path / "other" / "policy.npz").read_bytes() == (tmp_path / "run" / "policy.npz").read_bytes()
    score = ["twin", "score", str(sites / "bare.yaml")]
    plain, ruled = (
        yaml.safe_load(CliRunner().invoke(app, given).stdout)["it"]
        for given in (score, [*score, f"--set=agent={tmp_path / 'run'}"])
    )
    assert ruled < 0.97 * plain


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"method": "dqn"}, "method: input should be 'evolution', 'ppo', 'sac' or 'td3', found 'dqn'"),
        ({"decides": ["ordering"]}, "decides.0: input should be 'power', 'cooling' or 'admission', found 'ordering'"),
        ({"decides": ["power", "power"]}, "decides: expected each part once"),
        ({"decides": ["cooling"]}, "decides: found 'cooling', expected a 'cooling' to rule"),
        ({"seeds": [150, 250]}, "seeds: found 150 to 250, in which lie seeds of validation from 200 on"),
        ({"seeds": [9, 3]}, "seeds: expected a first and a last, found 9 and 3"),
        ({"begin": {"supply": 20.0}}, "begin: found 'supply', expected some of limit, long_limit"),
        ({"evolution": {"features": ["hall_it"]}}, "evolution.features: found 'hall_it', expected some"),
        ({"changes": {"power": {"limit": 3}}}, "power.limit: input should be less than or equal to 1, found 3"),
        ({"changes": {"jobs": {"generator": None, "trace": "mn-1-day.parquet"}}}, "expected a generator"),
        ({"budget": "long"}, "budget: expected a time such as '20m'"),
        ({"trade_off": 3}, "unknown key 'trade_off'; did you mean 'tradeoff'?"),
    ],
)
def test_bad_input_is_one_line(sites: Path, tmp_path: Path, given: dict[str, Any], says: str) -> None:
    file = tmp_path / "train.yaml"
    file.write_text(yaml.safe_dump(merged(SMALL, {"site": str(sites / "bare.yaml"), **given})))
    with pytest.raises(InputError) as told:
        load_site_training(file)
    assert says in str(told.value)
    assert "\n" not in str(told.value)
