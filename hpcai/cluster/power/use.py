"""How hard jobs work their GPUs and processors where the log does not say: drawn from a measured distribution.

A job's draw depends on the seed and its name alone, so it is the same under every policy and in every window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.cluster.power.figures import figures

Floats = npt.NDArray[np.float64]
Part = Literal["gpu", "cpu"]


def drawn_use(names: Any, part: Part, seed: int) -> Floats:
    """Return each job's share of the dynamic power of its ``part``, 0..1, (jobs,), drawn by its name and ``seed``."""
    quantiles: Sequence[float] = getattr(figures().quantiles, part)
    at = uniform(names, part, seed)
    return np.interp(at, np.linspace(0.0, 1.0, len(quantiles)), quantiles)


def uniform(names: Any, what: str, seed: int) -> Floats:
    """Return a number in [0, 1) for each of ``names``, evenly distributed and the same whenever it is asked for."""
    key = f"{what}.{seed}"[:16].ljust(16, ".")  # pandas hashes with a key of 16 bytes
    hashed = pd.util.hash_array(np.asarray(names, dtype=object), hash_key=key, categorize=False)
    return hashed.astype(np.float64) / 2.0**64
