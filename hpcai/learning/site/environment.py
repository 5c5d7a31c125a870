"""Operations-v0 as agents of Stable-Baselines3 take it: one vector seen, one told, control steps alone."""

from __future__ import annotations

from typing import Any, Final

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from hpcai.cooling.action import Actions
from hpcai.learning.site.config import SiteTraining
from hpcai.simulation.site.action import parted
from hpcai.simulation.site.observation import BOUND

ENV_ID: Final = "hpcai_envs:hpcai/Operations-v0"
Seen = NDArray[np.float32]


class FlatSite(gym.Wrapper[Seen, NDArray[np.float32], Any, Any]):
    """Episodes of a training, on a seed and at a time of the year that are drawn anew.

    What is seen is hpcai.simulation.site.observation.seen; what is told are the numbers of ``config.told``, of which
    admission holds back above 0.
    """

    def __init__(self, config: SiteTraining, weights: dict[str, float]) -> None:
        """Take the weights of the costs."""
        first, last = config.seeds
        starts = config.episode_starts
        site = config.episode(first, starts[0] if starts else None)
        given: dict[str, Any] = {"config": site, "decides": config.decides, "actions": config.actions}
        self._operations: gym.Env[Any, Any] = gym.make(ENV_ID, disable_env_checker=True, weights=weights, **given)
        super().__init__(self._operations)
        self._decides, self._cooling, self._starts = config.decides, Actions(config.actions), starts
        self._seeds, self._rng = (first, last), np.random.default_rng(config.seed)
        self.observation_space = spaces.Box(-BOUND, BOUND, (len(config.observed()),), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (len(config.told),), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Seen, dict[str, Any]]:
        """Begin an episode; ``seed`` is that of the draws to come, ``options`` go before what is drawn."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        drawn: dict[str, Any] = {"seed": int(self._rng.integers(self._seeds[0], self._seeds[1] + 1))}
        if self._starts:
            drawn["start"] = str(self._rng.choice(self._starts))
        observation, info = self._operations.reset(seed=seed, options=drawn | (options or {}))
        return _flat(observation), info

    def step(self, action: NDArray[np.float32]) -> tuple[Seen, Any, bool, bool, dict[str, Any]]:
        """Rule as the numbers say, up to the next control step."""
        told = parted(np.asarray(action, dtype=np.float64), self._decides, self._cooling)
        observation, reward, ended, over, info = self._operations.step(told)
        return _flat(observation), reward, ended, over, info


def _flat(observation: dict[str, Any]) -> Seen:
    return np.concatenate([observation[name] for name in ("site", "hall") if name in observation])
