"""Agents of Stable-Baselines3 on the cooling environment, and their actors as plain networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import DDPG, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from torch import nn

from hpcai.cooling.action import Actions
from hpcai.cooling.controllers.controller import named
from hpcai.cooling.controllers.learned import Layers, PolicyMeta, PolicyNetwork
from hpcai.cooling.interface import Floats
from hpcai.learning.clock import Clock
from hpcai.learning.cooling.config import Algo, CoolingTraining, Learner

ENV_ID = "hpcai_envs:hpcai/Cooling-v0"
_UNLIMITED = 10**9  # steps; the clock ends a run


def make_env(config: CoolingTraining, days: str) -> DummyVecEnv:
    """Return an environment for each weather, side by side."""

    def maker(weather: str) -> Callable[[], gym.Env[Any, Any]]:
        return lambda: gym.make(ENV_ID, disable_env_checker=True, **config.env_settings(weather, days))

    return DummyVecEnv([maker(weather) for weather in config.weather])


def make_agent(config: CoolingTraining, env: VecEnv) -> BaseAlgorithm:
    """Return the agent that a configuration names, untrained."""
    agent = untrained(cast(Algo, config.method), config.learner, config.seed, env)
    if beginning := config.beginning:
        aim(agent, Actions(config.actions).action(named(beginning)))
    return agent


def aim(agent: BaseAlgorithm, action: Floats) -> None:
    """Let an untrained actor tell about ``action`` (size,) whatever it sees; where this is nan, the middle."""
    policy: Any = agent.policy
    actors = [policy] if isinstance(agent, PPO) else [policy.actor]
    actors += [policy.actor_target] if isinstance(agent, TD3) else []  # DDPG is one, too
    wanted = np.clip(np.nan_to_num(action), -0.95, 0.95)
    bias = torch.as_tensor(wanted if isinstance(agent, PPO) else np.arctanh(wanted), dtype=torch.float32)
    for actor in actors:
        last = [
            layer for layer in actor.modules() if isinstance(layer, nn.Linear) and layer.out_features == bias.numel()
        ]
        with torch.no_grad():
            last[0].weight.mul_(0.1)
            last[0].bias.copy_(bias)


def untrained(method: Algo, learner: Learner, seed: int, env: VecEnv) -> BaseAlgorithm:
    """Return an agent of Stable-Baselines3 on the CPU."""
    shared: dict[str, Any] = {
        "policy_kwargs": {"net_arch": list(learner.hidden), "activation_fn": nn.ReLU},
        "learning_rate": learner.learning_rate,
        "gamma": learner.gamma,
        "batch_size": learner.batch_size,
        "seed": seed,
        "device": "cpu",
    }
    if method == "ppo":
        return PPO("MlpPolicy", env, n_steps=learner.n_steps, **shared)
    shared |= off_policy(learner)
    if method == "sac":
        return SAC("MlpPolicy", env, **shared)
    size = cast(gym.spaces.Box, env.action_space).shape[0]
    noise = NormalActionNoise(np.zeros(size), np.full(size, learner.noise))
    kind = DDPG if method == "ddpg" else TD3
    return kind("MlpPolicy", env, action_noise=noise, **shared)


def off_policy(learner: Learner) -> dict[str, Any]:
    """Return the settings that agents with a replay buffer share."""
    names = ("buffer_size", "learning_starts", "train_freq", "gradient_steps")
    return {name: getattr(learner, name) for name in names}


def actor_of(agent: BaseAlgorithm, config: CoolingTraining, design_power: float) -> PolicyNetwork:
    """Return the deterministic actor of an agent as plain arrays."""
    weights, squash = layers_of(agent)
    meta = PolicyMeta(actions=config.actions, squash=squash, design_power=design_power, layers=len(weights))
    return PolicyNetwork(meta, weights)


def layers_of(agent: BaseAlgorithm) -> tuple[Layers, Literal["tanh", "clip"]]:
    """Return the layers of an agent's deterministic actor, and how the last is brought into -1..1."""
    policy: Any = agent.policy
    squash: Literal["tanh", "clip"] = "clip" if isinstance(agent, PPO) else "tanh"
    if isinstance(agent, PPO):
        parts = [policy.mlp_extractor.policy_net, policy.action_net]
    elif isinstance(agent, SAC):
        parts = [policy.actor.latent_pi, policy.actor.mu]
    else:
        parts = [policy.actor.mu]  # whose last layer is the tanh
    linear = [module for part in parts for module in part.modules() if isinstance(module, nn.Linear)]
    return [(layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()) for layer in linear], squash


class Watch(BaseCallback):
    """Ends learning with the clock, and calls ``validate`` with the steps taken, now and then."""

    def __init__(
        self, clock: Clock, every: int, validate: Callable[[int], None], advance: Callable[[int], None]
    ) -> None:
        super().__init__()
        self._clock, self._every, self._validate, self._advance = clock, every, validate, advance
        self._next = every

    def _on_step(self) -> bool:
        taken = self.training_env.num_envs
        self._clock.steps += taken
        self._advance(taken)
        if self._clock.steps >= self._next:
            self._next += self._every
            self._validate(self._clock.steps)
        return not self._clock.over


def learn(agent: BaseAlgorithm, watch: Watch) -> None:
    """Let an agent learn until its watch ends it."""
    torch.set_num_threads(1)  # small networks gain nothing from more
    agent.learn(_UNLIMITED, callback=watch)
