"""A checkpoint policy learned by replaying the past: how the interval that past faults suggest is bent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hpcai.faults.checkpoints.constant import ConstantRate
from hpcai.faults.checkpoints.recent import Memory, Past
from hpcai.faults.checkpoints.rule import BENT, CheckpointPolicy
from hpcai.simulation.faults.job_replay import USEFUL, play

Floats = NDArray[np.float64]


def wasted(policy: CheckpointPolicy, past: Past, parts: int = 1) -> Floats:
    """Return the waste of a policy in each of ``parts`` equal parts of the past, over all its jobs, (parts,)."""
    rule, edges = policy.rule(past.job), np.linspace(past.begin, past.end, parts + 1)
    useful = sum(play(rule, past.job, faults, edges)[:, USEFUL] for faults in past.faults)
    share: Floats = 1.0 - np.asarray(useful) / len(past.faults) / np.diff(edges)
    return share


def learn(
    pasts: Sequence[Past],
    memories: Sequence[Memory],
    *,
    generations: int = 20,
    population: int = 10,
    penalty: float = 0.002,
    seed: int = 0,
) -> tuple[float, ...]:
    """Return the BENT bends that wasted least in the pasts, by the mean of the waste over that of Daly's interval.

    CMA-ES (Hansen and Ostermeier, Evolutionary Computation 9(2), 2001); ``penalty`` for each unit of their squared
    length holds them back where the pasts say little. ``memories`` are those of each past, (pasts,).

    Raises InputError if no fault strikes in a past.
    """
    from cmaes import CMA  # type: ignore[import-untyped]

    means = [1.0 / past.mtbf for past in pasts]
    daly = [float(wasted(ConstantRate(1.0 / mean), past)[0]) for mean, past in zip(means, pasts, strict=True)]

    def score(x: Floats) -> float:
        bends = tuple(map(float, x))
        ratios = [
            float(wasted(replace(memory, bends=bends).policy(mean), past)[0]) / reference
            for memory, mean, past, reference in zip(memories, means, pasts, daly, strict=True)
        ]
        return float(np.mean(ratios)) + penalty * float(x @ x)

    search = CMA(mean=np.zeros(BENT), sigma=0.1, population_size=population, seed=seed)
    for _ in range(generations):
        asked = [search.ask() for _ in range(population)]
        search.tell([(x, score(x)) for x in asked])
    found = search.mean if score(search.mean) < score(np.zeros(BENT)) else np.zeros(BENT)
    return tuple(map(float, found))
