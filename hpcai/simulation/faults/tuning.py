"""A checkpoint policy learned by replaying the past: how past faults are remembered and the interval is bent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpcai.faults.checkpoints.constant import ConstantRate
from hpcai.faults.checkpoints.recent import WEIGHTED, Memory, Past, fit_memory
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
    pasts: Sequence[Past], *, generations: int = 60, population: int = 14, penalty: float = 0.002, seed: int = 0
) -> Memory:
    """Return the memory that wasted least in the pasts, by the mean of its waste over that of Daly's interval.

    CMA-ES (Hansen and Ostermeier, Evolutionary Computation 9(2), 2001) starts from the memory fitted to the same
    pasts; ``penalty`` for each unit of the squared distance from it holds back where the pasts say little.

    Raises InputError if no fault strikes in a past.
    """
    from cmaes import CMA  # type: ignore[import-untyped]

    begin = np.log(np.array(fit_memory(pasts).weights) + 0.01)
    means = [1.0 / past.mtbf for past in pasts]
    daly = [float(wasted(ConstantRate(1.0 / mean), past)[0]) for mean, past in zip(means, pasts, strict=True)]

    def memory(x: Floats) -> Memory:
        weights = np.exp(begin + x[:WEIGHTED])
        return Memory(tuple(map(float, weights / weights.sum())), tuple(map(float, x[WEIGHTED:])))

    def score(x: Floats) -> float:
        of = memory(x)
        ratios = [
            float(wasted(of.policy(mean), past)[0]) / reference
            for mean, past, reference in zip(means, pasts, daly, strict=True)
        ]
        return float(np.mean(ratios)) + penalty * float(x @ x)

    search = CMA(mean=np.zeros(WEIGHTED + BENT), sigma=0.3, population_size=population, seed=seed)
    for _ in range(generations):
        asked = [search.ask() for _ in range(population)]
        search.tell([(x, score(x)) for x in asked])
    return memory(min(np.zeros_like(search.mean), search.mean, key=score))
