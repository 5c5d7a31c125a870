"""What an adapter to a plant counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from hpcai.errors import InputError
from hpcai.live.cooling.adapter import Cycle


class CoolingMetrics:
    """Cycles and what they came to, readings and setpoints as they stand."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.cycles = Counter("hpcai_cooling_cycles", "Cycles by result.", ["state"], registry=registry)
        self.fallbacks = Counter("hpcai_cooling_fallbacks", "Times that a fallback began.", registry=registry)
        self.writes = Counter("hpcai_cooling_writes", "Registers written.", registry=registry)
        self.acting = Gauge("hpcai_cooling_acting", "1 while the policy is in control.", registry=registry)
        self.last = Gauge("hpcai_cooling_last_success_seconds", "Unix time of the last good cycle.", registry=registry)
        self.seconds = Histogram("hpcai_cooling_seconds", "Seconds of a cycle.", registry=registry)
        self.readings = Gauge("hpcai_cooling_reading", "Readings in their units.", ["name"], registry=registry)
        self.targets = Gauge("hpcai_cooling_target", "Setpoints that are steered to.", ["name"], registry=registry)
        self._before = ""

    def serve(self, host: str, port: int) -> tuple[int, Callable[[], None]]:
        """Serve them over HTTP; return the port and what ends it. Raises InputError if the port cannot be had."""
        try:
            server, thread = start_http_server(port, host, self.registry)
        except OSError as error:
            raise InputError(f"metrics: {host}:{port}: cannot listen: {error.strerror}") from error

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return int(server.server_port), stop

    def note(self, cycle: Cycle) -> None:
        """Count a cycle."""
        self.cycles.labels(cycle.state).inc()
        self.fallbacks.inc(cycle.state == "fallback" and self._before != "fallback")
        self.writes.inc(len(cycle.written))
        self.acting.set(cycle.state == "acting")
        self.seconds.observe(cycle.seconds)
        if cycle.state != "fallback":
            self.last.set(cycle.at)
        for gauge, values in ((self.readings, cycle.values), (self.targets, cycle.target)):
            for name, value in values.items():
                gauge.labels(name).set(value)
        self._before = cycle.state
