"""Learned parts of a discipline on a GPU cluster, placement or choice of victims: weights found by evolution.

Candidates replay weeks that a generator draws, other ones in each generation; a candidate's score is the geometric
mean of its objective relative to that of a baseline in the same weeks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from hpcai.cluster.spec import Machine
from hpcai.configuration import Source, read_mapping, validated
from hpcai.errors import InputError
from hpcai.evaluation.fragmentation import in_threads
from hpcai.evaluation.gpu_cluster.config import ClusterConfig, Generated, make_cluster_config
from hpcai.evaluation.gpu_cluster.inputs import Case, prepare
from hpcai.evaluation.gpu_cluster.metrics import METRICS, measure
from hpcai.evaluation.resumable import write_json
from hpcai.learning.evolution import Floats, Search, evolve
from hpcai.scheduling.gpu_cluster.discipline import VICTIM_FEATURES, Discipline
from hpcai.scheduling.placement import GANG_WEIGHTS
from hpcai.simulation.gpu_cluster.replay import replay_cluster

TRAINING_SEEDS: Final = 1_000_000  # first of training; evaluations count from 0
VALIDATION_SEEDS: Final = 2_000_000
LEAST: Final = 1e-3  # of an objective, of which a ratio is taken
LEARNED: Final = {
    "placement": (GANG_WEIGHTS, {"placement": "learned-gang"}, "placement_weights"),
    "victims": (VICTIM_FEATURES, {"victims": "learned"}, "victim_weights"),
}
"""What can be learned: names of the weights, settings that use them, and the setting that holds them."""


class ClusterTraining(Search):
    """A search for the weights of a learned part of a discipline."""

    learn: Literal["placement", "victims"]
    generator: Generated
    machine: Source | None = None
    common: dict[str, Any] = Field(default_factory=dict)  # settings of the baseline and of the learned discipline
    baseline: dict[str, Any] = Field(default_factory=dict)  # settings of the baseline alone
    objective: str = "mean_jct"
    draws: Annotated[int, Field(ge=1)] = 2  # seeds in a generation
    validation_draws: Annotated[int, Field(ge=2)] = 8
    out: Source = "runs/cluster-learned.json"

    @model_validator(mode="after")
    def _objective_is_known(self) -> Self:
        if self.objective not in METRICS or METRICS[self.objective].better != "lower":
            good = ", ".join(name for name, metric in METRICS.items() if metric.better == "lower")
            raise ValueError(f"objective: found {self.objective!r}, expected one of {good}")
        names = LEARNED[self.learn][0]
        unknown = [name for name in self.begin if name not in names]
        if unknown:
            raise ValueError(f"begin: unknown weight {unknown[0]!r}; expected some of {', '.join(names)}")
        return self

    def comparison(self, first_seed: int, seeds: int) -> ClusterConfig:
        """Return the comparison that draws the jobs of ``seeds`` seeds, and knows the two disciplines."""
        settings = LEARNED[self.learn][1]
        fields = {
            "generator": self.generator.model_dump(),
            "machine": self.machine,
            "common": self.common,
            "disciplines": {"baseline": self.baseline, "learned": settings},
            "baseline": "baseline",
            "first_seed": first_seed,
            "seeds": seeds,
        }
        return make_cluster_config(fields, "hpcai train cluster")


@dataclass(frozen=True)
class Ground:
    """Weeks that candidates are judged on, and what the baseline reached in each."""

    config: ClusterTraining
    machine: Machine
    discipline: Discipline
    cases: list[Case]
    baseline: Floats  # (cases,)

    @classmethod
    def make(cls, config: ClusterTraining, first_seed: int, seeds: int, workers: int) -> Ground:
        """Draw the weeks of some seeds and let the baseline play them."""
        comparison = config.comparison(first_seed, seeds)
        inputs, settings = prepare(comparison), comparison.settings

        def play(case: Case) -> float:
            return reached(config, inputs.machine, settings["baseline"], case)

        scores = np.array(in_threads(play, inputs.cases, workers))
        return cls(config, inputs.machine, settings["learned"], inputs.cases, scores)

    def scores(self, candidates: Sequence[Floats], workers: int) -> Floats:
        """Return, for each candidate, the geometric mean over weeks of its objective to the baseline's."""
        names, _, setting = LEARNED[self.config.learn]

        def play(trial: tuple[Floats, Case]) -> float:
            weights = dict(zip(names, map(float, trial[0]), strict=True))
            discipline = self.discipline.model_copy(update={setting: weights})
            return reached(self.config, self.machine, discipline, trial[1])

        trials = [(weights, case) for weights in candidates for case in self.cases]
        values = np.array(in_threads(play, trials, workers)).reshape(len(candidates), len(self.cases))
        ratios = np.maximum(values, LEAST) / np.maximum(self.baseline, LEAST)
        if not np.isfinite(self.baseline).any():
            raise InputError(f"objective {self.config.objective}: no week has a value; expected more jobs in each")
        return np.asarray(np.exp(np.nanmean(np.log(ratios), axis=1)))


def reached(config: ClusterTraining, machine: Machine, discipline: Discipline, case: Case) -> float:
    """Return the objective of a discipline in a week."""
    outcome = replay_cluster(case.jobs, machine, discipline, seed=case.seed)
    return float(measure(case.jobs, outcome, machine, discipline)["metrics"][config.objective])


def load_cluster_training(path: str | Path, given: Mapping[str, Any] | None = None) -> ClusterTraining:
    """Return the configuration in a YAML file, ``given`` before what it says; InputError if it is wrong."""
    return validated(ClusterTraining, read_mapping(path) | dict(given or {}), str(path))


def tune_cluster(config: ClusterTraining, workers: int = 1, quiet: bool = True) -> dict[str, Any]:
    """Return the weights found and how the search went; also written to ``out`` after each validation."""
    names = LEARNED[config.learn][0]
    validation = Ground.make(config, VALIDATION_SEEDS, config.validation_draws, workers)
    result: dict[str, Any] = {}

    def judge(generation: int, candidates: Sequence[Floats]) -> Floats:
        ground = Ground.make(config, TRAINING_SEEDS + config.draws * generation, config.draws, workers)
        return ground.scores(candidates, workers)

    def found(best: Floats, history: list[tuple[int, float]]) -> None:
        result.update(
            hpcai=version("hpcai"),
            config=config.model_dump(mode="json"),
            validation=[[generation, round(score, 5)] for generation, score in history],
            weights={name: round(float(weight), 6) for name, weight in zip(names, best, strict=True)},
        )
        write_json(config.out, result)

    evolve(config, names, judge, lambda weights: float(validation.scores([weights], workers)[0]), found, quiet)
    return result
