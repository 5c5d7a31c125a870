"""What is to be written so that the jobs of the scope start in a policy's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hpcai.live.order import bounded_order, is_in_order, last_positions, site_order, target_priorities
from hpcai.live.slurm.client import Before, How, Job, present_value
from hpcai.live.slurm.config import AdapterConfig


@dataclass(frozen=True)
class Plan:
    """An order of the scope's jobs, and how to reach it.

    ``site`` is the order that they would have without us, ``wanted`` the policy's, ``order`` the closest to it within
    the bounds; ids. ``changes`` are the values to write, most urgent first; none if Slurm has that order already.
    ``originals`` are what those jobs had before.
    """

    site: tuple[str, ...]
    wanted: tuple[str, ...]
    order: tuple[str, ...]
    changes: dict[str, int]
    originals: dict[str, Before]

    @property
    def held_back(self) -> int:
        """Jobs that the bounds brought forward."""
        place = {job: position for position, job in enumerate(self.wanted)}
        return sum(place[job] > position for position, job in enumerate(self.order))


def plan(jobs: Sequence[Job], now: float, config: AdapterConfig, before: Mapping[str, Before]) -> Plan:
    """Return the plan for ``jobs`` of the scope, in the policy's order; ``now`` is Unix time.

    ``before`` is what those had that were changed.
    """
    originals = {job.id: before.get(job.id) or Before(present_value(job, config.how), job.nice) for job in jobs}
    without = np.array([_priority_without(job, config.how) for job in jobs], dtype=np.int64)
    own = np.array(
        [
            originals[job.id].value if config.how == "priority" else base + _effect(originals[job.id].value, config.how)
            for job, base in zip(jobs, without.tolist(), strict=True)
        ],
        dtype=np.int64,
    )
    eligible = np.array([_eligible(job) for job in jobs])
    site = site_order(own, eligible, np.array([job.number for job in jobs], dtype=np.int64)).tolist()
    latest = last_positions(site, now - eligible, config.longest_delay, config.farthest)
    order = bounded_order(range(len(jobs)), site, latest)
    changes = {}
    if not is_in_order(order, np.array([job.priority for job in jobs], dtype=np.int64)):
        targets = target_priorities(order, own)
        values = {jobs[k].id: _value(int(targets[k]), int(without[k]), config.how) for k in order}
        changes = {job.id: values[job.id] for job in (jobs[k] for k in order) if _differs(job, values, config.how)}
    ids = [job.id for job in jobs]
    return Plan(
        site=tuple(ids[k] for k in site),
        wanted=tuple(ids),
        order=tuple(ids[k] for k in order),
        changes=changes,
        originals={job: originals[job] for job in changes},
    )


def _eligible(job: Job) -> float:
    return job.submit if job.eligible is None else job.eligible


def _differs(job: Job, values: dict[str, int], how: How) -> bool:
    return present_value(job, how) != values[job.id]


def _effect(value: int, how: How) -> int:
    """What a value adds to a priority."""
    return {"site_factor": value, "nice": -value, "priority": 0}[how]


def _priority_without(job: Job, how: How) -> int:
    """What the priority would be were nothing of this kind written."""
    return job.priority - _effect(present_value(job, how), how)


def _value(target: int, without: int, how: How) -> int:
    """What has to be written for a job to have the priority ``target``."""
    return {"site_factor": target - without, "nice": without - target, "priority": target}[how]
