"""A cycle of the adapter: look, judge, guard, write, and say so."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Protocol

import pandas as pd

from hpcai.cluster.spec import Machine
from hpcai.errors import FormatError, HpcaiError
from hpcai.live.decision_log import DecisionLog
from hpcai.live.guards import UnlikeTrainingError, beyond_range, check_range, in_time
from hpcai.live.ranking import BundleRanker, Judgement
from hpcai.live.slurm.client import Job, Poll, SchedulerGoneError, SlurmClient, Written
from hpcai.live.slurm.config import AdapterConfig
from hpcai.live.slurm.cycle import Cycle
from hpcai.live.slurm.ledger import Ledger
from hpcai.live.slurm.memory import note_cycle, note_past, note_poll, recent
from hpcai.live.slurm.plan import Plan, plan
from hpcai.live.slurm.state import live_state
from hpcai.live.state import LiveState


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
        self._calm = config.calm  # good cycles in a row, up to what is needed
        self.killed = False
        """Whether somebody has said to stop acting, by a signal."""

    @property
    def acts(self) -> bool:
        """Whether it writes."""
        return self._config.mode == "act"

    def cycle(self) -> Cycle:
        """Do one cycle. Raises OSError if the log or the ledger cannot be written."""
        begun = time.perf_counter()
        try:
            poll = self._client.poll()
        except (SchedulerGoneError, FormatError) as error:
            return self._end(Cycle(time.time(), fallback=str(error)), begun)
        cycle = Cycle(poll.at)
        cycle.seconds["poll"] = time.perf_counter() - begun
        note_poll(self._log, poll)
        jobs = {job.id: job for job in poll.jobs if job.state == "PENDING"}
        self._ledger.forget([job for job in self._ledger.before if job not in jobs])
        try:
            cycle.fallback = self._stopped(poll) or self._judge(poll, jobs, cycle)
            cycle.fallback = cycle.fallback or self._not_yet_calm()
            if cycle.fallback:
                self._put_back(cycle)
            elif self.acts and cycle.plan is not None and cycle.plan.changes:
                self._write(cycle.plan, cycle)
        except SchedulerGoneError as error:
            cycle.fallback = str(error)
        return self._end(cycle, begun)

    def restore(self) -> tuple[str, ...]:
        """Put every value back that was changed, of jobs that still wait; return their ids.

        Raises SchedulerGoneError if Slurm does not answer: the ledger then still knows them.
        """
        if not self.acts or not self._ledger.before:
            return ()
        done: Written = self._client.put_back(self._ledger.before)
        self._ledger.forget(done.accepted)  # others have ended, which the next poll tells, or are tried again
        self._log.write("restored", at=time.time(), jobs=list(done.accepted))
        self._log.flush()
        return done.accepted

    def _stopped(self, poll: Poll) -> str:
        """Return why nothing may be done at all, '' if it may."""
        if self.killed:
            return "stopped by a signal"
        if self._config.kill_switch.exists():
            return f"kill switch {self._config.kill_switch}"
        age = time.time() - poll.at
        return f"what is known is {age:.0f} s old" if age > self._config.stale else ""

    def _judge(self, poll: Poll, jobs: dict[str, Job], cycle: Cycle) -> str:
        """Ask the policy and make a plan; return why not to follow it, '' if there is no reason."""
        begun = time.perf_counter()
        try:
            state, judgement = in_time(lambda: self._ask(poll), self._config.timeout)
        except (HpcaiError, ValueError, KeyError, IndexError) as error:  # whatever it is, the site's order stands
            return f"policy: {error}" if isinstance(error, HpcaiError) else f"policy: {type(error).__name__}: {error}"
        finally:
            cycle.seconds["judge"] = time.perf_counter() - begun
        cycle.origin = state.origin
        if state.past is not None:
            note_past(self._log, state.past)
        ids = state.waiting["job_id"].to_numpy()[judgement.order].tolist()
        in_scope = [jobs[job] for job in ids[: judgement.judged] if self._config.scope.holds(jobs[job])]
        cycle.waiting, cycle.scope = len(ids), len(in_scope)
        cycle.plan = plan(in_scope, poll.at, self._config, self._ledger.before)
        cycle.strange = beyond_range(self._ranker.bundle.manifest, judgement.seen)[1]
        try:
            check_range(self._ranker.bundle.manifest, judgement, self._config.strange)
        except UnlikeTrainingError as error:
            return str(error)
        return ""

    def _ask(self, poll: Poll) -> tuple[LiveState, Judgement]:
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

    def _put_back(self, cycle: Cycle) -> None:
        if not cycle.fallback.startswith("good again"):
            self._calm = 0
        cycle.restored = self.restore()

    def _write(self, wanted: Plan, cycle: Cycle) -> None:
        """Write what is most urgent, no more than is allowed in a cycle."""
        begun = time.perf_counter()
        changes = dict(list(wanted.changes.items())[: self._config.most_changes])
        self._ledger.note({job: wanted.originals[job] for job in changes})
        done = self._client.write(changes)
        cycle.written, cycle.failed = done.accepted, dict(done.failed)
        cycle.seconds["write"] = time.perf_counter() - begun

    def _end(self, cycle: Cycle, begun: float) -> Cycle:
        cycle.seconds["all"] = time.perf_counter() - begun
        note_cycle(self._log, cycle, self._config.mode, self._ranker.bundle.digest, self._ledger.before)
        self._log.flush()
        return cycle
