"""The flow of jobs on a site: that of a GPU cluster, slowed by power limits, held back by whoever shifts load."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import simpy
from numpy.typing import NDArray

from hpcai.scheduling.gpu_cluster.state import ENDED, STOPPED, Cluster
from hpcai.simulation.gpu_cluster.simpy_clock import ClusterFlow
from hpcai.simulation.site.rules.flow import come, decide, slow_down
from hpcai.simulation.site.rules.nodes import FAULT


class SiteFlow(ClusterFlow):
    """Jobs flow through the cluster of a site.

    ``on_change(jobs)`` is told, after each moment at which something happened, the rows of the jobs that it happened
    to. With ``asks`` the clock stands before each pass in which somebody waits (``asked``), until :meth:`answer`.
    """

    moment = staticmethod(decide)

    def __init__(
        self,
        env: simpy.Environment,
        cluster: Cluster,
        on_change: Callable[[NDArray[np.int64]], object],
        *,
        asks: bool = False,
    ) -> None:
        self.asks, self.asked = asks, False
        self.holding = False
        self.held = np.zeros(len(cluster.work) + 1, dtype=np.int64)
        self.may_wait = np.zeros(len(cluster.work), dtype=np.bool_)
        self.speed = np.ones(len(cluster.work))
        self.limited = False  # whether any speed has ever been below 1
        self.preemptions = self.killed = self.ended = 0
        self.waited = 0.0  # s that jobs were in the queue or held back, of all together
        self._waiting, self._waiting_since = 0, env.now
        self._on_change = on_change
        super().__init__(env, cluster)

    def refresh(self) -> None:
        """Look at everything again at this instant; with ``asks`` stand before what follows from it."""
        self._count_waiting()
        come(self.cluster, self.env.now, self.held, self.holding, self.may_wait)
        if self.asks and self.cluster.at[0]["queued"] > 0:
            self.asked = True
        else:
            self.answer()

    def answer(self) -> None:
        """Decide what follows from what has come, and go on."""
        self.asked = False
        decide(self.cluster)
        self._count_waiting()
        self._waiting = int(self.cluster.at[0]["queued"]) + int(self.held[-1])
        self._tell()
        if self.limited:
            slow_down(self.cluster, self.speed)
        self._chain()

    def slow(self) -> None:
        """Speeds have changed: let them count from now on."""
        self.limited = True
        slow_down(self.cluster, self.speed)
        if not self.asked:
            self._chain()

    @property
    def held_back(self) -> NDArray[np.int64]:
        """The rows of the jobs that are held back."""
        return self.held[: self.held[-1]]

    def waited_by_now(self) -> float:
        """Return for how long jobs have been in the queue or held back by now, of all together (s)."""
        return self.waited + self._waiting * (self.env.now - self._waiting_since)

    def _count_waiting(self) -> None:
        self.waited, self._waiting_since = self.waited_by_now(), self.env.now

    def _tell(self) -> None:
        at = self.cluster.at[0]
        log = self.cluster.log[: at["logged"]]
        at["logged"] = 0
        if len(log):
            self._count(log)
            self._on_change(np.unique(log["job"]))

    def _count(self, log: NDArray[np.void]) -> None:
        stopped = log["what"] == STOPPED
        self.killed += int((stopped & (log["by"] == FAULT)).sum())
        self.preemptions += int((stopped & (log["by"] != FAULT)).sum())
        self.ended += int((log["what"] == ENDED).sum())
