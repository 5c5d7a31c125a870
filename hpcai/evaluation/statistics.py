"""How sure a comparison is: paired bootstrap intervals of ratios of means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

Floats = npt.NDArray[np.float64]

BLOCKS = 50
"""Contiguous blocks of submissions that stand in for windows where there is only one window."""


@dataclass(frozen=True)
class Ratio:
    """A ratio of means with its 95 % interval; nan bounds if there is none."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 1, so that the two sides can be told apart."""
        return self.high < 1 or self.low > 1


def resample(units: int, block: int, resamples: int, rng: np.random.Generator) -> Floats:
    """Return how often each unit is drawn in each resample (float64[resamples, units]).

    Units are drawn with replacement in circular runs of ``block`` neighbours (block 1: the ordinary
    bootstrap; else Politis and Romano's circular block bootstrap, 1992, for units that are not independent).
    """
    runs = -(-units // block)
    first = rng.integers(units, size=(resamples, runs))
    drawn = ((first[:, :, None] + np.arange(block)) % units).reshape(resamples, -1)[:, :units]
    flat = drawn + units * np.arange(resamples)[:, None]
    return np.bincount(flat.ravel(), minlength=resamples * units).reshape(resamples, units).astype(np.float64)


def ratios(values: Floats, reference: Floats, weights: Floats, block: int = 1) -> list[Ratio]:
    """Return, for each policy, mean(values) / mean(reference) over units with its 95 % BCa interval.

    ``values`` is float64[units, policies], ``reference`` float64[units], paired unit by unit; ``weights`` and
    ``block`` as in :func:`resample`. Efron, "Better bootstrap confidence intervals", 1987.
    """
    units = len(reference)
    everything = np.ones((1, units))
    gap = (np.arange(units)[None, :] - np.arange(units)[:, None]) % units
    without_a_block = (gap >= min(block, units - 1)).astype(np.float64)

    def ratio_under(weight: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            result: Floats = (weight @ values) / (weight @ reference)[:, None]
        return result

    estimate = ratio_under(everything)[0]
    if units == 1:
        return [Ratio(float(value), np.nan, np.nan) for value in estimate]
    draws, jackknife = ratio_under(weights), ratio_under(without_a_block)
    return [_bca(float(e), draws[:, i], jackknife[:, i]) for i, e in enumerate(estimate)]


def _bca(estimate: float, draws: Floats, jackknife: Floats) -> Ratio:
    """Return the bias-corrected and accelerated interval of ``estimate`` from its bootstrap ``draws``."""
    if not (np.isfinite(estimate) and np.isfinite(draws).all() and np.isfinite(jackknife).all()):
        return Ratio(estimate, np.nan, np.nan)
    below = np.mean(draws < estimate) + np.mean(draws == estimate) / 2
    bias = ndtri(np.clip(below, 1 / len(draws), 1 - 1 / len(draws)))
    deviation = jackknife.mean() - jackknife
    spread = np.sum(deviation**2)
    skew = np.sum(deviation**3) / (6 * spread**1.5) if spread > 0 else 0.0
    z = bias + ndtri(np.array([0.025, 0.975]))
    low, high = np.quantile(draws, ndtr(bias + z / (1 - skew * z)))
    return Ratio(estimate, float(low), float(high))


def block_means(values: Floats, blocks: int = BLOCKS) -> Floats:
    """Return contributions of contiguous blocks of jobs whose mean is the mean of ``values`` (float64[jobs]).

    Jobs follow one another in order of submission; a nan (a job that never started) counts in no block.
    """
    blocks = min(blocks, len(values))
    sums = np.array([np.nansum(block) for block in np.array_split(values, blocks)])
    return sums * blocks / np.count_nonzero(np.isfinite(values))
