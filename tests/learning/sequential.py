"""A stand-in for hpcai's scheduling environment: the same spaces and manners, one job at a time."""

from __future__ import annotations

import gymnasium
import numpy as np
from gymnasium import spaces

from hpcai.records.splitting import part_bounds
from hpcai.scheduling.jobs import replayable

ID = "tests/Sequential-v0"


class Sequential(gymnasium.Env):
    """The machine runs one job after the other; the agent says which of the first ``window`` by area is next."""

    def __init__(self, trace, machine, part, length, window, defer, policy, reward) -> None:
        jobs = replayable(trace.jobs, machine)[0].reset_index(drop=True)
        first, last = part_bounds(trace, jobs, part)
        self.jobs, self.length, self.slots = jobs.iloc[first:last].reset_index(drop=True), length, window
        jobs_space = spaces.Box(0, 50, (window, 4), np.float32)
        self.observation_space = spaces.Dict({"jobs": jobs_space, "machine": spaces.Box(0, 1, (2,), np.float32)})
        self.action_space = spaces.Discrete(window + defer)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        options = options or {}
        length = options.get("length", self.length)
        first = options.get("window", int(self.np_random.integers(len(self.jobs) - length + 1)))
        rows = self.jobs.iloc[first : first + length]
        self.submit, self.run = rows["submit"].to_numpy(float), rows["run_time"].to_numpy(float)
        self.requested, self.size = rows["requested_time"].to_numpy(float), rows["processors"].to_numpy(float)
        self.starts = np.full(length, np.nan)
        self.now = self.submit[0]
        return self._observe(), {}

    def _observe(self):
        waiting = np.flatnonzero(np.isnan(self.starts) & (self.submit <= self.now))
        area = self.requested[waiting] * self.size[waiting]
        self.queue = waiting[np.argsort(area, kind="stable")][: self.slots]
        jobs = np.zeros((self.slots, 4), np.float32)
        jobs[: len(self.queue), 0] = 1
        jobs[: len(self.queue), 1] = np.log(self.requested[self.queue] + 1)
        jobs[: len(self.queue), 2] = np.log(self.size[self.queue])
        jobs[: len(self.queue), 3] = np.log(self.now - self.submit[self.queue] + 1)
        return {"jobs": jobs, "machine": np.full(2, len(waiting) / len(self.submit), np.float32)}

    def action_masks(self):
        mask = np.zeros(self.action_space.n, bool)
        mask[: len(self.queue)] = True
        return mask

    def step(self, action):
        job = self.queue[action if action < len(self.queue) else 0]
        self.starts[job] = self.now
        wait = self.now - self.submit[job]
        self.now += self.run[job]
        left = np.isnan(self.starts)
        if left.any():
            self.now = max(self.now, self.submit[left].min())
        observation = self._observe() if left.any() else {k: np.zeros_like(v) for k, v in self._observe().items()}
        reward = -np.log1p(wait / max(self.run[job], 10)) / 10
        return observation, float(reward), not left.any(), False, {} if left.any() else {"ratio": 1.0}


gymnasium.register(ID, entry_point=Sequential)
