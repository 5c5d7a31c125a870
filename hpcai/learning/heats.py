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

from hpcai.evaluation.metrics import JobValues
from hpcai.evaluation.windows import Window
from hpcai.learning.config import TrainingConfig
from hpcai.learning.logs import Log
from hpcai.learning.scoring import Floats
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.predictor import model_of, recorded_predictions
from hpcai.simulation.rollouts import Rollouts

PACE: Final = 0.25  # jobs come up to this much (in logarithm) faster or slower than recorded
STERN: Final = 4.0
_SECOND: Final = 1.0  # s added to mean waits, so that the ratio of two empty windows is 1


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
        first, last = log.bounds("train", config.skip)
        length = min(config.window_length, last - first)
        self.log = log
        self._rollouts = Rollouts(log.jobs, log.machine, policy, length, predicted)

    def outcome(self, policy: Policy, windows: Sequence[Window], pace: Floats | None = None) -> Outcome:
        """Return what a policy reaches in ``windows`` if jobs come ``pace`` times as fast as recorded."""
        firsts = np.array([window.first for window in windows])
        wait = self._rollouts.waits(policy, firsts, pace)
        run = self._rollouts.run[firsts[:, None] + np.arange(self._rollouts.length)]
        values = JobValues.of(wait, run_time=run, turnaround=wait + run).under(self._objective)
        return Outcome(values.mean(axis=1), wait.mean(axis=1))


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
    tiny = 1e-3 * rival.values.mean() + 1e-9  # since an objective may be 0 in a window
    of_means = np.log((own.values.mean() + tiny) / (rival.values.mean() + tiny))
    of_windows = np.log((own.values + tiny) / (rival.values + tiny)).mean()
    return float((of_means + of_windows) / 2 + np.log(penalty(wait_ratio(own, rival), wait_bound)))


def wait_ratio(own: Outcome, rival: Outcome) -> float:
    """Return the mean wait in that of the rival."""
    return float((own.wait.mean() + _SECOND) / (rival.wait.mean() + _SECOND))


def penalty(wait: float, wait_bound: float) -> float:
    """Return the factor by which a mean wait, in that of the rival, makes a score worse."""
    return float(max(wait / wait_bound, 1.0) ** STERN)
