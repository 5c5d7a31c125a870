"""What is seen of past faults when an interval is chosen: times since the last, and rates over several scales.

A rate of scale s counts every fault with weight exp(-age / s) / s: the recent faults per second, those about s ago
fading. "Own" faults struck a node of the job, the others the rest of its machine.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.jit import jit

SCALES: Final = (3600.0, 6 * 3600.0, 86400.0, 7 * 86400.0, 30 * 86400.0, 120 * 86400.0)
"""Of the rates (s): an hour, six, a day, a week, a month, four months."""

_RATES: Final = len(SCALES)
OWN_AGE, OTHER_AGE, OWN_RATES, OTHER_RATES = 0, 1, 2, 2 + _RATES
"""Places in an observation: s since the last own fault and the last other one (or since nothing has been seen), then
rates per second, own and other, by scale."""
OBSERVED: Final = 2 + 2 * _RATES
_SCALES: Final = np.array(SCALES)


def fresh_observation(own_rate: float = 0.0, other_rate: float = 0.0) -> NDArray[np.float64]:
    """Return the observation, float64[OBSERVED], before any fault has been seen, with the rates that are expected."""
    observation = np.zeros(OBSERVED)
    observation[OWN_RATES:OTHER_RATES] = own_rate
    observation[OTHER_RATES:] = other_rate
    return observation


@jit
def pass_time(observation: NDArray[np.float64], seconds: float) -> None:
    """Let time pass without a fault."""
    observation[OWN_AGE] += seconds
    observation[OTHER_AGE] += seconds
    for k in range(_RATES):
        kept = np.exp(-seconds / _SCALES[k])
        observation[OWN_RATES + k] *= kept
        observation[OTHER_RATES + k] *= kept


@jit
def note_fault(observation: NDArray[np.float64], own: bool) -> None:
    """A fault strikes the job's nodes, or others of the machine."""
    observation[OWN_AGE if own else OTHER_AGE] = 0.0
    first = OWN_RATES if own else OTHER_RATES
    for k in range(_RATES):
        observation[first + k] += 1.0 / _SCALES[k]
