"""Learning from a site's own records, without a plant to try things on: TD3+BC.

Fujimoto and Gu, A Minimalist Approach to Offline Reinforcement Learning (NeurIPS 2021): TD3 whose actor maximises
``lambda Q(s, pi(s)) - (pi(s) - a)^2`` with ``lambda = alpha / mean |Q|``, so that it stays near what was done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import TD3
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.utils import polyak_update
from stable_baselines3.common.vec_env import VecEnv
from torch.nn import functional

from hpcai.cooling.action import Actions
from hpcai.cooling.interface import READINGS, Floats
from hpcai.cooling.observation import SURROUNDINGS, Scaling
from hpcai.errors import InputError
from hpcai.evaluation.cooling.records import Log, read_log
from hpcai.learning.cooling.agent import off_policy
from hpcai.learning.cooling.config import CoolingTraining

_RATE = [point.name for point in SURROUNDINGS].index("rate")


class TD3BC(TD3):
    """TD3+BC on a buffer that is full from the beginning; ``learn`` counts updates as steps and takes none."""

    behaviour: float = 2.5

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Update critics and, every other time, the actor."""
        self.policy.set_training_mode(True)
        buffer = cast(ReplayBuffer, self.replay_buffer)
        for _ in range(gradient_steps):
            self._n_updates += 1
            batch = buffer.sample(batch_size)
            with torch.no_grad():
                noise = (torch.randn_like(batch.actions) * self.target_policy_noise).clamp(
                    -self.target_noise_clip, self.target_noise_clip
                )
                following = (self.actor_target(batch.next_observations) + noise).clamp(-1, 1)
                least = torch.cat(self.critic_target(batch.next_observations, following), dim=1).min(1, True)[0]
                target = batch.rewards + (1 - batch.dones) * self.gamma * least
            loss = sum(functional.mse_loss(q, target) for q in self.critic(batch.observations, batch.actions))
            self.critic.optimizer.zero_grad()
            cast(torch.Tensor, loss).backward()  # type: ignore[no-untyped-call]
            self.critic.optimizer.step()
            if self._n_updates % self.policy_delay == 0:
                chosen = self.actor(batch.observations)
                q = self.critic.q1_forward(batch.observations, chosen)
                weight = self.behaviour / q.abs().mean().detach()
                actor_loss = -weight * q.mean() + functional.mse_loss(chosen, batch.actions)
                self.actor.optimizer.zero_grad()
                actor_loss.backward()  # type: ignore[no-untyped-call]
                self.actor.optimizer.step()
                polyak_update(self.critic.parameters(), self.critic_target.parameters(), self.tau)
                polyak_update(self.actor.parameters(), self.actor_target.parameters(), self.tau)

    def learn(  # type: ignore[override]
        self, total_timesteps: int, callback: MaybeCallback = None, **_: Any
    ) -> TD3BC:
        """Update until the callback ends it."""
        watch = cast(BaseCallback, callback)
        watch.init_callback(self)
        self._setup_learn(total_timesteps)
        while watch.on_step():
            self.train(1, self.batch_size)
        return self


def make_offline_agent(config: CoolingTraining, env: VecEnv) -> TD3BC:
    """Return the agent with its buffer full of the logs; ``env`` tells it its spaces and is never stepped.

    Raises InputError if a log cannot be read, or has no setpoints that the actions could have told.
    """
    learner = config.learner
    logs = [_sampled(read_log(path), config) for path in config.logs]
    transitions = sum(len(log.setpoints) - 1 for log in logs)
    settings = off_policy(learner) | {"buffer_size": transitions}
    agent = TD3BC(
        "MlpPolicy",
        env,
        policy_kwargs={"net_arch": list(learner.hidden), "activation_fn": torch.nn.ReLU},
        learning_rate=learner.learning_rate,
        gamma=learner.gamma,
        batch_size=learner.batch_size,
        seed=config.seed,
        device="cpu",
        **settings,
    )
    agent.behaviour = config.behaviour
    design = float(env.get_attr("unwrapped")[0].design)
    agent.replay_buffer = _buffer(config, logs, design, transitions, env)
    return agent


def _sampled(log: Log, config: CoolingTraining) -> Log:
    """Return ``log_days`` whole days of a log, spread evenly; all of it where none are asked for."""
    if config.log_days is None:
        return log
    per_day = 24 * 60 // config.step_minutes
    days = len(log.steps) // per_day
    if days < config.log_days:
        raise InputError(f"{log.name}: expected log_days {config.log_days} days at least, found {days}")
    chosen = np.linspace(0, days, config.log_days, endpoint=False).astype(np.int64)
    rows = (chosen[:, None] * per_day + np.arange(per_day)).ravel()
    return replace(
        log,
        observations=log.observations[rows],
        setpoints=log.setpoints[rows],
        readings=log.readings[rows],
        steps=log.steps[rows],
    )


def _buffer(config: CoolingTraining, logs: Sequence[Log], design: float, size: int, env: VecEnv) -> ReplayBuffer:
    observed, acted = cast(spaces.Box, env.observation_space), cast(spaces.Box, env.action_space)
    buffer = ReplayBuffer(size, observed, acted, device="cpu", n_envs=1)
    scaling, actions = Scaling(design), Actions(config.actions)
    for log in logs:
        seen = scaling(log.observations)
        told = np.array([actions.action(setpoints) for setpoints in log.setpoints])
        if np.isnan(told).any():
            name = actions.names[int(np.argmax(np.isnan(told).any(axis=0)))]
            raise InputError(f"{log.name}: expected a setpoint {name} at each step, found some left to the plant")
        worth = _rewards(config, log, design)
        for i in range(len(told) - 1):
            if log.follows[i]:
                buffer.add(seen[i], seen[i + 1], told[i], worth[i], np.array([False]), [{}])
    return buffer


def _rewards(config: CoolingTraining, log: Log, design: float) -> Floats:
    """Return the reward of each step."""
    reward = config.reward
    rates = log.observations[:, len(READINGS) + _RATE]
    worth = np.empty(len(log.readings))
    for i, readings in enumerate(log.readings):
        hot, cold = reward.beyond(readings)
        worth[i] = -reward.cost(readings, design, rates[i]) - reward.hot_weight * hot - reward.cold_weight * cold
    return worth
