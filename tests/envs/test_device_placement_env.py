"""hpcai/DevicePlacement-v0: the contract of Gymnasium, and what its rewards add up to."""

from __future__ import annotations

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.env_checker import check_env as check_for_sb3

import hpcai_envs  # noqa: F401
from hpcai.device_placement.devices import alike
from hpcai.device_placement.simulator import StepSimulator
from hpcai.device_placement.zoo import build
from hpcai.errors import InputError

ID = "hpcai/DevicePlacement-v0"
GIB = 2.0**30


def play(env, choose):
    env.reset(seed=0)
    total, over = 0.0, False
    while not over:
        _, reward, over, _, info = env.step(choose(env.unwrapped.action_masks()))
        total += reward
    return total, info


def first(mask):
    return int(np.flatnonzero(mask)[0])


def test_the_contracts_of_gymnasium_and_of_stable_baselines3():
    env = gym.make(ID, devices=2, render_mode="ansi")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
        warnings.filterwarnings("ignore", message="Your observation .* has an unconventional shape")
        check_for_sb3(env.unwrapped)
    assert is_masking_supported(env)
    assert env.unwrapped.render().startswith("group")


def test_rewards_add_up_to_what_the_step_has_become_shorter():
    graph = build("inception_v3", batch=8)
    devices = alike("V100", 3, memory=16 * GIB, bandwidth=50e9, latency=5e-6)
    env = gym.make(ID, graph=graph, devices=devices)
    rng = np.random.default_rng(1)
    total, info = play(env, lambda mask: rng.choice(np.flatnonzero(mask)))
    inner = env.unwrapped
    alone = inner.units.simulator.time(np.zeros(len(inner.units.unit), np.int64))
    ended = inner.units.simulator.time(inner.units.groups_placed(inner.state.place))
    assert total * inner.task.scale == pytest.approx(alone.seconds - ended.seconds)
    assert (info["seconds"], info["excess"]) == (ended.seconds, 0.0)
    assert info["placement"].shape == (len(graph),)
    whole = StepSimulator(graph, devices).time(info["placement"])
    assert whole.seconds == pytest.approx(ended.seconds, rel=0.25)  # groups send their output as one


def test_all_on_the_first_device_gains_nothing():
    total, info = play(gym.make(ID, graph="resnet50", devices=2), first)
    assert total == pytest.approx(0.0)
    assert set(info["placement"].tolist()) == {0}


def test_a_full_device_is_masked_and_another_action_goes_elsewhere():
    graph = build("gpt2", batch=1)
    needed = gym.make(ID, graph=graph).unwrapped.task.memory.sum() / GIB
    env = gym.make(ID, graph=graph, devices=2, memory=0.6 * needed)
    masked = False
    env.reset(seed=0)
    over = False
    while not over:
        masked |= not env.unwrapped.action_masks().all()
        _, _, over, _, info = env.step(0)  # whatever is allowed
    assert masked
    assert set(info["placement"].tolist()) == {0, 1}
    assert env.unwrapped.state.used.max() <= 0.6 * needed * GIB


def test_masks_reach_the_agent_through_wrappers():
    env = gym.make(ID, devices=3)
    env.reset(seed=0)
    assert get_action_masks(env).shape == (3,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"graph": "unknown"}, "expected a file or a model of the zoo"),
        ({"devices": 0}, "devices: expected at least 1"),
        ({"bandwidth": 0.0}, "devices: expected at least 1"),
    ],
)
def test_what_cannot_be_used_is_told(arguments, message):
    with pytest.raises(InputError, match=message):
        gym.make(ID, **arguments)


def test_reset_takes_no_options():
    with pytest.raises(InputError, match="reset option 'day'"):
        gym.make(ID, devices=2).reset(options={"day": 1})
