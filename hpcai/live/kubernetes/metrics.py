"""What the extender and the controller count, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_REPLY_SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)


class ExtenderMetrics:
    """Requests by verb and status, their seconds, and what the extender knows of the cluster."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("hpcai_extender_requests", "Requests.", ["verb", "status"], registry=self.registry)
        self.seconds = Histogram(
            "hpcai_extender_seconds",
            "Seconds from the whole request to the reply.",
            ["verb"],
            buckets=_REPLY_SECONDS,
            registry=self.registry,
        )
        self.fallbacks = Counter(
            "hpcai_extender_fallbacks", "Replies without the bundle, which failed.", ["verb"], registry=self.registry
        )
        self.ready = Gauge(
            "hpcai_extender_ready", "1 where the view of the cluster is current.", registry=self.registry
        )
        self.nodes = Gauge("hpcai_extender_nodes", "Nodes known.", registry=self.registry)
        self.pods = Gauge("hpcai_extender_pods", "Pods known that are not over.", registry=self.registry)

    @contextmanager
    def timed(self, verb: str) -> Iterator[None]:
        """Observe the seconds of one reply."""
        begun = time.perf_counter()
        yield
        self.seconds.labels(verb).observe(time.perf_counter() - begun)


class ControllerMetrics:
    """Cycles, what they wrote, and how the queue stands."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.cycles = Counter("hpcai_controller_cycles", "Cycles by result.", ["result"], registry=self.registry)
        self.writes = Counter("hpcai_controller_writes", "Objects written.", ["result"], registry=self.registry)
        self.fallbacks = Counter(
            "hpcai_controller_fallbacks", "Cycles in order of creation for want of a ranking.", registry=self.registry
        )
        self.seconds = Histogram("hpcai_controller_seconds", "Seconds of a cycle.", registry=self.registry)
        self.waiting = Gauge("hpcai_controller_waiting_jobs", "Jobs in scope that wait.", registry=self.registry)
        self.held = Gauge("hpcai_controller_held_jobs", "Jobs that room is held for.", registry=self.registry)
        self.unmet = Gauge(
            "hpcai_controller_unmet_jobs", "Jobs that ask for what is not known.", registry=self.registry
        )
        self.last = Gauge("hpcai_controller_last_success_seconds", "Unix time of the last.", registry=self.registry)
