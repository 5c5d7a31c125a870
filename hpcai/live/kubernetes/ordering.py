"""Who is next: the ranker's word, within classes of priority; the order of creation where it has none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from hpcai.live.guards import in_time
from hpcai.live.kubernetes.jobs import Job
from hpcai.live.state import LiveState, Ranker

PATIENCE: Final = 30.0  # s that a ranker may take

_log = logging.getLogger(__name__)


def ordered(
    jobs: Sequence[Job], state: Callable[[], LiveState], ranker: Ranker | None, respect_priority: bool
) -> tuple[list[Job], bool]:
    """Return the jobs, next one first, and whether it is the ranker's order.

    Any error of the ranker, or of making the state, and no answer in time end in the order of creation: a queue must
    not stand still.
    A gang of which some pods have nodes already goes before all others.
    """
    ranked = None if ranker is None or not jobs else _ranked(jobs, state, ranker)
    found = sorted(jobs, key=lambda job: (job.created, job.name)) if ranked is None else ranked
    if respect_priority:
        found = sorted(found, key=lambda job: -job.priority)
    return sorted(found, key=lambda job: not job.begun), ranked is not None or not jobs


def _ranked(jobs: Sequence[Job], state: Callable[[], LiveState], ranker: Ranker) -> list[Job] | None:
    try:
        order = [int(row) for row in in_time(lambda: ranker.rank(state()), PATIENCE)]
        if sorted(order) != list(range(len(jobs))):
            raise ValueError(f"expected each of {len(jobs)} jobs once, found {len(order)} rows")
    except Exception as error:  # whatever a policy does wrong
        _log.warning("no ranking, the order of creation instead: %s: %s", type(error).__name__, error)
        return None
    return [jobs[row] for row in order]
