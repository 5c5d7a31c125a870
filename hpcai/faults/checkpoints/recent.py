"""Policies that go by the faults of the recent past: a rate that rises with each fault and fades with time.

Three are fitted to a training part of a log. :func:`fit_forgetting` is the Bayesian estimate of a rate that drifts: a
gamma prior and faults that fade over one scale. :func:`fit_memory` weighs all scales, and faults of the job's own nodes
and of others, as a Hawkes process does. What is learned begins there (hpcai.simulation.faults.tuning).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.errors import InputError
from hpcai.faults.checkpoints.faults import Faults, seen_rates
from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.observation import SCALES
from hpcai.faults.checkpoints.rule import BENT, BY_RATE, CheckpointPolicy, Rule

Floats = NDArray[np.float64]

_NONE: Final = (0.0,) * len(SCALES)
KEPT: Final = 0.1
"""Of the rate on average this part is always there, so that long quiet is not taken for safety."""


@dataclass(frozen=True)
class Recent(CheckpointPolicy):
    """Daly's interval at the rate ``constant`` + ``own`` · own rates + ``other`` · other rates, bent.

    ``constant`` and ``mean``, the rate on average, are of one node (1/s). The weights are pure numbers by scale: of
    the job's own rates, and of the rates of an average other node, each times the job's nodes. ``bends`` are what
    the learned policy adds: see hpcai.faults.checkpoints.rule.
    """

    mean: float
    constant: float
    own: tuple[float, ...] = _NONE
    other: tuple[float, ...] = _NONE
    bends: tuple[float, ...] = (0.0,) * BENT

    def __post_init__(self) -> None:
        if not (self.mean > 0 and self.constant > 0):
            raise InputError(f"rates {self.mean}, {self.constant}: expected both above 0 faults a second")
        if (len(self.own), len(self.other), len(self.bends)) != (len(SCALES), len(SCALES), BENT):
            raise InputError(f"weights: expected {len(SCALES)} own, {len(SCALES)} other and {BENT} bends")

    def rule(self, job: CheckpointedJob) -> Rule:
        """Return the rule."""
        share = job.nodes / max(job.others, 1)
        other = share * np.array(self.other)
        rates = self.constant * job.nodes, self.mean * job.nodes
        return Rule(BY_RATE, np.concatenate([rates[:1], self.own, other, rates[1:], self.bends]))


@dataclass(frozen=True)
class Past:
    """Jobs' faults from ``begin`` to ``end`` (s), to which policies are fitted; earlier ones are only seen."""

    faults: Sequence[Faults]
    job: CheckpointedJob
    begin: float
    end: float

    def seen(self) -> tuple[Floats, Floats, float]:
        """Return rates seen at own faults, (n, R), their integrals, (R,), and the time of all nodes of all jobs (s).

        The other rates are those of an average other node times the job's nodes. Raises InputError without faults.
        """
        found = [seen_rates(faults, self.begin, self.end) for faults in self.faults]
        rates, integrals = np.concatenate([r for r, _ in found]), np.sum([i for _, i in found], axis=0)
        if len(rates) == 0:
            raise InputError(f"no fault strikes a job from {self.begin:g} to {self.end:g} s: nothing to fit to")
        share = np.ones(2 * len(SCALES))
        share[len(SCALES) :] = self.job.nodes / max(self.job.others, 1)
        return rates * share, integrals * share, len(self.faults) * self.job.nodes * (self.end - self.begin)

    @property
    def mtbf(self) -> float:
        """The mean time between faults of one node (s)."""
        rates, _, exposure = self.seen()
        return exposure / len(rates)


@dataclass(frozen=True)
class Memory:
    """How past faults add up to a rate, in pure numbers: WEIGHTED weights that sum to 1, and BENT bends.

    The weights are of the rate on average, of own rates by scale and of other rates by scale; see :class:`Recent`.
    """

    weights: tuple[float, ...]
    bends: tuple[float, ...] = (0.0,) * BENT

    def policy(self, mean: float) -> Recent:
        """Return the policy where a node has ``mean`` faults a second on average."""
        n = len(SCALES)
        return Recent(mean, self.weights[0] * mean, self.weights[1 : 1 + n], self.weights[1 + n :], self.bends)


WEIGHTED: Final = 1 + 2 * len(SCALES)


def fit_forgetting(past: Past) -> Recent:
    """Return the gamma-Poisson rate (m b + N) / (b + s), N being own faults that fade over the scale s.

    West and Harrison, "Bayesian Forecasting and Dynamic Models", 1997, section 10.3 (discounted Poisson). The scale
    and the prior's strength b (s) are those under which the past was likeliest. Raises InputError without faults.
    """
    rates, integrals, exposure = past.seen()
    mean = len(rates) / exposure
    of_job = mean * past.job.nodes
    total = exposure / past.job.nodes
    candidates = []
    for k in range(len(SCALES)):
        for weight in (0.2, 0.4, 0.6, 0.8, 1.0 - KEPT):
            expected = (1 - weight) * of_job + weight * rates[:, k]
            likelihood = np.log(expected).sum() - (1 - weight) * of_job * total - weight * integrals[k]
            candidates.append((float(likelihood), k, weight))
    _, k, weight = max(candidates)
    return Recent(mean, (1 - weight) * mean, tuple(weight if i == k else 0.0 for i in range(len(SCALES))))


def fit_memory(pasts: Sequence[Past], rounds: int = 500) -> Memory:
    """Return the likeliest Hawkes process with exponential kernels of fixed scales, weights not negative.

    All ``pasts`` share the weights, each has its own rate on average. Hawkes, Biometrika 58(1), 1971; weights by
    expectation maximisation, each the share of faults that its kernel explains (Veen and Schoenberg, JASA 103, 2008).
    They are then made to sum to 1, KEPT of it for the rate on average. Raises InputError without faults.
    """
    causes, sums = [], np.zeros(WEIGHTED)
    for past in pasts:
        rates, integrals, exposure = past.seen()
        mean = len(rates) / exposure * past.job.nodes
        causes.append(np.column_stack([np.full(len(rates), mean), rates]))
        sums += np.concatenate([[len(rates)], integrals])
    cause = np.concatenate(causes)
    weights = np.full(WEIGHTED, 1.0 / WEIGHTED)
    for _ in range(rounds):
        share = weights / (cause @ weights)[:, None] * cause
        weights = np.divide(share.sum(axis=0), sums, out=np.zeros(WEIGHTED), where=sums > 0)
    weights *= (1.0 - KEPT) / weights.sum()
    weights[0] += KEPT
    return Memory(tuple(map(float, weights)))
