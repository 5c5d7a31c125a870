"""How points are chosen and trials given up: Optuna's samplers and pruners."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from hpcai.learning.sweeps.config import SweepConfig

_FIXED_SEED: Final = ("qmc", "grid")
"""Samplers whose points are numbered, so that all workers must number them alike."""


def make_sampler(config: SweepConfig) -> BaseSampler:
    """Return the sampler of a sweep, the same for every worker and after every interrupt."""
    if config.sampler in _FIXED_SEED:
        return _sampler(config, config.seed)
    return SeededByTrial(lambda seed: _sampler(config, seed), config.seed)


def _sampler(config: SweepConfig, seed: int) -> BaseSampler:
    samplers = optuna.samplers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match config.sampler:
            case "tpe":  # constant_liar keeps workers from trying the same point at one time
                return samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
            case "gp":
                deterministic = config.kind == "evaluate"
                return samplers.GPSampler(
                    seed=seed, deterministic_objective=deterministic, warn_independent_sampling=False
                )
            case "cma-es":
                return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
            case "nsga-ii":
                return samplers.NSGAIISampler(seed=seed, population_size=_population(config))
            case "nsga-iii":
                return samplers.NSGAIIISampler(seed=seed, population_size=_population(config))
            case "qmc":
                beside = SeededByTrial(lambda own: samplers.RandomSampler(seed=own), seed)  # what exists at times only
                return samplers.QMCSampler(
                    seed=seed, scramble=True, independent_sampler=beside, warn_independent_sampling=False
                )
            case "grid":
                return Grid({name: p.values or [] for name, p in config.space.items()}, seed=seed)
    return samplers.RandomSampler(seed=seed)


def _population(config: SweepConfig) -> int:
    """Return a population that leaves a short sweep at least five generations; Optuna's default is 50."""
    trials = config.limits.steps
    return 50 if not np.isfinite(trials) else int(min(50, max(8, trials // 5)))


class Grid(optuna.samplers.GridSampler):
    """Optuna's grid, which would stop an ``optimize`` that is not running; a sweep ends by its budget."""

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Do nothing."""


class SeededByTrial(BaseSampler):
    """A sampler that is made anew for each trial, seeded by the study's seed and the trial's number.

    So trial k has the same random numbers in one sitting or several, and two workers never have the same. What a
    method has learned lies in the study, not in the sampler.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make, self._seed = make, seed
        self._own = make(seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Make the sampler of this trial."""
        seed = np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0]
        self._own = self._make(int(seed) % 2**31)
        self._own.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Ask the trial's sampler."""
        return self._own.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Ask the trial's sampler."""
        return self._own.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Ask the trial's sampler."""
        return self._own.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Tell the trial's sampler."""
        self._own.after_trial(study, trial, state, values)


def make_pruner(config: SweepConfig) -> optuna.pruners.BasePruner:
    """Return the pruner of a sweep."""
    own, pruners = config.pruner, optuna.pruners
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match own.kind:
            case "median":
                return pruners.MedianPruner(n_startup_trials=own.trials, n_warmup_steps=own.steps)
            case "percentile":
                return pruners.PercentilePruner(100 * own.keep, n_startup_trials=own.trials, n_warmup_steps=own.steps)
            case "halving":
                return pruners.SuccessiveHalvingPruner(min_resource=max(own.steps, 1), reduction_factor=own.reduction)
            case "hyperband":
                return pruners.HyperbandPruner(min_resource=max(own.steps, 1), reduction_factor=own.reduction)
            case "wilcoxon":
                return pruners.WilcoxonPruner(p_threshold=own.p, n_startup_steps=own.steps)
    return pruners.NopPruner()
