"""Distributions of durations: how long until a node fails, how long until it is repaired.

Four families of two parameters at most, as reliability engineering uses them (Lawless, Statistical Models and Methods
for Lifetime Data, 2003, chapter 1): S(t) is the probability to outlast t, h(t) = f(t) / S(t) the hazard, the rate of
failure of what has lasted until t. A Weibull or gamma of shape below 1 has a falling hazard, above 1 a rising one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from hpcai.errors import InputError

Floats = npt.NDArray[np.float64]

FAMILIES: Final = ("exponential", "weibull", "lognormal", "gamma")


@dataclass(frozen=True)
class Lifetime:
    """A distribution of durations in seconds; ``shape`` is 1 for the exponential and sigma for the log-normal.

    ``scale`` is in seconds: the mean of the exponential, the median of the log-normal, the characteristic life of
    the Weibull (63 % have failed by then), the mean over the shape for the gamma. Raises InputError unless both are
    positive and the family is one of FAMILIES.
    """

    family: str
    scale: float
    shape: float = 1.0

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise InputError(f"lifetime: found family {self.family!r}, expected one of {', '.join(FAMILIES)}")
        for name in ("scale", "shape"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and 0 < value < np.inf):
                raise InputError(f"lifetime: found {name} {value!r}, expected a positive number")
        if self.family == "exponential" and self.shape != 1:
            raise InputError(f"lifetime: found shape {self.shape:g} of an exponential, expected none")

    @property
    def frozen(self) -> Any:
        """The same distribution as SciPy has it."""
        if self.family == "exponential":
            return stats.expon(scale=self.scale)
        return {"weibull": stats.weibull_min, "lognormal": stats.lognorm, "gamma": stats.gamma}[self.family](
            self.shape, scale=self.scale
        )

    @property
    def mean(self) -> float:
        """Mean duration, s; inf where it is beyond what a float64 holds."""
        with np.errstate(over="ignore"):
            factor = {
                "exponential": 1.0,
                "weibull": special.gamma(1 + 1 / self.shape),
                "lognormal": np.exp(self.shape**2 / 2),
                "gamma": self.shape,
            }[self.family]
            return float(self.scale * factor)

    def survival(self, time: Floats | float) -> Floats:
        """Return the probability to outlast ``time`` (s)."""
        result: Floats = np.exp(log_survival(self.family, np.asarray(time, dtype=np.float64), self.shape, self.scale))
        return result

    def hazard(self, time: Floats | float) -> Floats:
        """Return the rate of failure (1/s) of what has lasted until ``time`` (s); at 0 that of a nanosecond."""
        t = np.maximum(np.asarray(time, dtype=np.float64), 1e-9)
        lasting = log_survival(self.family, t, self.shape, self.scale)
        result: Floats = np.exp(log_density(self.family, t, self.shape, self.scale) - lasting)
        return result

    def quantile(self, share: Floats | float) -> Floats:
        """Return the time (s) by which a ``share`` has failed."""
        result: Floats = np.asarray(self.frozen.ppf(share), dtype=np.float64)
        return result

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Return ``n`` durations (s)."""
        if self.family == "exponential":
            return self.scale * rng.standard_exponential(n)
        if self.family == "weibull":
            return self.scale * rng.weibull(self.shape, n)
        if self.family == "lognormal":
            return self.scale * np.asarray(np.exp(self.shape * rng.standard_normal(n)))
        return self.scale * rng.standard_gamma(self.shape, n)

    def residual(self, n: int, rng: np.random.Generator) -> Floats:
        """Return how long ``n`` of a kind go on (s) that are met at a moment of no matter to them.

        Long lives are met more often: of a life drawn in proportion to its length, a uniform part is left (Cox,
        Renewal Theory, 1962, section 5.1).
        """
        shape = self.shape
        if self.family == "weibull":
            met = rng.standard_gamma(1 + 1 / shape, n) ** (1 / shape)
        elif self.family == "lognormal":
            met = np.exp(shape * rng.standard_normal(n) + shape**2)
        else:
            met = rng.standard_gamma(shape + 1, n)
        return self.scale * np.asarray(met) * rng.random(n)

    def remaining(self, age: Floats, rng: np.random.Generator) -> Floats:
        """Return how much longer each of those that have lasted ``age`` (s) will last (s)."""
        age = np.asarray(age, dtype=np.float64)
        survived = np.maximum(self.survival(age) * (1 - rng.random(age.shape)), np.finfo(np.float64).tiny)
        return np.maximum(np.asarray(self.frozen.isf(survived), dtype=np.float64) - age, 0.0)

    def as_data(self) -> dict[str, Any]:
        """Return family, scale and shape as plain data."""
        return {"family": self.family, "scale": self.scale, "shape": self.shape}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Lifetime:
        """Return the distribution that :meth:`as_data` described. Raises InputError."""
        try:
            return cls(data["family"], float(data["scale"]), float(data.get("shape", 1.0)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"lifetime: found {data!r}, expected family, scale and shape") from error


def log_density(family: str, time: Floats, shape: float, scale: float) -> Floats:
    """Return the logarithm of the density at ``time`` > 0 (s)."""
    x = time / scale
    with np.errstate(divide="ignore", over="ignore"):
        log_x = np.log(x)
        if family == "exponential":
            return np.asarray(-np.log(scale) - x)
        if family == "weibull":
            return np.asarray(np.log(shape / scale) + (shape - 1) * log_x - x**shape)
        if family == "lognormal":
            return np.asarray(-(log_x**2) / (2 * shape**2) - np.log(shape * np.sqrt(2 * np.pi)) - np.log(time))
        return np.asarray((shape - 1) * log_x - x - special.gammaln(shape) - np.log(scale))


def log_survival(family: str, time: Floats, shape: float, scale: float) -> Floats:
    """Return the logarithm of the probability to outlast ``time`` >= 0 (s)."""
    x = time / scale
    with np.errstate(divide="ignore", over="ignore"):
        if family == "exponential":
            return np.asarray(-x)
        if family == "weibull":
            return np.asarray(-(x**shape))
        if family == "lognormal":
            return np.asarray(special.log_ndtr(-np.log(x) / shape))
        return np.asarray(np.log(np.maximum(special.gammaincc(shape, x), np.finfo(np.float64).tiny)))
