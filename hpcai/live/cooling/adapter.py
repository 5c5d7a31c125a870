"""One cycle of following a controller on a plant: read, judge, decide, steer, and hand back when anything is wrong."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from hpcai.cooling.interface import SETPOINTS, Floats
from hpcai.cooling.observation import OBSERVED
from hpcai.errors import HpcaiError
from hpcai.live.cooling.clock import Clock
from hpcai.live.cooling.config import CoolingAdapterConfig
from hpcai.live.cooling.handover import Handover
from hpcai.live.cooling.modbus import Connection, LostError, RefusedError
from hpcai.live.cooling.observer import Observer
from hpcai.live.cooling.points import PointMap
from hpcai.live.cooling.policy import CoolingPolicy
from hpcai.live.cooling.sensors import NotBelievedError, Sensors
from hpcai.live.cooling.steering import Steering
from hpcai.live.decision_log import DecisionLog
from hpcai.live.guards import in_time, strangeness

State = Literal["shadow", "calming", "acting", "fallback"]
STALL: Final = 4.0  # polls

_say = logging.getLogger("hpcai.live")


class NotAllowedError(HpcaiError):
    """Somebody does not want us to act now."""


@dataclass
class Cycle:
    """What a cycle came to. ``reason``: why it fell back; ``target``: the setpoints that are steered to."""

    at: float
    state: State
    reason: str = ""
    values: dict[str, float] = field(default_factory=dict)
    decided: bool = False
    target: dict[str, float] = field(default_factory=dict)
    written: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


class Adapter:
    """Follows a controller cycle by cycle; all that lasts from one to the next is here or in its parts."""

    def __init__(
        self,
        config: CoolingAdapterConfig,
        points: PointMap,
        policy: CoolingPolicy,
        connection: Connection,
        observer: Observer,
        log: DecisionLog,
        clock: Clock,
        interval: float,
    ) -> None:
        """Take the parts; ``interval`` (s) is from one decision to the next."""
        self.config, self.policy, self.clock = config, policy, clock
        self._points, self._connection, self._observer, self._log = points, connection, observer, log
        self._interval = interval
        self._sensors, self._steering = Sensors(points, config.frozen), Steering(points)
        self.handover = Handover(points, connection, config.mark)
        self._acts = config.mode == "act"
        self._good = 0  # good cycles in a row
        self._target: Floats | None = None
        self._decided_at: float | None = None  # seconds passed, as the following
        self._last: float | None = None
        self._retry_at, self._pause = 0.0, config.poll
        self._refused: list[str] = []
        self._told: dict[str, object] = {}

    def cycle(self) -> Cycle:
        """Do one cycle, and say what it came to; whatever goes wrong on the plant or in the policy is a fallback."""
        begun = self.clock.passed()
        cycle = Cycle(self.clock.now(), "shadow" if not self._acts else "calming")
        try:
            self._work(cycle, begun)
            self._good += 1
        except HpcaiError as error:
            self._fall_back(cycle, error)
        self._last = begun
        cycle.seconds = self.clock.passed() - begun
        self._record(cycle)
        return cycle

    def _work(self, cycle: Cycle, begun: float) -> None:
        elapsed = self.config.poll if self._last is None else begun - self._last
        self._check_stall(elapsed)
        self._connect(begun)
        if self._acts and self.handover.owed and not self.handover.in_control and (refused := self._give_back()):
            raise RefusedError(refused[0])
        read = self._connection.read(self._points.read)
        cycle.values = {**_of(read, "reading"), **_of(read, "load")}
        self._sensors.check(cycle.values)
        self._observer.add(cycle.values)
        if self._target is None or self._decided_at is None or begun - self._decided_at >= self._due:
            self._decide(cycle, begun)
        assert self._target is not None
        cycle.target = self._steering.wanted(self._target)
        if self._acts:
            self._check_allowed(read)
            self.handover.beat()
            self._act(cycle, read, min(elapsed, 2 * self.config.poll))

    @property
    def _due(self) -> float:
        """Seconds after a decision from which on the next is due; half a poll early is nearer than half a poll late."""
        return self._interval - self.config.poll / 2

    def _check_stall(self, elapsed: float) -> None:
        most = self.config.stall or STALL * self.config.poll
        if self.handover.in_control and elapsed > most:
            raise NotBelievedError(f"the adapter itself stood still for {elapsed:.0f} s")

    def _connect(self, begun: float) -> None:
        """Raise LostError unless connected; attempts are ever further apart."""
        if self._connection.connected:
            return
        if begun < self._retry_at:
            raise LostError(f"{self.config.host}:{self.config.port}: no connection")
        try:
            self._connection.connect()
        except LostError:
            self._retry_at = begun + self._pause
            self._pause = min(2 * self._pause, self.config.farthest)
            raise
        self._pause = self.config.poll

    def _decide(self, cycle: Cycle, begun: float) -> None:
        """Ask the policy. Raises NoAnswerError, NotBelievedError if what is seen is unlike its training."""
        observation = self._observer.take()
        seen = {point.name: observation[i : i + 1] for i, point in enumerate(OBSERVED)}
        inputs = [feature for tensor in self.policy.bundle.manifest.inputs for feature in tensor.features]
        told = strangeness(self.policy.bundle.manifest, {f.name: seen[f.name] for f in inputs}).told
        self._target = in_time(lambda: self.policy.setpoints(observation), self.config.answer)
        self._decided_at, cycle.decided = begun, True
        self._log.write(
            "decision",
            at=cycle.at,
            observed={name: _plain(value[0]) for name, value in seen.items() if np.isfinite(value[0])},
            setpoints={p.name: _plain(v) for p, v in zip(SETPOINTS, self._target, strict=True) if np.isfinite(v)},
            **self.policy.notes,
            **({"unlike": list(told)} if told else {}),
        )
        if len(told) > self.config.strange * max(len(inputs), 1):
            raise NotBelievedError(
                f"{len(told)} of {len(inputs)} features are unlike the training, such as {next(iter(told))}"
            )

    def _check_allowed(self, read: Mapping[str, float]) -> None:
        permit = self._points.enable
        if self.config.kill_switch.exists():
            raise NotAllowedError(f"{self.config.kill_switch} is there")
        if permit is not None and read["flag.enable"] != permit.value:
            raise NotAllowedError(f"the plant does not allow it: enable is {read['flag.enable']:g}")

    def _act(self, cycle: Cycle, read: Mapping[str, float], seconds: float) -> None:
        """Write setpoints once enough cycles in a row were good."""
        found = _of(read, "setpoint")
        if not self.handover.in_control:
            if self._good + 1 < self.config.calm:
                return
            self._steering.begin(found)
        cycle.state = "acting"
        cycle.written = self.handover.steer(self._steering.toward(cycle.target, seconds), found | _of(read, "flag"))

    def _fall_back(self, cycle: Cycle, error: HpcaiError) -> None:
        """Leave the plant to itself, at once if it can be reached, and forget what was under way."""
        cycle.state, cycle.reason = "fallback", str(error)
        self._good, self._target = 0, None
        self.policy.reset()
        self._observer.forget()
        self.handover.in_control = False
        if self._acts and self.handover.owed and self._connection.connected:
            try:
                self._give_back()
            except LostError as lost:
                cycle.reason += f"; {lost}"

    def _give_back(self) -> list[str]:
        """Write the plant's own; return, and say if it is news, what was refused. Raises LostError."""
        refused = self.handover.give_back()
        if refused != self._refused or not refused:
            self._log.write("given back", at=self.clock.now(), **({"refused": refused} if refused else {}))
            for each in refused:
                _say.warning("the plant's own setpoints cannot be put back: %s", each)
        self._refused = refused
        return refused

    def end(self) -> bool:
        """Hand back, if anything is owed; say whether the plant is left to itself."""
        if self._acts and self.handover.owed:
            try:
                self._connection.connect()
                self._give_back()
            except LostError as error:
                _say.warning("the plant's own setpoints cannot be put back: %s", error)
        return not (self._acts and self.handover.owed)

    def _record(self, cycle: Cycle) -> None:
        """Log what has changed: state, reason, what was written."""
        lasting: dict[str, object] = {"state": cycle.state, "reason": cycle.reason, "target": _rounded(cycle.target)}
        if lasting != self._told or cycle.written:
            written = {"written": _rounded(cycle.written)} if cycle.written else {}
            self._log.write_lasting("cycle", lasting, at=cycle.at, **written)
        if lasting != self._told or cycle.written or cycle.decided:
            self._log.flush()
        self._told = lasting


def _of(read: Mapping[str, float], kind: str) -> dict[str, float]:
    return {name.removeprefix(f"{kind}."): value for name, value in read.items() if name.startswith(f"{kind}.")}


def _plain(value: float) -> float:
    return float(f"{value:.9g}")


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: _plain(value) for name, value in values.items()}
