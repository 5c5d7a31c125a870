"""Headroom: what must stay free beside a job when it starts, so that short jobs to come find room.

A waiting job needs its size and its headroom; a running one holds its size. Sites know the idea as nodes set aside
for short jobs, or as a limit on what long jobs may take together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.jit import jit
from hpcai.scheduling.formula import Formula, evaluate_static


@jit
def needed(bulk: int, share: float, total: int) -> int:
    """Return what must be free for a job of ``bulk`` to start beside which ``share`` (0..1) of ``total`` stays free.

    Never more than the whole machine. A share below 0 counts as 0, and a job that takes none of what is counted (no
    GPU on a machine with GPUs) needs none.
    """
    if bulk <= 0 or not share > 0.0:
        return bulk
    return int(min(bulk + np.floor(min(share, 1.0) * total), total))


@jit
def _all_needed(bulk: NDArray[np.int64], share: NDArray[np.float64], total: int, needs: NDArray[np.int64]) -> None:
    for j in range(bulk.shape[0]):
        needs[j] = needed(bulk[j], share[j], total)


def static_needs(
    headroom: Formula | None, jobs: NDArray[np.void], static: NDArray[np.float64], total: int
) -> NDArray[np.int64]:
    """Return what each of ``jobs`` (JOB, n) needs on a machine of ``total``, by a headroom that does not change.

    ``static`` are its variables (v, n).
    """
    bulk = jobs["bulk"].copy()
    needs = bulk.copy()
    if headroom is not None:
        _all_needed(bulk, evaluate_static(headroom, static), total, needs)
    return needs


def check_headroom(machine: Machine, use_profile: bool) -> None:
    """Raise InputError if the replay cannot keep headroom: on nodes, beside a profile of what is free later."""
    if machine.by_node and use_profile:
        raise InputError(
            f"headroom: machine {machine.name} is counted by node; expected backfill none or easy, and no reservations"
        )
