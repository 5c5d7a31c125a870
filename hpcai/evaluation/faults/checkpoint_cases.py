"""The cases of a comparison of checkpoint policies: jobs on nodes of a log, in its training part and in the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma
from scipy.stats import chi2

from hpcai.evaluation.faults.checkpoint_config import CheckpointConfig, DrawnConfig, LogConfig
from hpcai.faults.checkpoints.faults import ELSEWHERE, Faults
from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.of_log import in_full_service, job_faults, machine_nodes, placements
from hpcai.faults.checkpoints.recent import Past
from hpcai.faults.lifetimes import Lifetime
from hpcai.faults.likelihood import Fit, fit, fit_family, interval
from hpcai.faults.outages import Durations, outages
from hpcai.records.failures import FailureLog, read_failures

Floats = NDArray[np.float64]

SOON: Final = 3600.0  # s


@dataclass(frozen=True)
class Case:
    """Jobs of one size on a machine; ``machine`` says where what is transferred must not have been learned."""

    name: str
    machine: str
    past: Past
    rest: Past
    resolution: float  # s, of the log's times

    def with_costs(self, job: CheckpointedJob) -> Case:
        """Return the case with jobs of other costs."""
        full = replace(job, nodes=self.past.job.nodes, others=self.past.job.others)
        return replace(self, past=replace(self.past, job=full), rest=replace(self.rest, job=full))

    @cached_property
    def hazard(self) -> Hazard:
        """What the training part says of the time between a job's faults."""
        return Hazard.of(self)


@dataclass(frozen=True)
class Hazard:
    """The time between a job's faults in the training part.

    ``lifetime`` is of the family that fits best; ``shape`` that of a Weibull, with its 95 % interval; ``later_shape``
    that of what is left of times of more than SOON, as faults that follow at once strike while a job restarts and no
    checkpoint helps; ``p_constant`` the probability of a likelihood ratio as large if the hazard were constant.
    """

    lifetime: Lifetime
    shape: float
    shape_low: float
    shape_high: float
    later_shape: float
    p_constant: float

    @property
    def constant(self) -> bool:
        """Whether a constant hazard is not refuted."""
        return self.p_constant > 0.05

    @property
    def bound(self) -> float:
        """What the best policy by age wastes of what the best constant interval does, to first order."""
        return weibull_bound(self.shape)

    @classmethod
    def of(cls, case: Case) -> Hazard:
        """Return the fits to a case's training part."""
        data = between_faults(case.past, case.resolution)
        weibull = fit_family(data, "weibull")
        ratio = 2 * (weibull.log_likelihood - fit_family(data, "exponential").log_likelihood)
        best: Fit = fit(data)[0]
        low, high = interval(data, weibull, "shape")
        later = data.of(data.value > SOON)
        left = fit_family(Durations(later.value - SOON, later.ended, later.resolution), "weibull").lifetime.shape
        return cls(best.lifetime, weibull.lifetime.shape, low, high, left, float(chi2.sf(max(ratio, 0.0), 1)))


def weibull_bound(shape: float) -> float:
    """Return E[sqrt(h)] / sqrt(E[h]) over a Weibull's renewal process: gamma((k+1) / 2k) / sqrt(k gamma(1 + 1/k))."""
    return float(gamma((shape + 1) / (2 * shape)) / np.sqrt(shape * gamma(1 + 1 / shape)))


def between_faults(past: Past, resolution: float) -> Durations:
    """Return the times between faults of each job of a past (s); the last of each is censored at its end."""
    value, ended = [], []
    for faults in past.faults:
        own = faults.own[(faults.own >= past.begin) & (faults.own < past.end)]
        gaps = np.diff(np.append(own, past.end)) if len(own) else np.array([past.end - past.begin])
        value.append(gaps)
        ended.append(np.arange(len(gaps)) < len(gaps) - 1)
    return Durations(np.concatenate(value), np.concatenate(ended), resolution)


def read_cases(config: CheckpointConfig) -> tuple[list[Case], list[str], dict[str, str]]:
    """Return the cases, those left out with the reason, and the SHA-256 of the logs.

    Raises InputError if a log cannot be read.
    """
    found: list[Case] = []
    sha256: dict[str, str] = {}
    for name, each in config.logs.items():
        log = read_failures(each.path, **each.options)
        sha256 |= log.sha256
        found += _of_log(name, each, log, config)
    found += [_of_draws(name, each, config) for name, each in config.drawn.items()]
    cases, left_out = [], []
    for case in found:
        counts = [_count(part) for part in (case.past, case.rest)]
        if min(counts) < config.least_faults:
            left_out.append(f"{case.name}: {counts[0]} faults to learn from, {counts[1]} to play")
        else:
            cases.append(case)
    return cases, left_out, sha256


def _count(past: Past) -> int:
    return sum(int(((f.own >= past.begin) & (f.own < past.end)).sum()) for f in past.faults)


def _of_log(name: str, each: LogConfig, log: FailureLog, config: CheckpointConfig) -> Iterator[Case]:
    of = outages(log)
    for system in each.systems or ("",):
        machine = machine_nodes(log, (system,) if system else ())
        begin, end = in_full_service(log, machine)
        cut = begin + config.train * (end - begin)
        for nodes in dict.fromkeys(n or len(machine) for n in each.nodes):
            if nodes > len(machine):
                continue
            rng = np.random.default_rng([config.seed, nodes])
            chosen = placements(machine, nodes, config.placements, rng)
            faults = [job_faults(of, own, machine) for own in chosen]
            job = CheckpointedJob(config.writes[0], nodes=nodes, others=len(machine) - nodes)
            where = f"{name} {system}".strip()
            yield Case(
                f"{where}, {nodes} node{'s' * (nodes > 1)}",
                where,
                Past(faults, job, begin + config.warm_up * (cut - begin), cut),
                Past(faults, job, cut, end),
                of.resolution,
            )


def _of_draws(name: str, each: DrawnConfig, config: CheckpointConfig) -> Case:
    lifetime = Lifetime("weibull", each.mtbf / float(gamma(1 + 1 / each.shape)), each.shape)
    rng = np.random.default_rng([config.seed, each.faults])
    time = np.cumsum(lifetime.sample(each.faults, rng))
    faults, end = [Faults.all_global(time)], float(time[-1])
    job, cut = CheckpointedJob(config.writes[0]), config.train * end
    return Case(name, name, Past(faults, job, config.warm_up * cut, cut), Past(faults, job, cut, end), 0.0)


def clairvoyant(past: Past) -> float:
    """Return the waste of who knows when faults come: a checkpoint just before each, if the time since suffices."""
    job, wasted = past.job, 0.0
    for faults in past.faults:
        struck = faults.time[(faults.effect != ELSEWHERE) & (faults.time >= past.begin) & (faults.time < past.end)]
        gaps = np.diff(np.concatenate([[past.begin], struck, [past.end]]))
        pay = np.full(len(gaps), job.restart + job.down + job.write)
        pay[0] -= job.restart + job.down
        pay[-1] -= job.write
        wasted += float(np.minimum(gaps, pay).sum())
    return wasted / len(past.faults) / (past.end - past.begin)
