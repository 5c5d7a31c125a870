"""The policies of a comparison, each fitted to the training part of a case."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from hpcai.errors import InputError
from hpcai.evaluation.faults.checkpoint_cases import Case
from hpcai.evaluation.faults.checkpoint_config import LearningConfig
from hpcai.faults.checkpoints.by_age import Hazard, Lazy, Renewal
from hpcai.faults.checkpoints.constant import ConstantRate, Fixed, TwoLevel
from hpcai.faults.checkpoints.faults import LOCAL
from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.recent import WEIGHTED, Memory, fit_forgetting, fit_memory
from hpcai.faults.checkpoints.rule import CheckpointPolicy
from hpcai.faults.lifetimes import Lifetime
from hpcai.simulation.faults.tuning import learn

FOUR_MONTHS: Final = Memory(tuple(0.05 if i == 0 else 0.95 if i == 6 else 0.0 for i in range(WEIGHTED)))


def _of_one_node(case: Case) -> Lifetime:
    """Return the fitted time between the job's faults as by-age policies take it: of one node."""
    fitted = case.hazard.lifetime
    return Lifetime(fitted.family, fitted.scale * case.past.job.nodes, fitted.shape)


def _two_level(case: Case) -> CheckpointPolicy:
    past = case.past
    local = sum(int((f.effect[(f.time >= past.begin) & (f.time < past.end)] == LOCAL).sum()) for f in past.faults)
    counted = len(past.seen()[0])
    exposure = past.mtbf * counted
    return TwoLevel(exposure / max(local, 0.5), exposure / max(counted - local, 0.5))


FITS: Final[dict[str, Callable[[Case], CheckpointPolicy]]] = {
    "none": lambda case: Fixed(),
    "young": lambda case: ConstantRate(case.past.mtbf, "young"),
    "daly-first": lambda case: ConstantRate(case.past.mtbf, "daly-first"),
    "daly": lambda case: ConstantRate(case.past.mtbf, "daly"),
    "best": lambda case: ConstantRate(case.past.mtbf, "best"),
    "two-level": _two_level,
    "lazy": lambda case: Lazy(case.past.mtbf, min(case.hazard.shape, 1.0)),
    "hazard": lambda case: Hazard(_of_one_node(case)),
    "renewal": lambda case: Renewal(_of_one_node(case)),
    "four-months": lambda case: FOUR_MONTHS.policy(1.0 / case.past.mtbf),
    "forgetting": lambda case: fit_forgetting(case.past),
    "self-exciting": lambda case: fit_memory([case.past]).policy(1.0 / case.past.mtbf),
}


def learned_memories(
    names: Sequence[str], cases: Sequence[Case], job: CheckpointedJob, settings: LearningConfig, seed: int
) -> dict[str, dict[str, Memory]]:
    """Return by policy, 'learned' or 'transferred', and by case the memory that its jobs have.

    'learned' is each case's own memory with bends learned on all training parts. For 'transferred' the machines are
    dealt into two halves, and each has one memory and the bends that the training parts of the other half gave.
    Raises InputError if there are no two machines.
    """
    pasts = {case.name: case.with_costs(job).past for case in cases}

    def bent(memories: Mapping[str, Memory]) -> tuple[float, ...]:
        of = [pasts[name] for name in memories]
        how = {"generations": settings.generations, "population": settings.population, "seed": seed}
        return learn(of, list(memories.values()), **how)

    found: dict[str, dict[str, Memory]] = {}
    if "learned" in names:
        own = {name: fit_memory([past]) for name, past in pasts.items()}
        bends = bent(own)
        found["learned"] = {name: replace(memory, bends=bends) for name, memory in own.items()}
    if "transferred" in names:
        found["transferred"] = {}
        for half in _halves(cases, seed):
            others = [case.name for case in cases if case.machine not in half]
            pooled = fit_memory([pasts[name] for name in others])
            memory = replace(pooled, bends=bent(dict.fromkeys(others, pooled)))
            found["transferred"] |= {case.name: memory for case in cases if case.machine in half}
    return found


def _halves(cases: Sequence[Case], seed: int) -> tuple[list[str], list[str]]:
    """Return the machines dealt into two halves. Raises InputError if there is but one."""
    machines = list(dict.fromkeys(case.machine for case in cases))
    if len(machines) < 2:
        raise InputError("policy 'transferred': expected two machines or more to learn on one and play the other")
    dealt = [str(name) for name in np.random.default_rng(seed).permutation(machines)]
    return dealt[::2], dealt[1::2]


def policy_of(name: str, case: Case, memories: Mapping[str, Mapping[str, Memory]]) -> CheckpointPolicy:
    """Return a policy for a case."""
    if name in memories:
        return memories[name][case.name].policy(1.0 / case.past.mtbf)
    return FITS[name](case)
