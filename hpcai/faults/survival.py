"""Survival without a model: Kaplan-Meier curves, the log-rank test, the rate of failure by age."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpcai.faults.outages import Durations, Mask, Outages
from hpcai.records.failures import FailureLog

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A survival curve: from each time on, the share that lasts longer, with its 95 % interval."""

    time: Floats  # (n,) s, rising
    survival: Floats  # (n,)
    low: Floats  # (n,) nan where it cannot be told
    high: Floats  # (n,)
    at_risk: npt.NDArray[np.int64]  # (n,) that had lasted until then and were still watched

    def at(self, time: float) -> tuple[float, float, float]:
        """Return the share that lasts longer than ``time`` (s), and its interval."""
        i = int(np.searchsorted(self.time, time, side="right")) - 1
        return (1.0, 1.0, 1.0) if i < 0 else (float(self.survival[i]), float(self.low[i]), float(self.high[i]))


def kaplan_meier(data: Durations) -> Curve:
    """Return the curve of Kaplan and Meier (1958), intervals by Greenwood's formula on the log-log scale."""
    found = stats.ecdf(stats.CensoredData.right_censored(data.value, ~data.ended)).sf
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # there is none where all have failed: nan
        bounds = found.confidence_interval(method="log-log")
    at_risk = len(data) - np.searchsorted(np.sort(data.value), found.quantiles)
    low, high = bounds.low.probabilities, bounds.high.probabilities
    return Curve(found.quantiles, found.probabilities, low, high, at_risk.astype(np.int64))


def log_rank(one: Durations, other: Durations) -> float:
    """Return the probability of curves at least so far apart if both were of one kind (Mantel 1966)."""
    samples = (stats.CensoredData.right_censored(data.value, ~data.ended) for data in (one, other))
    return float(stats.logrank(*samples).pvalue)


def first_failures(log: FailureLog, of: Outages, component: str | None = None) -> Durations:
    """Return for each node the time until its first failure (of a ``component``), from its entry into service.

    For a node that was in service before observation began it is the time since then.
    """
    low, high = log.service
    first = np.full(len(low), np.inf)
    use = np.ones(len(of.node), bool) if component is None else of.component == component
    np.minimum.at(first, of.node[use], of.start[use])
    ended = np.isfinite(first)
    return Durations(np.where(ended, first, high) - low, ended, of.resolution)


@dataclass(frozen=True)
class RateByAge:
    """Failures by age of the node: for each span of ages the failures, the time at risk and the rate."""

    edges: Floats  # (n + 1,) s of age
    failures: npt.NDArray[np.int64]  # (n,)
    at_risk: Floats  # (n,) s of a node in service at such an age
    rate: Floats  # (n,) 1/s; nan without time at risk
    low: Floats  # (n,) 95 % interval of a Poisson process
    high: Floats  # (n,)


def rate_by_age(log: FailureLog, of: Outages, edges: Sequence[float] | Floats, nodes: Mask | None = None) -> RateByAge:
    """Return the rate of failure by age (s since entry into service) of ``nodes`` whose entry is known.

    Intervals are exact for a Poisson process (Garwood 1936); failures that come in bursts make them too narrow.
    """
    bounds = np.asarray(edges, dtype=np.float64)
    low, high = log.service
    born = log.nodes["in_service"].to_numpy(np.float64)
    known = np.isfinite(born) & (np.ones(len(low), bool) if nodes is None else nodes)
    rows = known[of.node]
    age = of.start[rows] - born[of.node[rows]]
    failures, _ = np.histogram(age, bounds)
    youngest, oldest = (low - born)[known, None], (high - born)[known, None]
    inside = np.clip(oldest, bounds[:-1], bounds[1:]) - np.clip(youngest, bounds[:-1], bounds[1:])
    return _rates(bounds, failures, inside.sum(axis=0))


def empirical_hazard(data: Durations, edges: Sequence[float] | Floats) -> RateByAge:
    """Return the rate at which durations end by how long they have lasted (s), whatever their distribution."""
    bounds = np.asarray(edges, dtype=np.float64)
    ends, _ = np.histogram(data.value[data.ended], bounds)
    at_risk = np.array([np.clip(data.value - low, 0.0, high - low).sum() for low, high in pairwise(bounds)])
    return _rates(bounds, ends, at_risk)


def _rates(bounds: Floats, failures: npt.NDArray[np.int64], at_risk: Floats) -> RateByAge:
    some = np.where(at_risk > 0, at_risk, np.nan)
    fewest = np.where(failures > 0, stats.chi2.ppf(0.025, 2 * np.maximum(failures, 1)) / 2, 0.0)
    most = stats.chi2.ppf(0.975, 2 * (failures + 1)) / 2
    return RateByAge(bounds, failures.astype(np.int64), at_risk, failures / some, fewest / some, most / some)
