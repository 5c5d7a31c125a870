"""Arrivals that follow a cycle: a steady stream in operational time, warped so that busy hours get more.

Operational time runs fast when many jobs arrive: it is the integral of the rate, relative to its mean. It
equals the time of the clock after each whole cycle.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Cycle:
    """A rate that is constant in each of ``len(weights)`` equal buckets and repeats every ``period`` seconds."""

    def __init__(self, weights: npt.ArrayLike, period: float) -> None:
        rate = np.asarray(weights, dtype=np.float64)
        self.period = period
        self._clock = np.linspace(0.0, period, len(rate) + 1)
        self._operational = np.concatenate([[0.0], np.cumsum(rate)]) * (period / rate.sum())

    def to_clock(self, operational: Floats) -> Floats:
        """Return the times at which the clock stands at the given operational times."""
        cycles, rest = np.divmod(operational, self.period)
        return np.asarray(cycles * self.period + np.interp(rest, self._operational, self._clock))

    def to_operational(self, clock: Floats) -> Floats:
        """Return the operational times of the given times of the clock."""
        cycles, rest = np.divmod(clock, self.period)
        return np.asarray(cycles * self.period + np.interp(rest, self._clock, self._operational))
