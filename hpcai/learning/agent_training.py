"""Teaching an agent: cloning first, then reinforcement learning with validation, checkpoints and an early end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy

from hpcai.learning.agents import (
    Architecture,
    architecture_of,
    decide_by,
    make_agent,
    read_tensors,
    save_policy,
    write_tensors,
)
from hpcai.learning.clock import Clock
from hpcai.learning.cloning import Cloned, clone
from hpcai.learning.config import TrainingConfig
from hpcai.learning.environment import Arena
from hpcai.learning.export import network_of
from hpcai.learning.logs import Log
from hpcai.learning.progress import LearningProgress
from hpcai.learning.run_folder import BEST, CHECKPOINT, CURVES, TENSORBOARD, RunFolder
from hpcai.learning.scoring import HEURISTICS, Panel, panel_against

_LATEST = f"{CHECKPOINT}/latest.pt"
_UNLIMITED = 10**12  # decisions; the clock ends a run, not Stable-Baselines3's count


@dataclass
class Standing:
    """How far a run is; what a checkpoint holds beside weights."""

    begun: bool = False  # cloned, and validated once
    seconds: float = 0.0
    steps: int = 0
    validated_at: int = 0  # step
    best: float = np.inf  # validation score
    best_at: int = 0  # step
    worse: int = 0  # validations since then
    cloned: float | None = None  # agreement with the teacher, if there is one


@dataclass(frozen=True)
class Taught:
    """What came out; scores are relative to ``rival``, the best heuristic on the validation windows."""

    standing: Standing
    heuristics: dict[str, float]
    rival: str
    interrupted: bool


def teach(
    config: TrainingConfig,
    logs: Sequence[Log],
    folder: RunFolder,
    arena: Arena,
    quiet: bool,
    validated: Callable[[int, float], None] | None = None,
) -> Taught:
    """Train the agent of a configuration, from the folder's checkpoint if it has one.

    An interrupt ends it early, with a checkpoint of that moment. ``validated`` is told steps and score of each
    validation; what it raises passes on.
    """
    interrupted = False
    torch.set_num_threads(config.threads)
    windows = [log.draw("validation", config.validation_windows, config.validation_length, config.seed) for log in logs]
    panel, heuristics = panel_against(logs, windows, config.result_policy, config.objective, HEURISTICS, predicted=True)
    env = arena.make_vec_env()
    env.reset()  # compiles what it has to, before the clock runs
    agent = make_agent(config, env, folder.path / TENSORBOARD)
    standing = _restored(agent, folder)
    clock = Clock(config.limits, standing.seconds, standing.steps)
    with closing(env), LearningProgress(clock, quiet) as progress:
        architecture = architecture_of(agent, config)
        watch = Watch(config, folder, arena, panel, clock, standing, architecture, progress, validated)
        watch.init_callback(agent)
        try:
            if not standing.begun:
                cloned = _clone(agent, config, arena, progress)
                standing.cloned = cloned.accuracy if cloned else None
                standing.begun = True
                watch.validate()
                watch.checkpoint()
            if not (clock.over or watch.stale):
                agent.learn(_UNLIMITED, callback=watch, reset_num_timesteps=False, tb_log_name=config.algo)
            if standing.validated_at < standing.steps and not watch.stale:
                watch.validate()
        except KeyboardInterrupt:
            interrupted = True
        if standing.begun:
            watch.checkpoint()
    return Taught(standing, heuristics, panel.rival, interrupted)


class Watch(BaseCallback):
    """Counts against the budget, validates, keeps the best network, writes checkpoints, shows progress."""

    def __init__(
        self,
        config: TrainingConfig,
        folder: RunFolder,
        arena: Arena,
        panel: Panel,
        clock: Clock,
        standing: Standing,
        architecture: Architecture,
        progress: LearningProgress,
        validated: Callable[[int, float], None] | None = None,
    ) -> None:
        super().__init__()
        self._validated = validated
        self._config, self._folder, self._arena, self._panel = config, folder, arena, panel
        self._clock, self._standing, self._architecture, self._progress = clock, standing, architecture, progress
        self._ratios: list[float] = []  # of training episodes since the last validation
        self._written = time.monotonic()
        self._learning_since = (time.monotonic(), 0.0)  # and the seconds spent in the environment by then

    @property
    def stale(self) -> bool:
        """Whether validation has not improved for as long as the configuration has patience."""
        return self._config.patience is not None and self._standing.worse >= self._config.patience

    def _on_training_start(self) -> None:
        if isinstance(self.model, DQN):  # it explores by its share of steps, of which a budget of time knows none
            planned = self.model.exploration_schedule
            self.model.exploration_schedule = lambda _: planned(1 - self._clock.spent)

    def _on_step(self) -> bool:
        self._clock.steps += self.training_env.num_envs
        self._standing.steps = self._clock.steps
        self._ratios += [info["ratio"] for info in self.locals["infos"] if "ratio" in info]
        self._progress.show(self._state())
        return not (self._clock.over or self.stale)

    def _on_rollout_end(self) -> None:
        if self._standing.steps - self._standing.validated_at >= self._config.validate_every:
            self.validate()
        if time.monotonic() - self._written >= self._config.checkpoint_every:
            self.checkpoint()

    def validate(self) -> None:
        """Score the network on the validation windows; keep it if it is the best so far."""
        standing = self._standing
        score = self._panel.score(self._arena.judge_of(decide_by(self.model.policy)))
        standing.validated_at = standing.steps
        standing.worse += 1
        if score < standing.best:
            standing.best, standing.best_at, standing.worse = score, standing.steps, 0
            save_policy(self._folder.path / BEST, self.model.policy, self._architecture)
            network = network_of(self.model.policy, self._architecture, self._arena.setting)
            self._folder.write_policy(self._config.result_policy, network)
        training = float(np.mean(self._ratios)) if self._ratios else np.nan
        self._ratios.clear()
        row = {"seconds": f"{self._clock.seconds:.1f}", "steps": standing.steps}
        scores = {"training": training, "validation": score, "best": standing.best}
        self._folder.append(CURVES, row | scores | {"environment": self._share_of_environment()})
        if standing.steps:  # before the first step the learner's logger is not set up
            self.logger.record("validation/score", score)
        if self._validated is not None:
            self._validated(standing.steps, score)

    def _share_of_environment(self) -> float:
        """Return the share of learning time since the last validation that went into stepping the environment."""
        now, spent = time.monotonic(), float(self.training_env.get_attr("seconds")[0])
        (then, spent_then), self._learning_since = self._learning_since, (now, spent)
        return (spent - spent_then) / (now - then)

    def checkpoint(self) -> None:
        """Write all that is needed to go on."""
        self._standing.seconds = self._clock.seconds
        policy = self.model.policy
        state = {"policy": policy.state_dict(), "optimizer": policy.optimizer.state_dict()}
        write_tensors(self._folder.path / _LATEST, state | {"standing": asdict(self._standing)})
        self._written = time.monotonic()

    def _state(self) -> str:
        best = self._standing.best
        return f"validation {best:.3f} of {self._panel.rival}" if np.isfinite(best) else "not validated yet"


def _restored(agent: BaseAlgorithm, folder: RunFolder) -> Standing:
    """Put the checkpoint of a folder into ``agent``, if there is one, and return how far it was."""
    path: Path = folder.path / _LATEST
    if not path.is_file():
        return Standing()
    data = read_tensors(path)
    agent.policy.load_state_dict(data["policy"])
    agent.policy.optimizer.load_state_dict(data["optimizer"])
    standing = Standing(**data["standing"])
    agent.num_timesteps = standing.steps
    agent.set_random_seed(None if agent.seed is None else agent.seed + standing.steps)  # not the same windows again
    return standing


def _clone(agent: BaseAlgorithm, config: TrainingConfig, arena: Arena, progress: LearningProgress) -> Cloned | None:
    """Make the policy a copy of its teacher's; DQN, whose values are no scores, begins without."""
    if config.teacher is None or isinstance(agent, DQN):
        return None
    progress.show("collecting the teacher's decisions")
    shown = arena.demonstrate(config.cloning.decisions)
    policy: Any = cast(ActorCriticPolicy, agent.policy)
    return clone(
        policy,
        shown,
        config.cloning,
        seed=config.seed,
        told=lambda epoch, accuracy: progress.show(f"copying {config.teacher}, pass {epoch}: {accuracy:.1%} alike"),
    )
