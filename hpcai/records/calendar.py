"""The like time of another year: a log of 2017 runs under weather and prices of whatever year was recorded."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DAY: Final = 86400.0
WEEK: Final = 7 * DAY
YEAR: Final = 365.2425 * DAY  # s, the mean Gregorian year


def at_like_time(times: Floats, start: float, end: float, *, whole: float) -> Floats:
    """Return ``times`` (s) moved by whole years into ``start`` .. ``end``, which is a year long or little less.

    Moves are rounded to multiples of ``whole``: a day keeps the time of day, a week the day of the week too. What
    then still lies outside, within half a ``whole`` of the edges or in the gap of a year of 365 days, goes on by
    one ``whole`` more.
    """
    years = np.floor((times - start) / YEAR)
    moved = times - np.round(years * YEAR / whole) * whole
    late, early = moved >= end, moved < start
    steps = np.where(late, -np.floor((moved - end) / whole) - 1, 0) + np.where(
        early, np.ceil((start - moved) / whole), 0
    )
    result: Floats = moved + steps * whole
    return result
