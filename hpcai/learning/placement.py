"""The learned placement: weights of features of a place (scheduling.placement.features), tuned by CMA-ES.

Every generation is judged on inflations with fresh seeds, the same for all its trials and for the baseline, so that
no draw of pods can be learned by heart. What is kept is the mean of the search distribution, as it stood at the
generation that is best on seeds of its own; single trials are lucky as often as good.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from hpcai.configuration import Source, one_or_many, read_mapping, validated
from hpcai.evaluation.fragmentation import Workload, in_threads, read_workloads, unallocated
from hpcai.evaluation.placement_config import InflationConfig
from hpcai.evaluation.progress import Progress
from hpcai.evaluation.resumable import write_whole
from hpcai.scheduling.placement import WEIGHTS

Floats = NDArray[np.float64]
TRAINING_SEEDS: Final = 1_000_000  # first of training; evaluations count from 0
VALIDATION_SEEDS: Final = 2_000_000


class PlacementTraining(InflationConfig):
    """A search for the weights of a learned placement."""

    loads: Annotated[tuple[Annotated[float, Field(gt=0, le=3)], ...], BeforeValidator(one_or_many)] = (1.0, 1.3)
    baseline: str = "best-fit"
    begin: dict[str, float] = Field(default_factory=dict)  # weights to begin with; others are 0
    sigma: Annotated[float, Field(gt=0)] = 0.3
    generations: Annotated[int, Field(ge=1)] = 100
    population: Annotated[int, Field(ge=4)] = 16
    draws: Annotated[int, Field(ge=1)] = 2  # seeds for each list of pods in a generation
    validate_every: Annotated[int, Field(ge=1)] = 5  # generations
    validation_draws: Annotated[int, Field(ge=2)] = 8
    seed: Annotated[int, Field(ge=0)] = 0
    out: Source = "runs/placement-learned.json"


@dataclass(frozen=True)
class Ground:
    """Inflations that trials are judged on: pairs of a workload and a seed, and what the baseline left on each."""

    config: PlacementTraining
    games: list[tuple[Workload, int]]
    baseline: Floats  # (games,)

    @classmethod
    def make(cls, workloads: list[Workload], config: PlacementTraining, seeds: Sequence[int], workers: int) -> Ground:
        """Return the ground of every workload with every seed."""
        games = [(workload, seed) for workload in workloads for seed in seeds]

        def left(game: tuple[Workload, int]) -> float:
            return float(unallocated(*game[:1], config.baseline, game[1], config.loads).mean())

        return cls(config, games, np.array(in_threads(left, games, workers)))

    def scores(self, candidates: Sequence[Floats], workers: int) -> Floats:
        """Return, for each candidate, the geometric mean over games of its unallocated GPUs to the baseline's."""

        def left(trial: tuple[Floats, tuple[Workload, int]]) -> float:
            weights, (workload, seed) = trial
            return float(unallocated(workload, "learned", seed, self.config.loads, named(weights)).mean())

        trials = [(weights, game) for weights in candidates for game in self.games]
        values = np.array(in_threads(left, trials, workers)).reshape(len(candidates), len(self.games))
        return np.asarray(np.exp(np.log(np.maximum(values, 1e-9) / self.baseline).mean(axis=1)))


def named(weights: Floats) -> dict[str, float]:
    """Return weights by name."""
    return dict(zip(WEIGHTS, map(float, weights), strict=True))


def load_placement_training(path: str | Path, given: Mapping[str, Any] | None = None) -> PlacementTraining:
    """Return the configuration in a YAML file, ``given`` before what it says; InputError if it is wrong."""
    return validated(PlacementTraining, read_mapping(path) | dict(given or {}), str(path))


def tune_placement(config: PlacementTraining, workers: int = 1, quiet: bool = True) -> dict[str, Any]:
    """Return the weights found and how the search went; also written to ``out`` whenever they are improved."""
    from cmaes import CMA  # type: ignore[import-untyped]

    workloads = read_workloads(config)
    validation = Ground.make(
        workloads, config, range(VALIDATION_SEEDS, VALIDATION_SEEDS + config.validation_draws), workers
    )
    mean = np.array([config.begin.get(name, 0.0) for name in WEIGHTS])
    search = CMA(mean=mean, sigma=config.sigma, population_size=config.population, seed=config.seed)
    best, history = mean, [(0, float(validation.scores([mean], workers)[0]))]
    result = _result(config, workloads, best, history)
    with Progress(config.generations, "generations", quiet) as progress:
        for generation in range(1, config.generations + 1):
            first = TRAINING_SEEDS + config.seed * 100_000 + generation * config.draws
            ground = Ground.make(workloads, config, range(first, first + config.draws), workers)
            asked = [search.ask() for _ in range(config.population)]
            search.tell(list(zip(asked, map(float, ground.scores(asked, workers)), strict=True)))
            if generation % config.validate_every == 0 or generation == config.generations:
                score = float(validation.scores([search.mean], workers)[0])
                if score < min(earlier for _, earlier in history):
                    best = search.mean.copy()
                history.append((generation, score))
                result = _result(config, workloads, best, history)
                _write(config.out, result)
            progress.advance()
    return result


def _result(
    config: PlacementTraining, workloads: list[Workload], best: Floats, history: list[tuple[int, float]]
) -> dict[str, Any]:
    return {
        "hpcai": version("hpcai"),
        "config": config.model_dump(mode="json"),
        "sha256": dict(sorted({name: digest for w in workloads for name, digest in w.sha256.items()}.items())),
        "validation": [[generation, round(score, 5)] for generation, score in history],
        "weights": {name: round(weight, 6) for name, weight in named(best).items()},
    }


def _write(path: str, result: dict[str, Any]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_whole(Path(path), (json.dumps(result, indent=1) + "\n").encode())
