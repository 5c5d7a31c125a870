"""A linear policy of a site found by evolution: CMA-ES over its weights, judged on episodes drawn anew.

A week takes seconds to simulate, so few episodes can be had; a policy with few weights is found with few of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcai.cooling.interface import Floats
from hpcai.evaluation.site.config import SiteConfig
from hpcai.learning.evolution import Search, evolve
from hpcai.learning.progress import LearningProgress
from hpcai.learning.site.config import SiteTraining
from hpcai.learning.site.keeper import Keeper
from hpcai.learning.site.scoring import Ground
from hpcai.simulation.site.ruler import Learned


class Linear:
    """The layout of a linear policy's weights in a vector: of each number told its features, then what it begins at."""

    def __init__(self, config: SiteTraining) -> None:
        """Lay out (told, features + 1)."""
        self._config, self._observed = config, config.observed()
        self.features = config.evolution.features or self._observed
        self._places = [self._observed.index(name) for name in self.features]
        self.names = [f"{told} by {name}" for told in config.told for name in (*self.features, "itself")]
        self.begin = {f"{told} by itself": float(x) for told, x in zip(config.told, config.beginning, strict=True)}

    def ruler(self, weights: Floats) -> Learned:
        """Return the policy with weights (len(names),), which sees all that is seen, the rest with weight 0."""
        table = weights.reshape(len(self._config.told), -1).astype(np.float32)
        matrix = np.zeros((len(table), len(self._observed)), np.float32)
        matrix[:, self._places] = table[:, :-1]
        return self._config.ruler([(matrix, table[:, -1].copy())], "clip")


def drawn(config: SiteTraining, rng: np.random.Generator) -> SiteConfig:
    """Return the site of an episode drawn anew."""
    first, last = config.seeds
    starts = config.episode_starts
    return config.episode(int(rng.integers(first, last + 1)), str(rng.choice(starts)) if starts else None)


def evolve_ruler(config: SiteTraining, keeper: Keeper, quiet: bool) -> None:
    """Search for the weights until the budget is spent, the best so far on disk at all times."""
    settings, shape = config.evolution, Linear(config)
    search = Search(
        begin=shape.begin,
        sigma=settings.sigma,
        generations=settings.generations,
        population=settings.population,
        validate_every=settings.validate_every,
        seed=config.seed,
    )
    with LearningProgress(keeper.clock, quiet) as progress:

        def judge(generation: int, candidates: Sequence[Floats]) -> Floats:
            rng = np.random.default_rng((config.seed, generation))
            ground = Ground(config, [drawn(config, rng) for _ in range(settings.draws)])
            scores = []
            for weights in candidates:
                scores.append(ground.score(shape.ruler(weights)).value)
                keeper.clock.steps += 1
                progress.show(keeper.state)
            return np.array(scores)

        evolve(
            search,
            shape.names,
            judge,
            lambda weights: keeper.validate(shape.ruler(weights)),
            lambda best, history: None,
            over=lambda: keeper.clock.over,
        )
