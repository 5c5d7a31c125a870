"""hpcai/Cooling-v0: Gymnasium's conventions, its parts of the year, its reward, either plant."""

from __future__ import annotations

import warnings
from datetime import date
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_for_sb3

from hpcai.cooling.interface import READING_INDEX, simple
from hpcai.errors import InputError
from tests.cooling_weather import write_epw

ID = "hpcai_envs:hpcai/Cooling-v0"


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_epw(tmp_path_factory.mktemp("weather") / "sine.epw"))


def make(weather: str, **settings: Any) -> Any:
    return gym.make(ID, weather=weather, **settings)


def test_the_checks_of_gymnasium_and_stable_baselines3_pass(weather: str) -> None:
    for actions in ("simple", "stages"):
        env = make(weather, actions=actions, episode_days=1)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*different from the unwrapped version.*")
            check_env(env.unwrapped, skip_render_check=True)
        check_for_sb3(env.unwrapped)


def test_a_seed_makes_the_same_episode(weather: str) -> None:
    def episode(seed: int) -> list[float]:
        env = make(weather, episode_days=1)
        observation, info = env.reset(seed=seed)
        env.action_space.seed(seed)
        rewards, over = [float(info["day"]), *observation.tolist()], False
        while not over:
            _, reward, ended, over, _ = env.step(env.action_space.sample())
            assert not ended
            rewards.append(reward)
        assert len(rewards) == 1 + len(observation) + 96
        return rewards

    assert episode(3) == episode(3)
    assert episode(3) != episode(4)


def test_parts_of_the_year_do_not_overlap(weather: str) -> None:
    days: dict[str, set[int]] = {}
    for part, (first, last) in {"train": (1, 20), "validation": (21, 24), "test": (25, 31)}.items():
        env = make(weather, days=part, episode_days=4).unwrapped
        days[part] = set()
        for seed in range(40):
            _, info = env.reset(seed=seed)
            begin = env.hall.now // 96
            assert begin == info["day"]
            end = -(-env._end // 96)
            days[part] |= set(range(begin, end))
            for day in range(begin, end):
                assert first <= date.fromordinal(date(1999, 1, 1).toordinal() + day).day <= last
    assert not days["train"] & days["test"]
    assert not days["train"] & days["validation"]


def test_the_reward_is_what_its_parts_say(weather: str) -> None:
    weights = {"energy": "hvac", "scale": 0.05, "hot_weight": 3.0, "cold_weight": 2.0, "margin": 0.0}
    env = make(weather, it_load=1.0, reward=weights)
    env.reset(seed=0, options={"day": 200})  # July
    plain = env.unwrapped
    for supply, airflow in ((14.0, 1.0), (28.0, 0.3)):
        action = plain.actions.action(simple(supply, airflow, 8.0, 1.0))
        for _ in range(8):
            _, reward, _, _, info = env.step(action.astype(np.float32))
        assert reward == pytest.approx(-info["cost"] - 3.0 * info["hot"] - 2.0 * info["cold"])
        inlet = plain._seen[READING_INDEX["east_inlet"]]
        assert (info["hot"] > 0) == (inlet > 27.0)
        assert (info["cold"] > 0) == (inlet < 18.0)
        assert info["cost"] == pytest.approx(plain._seen[READING_INDEX["hvac"]] / (0.05 * plain.design))
    assert info["hot"] > 0


def test_the_multiplier_rises_while_there_is_heat_and_falls_without(weather: str) -> None:
    env = make(weather, episode_days=1, reward={"lagrangian": True, "hot_weight": 1.0, "budget": 0.01})
    hot = env.unwrapped.actions.action(simple(28.0, 0.25, 8.0, 1.0)).astype(np.float32)
    cool = env.unwrapped.actions.action(simple(20.0, 0.8, 8.0, 1.0)).astype(np.float32)

    def multiplier_after(action: Any) -> float:
        env.reset(seed=0)
        over = False
        while not over:
            _, _, _, over, _ = env.step(action)
        env.reset(seed=0)
        return float(env.step(action)[4]["multiplier"])

    after_heat = multiplier_after(hot)
    assert after_heat > 1.0
    assert multiplier_after(cool) < after_heat


def test_rates_weigh_the_cost(weather: str, tmp_path: Path) -> None:
    rates = tmp_path / "price.csv"
    hours = [f"{np.datetime64('1999-01-01T06') + np.timedelta64(i, 'h')}" for i in range(8760)]  # the site is at UTC-6
    rows = [f"{hour.replace('T', ' ')}:00,{10 + 10 * (i % 24 < 12)}" for i, hour in enumerate(hours)]
    rates.write_text("\n".join(["Datetime (UTC),Price (USD/MWh)", *rows]) + "\n")
    env = make(weather, rate=str(rates), it_load=0.5, reward={"margin": 0.0, "energy": "hvac"})
    env.reset(seed=0, options={"day": 10})
    costs = []
    for _ in range(96):
        _, _, _, _, info = env.step(np.zeros(6, np.float32))
        costs.append(info["cost"] / env.unwrapped._seen[READING_INDEX["hvac"]])
    np.testing.assert_allclose(np.array(costs[:44]) / np.array(costs[52:]).mean(), 2.0, rtol=1e-6)


def test_what_cannot_be_made_or_reset_is_said(weather: str) -> None:
    for settings, message in [
        ({"plant": "slow"}, "plant"),
        ({"actions": "all"}, "actions 'all'"),
        ({"days": "weekend"}, "days 'weekend'"),
        ({"episode_days": 0}, "episode_days 0"),
        ({"reward": {"hot": 1}}, "hot"),
    ]:
        with pytest.raises(InputError, match=message):
            make(weather, **settings)
    env = make(weather)
    with pytest.raises(InputError, match="reset option 'window': expected day"):
        env.reset(options={"window": 3})
    with pytest.raises(InputError, match="reset option day 365: expected 0 to 364"):
        env.reset(options={"day": 365})


def test_it_draws_and_tells(weather: str) -> None:
    env = make(weather, render_mode="rgb_array")
    env.reset(seed=0)
    env.step(np.zeros(6, np.float32))
    picture = env.render()
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 4
    env = make(weather, render_mode="ansi")
    env.reset(seed=0)
    assert "east_inlet" in env.render()


def test_a_liquid_cooled_plant_is_behind_the_same_environment(weather: str) -> None:
    env = make(weather, plant="liquid", episode_days=1)
    check_for_sb3(env.unwrapped)
    plain = env.unwrapped
    assert (plain.reward.high, plain.reward.low) == (32.0, 2.0)
    assert make(weather, plant="liquid", reward={"high": 40.0}).unwrapped.reward.high == 40.0
    env.reset(seed=0, options={"day": 200})
    costs = []
    for supply in (18.0, 28.0):
        action = plain.actions.action(simple(supply, 0.5, 8.0, 1.0)).astype(np.float32)
        for _ in range(8):
            observation, _, _, _, info = env.step(action)
        assert env.observation_space.contains(observation)
        assert plain._seen[READING_INDEX["west_supply"]] == pytest.approx(supply, abs=0.1)
        costs.append(info["cost"])
    assert costs[1] < costs[0]
    assert info["hot"] == 0.0


def test_energyplus_is_behind_the_same_environment(building: Path, chicago: Path) -> None:
    env = make(str(chicago), plant="energyplus", model=str(building), episode_days=1)
    first, _ = env.reset(seed=0, options={"day": 150})
    observation, reward, _, _, info = env.step(np.zeros(6, np.float32))
    assert env.observation_space.contains(first)
    assert env.observation_space.contains(observation)
    assert reward < 0 < info["cost"]
    env.close()
