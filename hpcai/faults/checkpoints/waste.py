"""Closed forms of checkpointing under faults that come at a constant rate: best intervals, and what is wasted.

Symbols: C, the time of a checkpoint; M, the mean time between faults; R, that of a restart, which faults can strike;
D, the time between a fault and the restart, which they cannot. Waste is the share of time that is not useful work.
An interval is the work between two checkpoints, without the checkpoint. All times in seconds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import lambertw

from hpcai.jit import jit

Floats = NDArray[np.float64]


@jit
def young_interval(write: float, mtbf: float) -> float:
    """Return sqrt(2 C M). Young, CACM 17(9), 1974."""
    return float(np.sqrt(2.0 * write * mtbf))


@jit
def daly_interval(write: float, mtbf: float) -> float:
    """Return Daly's higher-order estimate, sqrt(2 C M) (1 + x / 3 + x^2 / 9) - C with x = sqrt(C / 2 M).

    M where C is 2 M or more. Daly, Future Generation Computer Systems 22, 2006, equation 37.
    """
    if write >= 2.0 * mtbf:
        return mtbf
    x = np.sqrt(write / (2.0 * mtbf))
    return float(np.sqrt(2.0 * write * mtbf) * (1.0 + x / 3.0 + x * x / 9.0) - write)


def daly_first_interval(write: float, mtbf: float, restart: float = 0.0) -> float:
    """Return Daly's first-order estimate, sqrt(2 C (M + R)) - C; his equation 13. At least C."""
    return float(max(np.sqrt(2.0 * write * (mtbf + restart)) - write, write))


def best_interval(write: float, mtbf: float) -> float:
    """Return the interval of least waste, M (1 + W(-exp(-1 - C / M))), W being Lambert's function.

    It is the root of d/dt of :func:`exact_waste`, which depends on neither R nor D.
    """
    return float(mtbf * (1.0 + lambertw(-np.exp(-1.0 - write / mtbf)).real))


def exact_waste(interval: ArrayLike, write: float, mtbf: float, restart: float = 0.0, down: float = 0.0) -> Floats:
    """Return the waste of fixed intervals: 1 - t / (exp(R / M) (M + D) (exp((t + C) / M) - 1)).

    The divisor is the expected time to get t done and saved. Daly 2006, equation 20, with D as in Hérault and Robert,
    "Fault-Tolerance Techniques for High-Performance Computing", 2015, proposition 1.1.
    """
    work = np.asarray(interval, dtype=np.float64)
    taken = np.exp(restart / mtbf) * (mtbf + down) * np.expm1((work + write) / mtbf)
    return np.asarray(1.0 - work / taken)


def first_order_waste(
    interval: ArrayLike, write: float, mtbf: float, restart: float = 0.0, down: float = 0.0
) -> Floats:
    """Return a + b - a b, a = C / (t + C) without faults, b = (D + R + (t + C) / 2) / M by faults.

    Hérault and Robert 2015, equations 1.5 to 1.8; holds while t + C, R and D are small against M.
    """
    period = np.asarray(interval, dtype=np.float64) + write
    fault_free = write / period
    by_faults = (down + restart + period / 2.0) / mtbf
    return np.asarray(fault_free + by_faults - fault_free * by_faults)
