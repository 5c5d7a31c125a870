"""The adapter as a service: what it is made of, its clock, its signals, its end."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from hpcai.errors import InputError
from hpcai.live.bundle import read_bundle
from hpcai.live.cooling.adapter import Adapter, Cycle
from hpcai.live.cooling.clock import Clock
from hpcai.live.cooling.config import CoolingAdapterConfig
from hpcai.live.cooling.forecast import Forecast, Rate
from hpcai.live.cooling.handover import Handover
from hpcai.live.cooling.modbus import Connection
from hpcai.live.cooling.observer import Observer
from hpcai.live.cooling.points import load_points
from hpcai.live.cooling.policy import CoolingPolicy
from hpcai.live.decision_log import DecisionLog
from hpcai.live.lock import only_one
from hpcai.live.signals import taken

if TYPE_CHECKING:
    from hpcai.live.cooling.metrics import CoolingMetrics

_say = logging.getLogger("hpcai.live")

LAST_TRIES: Final = 3
"""Times that handing back is tried at the end while the plant does not answer."""
STEP: Final = 900.0
"""s from one decision to the next where neither the bundle nor the configuration says."""


class Service:
    """An adapter with everything that it needs, laid out in its folder."""

    def __init__(self, config: CoolingAdapterConfig, clock: Clock | None = None) -> None:
        """Raises InputError if the bundle, the point map or what lies in the folder cannot be used."""
        self.config = config
        self.clock = clock or (Clock() if config.utc_offset is None else Clock(utc_offset=config.utc_offset))
        self.points, self.policy = load_points(config.points), CoolingPolicy(read_bundle(config.bundle, config.digest))
        self.interval = config.interval or self.policy.parameters.step_length or STEP
        if self.interval < config.poll:
            raise InputError(f"interval {self.interval:g} s: expected at least one poll, {config.poll:g} s")
        if config.shield is not None:
            from hpcai.live.cooling.shielding import Shielded

            self.policy = Shielded(self.policy, config.shield, config.shield_limit, self.interval)
        self._forecast, rate = Forecast(config.forecast, self.interval), Rate(config.rate)
        observer = Observer(self.points, self.interval, self.clock, self._forecast, rate, self.policy.design_power)
        observer.check_has(self.policy.needs)
        with ExitStack() as opened:
            opened.enter_context(only_one(config.state))
            connection = opened.enter_context(closing(Connection(config.host, config.port, config.timeout)))
            self._log = opened.enter_context(closing(_open_log(config)))
            self.adapter = Adapter(
                config, self.points, self.policy, connection, observer, self._log, self.clock, self.interval
            )
            self._metrics = _metrics(config, opened)
            self._opened = opened.pop_all()
        self._over, self._ended = threading.Event(), False
        self._begin()

    def _begin(self) -> None:
        """Say in the log, and of what may surprise on standard error, how it begins."""
        self._log.begin(
            "start",
            at=self.clock.now(),
            hpcai=version("hpcai"),
            digest=self.policy.bundle.digest,
            config=self.config.model_dump(mode="json"),
            points=self.points.model_dump(mode="json", exclude_none=True),
        )
        self._log.flush()
        for surprise in self._surprises():
            _say.warning("%s", surprise)

    def _surprises(self) -> Iterator[str]:
        learned = self.policy.parameters.step_length
        if learned is not None and learned != self.interval:
            yield f"the policy was made for steps of {learned:g} s, and decides every {self.interval:g} s"
        if self._forecast.why and "dry_bulb_1h" in self.policy.needs:
            yield f"{self._forecast.why}: the weather is expected to stay as it is"
        if self.config.mode == "shadow" and self.config.mark.exists():
            yield f"{self.config.mark}: an earlier run did not hand the plant back; --release does"

    def run(self, cycles: int | None = None, told: Callable[[Cycle], None] | None = None) -> None:
        """Go on until SIGTERM or SIGINT, or for ``cycles``, and hand the plant back; ``told`` is told of each."""
        with self._signals():
            try:
                done = 0
                while not self._over.is_set() and (cycles is None or done < cycles):
                    begun = self.clock.passed()
                    self._cycle(told)
                    done += 1
                    if cycles is None or done < cycles:
                        self._over.wait(max(self.config.poll - (self.clock.passed() - begun), 0.0))
            finally:
                self.end()

    def _cycle(self, told: Callable[[Cycle], None] | None) -> None:
        cycle = self.adapter.cycle()
        if self._metrics is not None:
            self._metrics.note(cycle)
        if told is not None:
            told(cycle)

    def end(self) -> None:
        """Hand the plant back and close everything; done once, there is nothing left to do."""
        if self._ended:
            return
        self._ended = True
        free = any(self.adapter.end() for _ in range(LAST_TRIES))
        self._log.write("stop", at=self.clock.now(), owed=not free)
        self._log.flush()
        self._opened.close()

    def _signals(self) -> AbstractContextManager[None]:
        """Take the signals that end the service."""
        return taken({signal.SIGTERM: self._over.set, signal.SIGINT: self._over.set})


def release(config: CoolingAdapterConfig) -> list[str]:
    """Give the plant its own setpoints, whoever has written others; return what it refused.

    Raises LostError if it does not answer, InputError if an adapter is at work in the folder.
    """
    points = load_points(config.points)
    with only_one(config.state), closing(Connection(config.host, config.port, config.timeout)) as connection:
        connection.connect()
        return Handover(points, connection, config.mark).give_back()


def _open_log(config: CoolingAdapterConfig) -> DecisionLog:
    """Return the decision log. Raises InputError if it cannot be written."""
    try:
        return DecisionLog(config.log_path, config.log_bytes, config.log_files)
    except OSError as error:
        raise InputError(f"{config.log_path}: cannot be written: {error.strerror}") from error


def _metrics(config: CoolingAdapterConfig, opened: ExitStack) -> CoolingMetrics | None:
    """Return metrics that are served, if they are asked for. Raises InputError if they cannot be."""
    if config.metrics_port is None:
        return None
    try:
        from hpcai.live.cooling.metrics import CoolingMetrics
    except ImportError as error:
        raise InputError("live cooling: metrics need prometheus-client; install hpcai[modbus]") from error
    metrics = CoolingMetrics()
    _, stop = metrics.serve(config.metrics_host, config.metrics_port)
    opened.callback(stop)
    return metrics
