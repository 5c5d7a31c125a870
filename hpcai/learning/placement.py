"""The learned placement: weights of features of a place (scheduling.placement.features), tuned by CMA-ES.

Every generation is judged on inflations with fresh seeds, the same for all its trials and for the baseline, and on
fresh variants of the lists, so that it holds for other workloads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from pydantic import BeforeValidator, Field

from hpcai.configuration import Source, one_or_many, read_mapping, validated
from hpcai.evaluation.fragmentation import Workload, in_threads, make_workload, read_workloads, unallocated
from hpcai.evaluation.placement_config import InflationConfig
from hpcai.evaluation.resumable import write_json
from hpcai.learning.evolution import Floats, Search, evolve
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.placement import WEIGHTS
from hpcai.scheduling.placement.nodes import gpu_kinds

TRAINING_SEEDS: Final = 1_000_000  # first of training; evaluations count from 0
VALIDATION_SEEDS: Final = 2_000_000
LEAST: Final = 1e-4  # of the GPUs, left unallocated, that a ratio is taken of
SPREAD: Final = 1.0  # of the logarithms of what variants are multiplied by


class PlacementTraining(InflationConfig, Search):
    """A search for the weights of a learned placement."""

    loads: Annotated[tuple[Annotated[float, Field(gt=0, le=3)], ...], BeforeValidator(one_or_many)] = (1.0, 1.3)
    baseline: str = "best-fit"
    draws: Annotated[int, Field(ge=1)] = 2  # seeds for each list of pods in a generation
    variants: Annotated[int, Field(ge=0)] = 0  # of each list in a generation, with a seed each
    validation_draws: Annotated[int, Field(ge=2)] = 8
    out: Source = "runs/placement-learned.json"


@dataclass(frozen=True)
class Ground:
    """Inflations that trials are judged on: pairs of a workload and a seed, and what the baseline left on each."""

    config: PlacementTraining
    games: list[tuple[Workload, int]]
    baseline: Floats  # (games,)

    @classmethod
    def make(cls, workloads: list[Workload], config: PlacementTraining, first: int, draws: int, workers: int) -> Ground:
        """Return the ground of every workload with ``draws`` seeds from ``first`` on, and as many of variants."""
        games = [(workload, first + k) for workload in workloads for k in range(draws)]
        many = config.variants * draws // config.draws
        games += [(varied(workload, config, first + k), first + k) for workload in workloads for k in range(many)]

        def left(game: tuple[Workload, int]) -> float:
            workload, seed = game
            return float(unallocated(workload, config.baseline, seed, config.loads).mean())

        return cls(config, games, np.array(in_threads(left, games, workers)))

    def scores(self, candidates: Sequence[Floats], workers: int) -> Floats:
        """Return, for each candidate, the geometric mean over games of its unallocated GPUs to the baseline's."""

        def left(trial: tuple[Floats, tuple[Workload, int]]) -> float:
            weights, (workload, seed) = trial
            return float(unallocated(workload, "learned", seed, self.config.loads, named(weights)).mean())

        trials = [(weights, game) for weights in candidates for game in self.games]
        values = np.array(in_threads(left, trials, workers)).reshape(len(candidates), len(self.games))
        return np.asarray(np.exp(np.log(np.maximum(values, LEAST) / np.maximum(self.baseline, LEAST)).mean(axis=1)))


def varied(workload: Workload, config: PlacementTraining, seed: int) -> Workload:
    """Return a workload with other parts of each sort of pods, some of which ask for a GPU kind by name.

    The parts of pods with a share, one GPU and several are multiplied by log-normal factors; up to a half of the pods
    with GPUs ask for a kind, drawn by how many GPUs there are of it times a log-normal factor.
    """
    rng = np.random.default_rng([seed, 1])
    jobs = workload.jobs
    sort = np.searchsorted([1, MILLI, MILLI + 1], jobs["gpu"], side="right")
    parts = np.concatenate([[1.0], rng.lognormal(0, SPREAD, size=3)])[sort]
    drawn = jobs.iloc[rng.choice(len(jobs), size=len(jobs), p=parts / parts.sum())].reset_index(drop=True)
    groups = [group for group in workload.machine.groups if group.gpus]
    kinds = gpu_kinds(workload.machine)
    gpus = np.array([sum(g.count * g.gpus for g in groups if g.gpu_kind == kind) for kind in kinds], dtype=np.float64)
    chances = gpus * rng.lognormal(0, SPREAD, size=len(kinds))
    asks = (drawn["gpu"] > 0) & (rng.random(len(drawn)) < rng.uniform(0, 0.5))
    names = rng.choice(np.array(kinds), size=len(drawn), p=chances / chances.sum())
    drawn["gpu_kind"] = drawn["gpu_kind"].where(~asks, names)
    return make_workload(workload.name, workload.machine, drawn, config.coverage, workload.sha256)


def named(weights: Floats) -> dict[str, float]:
    """Return weights by name."""
    return dict(zip(WEIGHTS, map(float, weights), strict=True))


def load_placement_training(path: str | Path, given: Mapping[str, Any] | None = None) -> PlacementTraining:
    """Return the configuration in a YAML file, ``given`` before what it says; InputError if it is wrong."""
    return validated(PlacementTraining, read_mapping(path) | dict(given or {}), str(path))


def tune_placement(config: PlacementTraining, workers: int = 1, quiet: bool = True) -> dict[str, Any]:
    """Return the weights found and how the search went; also written to ``out`` whenever they are improved."""
    workloads = read_workloads(config)
    validation = Ground.make(workloads, config, VALIDATION_SEEDS, config.validation_draws, workers)
    result: dict[str, Any] = {}

    def judge(generation: int, candidates: Sequence[Floats]) -> Floats:
        ground = Ground.make(workloads, config, TRAINING_SEEDS + 100 * generation, config.draws, workers)
        return ground.scores(candidates, workers)

    def found(best: Floats, history: list[tuple[int, float]]) -> None:
        result.update(_result(config, workloads, best, history))
        write_json(config.out, result)

    evolve(config, WEIGHTS, judge, lambda weights: float(validation.scores([weights], workers)[0]), found, quiet)
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
