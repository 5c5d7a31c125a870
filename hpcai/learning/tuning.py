"""The search baseline: the weights of an interpretable ordering, tuned by CMA-ES on training windows.

Every family (families.py) has its own search; they take turns, a generation each. Each generation is judged
on windows drawn anew, so that no set of windows can be learned by heart. The best trials, the heuristics and
smallest-area-first itself then meet on the validation windows, and the best of them is the result.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hpcai.learning.clock import Clock
from hpcai.learning.config import TrainingConfig
from hpcai.learning.families import FAMILIES, Family
from hpcai.learning.logs import Log
from hpcai.learning.run_folder import TRIALS, RunFolder
from hpcai.learning.scoring import HEURISTICS, Panel, judge_of, panel_against
from hpcai.scheduling.policy import Policy

GENERATION: Final = 12  # trials; more than CMA-ES's default of 7 or 8, since a score on few windows is noisy
FINALISTS: Final = 5  # of each family
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
    """A policy that took part in the final, with its score on the validation windows."""

    name: str
    policy: Policy
    score: float


@dataclass(frozen=True)
class Tuned:
    """What came out: candidates, best first; scores are relative to ``rival``, the best heuristic."""

    candidates: list[Candidate]
    heuristics: dict[str, float]
    rival: str
    trials: int

    @property
    def best(self) -> Candidate:
        """The winner on the validation windows."""
        return self.candidates[0]


def search(
    logs: Sequence[Log],
    config: TrainingConfig,
    folder: RunFolder,
    clock: Clock,
    told: Callable[[float], None],
    families: Sequence[Family] = FAMILIES,
) -> list[Trial]:
    """Return all trials, those of an earlier sitting included; each is in the folder as soon as it is done.

    ``told`` is called after each trial with the best score so far. A seeded search asks for the same weights
    again, so a resumed one answers from the folder until it comes to what is new.
    """
    done = {(trial.family, trial.number): trial for trial in read_trials(folder)}
    searches = [_Search(family, config.seed + i) for i, family in enumerate(families)]
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


def final(
    logs: Sequence[Log], config: TrainingConfig, trials: Sequence[Trial], families: Sequence[Family] = FAMILIES
) -> Tuned:
    """Return how the best trials do on the validation windows, the heuristics among them."""
    windows = [log.draw("validation", config.validation_windows, config.validation_length, config.seed) for log in logs]
    panel, heuristics = panel_against(logs, windows, config.base_policy, config.objective, HEURISTICS)
    candidates = [
        Candidate(name, config.base_policy.model_copy(update={"ordering": name}), score)
        for name, score in heuristics.items()
    ]
    for family in families:
        own = sorted((trial for trial in trials if trial.family == family.name), key=lambda trial: trial.score)
        for trial in own[:FINALISTS]:
            policy = family.policy(config.base_policy, trial.weights)
            score = panel.score(judge_of(policy, config.objective))
            candidates.append(Candidate(f"{family.name} {trial.number}", policy, score))
    candidates.sort(key=lambda candidate: candidate.score)
    return Tuned(candidates, heuristics, panel.rival, len(trials))


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
