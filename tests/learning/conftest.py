"""A small queue to schedule, with the spaces of hpcai's own scheduling environment."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from hpcai.learning.environment import Demonstrations

torch.set_num_threads(1)  # the networks are tiny, and other tests run beside these

JOB_FEATURES, MACHINE_FEATURES = 4, 3


def observation_space(slots: int) -> spaces.Dict:
    jobs = spaces.Box(-1, 1, (slots, JOB_FEATURES), np.float32)
    return spaces.Dict({"jobs": jobs, "machine": spaces.Box(-1, 1, (MACHINE_FEATURES,), np.float32)})


class ShortestFirst(gymnasium.Env):
    """Jobs of random length, feature 1; taking the shortest of those present costs nothing, another its excess."""

    def __init__(self, slots: int = 6, steps: int = 16, defer: bool = False) -> None:
        self.observation_space = observation_space(slots)
        self.action_space = spaces.Discrete(slots + defer)
        self.slots, self.steps, self.defer = slots, steps, defer

    def _observe(self):
        self.present = int(self.np_random.integers(2, self.slots))
        self.jobs = np.zeros((self.slots, JOB_FEATURES), np.float32)
        self.jobs[: self.present] = self.np_random.uniform(-1, 1, (self.present, JOB_FEATURES))
        self.jobs[: self.present, 0] = 1
        return {"jobs": self.jobs, "machine": self.np_random.uniform(-1, 1, MACHINE_FEATURES).astype(np.float32)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = self.steps
        return self._observe(), {}

    def action_masks(self):
        return np.append(self.jobs[:, 0] > 0, [True] * self.defer).astype(bool)

    def step(self, action):
        assert self.action_masks()[action], "an impossible action"
        lengths = self.jobs[: self.present, 1]
        chosen = lengths[action] if action < self.present else 1.0
        self.left -= 1
        return self._observe(), float(lengths.min() - chosen), self.left == 0, False, {}


@pytest.fixture
def shortest_first():
    return ShortestFirst


@pytest.fixture(scope="session")
def shortest_first_demonstrations():
    """A teacher that always takes the shortest job."""

    def demonstrate(count: int) -> Demonstrations:
        env = ShortestFirst()
        observation, _ = env.reset(seed=0)
        seen = []
        for _ in range(count):
            mask = env.action_masks()
            action = int(np.argmin(np.where(mask, observation["jobs"][:, 1], np.inf)))
            seen.append((observation["jobs"], observation["machine"], mask, action, observation["machine"].sum()))
            env.left = 2  # an episode without end
            observation = env.step(action)[0]
        jobs, machine, masks, actions, returns = (np.array(column) for column in zip(*seen, strict=True))
        return Demonstrations({"jobs": jobs, "machine": machine}, masks, actions, returns.astype(np.float32))

    return demonstrate
