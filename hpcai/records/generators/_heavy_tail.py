"""A distribution of positive numbers with a bulk and a heavy tail: log-normals, then a Pareto distribution."""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from hpcai.records.generators._cycle import Floats
from hpcai.records.generators._parameters import ParameterModel

_TAIL_SHARE = 0.01  # of the values, when fitted
_ITERATIONS = 200


class LogNormal(ParameterModel):
    """One component of the bulk."""

    weight: Annotated[float, Field(gt=0)]
    median: Annotated[float, Field(gt=0)]
    sigma: Annotated[float, Field(gt=0)]  # standard deviation of the natural logarithm


class Pareto(ParameterModel):
    """The tail: values beyond ``start``, of which the share beyond x falls as (x / start) ** -alpha."""

    share: Annotated[float, Field(gt=0, lt=1)]
    start: Annotated[float, Field(gt=0)]
    alpha: Annotated[float, Field(gt=0)]
    largest: Annotated[float, Field(gt=0)]  # no value is larger


class HeavyTail(ParameterModel):
    """A mixture of log-normals, and optionally a Pareto tail and a share of zeros."""

    bulk: Annotated[tuple[LogNormal, ...], Field(min_length=1)]
    tail: Pareto | None = None
    zeros: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _tail_is_ordered(self) -> Self:
        if self.tail is not None and self.tail.largest < self.tail.start:
            raise ValueError(f"the tail starts at {self.tail.start}, after its largest value {self.tail.largest}")
        return self

    def sample(self, rng: np.random.Generator, n: int) -> Floats:
        """Return ``n`` values."""
        weights = np.array([part.weight for part in self.bulk])
        which = np.searchsorted(np.cumsum(weights / weights.sum())[:-1], rng.random(n))
        log_medians = np.log([part.median for part in self.bulk])[which]
        sigmas = np.array([part.sigma for part in self.bulk])[which]
        # beyond the exponent of the largest float nothing is meant
        values = np.exp(np.minimum(log_medians + sigmas * rng.standard_normal(n), 700.0))
        if self.tail is not None:
            values = np.minimum(values, self.tail.largest)
            far = rng.random(n) < self.tail.share
            beyond = self.tail.start * (1.0 - rng.random(int(far.sum()))) ** (-1.0 / self.tail.alpha)
            values[far] = np.minimum(beyond, self.tail.largest)
        values[rng.random(n) < self.zeros] = 0.0
        return values

    @classmethod
    def fit(cls, values: Floats, components: int = 3) -> HeavyTail:
        """Return the distribution whose bulk and tail fit ``values`` best, by maximum likelihood.

        The largest 1 % is the tail (Hill's estimator); the bulk is fitted by expectation-maximisation on the
        logarithms.
        """
        positive = np.sort(values[values > 0])
        zeros = 1.0 - len(positive) / max(len(values), 1)
        if len(positive) == 0:
            return cls(bulk=(LogNormal(weight=1.0, median=1.0, sigma=1.0),), zeros=min(zeros, 0.999999))
        cut = len(positive) - int(len(positive) * _TAIL_SHARE)
        bulk = _mixture(np.log(positive[:cut]), components)
        if cut in (0, len(positive)) or positive[-1] <= positive[cut]:
            return cls(bulk=bulk, zeros=zeros)
        excess = np.log(positive[cut:] / positive[cut]).mean()
        tail = Pareto(
            share=(len(positive) - cut) / len(positive),
            start=float(positive[cut]),
            alpha=float(1.0 / excess),
            largest=float(positive[-1]),
        )
        return cls(bulk=bulk, tail=tail, zeros=zeros)


def _mixture(logs: Floats, components: int) -> tuple[LogNormal, ...]:
    """Return a mixture of normals of ``logs`` by expectation-maximisation from quantiles."""
    values, counts = np.unique(np.round(logs, 3), return_counts=True)  # many are alike: weigh, not repeat
    means = np.quantile(logs, (np.arange(components) + 0.5) / components)
    sigmas = np.full(components, max(float(logs.std()) / components, 0.05))
    weights = np.full(components, 1.0 / components)
    for _ in range(_ITERATIONS):
        deviations = (values[:, None] - means) / sigmas
        density = weights / sigmas * np.exp(-0.5 * deviations**2) + 1e-300
        shares = density / density.sum(axis=1, keepdims=True) * counts[:, None]
        total = shares.sum(axis=0) + 1e-12
        means = (shares * values[:, None]).sum(axis=0) / total
        spread = (shares * (values[:, None] - means) ** 2).sum(axis=0) / total
        sigmas = np.maximum(np.sqrt(spread), 0.05)
        weights = total / total.sum()
    parts = sorted(zip(means.tolist(), weights.tolist(), sigmas.tolist(), strict=True))
    return tuple(
        LogNormal(weight=weight, median=float(np.exp(mean)), sigma=sigma)
        for mean, weight, sigma in parts
        if weight > 1e-6
    )
