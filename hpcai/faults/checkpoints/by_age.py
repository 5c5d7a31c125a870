"""Policies that go by the time since the job's last fault, for faults that come as a renewal process.

Where the hazard falls with that time, as it does in most logs, checkpoints may become rarer the longer all is well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.errors import InputError
from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.rule import LEAST, CheckpointPolicy, Rule, table_rule
from hpcai.faults.checkpoints.waste import daly_interval, young_interval
from hpcai.faults.lifetimes import Lifetime, log_survival
from hpcai.jit import jit

Floats = NDArray[np.float64]

_FIRST_AGE: Final = 1.0  # s
_LONGEST: Final = 8  # first-order intervals that one interval may last


def of_nodes(lifetime: Lifetime, nodes: int) -> Lifetime:
    """Return the time between faults of ``nodes`` nodes, that of one being ``lifetime``: so many times faster.

    Merged renewal processes are no renewal process, so policies are best given the lifetime of the job's own nodes.
    """
    return Lifetime(lifetime.family, lifetime.scale / nodes, lifetime.shape)


@dataclass(frozen=True)
class Lazy(CheckpointPolicy):
    """Daly's interval a, then a (t / a)^(1 - k) at t since the last fault; k is the shape of a Weibull.

    Tiwari, Gupta and Vazhkudai, "Lazy Checkpointing", DSN 2014, equation 10. ``mtbf`` is of one node (s).
    """

    mtbf: float
    shape: float

    def rule(self, job: CheckpointedJob) -> Rule:
        """Return the rule. Raises InputError for a rising hazard, of which the authors say nothing."""
        if not 0 < self.shape <= 1:
            raise InputError(f"lazy checkpoints: expected a shape in (0, 1], found {self.shape}")
        mtbf = self.mtbf / job.nodes
        first = daly_interval(job.write, mtbf)
        return table_rule(first, 100.0 * mtbf, lambda age: first * (age / first) ** (1.0 - self.shape))


@dataclass(frozen=True)
class Hazard(CheckpointPolicy):
    """Checkpoints at the density sqrt(h / 2 C) of the hazard h, so that each interval holds one.

    Ling, Mi and Lin, "A variational calculus approach to optimal checkpoint placement", IEEE TC 50(7), 2001: to first
    order no other placement wastes less. At a constant hazard it is Young's interval.
    """

    lifetime: Lifetime  # of one node

    def rule(self, job: CheckpointedJob) -> Rule:
        """Return the rule."""
        lifetime = of_nodes(self.lifetime, job.nodes)
        ages, counts = expected_checkpoints(lifetime, job.write)

        def interval(age: Floats) -> Floats:
            then = np.interp(np.interp(age, ages, counts) + 1.0, counts, ages)
            at_the_end = young_interval(job.write, float(1.0 / lifetime.hazard(ages[-1])))
            return np.where(then < ages[-1], then - age, at_the_end)

        return table_rule(_FIRST_AGE, ages[-1], interval)


@dataclass(frozen=True)
class Renewal(CheckpointPolicy):
    """The placement of checkpoints that keeps most work, found by dynamic programming over the age.

    In a renewal process the time between two faults does not depend on checkpoints, so the least waste is the most
    work kept between two faults: V(a) = max over t of S(a + t + C) / S(a) (t + V(a + t + C)), with the survival S.
    """

    lifetime: Lifetime  # of one node

    def rule(self, job: CheckpointedJob) -> Rule:
        """Return the rule."""
        lifetime = of_nodes(self.lifetime, job.nodes)
        ages, intervals = best_intervals(lifetime, job.write)
        return table_rule(_FIRST_AGE, ages[-1], lambda age: np.interp(age, ages, intervals))


def expected_checkpoints(lifetime: Lifetime, write: float, entries: int = 20_000) -> tuple[Floats, Floats]:
    """Return ages (s) up to which all but 10^-7 fail, and the integral of sqrt(h / 2 C) to each, (entries,) each."""
    last = max(float(lifetime.quantile(1.0 - 1e-7)), 10.0 * write, 10.0 * _FIRST_AGE)
    ages = np.geomspace(_FIRST_AGE, last, entries)
    density = np.sqrt(lifetime.hazard(ages) / (2.0 * max(write, LEAST)))
    counts = np.concatenate([[0.0], np.cumsum(np.diff(ages) * (density[1:] + density[:-1]) / 2.0)])
    return ages, counts


def best_intervals(lifetime: Lifetime, write: float, finer: int = 16) -> tuple[Floats, Floats]:
    """Return ages and the best interval at each (s), (n,) each; see :class:`Renewal`.

    There are ``finer`` ages to one of the first-order intervals; checkpoints end at ages.
    """
    fine, counts = expected_checkpoints(lifetime, write)
    ages = np.interp(np.arange(0.0, counts[-1], 1.0 / finer), counts, fine)
    log_s = log_survival(lifetime.family, ages, lifetime.shape, lifetime.scale)
    rate = float(lifetime.hazard(ages[-1]))
    value, interval = np.empty(len(ages)), np.empty(len(ages))
    _keep_most(ages, log_s, write, rate, _LONGEST * finer, value, interval)
    return ages, interval


@jit
def _keep_most(
    ages: Floats, log_s: Floats, write: float, rate: float, most: int, value: Floats, interval: Floats
) -> None:
    """Fill the most work that is still kept at each age, and the work until the next checkpoint, backwards.

    Looked at are the ``most`` ages from one checkpoint's time ahead on. Where ages end, which few lives reach, the
    hazard is taken to stay at ``rate``. Between ages the interval is that of the parabola through the best three.
    """
    last = ages.shape[0] - 1
    steady = daly_interval(write, 1.0 / rate)
    at_the_end = steady / np.expm1(rate * (steady + write))
    first = last + 1
    for i in range(last, -1, -1):
        while first > 0 and ages[first - 1] > ages[i] + write:
            first -= 1
        first = max(first, i + 1)
        value[i], interval[i] = at_the_end, steady
        if first + most > last:
            continue
        best, top, before, after = first, -1.0, 0.0, 0.0
        earlier = 0.0
        for j in range(first, first + most):
            kept = np.exp(log_s[j] - log_s[i]) * (ages[j] - ages[i] - write + value[j])
            if kept > top:
                best, top, before, after = j, kept, earlier, -1.0
            elif after < 0.0:
                after = kept
            earlier = kept
        value[i], interval[i] = top, ages[best] - ages[i] - write
        if best > first and after >= 0.0:
            interval[i] += _peak(ages[best - 1] - ages[best], before - top, ages[best + 1] - ages[best], after - top)


@jit
def _peak(x: float, y: float, u: float, v: float) -> float:
    """Return where the parabola through (x, y), (0, 0) and (u, v) is highest, y and v being no higher than 0."""
    bend = v * x - y * u
    return float((v * x * x - y * u * u) / (2.0 * bend)) if bend != 0.0 else 0.0
