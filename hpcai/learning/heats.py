"""Where formulas compete: windows of every log, replayed fast, each formula measured against one rival.

A small change of a formula sends a schedule down another path, and a few crowded windows make up a mean. So a heat's
windows are drawn anew for each generation, jobs come somewhat faster or slower than recorded, and the score weighs
the ratio of the means over windows and the mean ratio of windows alike.

Bounded slowdown alone can be bought by letting long jobs wait beyond the end of a window, where nobody counts any
more. So a mean wait beyond ``wait_bound`` times the rival's makes a score worse, by STERN times as many per cent as it
is beyond.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hpcai.evaluation.windows import Window
from hpcai.learning.config import TrainingConfig
from hpcai.learning.logs import Log
from hpcai.learning.scoring import Floats
from hpcai.scheduling.jobs import SLOWDOWN_FLOOR
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.predictor import model_of, recorded_predictions
from hpcai.simulation.rollouts import Rollouts

PACE: Final = 0.25  # jobs come up to this much (in logarithm) faster or slower than recorded
STERN: Final = 4.0
_SECOND: Final = 1.0  # s added to mean waits and their like, so that the ratio of two empty windows is 1


@dataclass(frozen=True)
class Outcome:
    """What a policy reaches in windows of one log: the objective in each, and the mean wait in each, s; (windows,)."""

    values: Floats
    wait: Floats


class Ground:
    """One log, prepared."""

    def __init__(self, log: Log, config: TrainingConfig) -> None:
        policy, self._objective = config.base_policy, config.objective
        predicted = recorded_predictions(log.jobs, model_of(policy)) if policy.learns else None
        first, last = log.bounds("train")
        length = min(config.window_length, last - first - int(config.skip * (last - first)))
        self.log = log
        self._rollouts = Rollouts(log.jobs, log.machine, policy, length, predicted)
        self._run = self._rollouts.run

    def outcome(self, policy: Policy, windows: Sequence[Window], pace: Floats | None = None) -> Outcome:
        """Return what a policy reaches in ``windows`` if jobs come ``pace`` times as fast as recorded."""
        firsts = np.array([window.first for window in windows])
        wait = self._rollouts.waits(policy, firsts, pace)
        run = self._run[firsts[:, None] + np.arange(self._rollouts.length)]
        return Outcome(_job_values(self._objective, wait, run).mean(axis=1), wait.mean(axis=1))


def _job_values(objective: str, wait: Floats, run: Floats) -> Floats:
    if objective == "mean_wait":
        return wait
    if objective == "mean_turnaround":
        return wait + run
    slowdown: Floats = np.maximum((wait + run) / np.maximum(run, SLOWDOWN_FLOOR), 1.0)
    return slowdown


class Heat:
    """Windows of every log on which formulas of one generation are compared with a rival."""

    def __init__(self, grounds: Sequence[Ground], rival: Policy, config: TrainingConfig, generation: int) -> None:
        rng = np.random.default_rng([config.seed, generation])
        seeds = rng.integers(2**31, size=len(grounds)).tolist()
        self._grounds, self._bound = grounds, config.wait_bound
        self._windows = [
            ground.log.draw("train", config.training_windows, config.window_length, seed, config.skip)
            for ground, seed in zip(grounds, seeds, strict=True)
        ]
        self._paces = [np.exp(rng.uniform(-PACE, PACE, len(windows))) for windows in self._windows]
        self._rival = self._outcomes(rival)

    def score(self, policy: Policy) -> float:
        """Return the geometric mean over logs of a policy's score relative to the rival; lower is better."""
        scores = [
            score(own, rival, self._bound) for own, rival in zip(self._outcomes(policy), self._rival, strict=True)
        ]
        return float(np.exp(np.mean(scores)))

    def _outcomes(self, policy: Policy) -> list[Outcome]:
        return [
            ground.outcome(policy, windows, pace)
            for ground, windows, pace in zip(self._grounds, self._windows, self._paces, strict=True)
        ]


def score(own: Outcome, rival: Outcome, wait_bound: float) -> float:
    """Return the logarithm of a score: see above. Values are those of the same windows."""
    of_means = np.log((own.values.mean() + _tiny(rival)) / (rival.values.mean() + _tiny(rival)))
    of_windows = np.log((own.values + _tiny(rival)) / (rival.values + _tiny(rival))).mean()
    waits = np.log((own.wait.mean() + _SECOND) / (rival.wait.mean() + _SECOND)) - np.log(wait_bound)
    return float((of_means + of_windows) / 2 + STERN * max(waits, 0.0))


def _tiny(rival: Outcome) -> float:
    """Return what is added to both sides of a ratio, since an objective may be 0 in a window."""
    return float(1e-3 * rival.values.mean() + 1e-9)
