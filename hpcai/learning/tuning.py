"""The search baseline: the weights of an interpretable ordering, tuned by CMA-ES on training windows.

Every family (families.py) has its own search; they take turns, a generation each. Each generation is judged
on windows drawn anew, so that no set of windows can be learned by heart. A trial's score is a noisy thing
all the same: a small change of weights sends a schedule down another path. So the best trials and the
heuristics meet in a final on common windows, of training and of validation, and one of them must be clearly
better than smallest-area-first there, else the latter is the result. Validation alone, a tenth of a log, does
not choose: on CTC-SP2, KTH-SP2 and lublin_256 the order of formulas there said nothing of later months.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hpcai.evaluation.metrics import METRICS
from hpcai.evaluation.statistics import ratios, resample
from hpcai.evaluation.windows import Window, overlap
from hpcai.learning.clock import Clock
from hpcai.learning.config import TrainingConfig
from hpcai.learning.families import Family, families_for
from hpcai.learning.logs import Log
from hpcai.learning.run_folder import TRIALS, RunFolder
from hpcai.learning.scoring import HEURISTICS, Floats, Panel, judge_of, panel_against, without_prediction
from hpcai.scheduling.policy import Policy

GENERATION: Final = 12  # trials; more than CMA-ES's default of 7 or 8, since a score on few windows is noisy
FINALISTS: Final = 6  # of each family
CLEARLY: Final = 1 - 1e-3  # below 1 by more than rounding
RESAMPLES: Final = 2000
RIVAL: Final = "saf"  # whom trials are compared with; the best simple ordering on most logs


@dataclass(frozen=True)
class Trial:
    """Weights of a family and their score on the training windows of their generation."""

    family: str
    number: int
    score: float
    weights: dict[str, float]


@dataclass(frozen=True)
class Candidate:
    """A policy that took part in the final: its mean objective there relative to that of RIVAL.

    ``bound`` is the upper end of the 95 % interval; both are geometric means over logs, lower is better.
    """

    name: str
    policy: Policy
    score: float
    bound: float


@dataclass(frozen=True)
class Tuned:
    """What came out of the final on so many windows; candidates by score, best first."""

    candidates: list[Candidate]
    windows: int

    @property
    def best(self) -> Candidate:
        """The best of those that are clearly better than RIVAL; RIVAL itself if none is."""
        clear = [candidate for candidate in self.candidates if candidate.bound < CLEARLY]
        return clear[0] if clear else next(c for c in self.candidates if c.name == RIVAL)


def search(
    logs: Sequence[Log],
    config: TrainingConfig,
    folder: RunFolder,
    clock: Clock,
    told: Callable[[float], None],
) -> list[Trial]:
    """Return all trials, those of an earlier sitting included; each is in the folder as soon as it is done.

    ``told`` is called after each trial with the best score so far. A seeded search asks for the same weights
    again, so a resumed one answers from the folder until it comes to what is new.
    """
    done = {(trial.family, trial.number): trial for trial in read_trials(folder)}
    searches = [_Search(family, config.seed + i) for i, family in enumerate(families_for(config.base_policy))]
    best = min((trial.score for trial in done.values()), default=np.inf)
    trials: list[Trial] = []
    for generation in itertools.count():
        panel = None
        for search in searches:
            for _ in range(GENERATION):
                number, weights = search.ask()
                trial = done.get((search.family.name, number))
                if trial is None:
                    if clock.over:
                        return trials
                    panel = panel or _training_panel(logs, config, generation)
                    policy = search.family.policy(config.base_policy, weights)
                    score = panel.score(judge_of(policy, config.objective))
                    trial = Trial(search.family.name, number, score, weights)
                    clock.steps += 1
                    _append(folder, clock, trial)
                search.tell(trial.score)
                trials.append(trial)
                best = min(best, trial.score)
                told(best)
    return trials


def final(logs: Sequence[Log], config: TrainingConfig, trials: Sequence[Trial]) -> Tuned:
    """Return how the best trials and the heuristics do on common windows of training and validation."""
    policies = {name: without_prediction(config.base_policy, name) for name in HEURISTICS}
    for family in families_for(config.base_policy):
        own = sorted((trial for trial in trials if trial.family == family.name), key=lambda trial: trial.score)
        for trial in own[:FINALISTS]:
            policies[f"{family.name} {trial.number}"] = family.policy(config.base_policy, trial.weights)
    windows = [_final_windows(log, config) for log in logs]
    judges = [judge_of(policy, config.objective) for policy in policies.values()]
    of_logs = [
        _relative(np.stack([judge(log, own) for judge in judges], axis=1), list(policies).index(RIVAL), own, config)
        for log, own in zip(logs, windows, strict=True)
    ]
    scores, bounds = np.exp(np.log(of_logs).mean(axis=0)).T
    candidates = [
        Candidate(name, policy, float(score), float(bound))
        for (name, policy), score, bound in zip(policies.items(), scores, bounds, strict=True)
    ]
    return Tuned(sorted(candidates, key=lambda candidate: candidate.score), sum(map(len, windows)))


def _final_windows(log: Log, config: TrainingConfig) -> list[Window]:
    """Return windows of both parts, about as many of each as it has jobs, in order of time."""
    _, last = log.bounds("train")
    drawn = log.draw("train", config.final_windows, config.validation_length, config.seed)
    share = (log.bounds("validation")[1] - last) / last
    count = max(1, round(config.final_windows * share))
    return drawn + log.draw("validation", count, config.validation_length, config.seed)


def _relative(values: Floats, rival: int, windows: list[Window], config: TrainingConfig) -> list[tuple[float, float]]:
    """Return each candidate's ratio to the rival and its upper bound; ``values`` is (windows, candidates)."""
    if METRICS[config.objective].better == "higher":
        values = 1 / values
    block = overlap(windows)
    weights = resample(len(windows), block, RESAMPLES, np.random.default_rng(config.seed))
    found = ratios(values, values[:, rival], weights, block)
    return [(ratio.value, ratio.high if np.isfinite(ratio.high) else np.inf) for ratio in found]


def read_trials(folder: RunFolder) -> list[Trial]:
    """Return the trials in a folder, in the order in which they were made."""
    return [
        Trial(row["family"], int(row["number"]), float(row["score"]), _read_weights(row["weights"]))
        for row in folder.rows(TRIALS)
    ]


class _Search:
    """CMA-ES over the weights of one family; the first trial is the centre of the ranges."""

    def __init__(self, family: Family, seed: int) -> None:
        import optuna

        self.family = family
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.CmaEsSampler(seed=seed, popsize=GENERATION)
        self._study = optuna.create_study(sampler=sampler)
        self._study.enqueue_trial(family.centre)
        self._space: dict[str, optuna.distributions.BaseDistribution] = {
            name: optuna.distributions.FloatDistribution(*ends) for name, ends in family.ranges.items()
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


def _training_panel(logs: Sequence[Log], config: TrainingConfig, generation: int) -> Panel:
    """Return the panel of one generation: windows drawn anew from the training part."""
    seed = int(np.random.SeedSequence([config.seed, generation]).generate_state(1)[0])
    windows = [log.draw("train", config.training_windows, config.window_length, seed) for log in logs]
    return panel_against(logs, windows, config.base_policy, config.objective, (RIVAL,))[0]


def _append(folder: RunFolder, clock: Clock, trial: Trial) -> None:
    weights = " ".join(f"{name}={value!r}" for name, value in trial.weights.items())
    row = {"seconds": f"{clock.seconds:.1f}", "family": trial.family, "number": trial.number}
    folder.append(TRIALS, row | {"score": repr(trial.score), "weights": weights})


def _read_weights(text: str) -> dict[str, float]:
    return {name: float(value) for name, _, value in (pair.partition("=") for pair in text.split())}
