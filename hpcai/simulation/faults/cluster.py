"""Faults injected into a cluster on the SimPy clock: nodes fall and are repaired, jobs die, restart and are requeued.

The scheduling pass is that of every replay; a node that is down, drained or spare is to it a reservation of that node
until it is expected back. Jobs write checkpoints to a file system that they share and go on from the last one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import simpy
from numpy.typing import NDArray
from simpy.events import Event, Timeout

from hpcai.faults.checkpoints.cost import Storage
from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.rule import CheckpointPolicy
from hpcai.scheduling.rules import ENDED, RESERVED, SUBMITTED, on_event
from hpcai.scheduling.state import State
from hpcai.simulation.faults.history import FaultHistory
from hpcai.simulation.faults.node_books import DOWN, DRAINED, SPARE, NodeBooks
from hpcai.simulation.faults.outages import Outage
from hpcai.simulation.faults.storage import SharedStorage, Transfer
from hpcai.simulation.simpy_clock import JobFlow, call_at

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

RESTARTING, COMPUTING, WRITING = range(3)
_ALMOST: Final = 1e-6  # s of work that are no work


@dataclass(frozen=True)
class FaultSetting:
    """What befalls a cluster and what is done about it; times in s.

    ``drain(history, books, now)`` says every ``drain_every`` s which nodes to keep free for ``drain_for`` s.
    """

    outages: list[Outage]
    policy: CheckpointPolicy
    storage: Storage
    node_bytes: float  # of a job's state, on each of its nodes
    node_rate: float  # faults of a node that are expected (1/s)
    requeue: float = 60.0  # from a fault until its jobs are in the queue again
    crews: int | None = None  # repairs at a time; None: as many as are needed
    spares: int = 0  # nodes kept for others that fall
    drain: Callable[[FaultHistory, NodeBooks, float], Mask] | None = None
    drain_every: float = 86400.0
    drain_for: float = 7 * 86400.0


@dataclass
class JobRun:
    """How far a job is. Seconds are of all its nodes together where they say so."""

    work: float  # s of useful work that it needs
    kept: float = 0.0  # s of it that a checkpoint holds
    attempt: int = 0  # events of earlier attempts are out of date
    phase: int = COMPUTING
    since: float = 0.0  # when the phase began
    goal: float = 0.0  # s of work of the present stretch
    transfer: Transfer | None = None
    nodes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    first_start: float = np.nan
    end: float = np.nan
    interruptions: int = 0
    running: float = 0.0  # s
    useful: float = 0.0
    writing: float = 0.0
    lost: float = 0.0
    restarting: float = 0.0


class FaultyFlow(JobFlow):
    """The flow of jobs through a cluster whose nodes fail."""

    def __init__(self, env: simpy.Environment, state: State, setting: FaultSetting) -> None:
        self.setting = setting
        nodes = len(state.room)
        self.runs = [JobRun(work) for work in state.jobs["run"].tolist()]
        self.books = NodeBooks(nodes, env.now)
        self.history = FaultHistory(nodes, setting.node_rate, env.now)
        self.storage = SharedStorage(env, setting.storage)
        self.on_node: list[set[int]] = [set() for _ in range(nodes)]
        self.struck = 0
        self._broken: deque[Outage] = deque()
        self._crews_free = np.inf if setting.crews is None else setting.crews
        self._estimate = state.jobs["estimate"].copy()
        state.windows["start"], state.windows["end"] = np.inf, np.inf
        super().__init__(env, state)
        for node in range(nodes - setting.spares, nodes):
            self.books.close(node, SPARE, np.inf, env.now)
        self._reopen(range(nodes))
        on_event(state, RESERVED, -1, env.now, False)
        self._coming = iter(setting.outages)
        self._chain_outage()
        if setting.drain is not None:
            call_at(env, env.now + setting.drain_every, self._drain)

    # Jobs.

    def _begin(self, n: int) -> None:
        for j in self.state.started[:n].tolist():
            self._start(j)

    def _start(self, j: int) -> None:
        run, job, now = self.runs[j], self.state.jobs[j], self.env.now
        entries = self.state.entries["node"][job["entries"] : job["entries"] + job["size"]]
        run.nodes = np.unique(entries)
        run.attempt += 1
        run.first_start = now if np.isnan(run.first_start) else run.first_start
        for node in run.nodes.tolist():
            self.on_node[node].add(j)
        self.books.add_jobs(run.nodes.tolist(), 1, now)
        if run.kept > 0:
            self._move(j, RESTARTING, self._restarted)
        else:
            self._compute(j)

    def _move(self, j: int, phase: int, then: Callable[[int], None]) -> None:
        """Read or write the job's state, then go on."""
        run = self.runs[j]
        run.phase, run.since = phase, self.env.now
        nodes = len(run.nodes)
        run.transfer = self.storage.begin(self.setting.node_bytes * nodes, nodes, lambda: then(j))

    def _restarted(self, j: int) -> None:
        self.runs[j].restarting += self.env.now - self.runs[j].since
        self._compute(j)

    def checkpointed(self, j: int) -> CheckpointedJob:
        """Return a running job as its policy sees it: a checkpoint costs what it does while no other job writes."""
        nodes = len(self.runs[j].nodes)
        write = self.setting.storage.write_time(self.setting.node_bytes * nodes, nodes)
        return CheckpointedJob(write, write, self.setting.requeue, nodes, others=len(self.on_node) - nodes)

    def _compute(self, j: int) -> None:
        run, now = self.runs[j], self.env.now
        seen = self.history.observation(run.nodes, now)
        interval = self.setting.policy.checkpoint_interval(self.checkpointed(j), seen)
        run.phase, run.since, run.transfer = COMPUTING, now, None
        run.goal = min(interval, run.work - run.kept)
        Timeout(self.env, run.goal, (j, run.attempt)).callbacks.append(self._computed)

    def _computed(self, event: Event) -> None:
        j, attempt = event._value
        run = self.runs[j]
        if attempt != run.attempt:
            return
        if run.kept + run.goal < run.work - _ALMOST:
            self._move(j, WRITING, self._written)
            return
        run.useful, run.kept, run.end = run.useful + run.goal, run.work, self.env.now
        self._leave(j)
        done = Event(self.env)
        done._value = j
        self._end(done)

    def _written(self, j: int) -> None:
        run = self.runs[j]
        run.writing += self.env.now - run.since
        run.useful += run.goal
        run.kept += run.goal
        self._compute(j)

    def _leave(self, j: int) -> None:
        run = self.runs[j]
        run.attempt += 1
        run.running += self.env.now - float(self.state.start[j])
        for node in run.nodes.tolist():
            self.on_node[node].discard(j)
        self.books.add_jobs(run.nodes.tolist(), -1, self.env.now)

    def _kill(self, j: int) -> None:
        """Job ``j`` dies with one of its nodes, and is requeued a little later."""
        run, now, st = self.runs[j], self.env.now, self.state
        self.stop_counting(j, run.phase != COMPUTING)
        if run.transfer is not None:
            self.storage.cancel(run.transfer)
        run.interruptions += 1
        self._leave(j)
        on_event(st, ENDED, j, now, False)
        st.start[j] = np.nan
        left = 1.0 - run.kept / max(run.work, _ALMOST)
        st.jobs[j]["estimate"] = max(self._estimate[j] * left, 1.0)
        call_at(self.env, now + self.setting.requeue, self._requeue, j)

    def stop_counting(self, j: int, moving: bool) -> None:
        """Count the time of a phase that is broken off: work that no checkpoint holds is lost."""
        run, spent = self.runs[j], self.env.now - self.runs[j].since
        if not moving:
            run.lost += spent
        elif run.phase == WRITING:
            run.writing += spent
            run.lost += run.goal
        else:
            run.restarting += spent

    def _requeue(self, event: Event) -> None:
        self._begin(on_event(self.state, SUBMITTED, event._value, self.env.now, self._may_pass()))

    # Nodes.

    def _chain_outage(self) -> None:
        outage = next(self._coming, None)
        if outage is not None:
            call_at(self.env, outage.time, self._strike, outage)

    def _strike(self, event: Event) -> None:
        """Nodes fall that are not down already."""
        outage: Outage = event._value
        self._chain_outage()
        fallen = tuple(node for node in outage.nodes if not self.books.is_closed(node, DOWN))
        if not fallen:
            return
        self.struck += 1
        for node in fallen:
            self.history.note(node, self.env.now)
            for j in sorted(self.on_node[node]):
                self._kill(j)
            self.books.close(node, DOWN, np.inf, self.env.now)
        self._broken.append(Outage(outage.time, fallen, outage.repair, outage.component))
        self._send_crews()
        self._after_change(fallen)

    def _send_crews(self) -> None:
        while self._broken and self._crews_free > 0:
            outage = self._broken.popleft()
            self._crews_free -= 1
            back = self.env.now + outage.repair
            for node in outage.nodes:
                self.books.close(node, DOWN, back, self.env.now)
            self._reopen(outage.nodes)
            call_at(self.env, back, self._repaired, outage)

    def _repaired(self, event: Event) -> None:
        outage: Outage = event._value
        for node in outage.nodes:
            self.books.close(node, DOWN, -np.inf, self.env.now)
        self._crews_free += 1
        self._send_crews()
        self._after_change(outage.nodes)

    def _drain(self, event: Event) -> None:
        """Ask which nodes to keep free, and close them to new jobs."""
        assert self.setting.drain is not None
        now = self.env.now
        asked = np.flatnonzero(self.setting.drain(self.history, self.books, now)).tolist()
        chosen = [node for node in asked if not self.books.is_closed(node, DOWN, DRAINED)]
        for node in chosen:
            self.books.close(node, DRAINED, now + self.setting.drain_for, now)
        if chosen:
            call_at(self.env, now + self.setting.drain_for, self._undrain, chosen)
            self._after_change(chosen)
        call_at(self.env, now + self.setting.drain_every, self._drain)

    def _undrain(self, event: Event) -> None:
        for node in event._value:
            self.books.close(node, DRAINED, -np.inf, self.env.now)
        self._after_change(event._value)

    def _after_change(self, changed: tuple[int, ...] | list[int]) -> None:
        """Spares take the place of nodes that are gone, who comes back is the spare; then a pass."""
        books, now = self.books, self.env.now
        total = range(len(self.on_node))
        lacking = len(total) - self.setting.spares - sum(not books.is_closed(node) for node in total)
        moved = list(changed)
        for node in total if lacking > 0 else changed:
            if lacking > 0 and books.is_closed(node, SPARE) and not books.is_closed(node, DOWN, DRAINED):
                books.close(node, SPARE, -np.inf, now)
                lacking -= 1
                moved.append(node)
            elif lacking < 0 and not books.is_closed(node) and not books.jobs[node]:
                books.close(node, SPARE, np.inf, now)
                lacking += 1
        self._reopen(moved)
        self._begin(on_event(self.state, RESERVED, -1, now, self._may_pass()))

    def _reopen(self, nodes: tuple[int, ...] | list[int] | range) -> None:
        """Tell the scheduler until when nodes are closed: each has a reservation of its own."""
        for node in nodes:
            until = self.books.closed_until(node)
            closed = until > self.env.now
            self.state.windows[node]["start"] = self.env.now if closed else np.inf
            self.state.windows[node]["end"] = until if closed else np.inf
