"""hpcai/Checkpoint-v0 and hpcai/Drain-v0: Gymnasium's conventions, rewards, logs, and that policies matter."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_for_sb3

from hpcai.errors import InputError
from hpcai.faults.checkpoints.constant import ConstantRate
from hpcai.faults.checkpoints.faults import Faults
from hpcai.faults.fitted import ClassModel, FittedFailures
from hpcai.faults.lifetimes import Lifetime
from hpcai.records.failure_writers import write_failures
from hpcai.simulation.faults.job_replay import COLUMNS, DOWNTIME, play

DAY = 86400.0
CHECKPOINT, DRAIN = "hpcai_envs:hpcai/Checkpoint-v0", "hpcai_envs:hpcai/Drain-v0"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> str:
    one = ClassModel(nodes=1, failures=1, mtbf=30 * DAY, uptime=Lifetime("weibull", 25 * DAY, 0.7))
    model = FittedFailures(name="made", classes={"node": one})
    path = tmp_path_factory.mktemp("log") / "made.parquet"
    write_failures(model.sample({f"n{i:02d}": "node" for i in range(20)}, 300 * DAY, seed=0), path)
    return str(path)


def make(env_id: str, **settings: Any) -> Any:
    return gym.make(env_id, **settings)


@pytest.mark.parametrize(("env_id", "short"), [(CHECKPOINT, {"days": 3.0}), (DRAIN, {"epochs": 5})])
def test_the_checks_of_gymnasium_and_stable_baselines3_pass(env_id: str, short: dict[str, Any], log: str) -> None:
    for more in ({}, {"log": log}):
        env = make(env_id, **short, **more)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*render.*")
            check_env(env.unwrapped, skip_render_check=True)
            check_for_sb3(env.unwrapped, warn=False)


def rollout(env: Any, choose: Any, seed: int = 0) -> tuple[float, list[dict[str, Any]]]:
    observation, _ = env.reset(seed=seed)
    total, infos, over = 0.0, [], False
    while not over:
        observation, reward, _, over, info = env.step(choose(observation))
        assert env.observation_space.contains(observation)
        total += reward
        infos.append(info)
    return total, infos


def test_rewards_sum_to_minus_the_waste_and_time_is_kept(log: str) -> None:
    env = make(CHECKPOINT, log=log, nodes=10, days=20.0)
    total, infos = rollout(env, lambda _: env.action_space.sample())
    sums = {name: sum(info[name] for info in infos) for name in COLUMNS}
    assert sum(sums[name] for name in COLUMNS[: DOWNTIME + 1]) == pytest.approx(20 * DAY)
    assert total == pytest.approx(-100 * (1 - sums["useful"] / (20 * DAY)))
    assert "useful" in env.unwrapped.render()


def test_daly_in_the_environment_is_daly_in_the_replay() -> None:
    env = make(CHECKPOINT, days=30.0, mtbf=DAY, shape=1.0)
    total, _ = rollout(env, lambda _: np.zeros(1, np.float32), seed=5)
    inner = env.unwrapped
    faults: Faults = inner._episode._faults
    begin = 10 * DAY
    rule = ConstantRate(DAY).rule(inner.job)
    row = play(rule, inner.job, faults, np.array([begin, begin + 30 * DAY]))[0]
    assert total == pytest.approx(-100 * (1 - row[0] / (30 * DAY)))


def test_intervals_near_the_best_waste_least() -> None:
    env = make(CHECKPOINT, days=30.0)
    found = {
        action: np.mean([rollout(env, lambda _, a=action: np.array([a], np.float32), seed)[0] for seed in range(6)])
        for action in (-1.0, 0.0, 1.0)
    }
    assert found[0.0] > found[-1.0]
    assert found[0.0] > found[1.0]


def test_the_parts_of_a_log_do_not_overlap(log: str) -> None:
    begins = {
        part: [make(CHECKPOINT, log=log, days=10.0, part=part).reset(seed=s)[1]["begin"] for s in range(20)]
        for part in ("train", "test")
    }
    assert max(begins["train"]) + 10 * DAY <= min(begins["test"])
    env = make(CHECKPOINT, log=log, days=10.0, nodes=2)
    assert env.reset(seed=0, options={"begin": 5 * DAY, "nodes": [3, 4]})[1]["begin"] == 5 * DAY


def test_node_time_is_kept_and_idle_nodes_cost_what_they_should(log: str) -> None:
    env = make(DRAIN, log=log, gang=4, asked=6, epochs=30, spare=0.2, drained_price=0.5)
    total, infos = rollout(env, lambda _: np.ones(6, np.int8))
    shares = {name: sum(info[name] for info in infos) for name in infos[0]}
    assert sum(shares.values()) == pytest.approx(30, rel=1e-6)
    assert total == pytest.approx(100 * (shares["useful"] - 0.5 * shares["drained"]))
    assert shares["drained"] > 0
    none, _ = rollout(env, lambda _: np.zeros(6, np.int8))
    assert none > total  # all the suspicious nodes at once are more than the spares
    assert "useful" in env.unwrapped.render()


def test_the_same_seed_gives_the_same_episode() -> None:
    for env_id in (CHECKPOINT, DRAIN):
        env = make(env_id)
        env.action_space.seed(0)
        actions = [env.action_space.sample() for _ in range(300)]
        totals = []
        for seed in (3, 3, 4):
            given = iter(actions * 20)
            totals.append(rollout(env, lambda _, given=given: next(given), seed)[0])
        assert totals[0] == totals[1] != totals[2]


def test_what_is_wrong_is_said(log: str) -> None:
    for env_id, settings, words in (
        (CHECKPOINT, {"part": "later"}, "part 'later': expected one of train, test, all"),
        (CHECKPOINT, {"log": log, "days": 500.0}, "days 500: expected at most"),
        (CHECKPOINT, {"log": log, "nodes": 21}, "nodes 21: expected 1 to 20"),
        (DRAIN, {"asked": 65}, "asked 65, gang 8: expected 1 or more"),
        (DRAIN, {"epochs": 0}, "epochs 0, epoch"),
    ):
        with pytest.raises(InputError, match=words):
            make(env_id, **settings)
    with pytest.raises(InputError, match="reset option 'day': expected begin or nodes"):
        make(CHECKPOINT).reset(options={"day": 1})


def test_the_sheet_names_every_argument_and_feature() -> None:
    import inspect

    from hpcai.faults.checkpoints.features import FEATURES
    from hpcai_envs.checkpoint import CheckpointEnv
    from hpcai_envs.drain import MACHINE_FEATURES, NODE_FEATURES, DrainEnv

    sheet = (Path(__file__).parents[2] / "docs" / "faults.md").read_text("utf-8")
    for columns in (FEATURES, NODE_FEATURES, MACHINE_FEATURES):
        assert "\n".join(f"| `{name}` | {meaning} |" for name, meaning in columns.items()) + "\n\n" in sheet
    for env in (CheckpointEnv, DrainEnv):
        for name in inspect.signature(env.__init__).parameters:
            if name not in ("self", "render_mode"):
                assert f"`{name}`" in sheet, name
