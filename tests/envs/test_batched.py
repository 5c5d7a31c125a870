"""The batched environment gives the plain one's trajectories, and stable-baselines3 can use it."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported

import hpcai_envs  # noqa: F401
from hpcai.records import Trace
from hpcai.scheduling.policy import Policy
from hpcai.simulation.episode import Episodes, Setting
from hpcai.simulation.rewards import Reward
from hpcai_envs.batched import BatchedScheduling
from tests.envs.test_scheduling import DRAINED, SIXTEEN, SMALL_CLUSTER, workload

LENGTH, STEPS, LANES = 25, 300, 3


def choose(mask, rng) -> int:
    return int(rng.choice(np.flatnonzero(mask)))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("machine", [SIXTEEN, DRAINED, SMALL_CLUSTER], ids=["processors", "drained", "nodes"])
@pytest.mark.parametrize(
    "policy",
    [
        Policy(ordering="saf"),
        Policy(ordering="wfp3"),
        Policy(ordering="saf-predicted", predictor="tsafrir", estimate="predicted"),
    ],
    ids=["saf", "wfp3", "predicted"],
)
def test_trajectories_equal_the_plain_ones(machine, policy, threads, monkeypatch):
    monkeypatch.setattr("hpcai_envs.batched.WORTH_HELP", 0.0)
    jobs = workload(11, machine, 80)
    setting = Setting(policy, window=8, defer=True, reward=Reward(utilisation=0.5))
    batch = BatchedScheduling(Episodes(jobs, machine, setting, length=LENGTH), LANES, seed=7, threads=threads)
    seen = [batch.reset()]
    masks, rewards, dones, infos = [batch.action_masks().copy()], [], [], []
    seen = [{name: array.copy() for name, array in seen[0].items()}]
    choosers = [np.random.default_rng(b) for b in range(LANES)]
    for _ in range(STEPS):
        observation, reward, done, info = batch.step(
            np.array([choose(masks[-1][b], choosers[b]) for b in range(LANES)])
        )
        seen.append({name: array.copy() for name, array in observation.items()})
        masks.append(batch.action_masks().copy())
        rewards.append(reward.copy())
        dones.append(done)
        infos.append(info)
    batch.close()
    assert np.sum(dones) >= 2 * LANES
    for b in range(LANES):
        plain = gym.make(
            "hpcai/Scheduling-v0",
            trace=Trace("log", jobs, machine),
            part="all",
            length=LENGTH,
            window=8,
            defer=True,
            policy=setting.policy,
            reward=setting.reward,
        ).unwrapped
        observation, _ = plain.reset(seed=7 + b)
        rng = np.random.default_rng(b)
        for i in range(STEPS):
            np.testing.assert_array_equal(seen[i]["jobs"][b], observation["jobs"])
            np.testing.assert_array_equal(seen[i]["machine"][b], observation["machine"])
            np.testing.assert_array_equal(masks[i][b], plain.action_masks())
            observation, reward, done, _, info = plain.step(choose(plain.action_masks(), rng))
            assert rewards[i][b] == np.float32(reward)
            assert dones[i][b] == done
            if done:
                assert {key: infos[i][b][key] for key in info} == info
                assert not infos[i][b]["terminal_observation"]["jobs"].any()
                observation, _ = plain.reset()


def test_several_logs_share_the_lanes():
    setting = Setting(Policy(ordering="saf"), window=8)
    logs = [Episodes(workload(seed, SIXTEEN, 40), SIXTEEN, setting, length=20) for seed in (1, 2)]
    batch = BatchedScheduling(logs, 4, seed=0)
    batch.reset()
    for b, log in enumerate([logs[0], logs[0], logs[1], logs[1]]):
        group = batch._groups[b // 2]
        assert group.episodes is log
        submit = group.lanes.state.jobs["submit"][b % 2]
        assert np.isin(submit, log.pool.jobs["submit"]).all()
    batch.close()


def test_sb3_finds_the_masks():
    batch = BatchedScheduling(Episodes(workload(1, SIXTEEN, 40), SIXTEEN, Setting(window=8), length=20), 2, threads=1)
    batch.reset()
    assert is_masking_supported(batch)
    assert get_action_masks(batch).shape == (2, 8)
    assert get_action_masks(batch).any(axis=1).all()


def test_a_seed_says_which_windows_come():
    episodes = Episodes(workload(1, SIXTEEN, 60), SIXTEEN, Setting(window=8), length=20)
    batches = [BatchedScheduling(episodes, 4, seed=seed, threads=1) for seed in (3, 3, 4)]
    first = [batch.reset()["jobs"].copy() for batch in batches]
    assert np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], first[2])
