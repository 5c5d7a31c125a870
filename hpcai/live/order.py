"""From the order that a policy wants to the values that are written: pure functions on arrays.

The jobs of the scope trade places among themselves. Sorted by what the site would give them, the k-th highest
priority goes to the policy's k-th job; so nobody outside the scope is overtaken on a policy's word. Outsiders are let
by only where the site gives several jobs one priority, which has to be spread, downwards, for there to be an order.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

LOWEST: Final = 1
"""A priority of 0 means held."""

Ints = NDArray[np.int64]


def site_order(own: Ints, eligible: NDArray[np.float64], number: Ints) -> Ints:
    """Return the jobs in the site's own order: highest priority, then who has waited longest, then lowest number."""
    return np.lexsort((number, eligible, -own)).astype(np.int64)


def bounded_order(wanted: Sequence[int], own: Sequence[int], latest: Sequence[int]) -> list[int]:
    """Return the order closest to ``wanted`` in which no job comes later than it may.

    ``wanted`` and ``own`` are orders of the same jobs, 0 to n - 1; ``latest[j]`` is the last position that job j may
    have, at least its position in ``own``, which is why there always is such an order. It is filled from the back:
    each position takes, of the jobs that may stand there, the one that is wanted last.
    """
    n = len(wanted)
    wish = {job: position for position, job in enumerate(wanted)}
    by_latest = sorted(own, key=lambda job: latest[job], reverse=True)
    able: list[tuple[int, int]] = []
    order = [0] * n
    nxt = 0
    for position in range(n - 1, -1, -1):
        while nxt < n and latest[by_latest[nxt]] >= position:
            heapq.heappush(able, (-wish[by_latest[nxt]], by_latest[nxt]))
            nxt += 1
        order[position] = heapq.heappop(able)[1]
    return order


def last_positions(
    own: Sequence[int], waited: NDArray[np.float64], longest_delay: float, farthest: int | None
) -> list[int]:
    """Return the last position that each job may have.

    A job that has waited ``longest_delay`` (s) is not put behind its place in the site's own order any more; others
    no more than ``farthest`` places.
    """
    n = len(own)
    latest = [0] * n
    for position, job in enumerate(own):
        overdue = waited[job] >= longest_delay
        latest[job] = position if overdue else n - 1 if farthest is None else min(position + farthest, n - 1)
    return latest


def target_priorities(order: Sequence[int], own: Ints) -> Ints:
    """Return the priority that each job should have: those that the site gives, dealt out in ``order``.

    Where the site gives several the same, later ones get one less, so that there is an order; never below LOWEST.
    """
    highest = np.sort(own)[::-1]
    targets = np.empty(len(own), dtype=np.int64)
    last: int | None = None
    for job, given in zip(order, highest.tolist(), strict=True):
        last = given if last is None else min(given, last - 1)
        targets[job] = max(last, LOWEST)
    return targets


def is_in_order(order: Sequence[int], priority: Ints) -> bool:
    """Whether priorities as they stand already give an order, strictly."""
    given = priority[np.asarray(order, dtype=np.int64)]
    return bool((given[1:] < given[:-1]).all())
