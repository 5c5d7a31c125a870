"""Which nodes of a cluster are open to jobs, why the others are not, and how long each was in which state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

BUSY, IDLE, DOWN, DRAINED, SPARE = range(5)
STATES: Final = ("busy", "idle", "down", "drained", "spare")
_REASONS: Final = (DOWN, DRAINED, SPARE)


class NodeBooks:
    """Of each node: until when it is closed for each reason (s; inf: not known, -inf: not closed), and its jobs.

    A node that is closed keeps the jobs that it has, and counts as busy until they end, unless it is down.
    """

    def __init__(self, nodes: int, now: float) -> None:
        self.until = np.full((nodes, len(STATES)), -np.inf)
        self.jobs = np.zeros(nodes, dtype=np.int64)
        self.seconds = np.zeros((nodes, len(STATES)))
        self._since = np.full(nodes, now, dtype=np.float64)

    def close(self, node: int, reason: int, until: float, now: float) -> None:
        """Close a node for a reason until some time; -inf ends it."""
        self._count(node, now)
        self.until[node, reason] = until

    def add_jobs(self, nodes: Iterable[int], change: int, now: float) -> None:
        """A job begins (1) or ends (-1) on ``nodes``."""
        for node in nodes:
            self._count(node, now)
            self.jobs[node] += change

    def is_closed(self, node: int, *reasons: int) -> bool:
        """Whether a node is closed for one of ``reasons``, by default for any."""
        return bool((self.until[node, list(reasons or _REASONS)] > -np.inf).any())

    def closed_until(self, node: int) -> float:
        """Return until when a node is closed; -inf if it is not."""
        return float(self.until[node].max())

    def finish(self, now: float) -> None:
        """Count every node's time up to ``now``."""
        for node in range(len(self.jobs)):
            self._count(node, now)

    def _count(self, node: int, now: float) -> None:
        self.seconds[node, self._state(node)] += now - self._since[node]
        self._since[node] = now

    def _state(self, node: int) -> int:
        if self.is_closed(node, DOWN):
            return DOWN
        if self.jobs[node]:
            return BUSY
        return next((reason for reason in (DRAINED, SPARE) if self.is_closed(node, reason)), IDLE)
