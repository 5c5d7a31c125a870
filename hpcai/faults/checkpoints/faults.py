"""The faults that one job meets, and the rates that it has seen of them at any time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcai.faults.checkpoints.observation import OBSERVED, OWN_RATES, SCALES, note_fault, pass_time
from hpcai.jit import jit

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]

ELSEWHERE, LOCAL, GLOBAL = 0, 1, 2
"""What a fault does to the job: it strikes other nodes; it leaves the job's local checkpoints, or takes them too."""


@dataclass(frozen=True)
class Faults:
    """When faults strike: ``time`` (s, ascending, float64[n]) and ``effect`` (ELSEWHERE, LOCAL, GLOBAL; int8[n])."""

    time: Floats
    effect: Codes

    @classmethod
    def all_global(cls, time: Floats) -> Faults:
        """Return faults that each strike the job and take its local checkpoints."""
        return cls(time, np.full(len(time), GLOBAL, dtype=np.int8))

    @property
    def own(self) -> Floats:
        """When faults strike the job (s)."""
        times: Floats = self.time[self.effect != ELSEWHERE]
        return times

    def before(self, end: float) -> Faults:
        """Return the faults before ``end`` (s)."""
        known = self.time < end
        return Faults(self.time[known], self.effect[known])


def seen_rates(faults: Faults, begin: float, end: float) -> tuple[Floats, Floats]:
    """Return the rates seen just before each own fault in [begin, end), (n, R), and their integrals over it, (R,).

    R counts the rates of an observation, own and other; faults before ``begin`` are seen.
    """
    known = faults.before(end)
    counted = int(((known.effect != ELSEWHERE) & (known.time >= begin)).sum())
    rates = np.zeros((counted, OBSERVED - OWN_RATES))
    integrals = np.zeros(OBSERVED - OWN_RATES)
    _fill_rates(known.time, known.effect, begin, end, np.zeros(OBSERVED), np.array(SCALES * 2), rates, integrals)
    return rates, integrals


@jit
def _fill_rates(
    time: Floats,
    effect: Codes,
    begin: float,
    end: float,
    seen: Floats,
    scales: Floats,
    rates: Floats,
    integrals: Floats,
) -> None:
    """Fill what :func:`seen_rates` returns."""
    now, row = min(time[0], begin) if time.shape[0] else begin, 0
    for i in range(time.shape[0] + 1):
        then = time[i] if i < time.shape[0] else end
        if then > begin and now < begin:
            pass_time(seen, begin - now)
            now = begin
        for k in range(scales.shape[0] if now >= begin else 0):
            integrals[k] += seen[OWN_RATES + k] * scales[k] * (1.0 - np.exp(-(then - now) / scales[k]))
        pass_time(seen, then - now)
        now = then
        if i == time.shape[0]:
            return
        if effect[i] != ELSEWHERE and then >= begin:
            for k in range(scales.shape[0]):
                rates[row, k] = seen[OWN_RATES + k]
            row += 1
        note_fault(seen, effect[i] != ELSEWHERE)
