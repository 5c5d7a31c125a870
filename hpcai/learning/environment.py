"""Where agents meet the environment: to learn in it, to be shown how it is done, to be judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from stable_baselines3.common.vec_env import VecEnv

from hpcai.evaluation.windows import Window
from hpcai.jit import announce_compilation
from hpcai.learning.config import TrainingConfig
from hpcai.learning.logs import Log
from hpcai.learning.scoring import Floats, Judge, objective_of
from hpcai.simulation.batch import Seen, advance, make_seen, stack
from hpcai.simulation.episode import LOAD, Episodes, Setting, window_beginnings

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

    def __init__(self, config: TrainingConfig, logs: Sequence[Log]) -> None:
        self._config, self._logs = config, logs
        self.setting: Setting = config.setting
        self._judged = replace(self.setting, policy=config.result_policy)
        self._training = [self._episodes_to_learn_in(log) for log in logs]
        self._judging: dict[tuple[Any, ...], Episodes] = {}

    def make_vec_env(self) -> VecEnv:
        """Return environments to learn in, shared out among the logs, seeded by the configuration."""
        # The library never imports the environments; they are looked up by name, as Gymnasium does.
        batched = import_module("hpcai_envs.batched").BatchedScheduling
        announce_compilation(advance)
        lanes = max(self._config.n_envs, len(self._logs))
        return cast(VecEnv, batched(self._training, lanes, seed=self._config.seed))

    def demonstrate(self, decisions: int) -> Demonstrations:
        """Return at least that many decisions of the teacher in the training part, of whole episodes.

        The slots are in the order of the teacher's ordering, so that the first possible action is what it would do.
        """
        env = self.make_vec_env()
        lanes = env.num_envs
        seen = cast(Observations, env.reset())
        episodes: list[Demonstrations] = []
        playing: list[list[tuple[Any, ...]]] = [[] for _ in range(lanes)]
        while sum(len(episode.actions) for episode in episodes) < decisions:
            masks = np.stack(env.env_method("action_masks"))
            actions = np.argmax(masks, axis=1)
            before = {key: array.copy() for key, array in seen.items()}
            observation, rewards, ended, _ = env.step(actions)
            seen = cast(Observations, observation)
            for b in range(lanes):
                playing[b].append((before["jobs"][b], before["machine"][b], masks[b], actions[b], rewards[b]))
                if ended[b]:
                    episodes.append(_episode(playing[b], self._config.ppo.gamma))
                    playing[b] = []
        env.close()
        return Demonstrations(
            {k: np.concatenate([e.observations[k] for e in episodes]) for k in ("jobs", "machine")},
            np.concatenate([e.masks for e in episodes]),
            np.concatenate([e.actions for e in episodes]),
            np.concatenate([e.returns for e in episodes]),
        )

    def judge_of(self, decide: Decide) -> Judge:
        """Return the judge of an agent: it plays all windows side by side, and their schedules are measured."""

        def judge(log: Log, windows: Sequence[Window]) -> Floats:
            values = np.empty(len(windows))
            for length in sorted({len(window) for window in windows}):
                rows = [i for i, window in enumerate(windows) if len(window) == length]
                starts = self._play(log, [windows[i].first for i in rows], length, decide)
                values[rows] = [self._objective(log, windows[i], start) for i, start in zip(rows, starts, strict=True)]
            return values

        return judge

    def _episodes_to_learn_in(self, log: Log) -> Episodes:
        first, last = log.bounds("train", self._config.skip)
        length = min(self._config.window_length, last - first)
        firsts = window_beginnings(first, last, length, self.setting.policy, self._config.seed)
        return self._episodes(log, firsts, length, self.setting)

    def _episodes(self, log: Log, firsts: npt.NDArray[np.int64], length: int, setting: Setting) -> Episodes:
        return Episodes(log.jobs, log.machine, setting, length=length, firsts=firsts, origin=log.trace.origin)

    def _play(self, log: Log, firsts: list[int], length: int, decide: Decide) -> npt.NDArray[np.float64]:
        """Return the starts of each window's jobs under an agent, s (windows, length)."""
        key = (log.name, length, *firsts)
        if key not in self._judging:  # kept, since each prepares the log anew
            self._judging[key] = self._episodes(log, np.array(firsts), length, self._judged)
        episodes = self._judging[key]
        lanes, seen = stack(episodes, len(firsts)), make_seen(len(firsts), self.setting.window)
        self._load(episodes, lanes, seen)
        nothing = np.full(len(firsts), -1)
        actions = np.zeros(len(firsts), dtype=np.int64)
        playing = np.flatnonzero(~seen.done)
        while len(playing):
            observations = {"jobs": seen.jobs[playing], "machine": seen.machine[playing]}
            actions[playing] = decide(observations, seen.legal[playing, : self.setting.actions])
            for b in playing.tolist():
                advance(lanes, episodes.pool, actions, nothing, seen, b, b + 1)
            playing = playing[~seen.done[playing]]
        return lanes.state.start

    def _load(self, episodes: Episodes, lanes: Any, seen: Seen) -> None:
        count = len(seen.done)
        advance(lanes, episodes.pool, np.full(count, LOAD), np.arange(count), seen, 0, count)

    def _objective(self, log: Log, window: Window, start: npt.NDArray[np.float64]) -> float:
        jobs = log.window_jobs(window)
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


def _episode(steps: list[tuple[Any, ...]], gamma: float) -> Demonstrations:
    jobs, machine, masks, actions, rewards = zip(*steps, strict=True)
    observations = {"jobs": np.stack(jobs), "machine": np.stack(machine)}
    return Demonstrations(observations, np.stack(masks), np.array(actions), _returns(rewards, gamma))


def _returns(rewards: Sequence[float], gamma: float) -> npt.NDArray[np.float32]:
    """Return the discounted sum of the rewards from each step on."""
    returns, later = np.empty(len(rewards), np.float32), 0.0
    for i in range(len(rewards) - 1, -1, -1):
        later = rewards[i] + gamma * later
        returns[i] = later
    return returns
