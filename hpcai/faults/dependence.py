"""How far failures are from independent: bursts in time, neighbours in space, nodes that fail again and again.

Models that draw each node's failures on its own miss all of this; these measures say how much there is to miss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, stats

from hpcai.faults.outages import Outages
from hpcai.records.failures import FailureLog

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

_FEWEST_BINS: Final = 10


@dataclass(frozen=True)
class Dispersion:
    """The index of dispersion of counts: 1 for a Poisson process, more where failures come in bursts."""

    width: float  # s, of the bins
    bins: int
    index: float  # variance over mean of the counts (Fano factor)
    low: float  # 95 % of Poisson processes lie between
    high: float


def counts(times: Floats, begin: float, end: float, width: float) -> Whole:
    """Return the failures in each whole bin of ``width`` s from ``begin`` to ``end``."""
    bins = int((end - begin) // width)
    found, _ = np.histogram(times, begin + width * np.arange(bins + 1)) if bins else (np.empty(0), None)
    return np.asarray(found, dtype=np.int64)


def dispersion(times: Floats, begin: float, end: float, width: float) -> Dispersion | None:
    """Return the dispersion of failures at ``times`` (s) in bins of ``width`` s; None if there are too few bins."""
    found = counts(times, begin, end, width)
    if len(found) < _FEWEST_BINS or not found.any():
        return None
    free = len(found) - 1
    low, high = stats.chi2.ppf([0.025, 0.975], free) / free
    return Dispersion(width, len(found), float(found.var(ddof=1) / found.mean()), float(low), float(high))


def autocorrelation(values: Whole, lags: int) -> Floats:
    """Return the autocorrelation of a series at lags 1 to ``lags``; nan for a constant one."""
    centred = values - values.mean()
    power = float(centred @ centred)
    if power == 0:
        return np.full(lags, np.nan)
    return np.array([float(centred[:-lag] @ centred[lag:]) / power for lag in range(1, lags + 1)])


def gini(values: npt.NDArray[np.generic]) -> float:
    """Return the Gini coefficient: 0 where all are alike, towards 1 where one has all."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n, total = len(ordered), ordered.sum()
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total)) if total else 0.0


@dataclass(frozen=True)
class Offenders:
    """How unevenly failures fall on nodes, against chance: nodes alike, each a Poisson process while in service."""

    failures: Whole  # (nodes,) of each node
    expected: Floats  # (nodes,) of nodes alike, by their time in service
    gini: float
    by_chance: tuple[float, float, float]  # mean and 95 % of Gini coefficients under chance
    p_value: float  # of so uneven a spread by chance
    poisson_aic: float
    negative_binomial_aic: float  # nodes differ: their rates are gamma distributed
    spread: float  # coefficient of variation of the nodes' rates in that model


def offenders(log: FailureLog, of: Outages, *, resamples: int = 499, seed: int = 0) -> Offenders:
    """Return how the failures of a log fall on its nodes, those never in service left out."""
    low, high = log.service
    served = high > low
    failures = np.bincount(of.node, minlength=len(low))[served]
    expected = (high - low)[served] * failures.sum() / (high - low)[served].sum()
    rng = np.random.default_rng(seed)
    chance = np.array([gini(rng.poisson(expected)) for _ in range(resamples)])
    found = gini(failures)
    poisson = float(-2 * stats.poisson.logpmf(failures, expected).sum() + 2)

    def negative(log_size: float) -> float:
        size = np.exp(log_size)
        return float(-stats.nbinom.logpmf(failures, size, size / (size + expected)).sum())

    best = optimize.minimize_scalar(negative, bounds=(-6.0, 12.0), method="bounded")
    between = (float(chance.mean()), *(float(q) for q in np.quantile(chance, [0.025, 0.975])))
    return Offenders(
        failures=failures.astype(np.int64),
        expected=expected,
        gini=found,
        by_chance=(between[0], between[1], between[2]),
        p_value=float((np.sum(chance >= found) + 1) / (resamples + 1)),
        poisson_aic=poisson,
        negative_binomial_aic=2 * float(best.fun) + 4,
        spread=float(np.exp(-best.x / 2)),
    )


@dataclass(frozen=True)
class Neighbours:
    """Pairs of failures of two nodes of one group within a time of one another, against chance."""

    group: str  # "rack" or "switch"
    within: float  # s
    pairs: int
    by_chance: tuple[float, float, float]  # mean and 95 % with the nodes' places shuffled
    p_value: float  # of so many by chance


def neighbours(
    log: FailureLog, of: Outages, group: str, within: float, *, resamples: int = 199, seed: int = 0
) -> Neighbours | None:
    """Return whether nodes of one ``group`` (a column of the nodes) fail together more often than nodes anywhere.

    Under chance, the groups of the nodes are shuffled among those of like system and class: each keeps its failures.
    None if the log does not know groups of several nodes.
    """
    names = log.nodes[group].to_numpy(dtype=object)
    codes = pd.factorize(names)[0].astype(np.int64)
    known = (names != "")[of.node]
    if not known.any() or np.bincount(codes[names != ""]).max() < 2:
        return None
    node, start = of.node[known], of.start[known]
    alike = (log.nodes["system"] + "|" + log.nodes["node_class"]).to_numpy(dtype=object)
    kind = pd.factorize(np.where(names != "", alike, ""))[0]
    same_node = _pairs(node, start, within)
    found = _pairs(codes[node], start, within) - same_node
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(kind == k) for k in range(int(kind.max()) + 1)]
    chance = np.empty(resamples)
    for i in range(resamples):
        shuffled = codes.copy()
        for rows in members:
            shuffled[rows] = codes[rng.permutation(rows)]
        chance[i] = _pairs(shuffled[node], start, within) - same_node
    low, high = np.quantile(chance, [0.025, 0.975])
    p_value = float((np.sum(chance >= found) + 1) / (resamples + 1))
    return Neighbours(group, within, found, (float(chance.mean()), float(low), float(high)), p_value)


def _pairs(group: Whole, start: Floats, within: float) -> int:
    """Return the pairs of failures of one group that are at most ``within`` s apart."""
    stride = float(np.ptp(start)) + 2 * within + 1.0
    key = np.sort(group * stride + (start - start.min()))
    return int((np.searchsorted(key, key + within, side="right") - np.arange(1, len(key) + 1)).sum())
