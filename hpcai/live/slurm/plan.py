"""What is to be written so that the jobs of the scope start in a policy's order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hpcai.live.order import bounded_order, is_in_order, last_positions, site_order, target_priorities
from hpcai.live.ranking import Judgement
from hpcai.live.slurm.client import Before, How, Job, Poll, present_value
from hpcai.live.slurm.config import AdapterConfig, Scope
from hpcai.live.state import LiveState

LARGEST: Final = 2**31 - 11
"""Slurm takes no site factor or nice value beyond this."""


@dataclass(frozen=True)
class Plan:
    """An order of the scope's jobs, and how to reach it.

    ``site`` is the order that they would have without us, ``wanted`` the policy's, ``order`` the closest to it within
    the bounds; ids. ``changes`` are the values to write, most urgent first, and ``before`` what those jobs had and will
    have then; none if Slurm has that order already, or if no value can bring it about, which is to be ``stuck``.
    """

    site: tuple[str, ...]
    wanted: tuple[str, ...]
    order: tuple[str, ...]
    changes: dict[str, int]
    before: dict[str, Before]
    stuck: bool

    @property
    def held_back(self) -> int:
        """Jobs that the bounds brought forward."""
        place = {job: position for position, job in enumerate(self.wanted)}
        return sum(place[job] > position for position, job in enumerate(self.order))


def to_order(poll: Poll, state: LiveState, judgement: Judgement, scope: Scope) -> list[Job]:
    """Return the jobs of ``poll`` that are to be put in order, in the policy's."""
    jobs = {job.id: job for job in poll.jobs}
    ids = state.waiting["job_id"].to_numpy()[judgement.order[: judgement.judged]].tolist()
    return [jobs[name] for name in ids if scope.holds(jobs[name])]


def plan(jobs: Sequence[Job], now: float, config: AdapterConfig, before: Mapping[str, Before]) -> Plan:
    """Return the plan for ``jobs`` of the scope, in the policy's order; ``now`` is Unix time.

    ``before`` is what the ledger knows of those that were changed.
    """
    how = config.how
    earlier = [earlier_of(job, before, how) for job in jobs]
    originals = [present_value(job, how) if e is None else e.value for job, e in zip(jobs, earlier, strict=True)]
    nice = [job.nice if e is None else e.nice for job, e in zip(jobs, earlier, strict=True)]
    without = [_priority_without(job, how) for job in jobs]
    own = np.array(originals if how == "priority" else [
        base + _effect(original, how) for base, original in zip(without, originals, strict=True)
    ], dtype=np.int64)  # fmt: skip
    eligible = np.array([job.waits_since for job in jobs])
    site = site_order(own, eligible, np.array([job.number for job in jobs], dtype=np.int64)).tolist()
    latest = last_positions(site, now - eligible, config.longest_delay, config.farthest)
    order = bounded_order(range(len(jobs)), site, latest)
    reached = is_in_order(order, np.array([job.priority for job in jobs], dtype=np.int64))
    values = [] if reached else _values(target_priorities(order, own).tolist(), without, how)
    changed = [] if reached else [k for k in order if present_value(jobs[k], how) != values[k]]
    ids = [job.id for job in jobs]
    return Plan(
        site=tuple(ids[k] for k in site),
        wanted=tuple(ids),
        order=tuple(ids[k] for k in order),
        changes={ids[k]: values[k] for k in changed},
        before={ids[k]: Before(originals[k], nice[k], values[k]) for k in changed},
        stuck=not reached and not changed,
    )


def earlier_of(job: Job, before: Mapping[str, Before], how: How) -> Before | None:
    """Return what the ledger knows of a job, or of the array that it was split from.

    None if that is nothing, or if somebody else has changed the job since.
    """
    known = before.get(job.id) or before.get(job.array_id)
    return known if known is not None and present_value(job, how) in (known.written, known.value) else None


def to_put_back(jobs: Iterable[Job], before: Mapping[str, Before], how: How) -> dict[str, Before]:
    """Return what is to be put back: of jobs that wait and still have what was written.

    A priority of one that its user holds is not: that would release it.
    """
    found = {}
    for job in jobs:
        known = earlier_of(job, before, how)
        changed = known is not None and present_value(job, how) == known.written != known.value
        if known is not None and changed and job.state == "PENDING" and (how != "priority" or job.priority > 0):
            found[job.id] = known
    return found


def _effect(value: int, how: How) -> int:
    """What a value adds to a priority."""
    return {"site_factor": value, "nice": -value, "priority": 0}[how]


def _priority_without(job: Job, how: How) -> int:
    """What the priority would be were nothing of this kind written."""
    return job.priority - _effect(present_value(job, how), how)


def _values(targets: Sequence[int], without: Sequence[int], how: How) -> list[int]:
    """Return what has to be written for each job to have its target priority, as far as Slurm takes such values."""
    if how == "priority":
        return list(targets)
    apart = [
        target - base if how == "site_factor" else base - target for target, base in zip(targets, without, strict=True)
    ]
    return [min(max(value, -LARGEST), LARGEST) for value in apart]
