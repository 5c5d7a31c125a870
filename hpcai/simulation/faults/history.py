"""What has been seen of the faults of every node of a cluster, from which jobs and drains see theirs."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.faults.checkpoints.observation import OBSERVED, OTHER_AGE, OTHER_RATES, OWN_AGE, OWN_RATES, SCALES

Floats = NDArray[np.float64]

_SCALES: Final = np.array(SCALES)


class FaultHistory:
    """Rates and ages by node. Before any fault, each node has the rate that is expected of it (1/s)."""

    def __init__(self, nodes: int, rate: float, now: float = 0.0) -> None:
        self.rates = np.full((nodes, len(SCALES)), rate)
        self.last = np.full(nodes, now, dtype=np.float64)  # s, when a node failed last
        self.times: list[list[float]] = [[] for _ in range(nodes)]
        self._now = now

    def note(self, node: int, now: float) -> None:
        """Node ``node`` fails at ``now`` (s)."""
        self._pass(now)
        self.rates[node] += 1.0 / _SCALES
        self.last[node] = now
        self.times[node].append(now)

    def within(self, window: float, now: float) -> NDArray[np.int64]:
        """Return how often each node failed in the ``window`` s before ``now``, int64[nodes]."""
        return np.array([sum(time > now - window for time in times) for times in self.times])

    def observation(self, own: NDArray[np.int64], now: float) -> Floats:
        """Return what a job on the nodes ``own`` sees at ``now`` (s), float64[OBSERVED]."""
        self._pass(now)
        seen = np.empty(OBSERVED)
        others = np.ones(len(self.last), dtype=bool)
        others[own] = False
        seen[OWN_AGE] = now - self.last[own].max()
        seen[OTHER_AGE] = now - self.last[others].max(initial=0.0)
        seen[OWN_RATES:OTHER_RATES] = self.rates[own].sum(axis=0)
        seen[OTHER_RATES:] = np.maximum(self.rates.sum(axis=0) - seen[OWN_RATES:OTHER_RATES], 0.0)
        return seen

    def _pass(self, now: float) -> None:
        self.rates *= np.exp((self._now - now) / _SCALES)
        self._now = now
