"""What the mixes of a cluster's jobs have in common: arrivals, limits that users ask for, tenants and users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from hpcai.records.generators._cycle import Cycle, Floats
from hpcai.records.generators._heavy_tail import HeavyTail, LogNormal
from hpcai.records.generators._parameters import ParameterModel

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]

Mask = npt.NDArray[np.bool_]

WEEK: Final = 7 * 86400.0
ORIGIN: Final = 1704067200.0  # Monday 2024-01-01 00:00 UTC, so that hours and weekdays mean something
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
HUMAN_LIMITS: Final = np.array(
    [m * _MINUTE for m in (1, 5, 10, 15, 20, 30, 45)]
    + [h * _HOUR for h in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 18, 20)]
    + [d * _DAY for d in (1, 1.5, 2, 3, 4, 5, 7, 10, 14, 21, 30, 60, 90, 180, 365)]
)
BURSTS: Final = HeavyTail(  # gaps between arrivals in operational time; only their shape counts
    bulk=(LogNormal(weight=0.4, median=8.0, sigma=1.4), LogNormal(weight=0.6, median=110.0, sigma=1.0))
)
HOURS: Final = (
    *(0.6, 0.5, 0.4, 0.35, 0.3, 0.3, 0.35, 0.45, 0.7, 1.1, 1.5, 1.6),
    *(1.3, 1.3, 1.6, 1.7, 1.7, 1.6, 1.4, 1.3, 1.3, 1.3, 1.1, 0.85),
)
WEEKDAYS: Final = (
    *(1.15, 1.2, 1.2, 1.2, 1.1),
    *(0.6, 0.55),
)


class Requests(ParameterModel):
    """The time limits that users ask for: they grow with the run time, but less, and are round numbers."""

    share: Share = 1.0  # of jobs that have one
    at_one_hour: Positive = 6 * 3600.0  # s, median for a job that runs for an hour, before rounding
    power: float = 0.4  # the median grows as run time ** power
    sigma: Annotated[float, Field(ge=0)] = 1.0  # standard deviation of its natural logarithm
    exceeded: Share = 0.02  # of jobs that would outlast their limit and are ended by it


def arrivals(
    rng: np.random.Generator, gaps: HeavyTail, cycle: Cycle, start_second: float, jobs: int, span: float
) -> Floats:
    """Return submission times, whole seconds from 0 to about ``span``: independent gaps in operational time."""
    operational = np.cumsum(gaps.sample(rng, jobs))
    operational -= operational[0]
    first, last = cycle.to_operational(start_second + np.array([0.0, span]))
    if operational[-1] > 0:
        operational *= (last - first) / operational[-1]
    clock = cycle.to_clock(first + operational) - start_second
    return np.maximum(np.floor(clock + 1e-6), 0.0)


def requested_times(rng: np.random.Generator, requests: Requests, run_time: Floats) -> tuple[Floats, Floats, Mask]:
    """Return requested times, the run times cut by them, and which were cut."""
    n = len(run_time)
    wish = requests.at_one_hour * (np.maximum(run_time, 1.0) / _HOUR) ** requests.power
    wish = wish * np.exp(requests.sigma * rng.standard_normal(n))
    ended = rng.random(n) < requests.exceeded
    wish = np.where(ended, np.minimum(wish, run_time / 2), np.maximum(wish, run_time))
    requested = HUMAN_LIMITS[np.minimum(np.searchsorted(HUMAN_LIMITS, wish), len(HUMAN_LIMITS) - 1)]
    requested[rng.random(n) >= requests.share] = np.nan
    ended = run_time > requested
    return requested, np.where(ended, requested, run_time), ended


def parties(
    rng: np.random.Generator, tenant: npt.NDArray[np.int64], tenants: int, users_per_tenant: int, concentration: float
) -> tuple[pd.Categorical[str], pd.Categorical[str]]:
    """Return the names of tenants, given by number, and of users; those of a tenant are busy after Zipf's law."""
    member = zipf(rng, users_per_tenant, concentration, len(tenant))
    user = tenant * users_per_tenant + member
    return named(tenant, numbered("tenant", tenants)), named(user, numbered("user", tenants * users_per_tenant))


def zipf(rng: np.random.Generator, n: int, exponent: float, size: int) -> npt.NDArray[np.int64]:
    """Return ``size`` numbers below ``n``, number i with a weight of (i + 1) ** -exponent."""
    return drawn(rng, np.arange(1, n + 1, dtype=np.float64) ** -exponent, size)


def drawn(rng: np.random.Generator, weights: npt.ArrayLike, size: int) -> npt.NDArray[np.int64]:
    """Return ``size`` positions in ``weights``, each as often as its weight says."""
    upto = np.cumsum(np.asarray(weights, dtype=np.float64) / np.sum(weights))
    return np.searchsorted(upto[:-1], rng.random(size)).astype(np.int64)


def numbered(word: str, n: int) -> list[str]:
    """Return ``n`` names, as tenant-01."""
    return [f"{word}-{i:0{len(str(n))}d}" for i in range(1, n + 1)]


def named(codes: npt.NDArray[np.int64], names: Sequence[str]) -> pd.Categorical[str]:
    """Return the categorical of ``names[codes]``."""
    return pd.Categorical.from_codes(codes, pd.Index(list(names), dtype="str"))
