"""A cycle of the adapter: look, judge, guard, write, and say so."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Final, Protocol

import pandas as pd

from hpcai.cluster.spec import Machine
from hpcai.errors import FormatError, HpcaiError, InputError
from hpcai.live.decision_log import DecisionLog
from hpcai.live.guards import UnlikeTrainingError, in_time, strangeness
from hpcai.live.ranking import BundleRanker, Judgement, NoAnswerError
from hpcai.live.slurm.client import Job, Poll, SlurmClient, Written, present_value
from hpcai.live.slurm.config import AdapterConfig
from hpcai.live.slurm.cycle import Cycle
from hpcai.live.slurm.ledger import Ledger
from hpcai.live.slurm.memory import note_cycle, note_ledger, note_past, note_poll, recent
from hpcai.live.slurm.plan import Plan, plan, to_order, to_put_back
from hpcai.live.slurm.state import live_state
from hpcai.live.state import LiveState

FIRST_TIMEOUT: Final = 600.0
"""s that the policy may take for its first answer: its features are compiled then."""


class Past(Protocol):
    """Where a predictor's history comes from."""

    def jobs(self, origin: float) -> pd.DataFrame | None:
        """Return jobs that have ended, times in s from ``origin``; None if nobody needs them."""
        ...


class Adapter:
    """Puts the waiting jobs of a scope in a policy's order, again and again, or would."""

    def __init__(
        self,
        config: AdapterConfig,
        client: SlurmClient,
        ranker: BundleRanker,
        log: DecisionLog,
        ledger: Ledger,
        *,
        machine: Machine | None = None,
        past: Past | None = None,
    ) -> None:
        self._config, self._client, self._ranker, self._log, self._ledger = config, client, ranker, log, ledger
        self._machine, self._past = machine, past
        # Good cycles in a row, up to what is needed. After a crash the ledger holds something: no good beginning.
        self._calm = 0 if ledger.before else config.calm
        self._answered, self._judged = False, False  # whether Slurm, and the policy, ever have
        self._asking = threading.Lock()
        self._before_write: dict[str, Job] = {}  # jobs as they were when something was last written to them
        self._immovable: set[str] = set()
        self.killed = False
        """Whether somebody has said to stop acting, by a signal."""

    @property
    def acts(self) -> bool:
        """Whether it writes an order."""
        return self._config.mode == "act"

    def cycle(self) -> Cycle:
        """Do one cycle.

        Raises OSError if the log or the ledger cannot be written, InputError if Slurm cannot be asked at all and never
        could.
        """
        begun = time.perf_counter()
        try:
            poll = self._client.poll()
        except HpcaiError as error:
            if isinstance(error, InputError) and not isinstance(error, FormatError) and not self._answered:
                raise
            self._calm = 0
            return self._end(Cycle(time.time(), fallback=str(error)), begun)
        self._answered = True
        cycle = Cycle(poll.at)
        cycle.seconds["poll"] = time.perf_counter() - begun
        note_poll(self._log, poll)
        present = {job.id for job in poll.jobs} | {job.array_id for job in poll.jobs}
        self._ledger.forget([job for job in self._ledger.before if job not in present])
        try:
            self._watch_effect(poll, cycle)
            cycle.fallback = self._stopped(poll) or self._judge(poll, cycle) or self._not_yet_calm()
            if not cycle.fallback and self.acts and cycle.plan is not None and cycle.plan.changes:
                cycle.fallback = self._stopped(poll)  # judging takes time
                if not cycle.fallback:
                    self._write(poll, cycle.plan, cycle)
            if cycle.fallback:
                self._put_back(poll, cycle)
        except HpcaiError as error:
            cycle.fallback, self._calm = str(error), 0
        return self._end(cycle, begun)

    def restore(self, poll: Poll | None = None) -> tuple[str, ...]:
        """Put every value back that was changed and still stands, of jobs that wait; return their ids.

        ``poll`` is how things stand, asked for by default. Raises HpcaiError if Slurm does not answer: the ledger then
        still knows them.
        """
        if not self._ledger.before:
            return ()
        return put_back(self._client, self._ledger, poll or self._client.poll(), self._log)

    def _stopped(self, poll: Poll) -> str:
        """Return why nothing may be done at all, '' if it may."""
        if self.killed:
            return "stopped by a signal"
        if self._config.kill_switch.exists():
            return f"kill switch {self._config.kill_switch}"
        age = time.time() - poll.at
        return f"what is known is {age:.0f} s old" if age > self._config.stale else ""

    def _watch_effect(self, poll: Poll, cycle: Cycle) -> None:
        """Find the jobs whose priority has not moved by what was written last, and leave them alone from now on.

        A priority that was set by hand does not, and no priority does without priority/multifactor.
        """
        how = self._config.how
        for job in poll.jobs:
            earlier = self._before_write.get(job.id)
            if earlier is None or how == "priority" or job.state != "PENDING":
                continue
            if job.priority == earlier.priority and present_value(job, how) != present_value(earlier, how):
                self._immovable.add(job.id)
        self._before_write = {}
        self._immovable &= {job.id for job in poll.jobs}
        cycle.immovable = tuple(sorted(self._immovable))
        stuck = [job for job in poll.jobs if job.id in self._immovable]
        if back := to_put_back(stuck, self._ledger.before, how):
            self._ledger.forget(self._client.put_back(back).accepted)

    def _judge(self, poll: Poll, cycle: Cycle) -> str:
        """Ask the policy and make a plan; return why not to follow it, '' if there is no reason."""
        begun = time.perf_counter()
        # The first look compiles, which takes as long as it takes.
        timeout = self._config.timeout if self._judged else FIRST_TIMEOUT
        try:
            state, judgement = in_time(lambda: self._ask(poll), timeout)
        except HpcaiError as error:
            return f"policy: {error}"
        except Exception as error:  # whatever it is, the site's order stands
            return f"policy: {type(error).__name__}: {error}"
        finally:
            cycle.seconds["judge"] = time.perf_counter() - begun
        self._judged = True
        cycle.origin = state.origin
        if state.past is not None:
            note_past(self._log, state.past)
        scope = to_order(poll, state, judgement, self._config.scope)
        movable = [job for job in scope if job.id not in self._immovable]
        cycle.waiting, cycle.scope = len(state.waiting), len(scope)
        note_ledger(self._log, self._ledger.before)
        cycle.plan = plan(movable, poll.at, self._config, self._ledger.before)
        found = strangeness(self._ranker.bundle.manifest, judgement.seen)
        cycle.strange = found.told
        try:
            found.check(self._config.strange)
        except UnlikeTrainingError as error:
            return str(error)
        if cycle.plan.stuck or len(movable) < 2 <= len(scope):
            return f"nothing written as {self._config.how} moves the scope (what it needs: docs/live.md)"
        return ""

    def _ask(self, poll: Poll) -> tuple[LiveState, Judgement]:
        if not self._asking.acquire(blocking=False):
            raise NoAnswerError("it is still at an earlier queue")
        try:
            return self._answer(poll)
        finally:
            self._asking.release()

    def _answer(self, poll: Poll) -> tuple[LiveState, Judgement]:
        state = live_state(poll, self._origin(poll), self._machine)
        past = self._past.jobs(state.origin) if self._past is not None else None
        if past is not None:
            state = replace(state, past=recent(past))
        return state, self._ranker.judge(state)

    def _origin(self, poll: Poll) -> float:
        """Return second 0: that of the training if it is known, else when this adapter was first started."""
        known = self._ranker.bundle.manifest.origin
        if known is not None and known < poll.at:
            return known
        if self._ledger.origin is None:
            self._ledger.origin = poll.at
            self._ledger.save()
        return self._ledger.origin

    def _not_yet_calm(self) -> str:
        """Count good cycles after a fallback; return why not to act yet, '' if there are enough."""
        self._calm = min(self._calm + 1, self._config.calm)
        return "" if self._calm >= self._config.calm else f"good again for {self._calm} of {self._config.calm} cycles"

    def _put_back(self, poll: Poll, cycle: Cycle) -> None:
        if not cycle.fallback.startswith("good again"):
            self._calm = 0
        cycle.restored = self.restore(poll)

    def _write(self, poll: Poll, wanted: Plan, cycle: Cycle) -> None:
        """Write what is most urgent, no more than is allowed in a cycle."""
        begun = time.perf_counter()
        changes = dict(list(wanted.changes.items())[: self._config.most_changes])
        self._ledger.note({job: wanted.before[job] for job in changes})
        done = self._client.write(changes)
        cycle.written, cycle.failed = done.accepted, dict(done.failed)
        self._before_write = {job.id: job for job in poll.jobs if job.id in done.accepted}
        cycle.seconds["write"] = time.perf_counter() - begun

    def _end(self, cycle: Cycle, begun: float) -> Cycle:
        cycle.seconds["all"] = time.perf_counter() - begun
        note_cycle(self._log, cycle, self._config.mode, self._ranker.bundle.digest, self._ledger.before)
        self._log.flush()
        return cycle


def put_back(client: SlurmClient, ledger: Ledger, poll: Poll, log: DecisionLog | None = None) -> tuple[str, ...]:
    """Put back what was changed of the jobs of ``poll``; return the ids. Raises HpcaiError if Slurm does not answer.

    The ledger then forgets whoever waits and has, or was given, a value of its own. It goes on knowing those that
    Slurm refused, and those that run: they may be requeued with what was written.
    """
    back = to_put_back(poll.jobs, ledger.before, ledger.how)
    done: Written = client.put_back(back) if back else Written(())
    untouched = {job.id for job in poll.jobs if job.state == "PENDING"} - back.keys()
    ledger.forget([*done.accepted, *untouched])
    if log is not None and done.accepted:
        log.write("restored", at=time.time(), jobs=list(done.accepted))
        log.flush()
    return done.accepted
