"""A Weibull model of proportional hazards, the survival model that learned detectors are measured against.

A node that has been up for s is struck at the rate h(s | x) = (k / L) (s / L)^(k - 1) exp(b . x), x being what is seen
of its past (Cox, "Regression models and life-tables", 1972, with a Weibull baseline; Kalbfleisch and Prentice, The
Statistical Analysis of Failure Time Data, 2002, section 2.3). It is fitted by maximum likelihood to stretches of
time, of which is known whether a failure fell into them (ibid., section 4.8, grouped data), so that x may change and
nodes that did not fail count for as long as they were watched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

COVARIATES: Final = ("failures_7d", "failures_30d", "failures_180d", "rate", "around_1d", "warnings_7d")
"""Features that the hazard depends on, each as log(1 + x), unknown as 0; beside since_last, which is s."""
SINCE: Final = "since_last"
_PENALTY: Final = 1.0  # of half the squared coefficients, in all: a normal prior; what never varies stays at 0
_LEAST: Final = 1.0  # s, below which s counts as this: the hazard of a Weibull may be infinite at 0
_MOST: Final = 30.0  # of an exponent


@dataclass(frozen=True)
class Hazard:
    """The model: ``shape`` k, ``log_scale`` ln L (L in s) and a coefficient for each of COVARIATES."""

    shape: float
    log_scale: float
    coefficients: Floats

    def risk(self, x: Floats, names: Sequence[str], lead: float, horizon: float) -> Floats:
        """Return the probability of a failure in (t + lead, t + lead + horizon] for each row of features ``x``.

        None until t + lead is given; what is seen is taken to stay as it is.
        """
        since = np.maximum(x[:, list(names).index(SINCE)], 0.0) + lead
        ahead = self._cumulative(since + horizon) - self._cumulative(since)
        raised = np.exp(np.clip(covariates(x, names) @ self.coefficients, -_MOST, _MOST))
        return np.asarray(-np.expm1(-ahead * raised))

    def _cumulative(self, since: Floats) -> Floats:
        return np.asarray(np.exp(self.shape * (np.log(np.maximum(since, _LEAST)) - self.log_scale)))


def covariates(x: Floats, names: Sequence[str]) -> Floats:
    """Return the covariates of rows of features, float64[rows, len(COVARIATES)]."""
    places = [list(names).index(name) for name in COVARIATES]
    return np.asarray(np.log1p(np.nan_to_num(np.maximum(x[:, places], 0.0))))


def fit_hazard(x: Floats, names: Sequence[str], failed: Mask, length: float) -> Hazard:
    """Return the model of greatest likelihood.

    Args:
        x: what is seen at the beginning of each stretch, (stretches, features).
        names: of the features.
        failed: whether a failure fell into the stretch, (stretches,).
        length: of the stretches, s.
    """
    z = covariates(x, names)
    begin = np.maximum(x[:, list(names).index(SINCE)], _LEAST)
    log_begin, log_end = np.log(begin), np.log(begin + length)
    events = max(int(failed.sum()), 1)
    first = np.concatenate([[0.0, np.log(len(failed) * length / events)], np.zeros(z.shape[1])])

    def loss(theta: Floats) -> tuple[float, Floats]:
        return _loss(theta, z, log_begin, log_end, failed)

    found = minimize(
        loss, first, jac=True, method="L-BFGS-B", bounds=[(-3.0, 2.0), (0.0, 40.0), *[(-8, 8)] * z.shape[1]]
    )
    return Hazard(float(np.exp(found.x[0])), float(found.x[1]), found.x[2:])


def _loss(theta: Floats, z: Floats, log_begin: Floats, log_end: Floats, failed: Mask) -> tuple[float, Floats]:
    """Return the mean negative log-likelihood and its gradient; theta is ln k, ln L, coefficients."""
    k, log_scale, b = np.exp(theta[0]), theta[1], theta[2:]
    raised = np.exp(np.clip(z @ b, -_MOST, _MOST))
    to_end, to_begin = log_end - log_scale, log_begin - log_scale
    at_end, at_begin = np.exp(k * to_end), np.exp(k * to_begin)
    passed = np.clip(raised * (at_end - at_begin), 1e-12, 500.0)  # hazard over the stretch; exp(-passed) outlasts it
    value = passed[~failed].sum() - np.log(-np.expm1(-passed[failed])).sum()
    weight = np.ones(len(failed))  # of each stretch's hazard in the gradient
    weight[failed] = -1.0 / np.expm1(passed[failed])
    slope_k = k * (weight * raised) @ (at_end * to_end - at_begin * to_begin)
    slopes = np.concatenate([[slope_k, -k * (weight @ passed)], z.T @ (weight * passed)])
    value += _PENALTY * (b @ b) / 2
    return float(value / len(failed)), (slopes + np.r_[0.0, 0.0, _PENALTY * b]) / len(failed)
