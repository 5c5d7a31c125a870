"""Numbers as people read them."""

from __future__ import annotations

import itertools
import math

from hpcai.evaluation.statistics import Ratio

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def number(value: float) -> str:
    """Return a whole number in full, another to three digits or more: 1,024, 7.69, 38.1, 66,502."""
    if not math.isfinite(value):
        return "–"
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return _significant(value, 3)


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: 45 s, 1 h 20 min, 27 d 15 h."""
    if not math.isfinite(seconds):
        return "–"
    sign, seconds = ("−", -seconds) if seconds < 0 else ("", seconds)
    if seconds < 10:
        return f"{sign}{seconds:.2g} s"
    seconds = round(seconds)
    for (name, size), (smaller, part) in itertools.pairwise(_UNITS):
        if seconds >= size:
            whole, rest = divmod(round(seconds / part) * part, size)
            return f"{sign}{whole} {name}" + (f" {rest // part} {smaller}" if rest else "")
    return f"{sign}{seconds} s"


def percent(share: float) -> str:
    """Return a share as a percentage: 65.5 %."""
    return f"{100 * share:.1f} %" if math.isfinite(share) else "–"


def quantity(value: float, unit: str) -> str:
    """Return a metric's value in its unit as people read it."""
    if not math.isfinite(value):
        return "–"
    if unit == "s":
        return duration(value)
    if unit == "jobs/s":
        return f"{number(value * 3600)} jobs/h"
    if unit in ("h", "kWh", "kW", "kg", "USD", "EUR"):
        return f"{number(value)} {unit}"
    return number(value)


def ratio(value: Ratio) -> str:
    """Return a ratio with its interval: 0.20 × [0.15, 0.26]."""
    if not math.isfinite(value.value):
        return "–"
    interval = f" [{_factor(value.low)}, {_factor(value.high)}]" if math.isfinite(value.low) else ""
    return f"{_factor(value.value)} ×{interval}"


def _factor(value: float) -> str:
    if value >= 10:
        return number(value)
    return f"{value:.2f}" if value >= 0.1 or value == 0 else _significant(value, 2)


def _significant(value: float, digits: int) -> str:
    """Return ``value`` with that many digits from the first that is not zero, never in powers of ten."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:.{max(digits - 1 - math.floor(math.log10(abs(rounded))), 0)}f}"
