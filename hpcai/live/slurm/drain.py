"""A cycle of the adapter that drains: look, keep books, give back, judge, guard, drain, and say so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from dataclasses import replace as with_changes
from typing import Final

import numpy as np

from hpcai.errors import HpcaiError
from hpcai.faults.detection.drains import DrainRule
from hpcai.live.decision_log import DecisionLog
from hpcai.live.faults.drainer import Drainer, Judged
from hpcai.live.guards import UnlikeTrainingError, strangeness
from hpcai.live.slurm.drain_config import DrainConfig
from hpcai.live.slurm.drain_ledger import DrainLedger, Held
from hpcai.live.slurm.node_control import NodesSeen, drain, give_back, nodes_seen
from hpcai.live.slurm.node_events import MARK, events_since, live_log
from hpcai.live.slurm.shell import Shell
from hpcai.records.failures import FailureLog
from hpcai.records.telemetry import Telemetry, read_telemetry

DRAINED: Final = "DRAIN"
_GONE: Final = frozenset({"DOWN", "DRAIN", "FAIL", "ERROR", "FUTURE", "POWERED_DOWN", "POWERING_DOWN", "UNKNOWN"})
"""States of a node of which nobody is asked: it takes no jobs anyway."""
_TOLD: Final = 10  # nodes of highest risk that the log has of each cycle


@dataclass
class DrainCycle:
    """What happened in one cycle. ``fallback`` is why nothing was judged, '' if it was.

    ``wanted`` are the nodes to drain with their risks; of them ``drained`` were, or, in shadow, none. ``released`` were
    given back, ``taken_over`` are drains of ours that others have changed since.
    """

    at: float
    mode: str
    asked: int = 0
    fallback: str = ""
    wanted: dict[str, float] = field(default_factory=dict)
    drained: tuple[str, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    released: tuple[str, ...] = ()
    taken_over: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    highest: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


class DrainAdapter:
    """Drains nodes that a bundle takes to be about to fail, for a while, or would."""

    def __init__(
        self,
        config: DrainConfig,
        drainer: Drainer,
        ledger: DrainLedger,
        log: DecisionLog,
        shell: Shell | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config, self._drainer, self._ledger, self._log = config, drainer, ledger, log
        self._shell = shell or Shell(config.timeout)
        self._clock = clock
        self._would: dict[str, Held] = {}  # in shadow: what stands in our mind
        self.killed = False
        """Whether somebody has said to give everything back, by a signal."""

    @property
    def acts(self) -> bool:
        """Whether it drains."""
        return self._config.mode == "act"

    def cycle(self) -> DrainCycle:
        """Do one cycle. Raises OSError if the log or the ledger cannot be written."""
        begun, cycle = time.perf_counter(), DrainCycle(self._clock(), self._config.mode)
        try:
            seen = nodes_seen(self._shell, cycle.at)
            cycle.taken_over = keep_books(self._ledger, seen)
            stopped = self._stopped()
            over = [node for node, held in self._held.items() if stopped or held.until <= seen.at]
            cycle.released, cycle.failed = self._release(over)
            if cycle.released and self.acts:
                seen = nodes_seen(self._shell, seen.at)  # who is still at risk is drained anew
            cycle.fallback = stopped or self._judge(seen, cycle)
            if not cycle.fallback:
                self._drain(cycle)
        except HpcaiError as error:
            cycle.fallback = str(error)
        cycle.held, cycle.seconds = tuple(self._held), round(time.perf_counter() - begun, 6)
        self._note(cycle)
        return cycle

    @property
    def _held(self) -> dict[str, Held]:
        return self._ledger.held if self.acts else self._ledger.held | self._would

    def _stopped(self) -> str:
        if self.killed:
            return "stopped by a signal"
        return f"kill switch {self._config.kill_switch}" if self._config.kill_switch.exists() else ""

    def _release(self, nodes: Iterable[str]) -> tuple[tuple[str, ...], dict[str, str]]:
        imagined = [node for node in nodes if self._would.pop(node, None) is not None]
        done, failed = release(self._ledger, self._shell, [node for node in nodes if node not in imagined])
        return (*imagined, *done), failed

    def _judge(self, seen: NodesSeen, cycle: DrainCycle) -> str:
        """Ask the bundle; return why not to follow it, '' if there is no reason."""
        scope = [node for node in seen.nodes if self._config.holds(node)]
        log = self._events(seen)
        judged = self._drainer.judge(log, seen.at - log.origin, self._telemetry(log))
        names = log.nodes["node"].tolist()
        risk = {name: float(value) for name, value in zip(names, judged.risk, strict=True)}
        able = [node.name for node in scope if not node.states & _GONE and not self._is_taken(node.name, seen.at)]
        cycle.asked = len(able)
        values = np.array([risk[name] for name in able])
        if not np.isfinite(values).all():
            return f"the risk of {able[int(np.argmin(np.isfinite(values)))]} is no number"
        order = np.argsort(-values, kind="stable")
        cycle.highest = {able[i]: round(float(values[i]), 6) for i in order[:_TOLD]}
        if why := self._unlike(judged, {name: i for i, name in enumerate(names)}, able):
            return why
        chosen = self._rule(len(scope)).drain(values, len(self._held), len(scope))
        cycle.wanted = {able[i]: float(values[i]) for i in order if chosen[i]}
        return ""

    def _is_taken(self, node: str, now: float) -> bool:
        """Whether a node is held by us, or was lately given back by others."""
        return node in self._held or self._ledger.spared.get(node, 0.0) > now

    def _events(self, seen: NodesSeen) -> FailureLog:
        """Return what is known of the nodes; where nothing is known, they are taken to have been well."""
        since = seen.at - self._config.history
        logs = events_since(self._config.events, since, self._shell)
        return live_log(seen.nodes, logs, since, seen.at, well_before=True)

    def _telemetry(self, log: FailureLog) -> Telemetry | None:
        if self._config.telemetry is None:
            return None
        telemetry = read_telemetry(self._config.telemetry)
        table = telemetry.table.assign(time=telemetry.table["time"] + telemetry.origin - log.origin)
        return Telemetry(table, log.origin)

    def _unlike(self, judged: Judged, place: dict[str, int], able: list[str]) -> str:
        """Return why the nodes are too unlike those of the training, '' if they are not."""
        manifest = self._drainer.bundle.manifest
        rows = [place[name] for name in able]
        seen = {
            feature.name: np.nan_to_num(judged.seen[feature.name][rows], nan=feature.least)  # unknown is not strange
            for tensor in manifest.inputs
            for feature in tensor.features
            if feature.least is not None
        }
        try:
            strangeness(manifest, seen).check(self._config.strange)
        except UnlikeTrainingError as error:
            return str(error).replace("of the queue", "of the nodes")
        return ""

    def _rule(self, nodes: int) -> DrainRule:
        """Return the rule, with the site's own budget and hold where it gave them."""
        rule, config = self._drainer.parameters.rule, self._config
        rule = with_changes(rule, hold=rule.hold if config.hold is None else config.hold)
        return rule if config.budget is None else with_changes(rule, count=config.budget)

    def _drain(self, cycle: DrainCycle) -> None:
        drained = []
        hold = self._rule(1).hold
        for node, risk in cycle.wanted.items():
            reason = f"{MARK} risk {risk:.3g}"
            held = Held(cycle.at, cycle.at + hold, risk, reason)
            if not self.acts:
                self._would[node] = held
                continue
            self._ledger.note(node, held)
            if why := drain(self._shell, node, reason):
                self._ledger.forget([node])
                cycle.failed[node] = why
            else:
                drained.append(node)
        cycle.drained = tuple(drained)

    def _note(self, cycle: DrainCycle) -> None:
        self._log.write("drains", digest=self._drainer.bundle.digest, **vars(cycle))
        self._log.flush()


def keep_books(ledger: DrainLedger, seen: NodesSeen) -> tuple[str, ...]:
    """Leave nodes whose drains no longer stand as we made them to those who changed them; return their names."""
    states = {node.name: node.states for node in seen.nodes}
    changed = tuple(
        node
        for node, held in ledger.held.items()
        if DRAINED not in states.get(node, ()) or seen.reasons.get(node, "") != held.reason
    )
    ledger.leave(changed)
    return changed


def release(ledger: DrainLedger, shell: Shell, nodes: Iterable[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Give nodes back; return those, and why others were not: the ledger still knows them."""
    done, failed = [], {}
    for node in nodes:
        if why := give_back(shell, node):
            failed[node] = why
        else:
            ledger.forget([node])
            done.append(node)
    return tuple(done), failed
