"""How well a distribution fits: the Kolmogorov-Smirnov distance, and how likely one so large is by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from hpcai.faults.lifetimes import Lifetime
from hpcai.faults.likelihood import FEWEST, fit_family
from hpcai.faults.outages import Durations

Floats = npt.NDArray[np.float64]

LARGEST: Final = 1000
"""Durations that the test takes at most, drawn from all: to tens of thousands no distribution fits."""
TAIL: Final = 10
"""Durations still under way below which the Kaplan-Meier curve of censored data is too uncertain to be compared."""
ENOUGH: Final = 20
"""Distances above the observed one at which the test stops: it fits (Besag and Clifford 1991)."""


@dataclass(frozen=True)
class Goodness:
    """The distance of a fit from the durations, and its probability under the fit."""

    distance: float  # greatest difference between the distributions of the fit and of Kaplan and Meier
    p_value: float  # nan: too few durations to tell
    tested: int  # durations in the test


def distance(data: Durations, lifetime: Lifetime) -> float:
    """Return the greatest difference between the distribution of ``lifetime`` and that of Kaplan and Meier."""
    curve = stats.ecdf(stats.CensoredData.right_censored(data.value, ~data.ended)).cdf
    tail = np.sort(data.value)[-min(TAIL, len(data))] if not data.ended.all() else np.inf
    failed = (np.diff(curve.probabilities, prepend=0.0) > 0) & (curve.quantiles <= tail)
    below = np.append(0.0, curve.probabilities[:-1])[failed]
    above = curve.probabilities[failed]
    time = curve.quantiles[failed]
    before, after = 1 - lifetime.survival(time), 1 - lifetime.survival(time + data.resolution)
    return float(np.maximum(np.abs(after - above), np.abs(before - below)).max(initial=0.0))


def goodness(data: Durations, lifetime: Lifetime, *, resamples: int = 199, seed: int = 0) -> Goodness:
    """Return distance and p-value of a fit to ``data`` by the parametric bootstrap.

    Samples are drawn from the fit, censored as the data are (by times drawn from the Kaplan-Meier distribution of the
    censoring times), rounded as they are, and fitted anew (Stute, Manteiga and Quindimil 1993).
    """
    rng = np.random.default_rng(seed)
    observed = distance(data, lifetime)
    if data.events < FEWEST:
        return Goodness(observed, np.nan, 0)
    if len(data) > LARGEST:
        chosen = np.zeros(len(data), dtype=bool)
        chosen[rng.choice(len(data), LARGEST, replace=False)] = True
        data = data.of(chosen)
        lifetime = fit_family(data, lifetime.family, lifetime).lifetime
    at_hand = distance(data, lifetime)
    larger = drawn = 0
    while drawn < resamples and larger < ENOUGH:
        sample = _drawn(data, lifetime, rng)
        drawn += 1
        if sample.events >= 2 and (sample.value[sample.ended] > sample.resolution).any():
            larger += distance(sample, fit_family(sample, lifetime.family, lifetime).lifetime) >= at_hand
    return Goodness(observed, (larger + 1) / (drawn + 1), len(data))


def _drawn(data: Durations, lifetime: Lifetime, rng: np.random.Generator) -> Durations:
    """Return as many durations drawn from ``lifetime``, censored and rounded as the data are."""
    n = len(data)
    life = lifetime.sample(n, rng)
    if data.resolution > 0:
        life = data.resolution * np.floor(life / data.resolution)
    until = np.full(n, data.value.max())  # none was watched for longer
    if not data.ended.all():
        censoring = stats.ecdf(stats.CensoredData.right_censored(data.value, data.ended)).cdf
        place = np.searchsorted(censoring.probabilities, rng.random(n))
        until = np.append(censoring.quantiles, until[0])[place]
    return Durations(np.minimum(life, until), life <= until, data.resolution)
