"""The search baseline: the weights of an interpretable formula, tuned by CMA-ES on training windows.

Every family (families.py) has its own search; they take turns, a generation each, in a heat of windows drawn anew
(heats.py), so that no set of windows can be learned by heart. A trial's score is a noisy thing all the same, and the
best of many noisy scores is mostly luck: what a search has found is the mean of its last generations. What all have
found and the heuristics meet in a final on common windows, of training and of validation, and one of them must be
clearly better than smallest-area-first there, else the latter is the result. Validation alone, a tenth of a log, does
not choose: on CTC-SP2, KTH-SP2 and lublin_256 the order of formulas there said nothing of later months.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from hpcai.errors import InputError
from hpcai.evaluation.runs import PREFIX, policy_of_run
from hpcai.evaluation.statistics import ratios, resample
from hpcai.evaluation.windows import Window, overlap
from hpcai.learning.clock import Clock
from hpcai.learning.config import TrainingConfig
from hpcai.learning.families import Family, families_for
from hpcai.learning.heats import Ground, Heat, Outcome, penalty, wait_ratio
from hpcai.learning.logs import Log
from hpcai.learning.run_folder import TRIALS, RunFolder
from hpcai.learning.scoring import HEURISTICS, without_prediction
from hpcai.scheduling.policy import Policy

GENERATION: Final = 12  # trials; more than the default of CMA-ES for few weights, since scores are noisy
LATEST: Final = 4  # generations whose mean is what a search has found
CLEARLY: Final = 1 - 1e-3  # below 1 by more than rounding
RESAMPLES: Final = 2000
RIVAL: Final = "saf"  # whom trials are compared with; the best simple ordering on most logs


@dataclass(frozen=True)
class Trial:
    """Weights of a family and their score in the heat of their generation."""

    family: str
    number: int
    score: float
    weights: dict[str, float]


@dataclass(frozen=True)
class Candidate:
    """A policy that took part in the final: its mean objective there relative to that of RIVAL.

    ``bound`` is the upper end of the 95 % interval, ``wait`` the mean wait relative to RIVAL's; all are geometric
    means over logs, lower is better.
    """

    name: str
    policy: Policy
    score: float
    bound: float
    wait: float


@dataclass(frozen=True)
class Tuned:
    """What came out of the final on so many windows; candidates by score, best first."""

    candidates: list[Candidate]
    windows: int
    wait_bound: float

    @property
    def best(self) -> Candidate:
        """The best of those that are clearly better than RIVAL, if waits beyond their bound count as in heats."""
        clear = [c for c in self.candidates if c.bound * penalty(c.wait, self.wait_bound) < CLEARLY]
        rival = next(c for c in self.candidates if c.name == RIVAL)
        return min(clear, key=lambda c: c.score * penalty(c.wait, self.wait_bound), default=rival)


class Competition:
    """The logs of a run, prepared for trials."""

    def __init__(self, logs: Sequence[Log], config: TrainingConfig) -> None:
        """Raises InputError if a family is chosen that there is not, or if the logs cannot be played."""
        self._config = config
        self._families = families_for(config.base_policy, config.families, [log.machine for log in logs])
        if config.begin is not None:
            weights = weights_of_run(config.begin)
            self._families = tuple(family.beginning_at(weights) for family in self._families)
        self._grounds = [Ground(log, config) for log in logs]
        self._rival = _heuristic(config.base_policy, RIVAL)

    def search(self, folder: RunFolder, clock: Clock, told: Callable[[float], None]) -> None:
        """Make trials until the clock is over; each is in the folder as soon as it is done.

        ``told`` is called after each trial with the best score of its generation so far. A seeded search asks for the
        same weights again, so a resumed one answers from the folder until it comes to what is new.
        """
        config = self._config
        done = {(trial.family, trial.number): trial for trial in read_trials(folder)}
        searches = [_Search(family, config.seed + i) for i, family in enumerate(self._families)]
        for generation in itertools.count():
            heat = None
            best = np.inf
            for search in searches:
                for _ in range(GENERATION):
                    number, weights = search.ask()
                    trial = done.get((search.family.name, number))
                    if trial is None:
                        if clock.over:
                            return
                        heat = heat or Heat(self._grounds, self._rival, config, generation)
                        score = heat.score(search.family.policy(config.base_policy, weights))
                        trial = Trial(search.family.name, number, score, weights)
                        clock.steps += 1
                        _append(folder, clock, trial)
                    search.tell(trial.score)
                    best = min(best, trial.score)
                    told(best)

    def final(self, trials: Sequence[Trial]) -> Tuned:
        """Return how what was found and the heuristics do on common windows of training and validation."""
        config = self._config
        policies = {name: _heuristic(config.base_policy, name) for name in HEURISTICS}
        for family in self._families:
            own = [trial for trial in trials if trial.family == family.name]
            if own:
                policies[family.name] = family.policy(config.base_policy, _found(own))
        windows = [_final_windows(ground.log, config) for ground in self._grounds]
        standings = np.exp(
            np.log(
                [
                    _relative(
                        [ground.outcome(policy, own) for policy in policies.values()], list(policies), own, config
                    )
                    for ground, own in zip(self._grounds, windows, strict=True)
                ]
            ).mean(axis=0)
        )
        candidates = [
            Candidate(name, policy, *map(float, standing))
            for (name, policy), standing in zip(policies.items(), standings, strict=True)
        ]
        best_first = sorted(candidates, key=lambda candidate: candidate.score)
        return Tuned(best_first, sum(map(len, windows)), config.wait_bound)


def _heuristic(base: Policy, name: str) -> Policy:
    """Return a heuristic that knows what the formulas know: requests, or predictions where those are believed.

    On a log without requests a heuristic by requests would know the truth.
    """
    if base.estimate == "predicted":
        return base.model_copy(update={"ordering": name})
    return without_prediction(base, name)


def _found(trials: list[Trial]) -> dict[str, float]:
    """Return the mean weights of the last whole generations of one family."""
    whole = max(len(trials) // GENERATION * GENERATION, 1)
    latest = trials[max(whole - LATEST * GENERATION, 0) : whole]
    return {name: float(np.mean([trial.weights[name] for trial in latest])) for name in trials[0].weights}


def _final_windows(log: Log, config: TrainingConfig) -> list[Window]:
    """Return windows of both parts, about as many of each as it has jobs, in order of time."""
    first, last = log.bounds("train", config.skip)
    drawn = log.draw("train", config.final_windows, config.window_length, config.seed, config.skip)
    begin, end = log.bounds("validation")
    if end - begin < config.window_length:
        return drawn
    count = max(1, round(config.final_windows * (end - begin) / (last - first)))
    return drawn + log.draw("validation", count, config.window_length, config.seed)


def _relative(
    outcomes: list[Outcome], names: list[str], windows: list[Window], config: TrainingConfig
) -> list[tuple[float, float, float]]:
    """Return each candidate's ratio to RIVAL, its upper bound, and the ratio of the mean waits."""
    values = np.stack([outcome.values for outcome in outcomes], axis=1)
    rival = outcomes[names.index(RIVAL)]
    block = overlap(windows)
    weights = resample(len(windows), block, RESAMPLES, np.random.default_rng(config.seed))
    found = ratios(values, rival.values, weights, block)
    waits = [wait_ratio(outcome, rival) for outcome in outcomes]
    return [
        (ratio.value, ratio.high if np.isfinite(ratio.high) else np.inf, wait)
        for ratio, wait in zip(found, waits, strict=True)
    ]


def weights_of_run(folder: str | Path) -> dict[str, float]:
    """Return the weights of the formula that a run has tuned. Raises InputError if there are none."""
    weights: dict[str, float] = policy_of_run(f"{PREFIX}{folder}").get("parameters", {})
    if not weights:
        raise InputError(f"begin {folder}: expected the folder of a formula with weights, found none")
    return weights


def read_trials(folder: RunFolder) -> list[Trial]:
    """Return the trials in a folder, in the order in which they were made."""
    return [
        Trial(row["family"], int(row["number"]), float(row["score"]), _read_weights(row["weights"]))
        for row in folder.rows(TRIALS)
    ]


class _Search:
    """CMA-ES over the weights of one family."""

    def __init__(self, family: Family, seed: int) -> None:
        import optuna

        self.family = family
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():  # x0 is announced to go in Optuna 6
            warnings.simplefilter("ignore", FutureWarning)
            sampler = optuna.samplers.CmaEsSampler(x0=dict(family.begin), seed=seed, popsize=GENERATION)
        self._study = optuna.create_study(sampler=sampler)
        self._study.enqueue_trial(dict(family.begin))
        self._space: dict[str, optuna.distributions.BaseDistribution] = {
            name: optuna.distributions.FloatDistribution(weight.low, weight.high)
            for name, weight in family.weights.items()
        }
        self._asked: optuna.Trial | None = None

    def ask(self) -> tuple[int, dict[str, float]]:
        """Return the number of the next trial and its weights, to six digits."""
        self._asked = self._study.ask(self._space)
        return self._asked.number, {name: float(f"{value:.6g}") for name, value in self._asked.params.items()}

    def tell(self, score: float) -> None:
        """Give the score of the trial asked for last."""
        assert self._asked is not None
        self._study.tell(self._asked, score)


def _append(folder: RunFolder, clock: Clock, trial: Trial) -> None:
    weights = " ".join(f"{name}={value!r}" for name, value in trial.weights.items())
    row = {"seconds": f"{clock.seconds:.1f}", "family": trial.family, "number": trial.number}
    folder.append(TRIALS, row | {"score": repr(trial.score), "weights": weights})


def _read_weights(text: str) -> dict[str, float]:
    return {name: float(value) for name, _, value in (pair.partition("=") for pair in text.split())}
