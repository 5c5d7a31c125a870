"""The queue controller: cycle after cycle, whatever goes wrong in one of them."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol

from hpcai.errors import HpcaiError
from hpcai.live.kubernetes.guards import Outcome
from hpcai.live.kubernetes.metrics import ControllerMetrics

_log = logging.getLogger(__name__)


class JobQueue(Protocol):
    """What the controller keeps in order."""

    async def cycle(self) -> Outcome:
        """Look once and do what is to be done."""
        ...


class Controller:
    """Runs the cycles of a queue, ``interval`` seconds apart."""

    def __init__(self, queue: JobQueue, metrics: ControllerMetrics, interval: float) -> None:
        self._queue, self._metrics, self._interval = queue, metrics, interval
        self._last = 0.0

    @property
    def ready(self) -> bool:
        """Whether a cycle has succeeded lately."""
        return time.monotonic() - self._last < 60.0 + 3 * self._interval and self._last > 0

    async def run(self) -> None:
        """Run for ever."""
        while True:
            await self.step()
            await asyncio.sleep(self._interval)

    async def step(self) -> None:
        """Run one cycle; a failure is logged and counted."""
        begun = time.perf_counter()
        try:
            outcome = await self._queue.cycle()
        except HpcaiError as error:
            _log.warning("%s", error)
            self._metrics.cycles.labels("error").inc()
        except Exception:
            _log.exception("a cycle failed")
            self._metrics.cycles.labels("error").inc()
        else:
            self._last = time.monotonic()
            self._note(outcome)
        self._metrics.seconds.observe(time.perf_counter() - begun)

    def _note(self, outcome: Outcome) -> None:
        metrics = self._metrics
        metrics.cycles.labels("success").inc()
        metrics.writes.labels("written").inc(outcome.written)
        metrics.writes.labels("refused").inc(outcome.refused)
        metrics.fallbacks.inc(not outcome.ranked)
        metrics.waiting.set(outcome.waiting)
        metrics.held.set(outcome.held)
        metrics.unmet.set(outcome.unmet)
        metrics.last.set_to_current_time()
