"""Flexible jobs wait for cheap or clean hours: Wiesner et al., "Let's Wait Awhile", Middleware 2021.

A job that may wait becomes eligible at the first time at which price or carbon intensity is no higher than a quantile
of the coming day's, at the latest when its deadline passes. The coming day is known exactly, as in their base
experiment: day-ahead prices are, and carbon intensity is forecast well.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hpcai.records.calendar import DAY
from hpcai.records.grid_signal import GridSignal

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_SLACK: Final = 1e-9  # of a value, that rounding in a quantile may cost


def eligible_from(submit: Floats, flexible: Mask, signal: GridSignal, quantile: float, deadline: float) -> Floats:
    """Return when each job may start to queue, Unix time, (jobs,): later than ``submit`` only where ``flexible``.

    Args:
        submit: Unix time, (jobs,).
        flexible: which jobs may wait, (jobs,).
        signal: price or carbon intensity; it has to reach a day beyond the last submission, or be a year long.
        quantile: of the coming day's values, 0..1, that is low enough.
        deadline: longest that a job is held back, s.
    """
    result = submit.copy()
    if not flexible.any():
        return result
    step = signal.step
    first = np.floor(submit[flexible].min() / step) * step
    ahead = max(int(np.ceil(max(DAY, deadline) / step)), 1)
    steps = int(np.floor((submit[flexible].max() - first) / step)) + 1
    known = signal.at(first + step * np.arange(steps + ahead))
    day = np.lib.stride_tricks.sliding_window_view(known, max(int(DAY / step), 1))[:steps]
    enough = np.quantile(day, quantile, axis=1)
    enough += _SLACK * np.abs(enough)
    for j in np.flatnonzero(flexible):
        now = int((submit[j] - first) // step)
        low = np.flatnonzero(known[now : now + ahead] <= enough[now])
        begins = first + step * (now + low[0]) if len(low) else np.inf
        result[j] = max(submit[j], min(begins, submit[j] + deadline))
    return result
