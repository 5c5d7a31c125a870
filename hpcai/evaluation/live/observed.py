"""A decision log as tables: the jobs that ran, the looks of the adapter, and who started from which place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

from hpcai.cluster.spec import Machine, load_machine
from hpcai.errors import InputError
from hpcai.live.decision_log import Record
from hpcai.live.slurm.client import Job
from hpcai.live.slurm.layout import layout
from hpcai.live.slurm.memory import Decision, Moment, moments
from hpcai.live.slurm.state import job_table
from hpcai.live.slurm.tasks import equal_shares
from hpcai.records.schema import Trace

CYCLE_COLUMNS: Final = (
    "at", "mode", "fallback", "waiting", "scope", "written", "failed", "restored", "held_back", "moved",
    "poll", "judge", "write", "all",
)  # fmt: skip
START_COLUMNS: Final = ("job", "at", "site_place", "policy_place", "waiting")


@dataclass(frozen=True)
class Observed:
    """What a log tells of the time from ``begin`` to ``end`` (Unix).

    ``trace`` are the jobs that ended within it, each end known to the time between two looks; ``left_out`` are jobs
    that are not among them, by reason. ``cycles`` has a row for each look, ``starts`` one for each job that started:
    its place in the site's own order and in the policy's, from 1, when it was last seen waiting.
    """

    begin: float
    end: float
    trace: Trace
    cycles: pd.DataFrame
    starts: pd.DataFrame
    left_out: dict[str, int]
    strange: dict[str, float]  # by feature, the mean share of jobs beyond the range of the training


@dataclass
class _Watch:
    """Follows the jobs from look to look."""

    seen: dict[str, Job] = field(default_factory=dict)
    last: float = 0.0
    ended: list[tuple[Job, float]] = field(default_factory=list)
    vanished: int = 0
    begun: set[str] = field(default_factory=set)  # jobs that have started, if only once before they were requeued
    requeued: int = 0
    places: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    starts: list[tuple[str, float, int, int, int]] = field(default_factory=list)
    cycles: list[dict[str, Any]] = field(default_factory=list)
    strange: list[dict[str, float]] = field(default_factory=list)

    def take(self, moment: Moment) -> None:
        present = {job.id: job for job in moment.poll.jobs}
        for name, job in list(self.seen.items()):
            if name not in present:
                self._gone(job, moment.poll.at)
                del self.seen[name]
        for name, job in present.items():
            before = self.seen.get(name)
            if job.start is not None and (before is None or before.start is None):
                self._started(job)
            self.seen[name] = job
        self._note(moment.cycle)
        self.last = moment.poll.at

    def _gone(self, job: Job, now: float) -> None:
        """A job is not there any more: if it ran, it has ended halfway between the two looks, to our knowledge.

        Between two looks far apart it has ended at its time limit at the latest.
        """
        if job.start is not None:
            latest = np.inf if job.time_limit is None else job.start + job.time_limit
            self.ended.append((job, max(min((self.last + now) / 2, latest), job.start)))
        elif job.id in self.begun:
            self.requeued += 1
        else:
            self.vanished += job.array_tasks == ""

    def _started(self, job: Job) -> None:
        self.begun.add(job.id)
        place = self.places.get(job.id) or self.places.get(job.array_id)
        if place is not None and job.start is not None:
            self.starts.append((job.id, job.start, *place))

    def _note(self, cycle: Decision) -> None:
        own = {name: place for place, name in enumerate(cycle.site, 1)}
        self.places = {name: (own[name], place, len(own)) for place, name in enumerate(cycle.wanted, 1)}
        self.cycles.append(
            {name: getattr(cycle, name) for name in ("at", "mode", "fallback", "waiting", "scope")}
            | {name: len(getattr(cycle, name)) for name in ("written", "failed", "restored")}
            | {"held_back": cycle.held_back or 0}
            | {"moved": sum(a != b for a, b in zip(cycle.order, cycle.site, strict=True))}
            | cycle.seconds
        )
        self.strange.append(cycle.strange)


def observe(records: Iterable[Record], begin: float = -np.inf, end: float = np.inf) -> Observed:
    """Return what a log tells of the looks from ``begin`` to ``end`` (Unix time).

    Raises InputError if there is no look in that time, or a record is damaged.
    """
    watch, latest = _Watch(), None
    for moment in moments(records):
        if begin <= moment.poll.at < end:
            watch.take(moment)
            latest = moment
    if latest is None:
        raise InputError("decision log: no look at Slurm in that time")
    first = float(watch.cycles[0]["at"])
    machine = _machine(latest)
    running = sum(job.start is not None for job in watch.seen.values())
    left_out = {
        "still running": running,
        "still waiting": len(watch.seen) - running,
        "gone before they started": watch.vanished,
        "requeued and gone before they started again": watch.requeued,
    }
    strange = pd.DataFrame(watch.strange).fillna(0.0).mean()
    return Observed(
        begin=first,
        end=latest.poll.at,
        trace=_trace(watch.ended, machine),
        cycles=pd.DataFrame(watch.cycles).reindex(columns=list(CYCLE_COLUMNS)),
        starts=pd.DataFrame(watch.starts, columns=list(START_COLUMNS)),
        left_out={reason: count for reason, count in left_out.items() if count},
        strange={str(name): float(share) for name, share in strange.items()},
    )


def _machine(moment: Moment) -> Machine:
    named = moment.config.get("machine")
    return layout(moment.poll, load_machine(str(named)) if named is not None else None).machine


def _trace(ended: list[tuple[Job, float]], machine: Machine) -> Trace:
    """Return the jobs that have ended as a trace, seconds from the first submission."""
    ended = sorted(ended, key=lambda pair: (pair[0].submit, pair[0].number))
    origin = min((job.waits_since for job, _ in ended), default=0.0)
    table = job_table([job for job, _ in ended], origin, machine, "completed", equal_shares)
    ends = np.array([end for _, end in ended], dtype=np.float64) - origin
    table = table.assign(end=ends, run_time=ends - table["start"]).sort_values("submit", kind="stable")
    return Trace("log", table.reset_index(drop=True), machine=machine, format="decision log", origin=origin)
