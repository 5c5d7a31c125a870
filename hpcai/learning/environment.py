"""Where agents meet the environment: to learn in it, to be shown how it is done, to be judged.

The environment is reached by its id, never imported. What is asked of it: keyword arguments ``trace``,
``format``, ``machine``, ``part``, ``length``, ``window`` (slots), ``defer``, ``policy``, ``reward``; options
of reset ``window`` (row of the first job) and ``length``; ``action_masks()``; ``starts`` of the window's jobs in
s; waiting jobs in the order of the policy's ordering, so that the first possible action is what the ordering
itself would do; ``ratio`` in the info of a last step, the episode's cost over the ordering's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import gymnasium
import numpy as np
import numpy.typing as npt
import pandas as pd
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from hpcai.evaluation.windows import Window
from hpcai.learning.config import TrainingConfig
from hpcai.learning.logs import Log
from hpcai.learning.scoring import Floats, Judge, objective_of

SCHEDULING: Final = "hpcai_envs:hpcai/Scheduling-v0"

Observations = dict[str, npt.NDArray[np.float32]]  # (B, ...) each
Masks = npt.NDArray[np.bool_]  # (B, actions)
Actions = npt.NDArray[np.int64]  # (B,)
Decide = Callable[[Observations, Masks], Actions]


@dataclass(frozen=True)
class Demonstrations:
    """Decisions of a teacher and what followed: ``returns`` are the rewards from there to the episode's end."""

    observations: Observations
    masks: Masks
    actions: Actions
    returns: npt.NDArray[np.float32]  # (B,)


class Arena:
    """The environments of one run."""

    def __init__(self, config: TrainingConfig, logs: Sequence[Log], environment: str = SCHEDULING) -> None:
        self._config, self._logs, self._id = config, logs, environment
        self._judging: dict[str, list[gymnasium.Env[Any, Any]]] = {}

    def make_vec_env(self) -> VecEnv:
        """Return environments to learn in, shared out among the logs, seeded by the configuration."""
        count = max(self._config.n_envs, len(self._logs))

        def maker(log: Log) -> Callable[[], gymnasium.Env[Any, Any]]:
            return lambda: self._make(log, "train", self._config.window_length)

        env = DummyVecEnv([maker(self._logs[i % len(self._logs)]) for i in range(count)])
        env.seed(self._config.seed)
        return env

    def demonstrate(self, decisions: int) -> Demonstrations:
        """Return that many decisions of the teacher in the training part, of whole episodes."""
        episodes: list[Demonstrations] = []
        players = [self._play(log, i) for i, log in enumerate(self._logs)]
        while sum(len(episode.actions) for episode in episodes) < decisions:
            episodes.append(next(players[len(episodes) % len(players)]))
        return Demonstrations(
            {k: np.concatenate([e.observations[k] for e in episodes])[:decisions] for k in episodes[0].observations},
            np.concatenate([e.masks for e in episodes])[:decisions],
            np.concatenate([e.actions for e in episodes])[:decisions],
            np.concatenate([e.returns for e in episodes])[:decisions],
        )

    def judge_of(self, decide: Decide) -> Judge:
        """Return the judge of an agent: it plays all windows side by side, and their schedules are measured."""

        def judge(log: Log, windows: Sequence[Window]) -> Floats:
            envs = self._judges(log, len(windows))
            seen = [
                env.reset(seed=0, options={"window": window.first, "length": len(window)})[0]
                for env, window in zip(envs, windows, strict=True)
            ]
            playing = list(range(len(windows)))
            while playing:
                observations = {key: np.stack([seen[i][key] for i in playing]) for key in seen[0]}
                masks = np.stack([_masks(envs[i]) for i in playing])
                ended = set()
                for i, action in zip(playing, decide(observations, masks), strict=True):
                    seen[i], _, terminated, truncated, _ = envs[i].step(action)
                    if terminated or truncated:
                        ended.add(i)
                playing = [i for i in playing if i not in ended]
            return np.array([self._objective(env, log, window) for env, window in zip(envs, windows, strict=True)])

        return judge

    def _make(self, log: Log, part: str, length: int) -> gymnasium.Env[Any, Any]:
        config = self._config
        return gymnasium.make(
            self._id,
            disable_env_checker=True,
            trace=log.trace,
            machine=log.machine,
            part=part,
            length=length,
            window=config.slots,
            defer=config.defer,
            policy=config.base_policy,
            reward=config.rewards or None,
        )

    def _judges(self, log: Log, count: int) -> list[gymnasium.Env[Any, Any]]:
        """Return environments over the whole log; they are kept, since each prepares the log anew."""
        made = self._judging.setdefault(log.name, [])
        made += [self._make(log, "all", self._config.validation_length) for _ in range(count - len(made))]
        return made[:count]

    def _play(self, log: Log, seed: int) -> Iterator[Demonstrations]:
        """Yield the teacher's episodes, one after the other."""
        env = self._make(log, "train", self._config.window_length)
        seen, _ = env.reset(seed=self._config.seed + seed)
        while True:
            observations, masks, actions, rewards, ended = [], [], [], [], False
            while not ended:
                observations.append(seen)
                masks.append(_masks(env))
                actions.append(int(np.argmax(masks[-1])))
                seen, reward, terminated, truncated, _ = env.step(actions[-1])
                rewards.append(float(reward))
                ended = terminated or truncated
            yield Demonstrations(
                {key: np.stack([observation[key] for observation in observations]) for key in seen},
                np.stack(masks),
                np.array(actions),
                _returns(rewards, self._config.ppo.gamma),
            )
            seen, _ = env.reset()

    def _objective(self, env: gymnasium.Env[Any, Any], log: Log, window: Window) -> float:
        jobs = log.window_jobs(window)
        start = np.asarray(env.get_wrapper_attr("starts"), dtype=np.float64)
        schedule = pd.DataFrame(
            {
                "job_id": jobs["job_id"],
                "submit": jobs["submit"],
                "start": start,
                "end": start + jobs["run_time"],
                "processors": jobs["processors"],
                "gpus": jobs["gpus"],
                "nodes": "",
                "killed": False,
            }
        )
        return objective_of(schedule, jobs, log.machine, self._config.objective)


def _masks(env: gymnasium.Env[Any, Any]) -> Masks:
    masks: Masks = env.get_wrapper_attr("action_masks")()
    return masks


def _returns(rewards: Sequence[float], gamma: float) -> npt.NDArray[np.float32]:
    """Return the discounted sum of the rewards from each step on."""
    returns, later = np.empty(len(rewards), np.float32), 0.0
    for i in range(len(rewards) - 1, -1, -1):
        later = rewards[i] + gamma * later
        returns[i] = later
    return returns
