"""An environment: which ordering should serve the next jobs of a log, decided from what the queue is like."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

import hpcai

ORDERINGS = ("fcfs", "sjf", "saf", "f1")


class OrderingEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """Action: one of ORDERINGS for a window of jobs. Reward: 1 less mean wait / that of first come first served."""

    def __init__(self, log: str = "slurm-64gpu.sacct.txt", length: int = 60, windows: int = 8) -> None:
        trace = hpcai.read_trace(log)
        self.machine, self.length, self.windows = hpcai.infer_machine(trace), length, windows
        self.jobs, _ = hpcai.replayable(trace.jobs, self.machine)
        self.action_space = spaces.Discrete(len(ORDERINGS))
        self.observation_space = spaces.Box(0.0, 20.0, (2,), np.float32)  # log of mean GPUs, of mean request in s

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin at a window drawn at random."""
        super().reset(seed=seed)
        self.left = self.windows
        self.first = int(self.np_random.integers(len(self.jobs) - self.length * (self.windows + 1)))
        return self._seen(), {}

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Serve the window at hand and go on to the next."""
        wait, plain = self._wait(ORDERINGS[action]), self._wait("fcfs")
        self.first, self.left = self.first + self.length, self.left - 1
        return self._seen(), 1.0 - wait / plain if plain else 0.0, self.left == 0, False, {"wait": wait}

    def _window(self) -> Any:
        return self.jobs.iloc[self.first : self.first + self.length].reset_index(drop=True)

    def _wait(self, ordering: str) -> float:
        table = hpcai.replay(self._window(), self.machine, hpcai.Policy(ordering=ordering)).table
        return float((table["start"] - table["submit"]).mean())

    def _seen(self) -> NDArray[np.float32]:
        return np.log1p(self._window()[["gpus", "requested_time"]].mean().to_numpy(np.float32))


gymnasium.register(id="ours/Ordering-v0", entry_point=OrderingEnv)
