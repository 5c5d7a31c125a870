"""CMA-ES over weights that are judged on games drawn anew for each generation.

All candidates of a generation play the same games, so that no draw can be learned by heart. What is kept is the mean
of the search distribution, as it stood at the generation that was best in validation; single candidates are lucky as
often as good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from hpcai.evaluation.progress import Progress

Floats = NDArray[np.float64]


class Search(BaseModel):
    """How long and how widely is searched."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    begin: dict[str, float] = Field(default_factory=dict)  # weights to begin with; others are 0
    sigma: Annotated[float, Field(gt=0)] = 0.3
    generations: Annotated[int, Field(ge=1)] = 100
    population: Annotated[int, Field(ge=4)] = 16
    validate_every: Annotated[int, Field(ge=1)] = 5  # generations
    seed: Annotated[int, Field(ge=0)] = 0


def evolve(
    search: Search,
    names: Sequence[str],
    judge: Callable[[int, Sequence[Floats]], Floats],
    validate: Callable[[Floats], float],
    found: Callable[[Floats, list[tuple[int, float]]], None],
    quiet: bool = True,
    over: Callable[[], bool] = lambda: False,
) -> None:
    """Search for the weights ``names``; a lower score is better.

    Args:
        search: how.
        names: of the weights.
        judge: returns the scores of the candidates, (candidates,), in the games of a generation, counted from 1.
        validate: returns the score of weights in the games of validation.
        found: is told the best weights so far and all validations (generation, score), after each of these.
        quiet: no progress.
        over: says after each generation whether the search ends with it.
    """
    from cmaes import CMA  # type: ignore[import-untyped]

    mean = np.array([search.begin.get(name, 0.0) for name in names])
    cma = CMA(mean=mean, sigma=search.sigma, population_size=search.population, seed=search.seed)
    best, history = mean, [(0, validate(mean))]
    found(best, history)
    with Progress(search.generations, "generations", quiet) as progress:
        for generation in range(1, search.generations + 1):
            asked = [cma.ask() for _ in range(search.population)]
            cma.tell(list(zip(asked, map(float, judge(generation, asked)), strict=True)))
            last = generation == search.generations or over()
            if generation % search.validate_every == 0 or last:
                score = validate(cma.mean)
                if score < min(earlier for _, earlier in history):
                    best = cma.mean.copy()
                history.append((generation, score))
                found(best, history)
            progress.advance()
            if last:
                return
