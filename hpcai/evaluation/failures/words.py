"""Times as tables and reports on failures say them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hpcai.evaluation.humanise import number

if TYPE_CHECKING:
    from hpcai.faults.fit_log import Fitted

YEAR: Final = 365.25 * 86400.0
BEYOND: Final = 1000.0
"""Times the longest duration in the log beyond which a fitted one is no figure any more."""


def about(seconds: float) -> str:
    """Return a time in one unit, to three digits: 54 min, 13.5 h, 287 d, 6.2 years."""
    if not np.isfinite(seconds):
        return "–"
    for unit, size in (("years", YEAR), ("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{number(float(f'{seconds / size:.3g}'))}\u00a0{unit}"  # a figure and its unit stay on one line
    return f"{seconds:.3g}\u00a0s"


def near(seconds: float, one: Fitted) -> str:
    """Return a time of a fit; "beyond the log" if the fit's tail has it nowhere near what was watched."""
    trusted = one.best.lifetime.family == "exponential"  # that of few failures among many nodes, which was watched
    return about(seconds) if trusted or seconds <= BEYOND * one.data.value.max() else "beyond the log"
