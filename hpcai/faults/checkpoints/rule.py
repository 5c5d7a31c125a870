"""A checkpoint policy made ready for a job: a kind and numbers, so that replays in machine code can follow it.

Every policy of hpcai is one of these kinds with numbers of its own; a policy's ``checkpoint_interval`` evaluates the
same compiled function, so that what is replayed and what is decided live are the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.observation import OBSERVED, OTHER_RATES, OWN_AGE, OWN_RATES
from hpcai.faults.checkpoints.waste import daly_interval
from hpcai.jit import jit

Floats = NDArray[np.float64]

FIXED, BY_AGE, BY_RATE = range(3)
"""Kinds: always numbers[0]; a table over the time since the last own fault; Daly's interval at a rate of faults that
follows recent ones, times a power law of how far that rate is from its mean and of the time since the last fault."""

RATE_WEIGHTS: Final = OBSERVED - OWN_RATES
CONSTANT, WEIGHTS, MEAN, BENDS = 0, 1, 1 + RATE_WEIGHTS, 2 + RATE_WEIGHTS
"""Places in the numbers of BY_RATE: rate that is always there (1/s), weights of the observed rates, rate on average,
then BENT numbers that bend the interval."""
BENT: Final = 4
LEAST: Final = 1.0  # s


class Rule(NamedTuple):
    """How a job decides; ``every`` so many checkpoints one goes to the shared file system, the others to local disks.

    BY_AGE: numbers are ln of the first age, step in ln of age, then ln of the intervals at these ages.
    """

    kind: int
    numbers: Floats
    every: int = 1


@jit
def interval_by(kind: int, numbers: Floats, write: float, observation: Floats) -> float:
    """Return the work (s) until the next checkpoint, which takes ``write`` s; at least LEAST."""
    if kind == FIXED:
        work = numbers[0]
    elif kind == BY_AGE:
        work = _from_table(numbers, observation[OWN_AGE])
    else:
        work = _from_rate(numbers, write, observation)
    return float(max(work, LEAST))


@jit
def _from_rate(numbers: Floats, write: float, observation: Floats) -> float:
    """Return Daly's interval at the rate that is expected, bent."""
    rate = rate_by(numbers, observation)
    mean = numbers[MEAN]
    above = np.log(rate / mean)
    since = np.log1p(observation[OWN_AGE] * mean)
    short = np.log1p(observation[OWN_RATES] / mean) - np.log1p(observation[OTHER_RATES - 1] / mean)
    bend = numbers[BENDS] + numbers[BENDS + 1] * above + numbers[BENDS + 2] * since + numbers[BENDS + 3] * short
    return float(daly_interval(write, 1.0 / rate) * np.exp(bend))


@jit
def rate_by(numbers: Floats, observation: Floats) -> float:
    """Return the rate of own faults (1/s) that BY_RATE expects."""
    rate = numbers[CONSTANT]
    for k in range(RATE_WEIGHTS):
        rate += numbers[WEIGHTS + k] * observation[OWN_RATES + k]
    return float(rate)


@jit
def _from_table(numbers: Floats, age: float) -> float:
    """Return the interval at an age, linear in logarithms between the table's entries, constant beyond its ends."""
    last = numbers.shape[0] - 3
    place = (np.log(max(age, 1e-9)) - numbers[0]) / numbers[1]
    if place <= 0.0:
        return float(np.exp(numbers[2]))
    i = int(place)
    if i >= last:
        return float(np.exp(numbers[2 + last]))
    part = place - i
    return float(np.exp((1.0 - part) * numbers[2 + i] + part * numbers[3 + i]))


def table_rule(first: float, last: float, interval: Callable[[Floats], Floats], entries: int = 128) -> Rule:
    """Return the rule of an interval (s) by age, tabulated from age ``first`` to ``last`` (s)."""
    ages = np.geomspace(first, last, entries)
    step = np.log(last / first) / (entries - 1)
    return Rule(BY_AGE, np.concatenate([[np.log(first), step], np.log(interval(ages))]))


class CheckpointPolicy(ABC):
    """Decides when to write the next checkpoint. Policies are frozen dataclasses, so that their rules are kept."""

    @abstractmethod
    def rule(self, job: CheckpointedJob) -> Rule:
        """Return how ``job`` decides. Raises InputError if the policy does not suit it."""

    def checkpoint_interval(self, job: CheckpointedJob, observation: Floats) -> float:
        """Return the work (s) until the next checkpoint, inf: none; ``observation`` is float64[OBSERVED]."""
        rule = rule_of(self, job)
        return float(interval_by(rule.kind, rule.numbers, job.write, observation))


@lru_cache(maxsize=1024)
def rule_of(policy: CheckpointPolicy, job: CheckpointedJob) -> Rule:
    """Return the rule of a job under a policy, kept from the last time."""
    return policy.rule(job)
