"""One pass over an ordered queue: which pods start now and where; room is held for the first gang that does not fit.

As in EASY backfilling, the first job that has to wait gets a reservation, at the earliest time that the running pods'
limits promise. A job behind it starts only if it takes nothing of what is reserved, or is over by then. Pods without
a limit are taken to end last, the oldest first; a time that rests on one of them is not known, and nothing may count
on being over by then.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hpcai.live.kubernetes.eligibility import eligible
from hpcai.live.kubernetes.jobs import Job
from hpcai.live.kubernetes.objects import Needs, Node, Pod
from hpcai.live.kubernetes.placement import Floats, Mask, Mates, Room, Score, fits

Placement = list[tuple[Pod, int]]  # pod and row of its node


@dataclass
class Plan:
    """What to do now."""

    starts: list[tuple[Job, list[tuple[Pod, str]]]] = field(default_factory=list)  # pods and their nodes
    held: Job | None = None  # whom room is held for
    at: float = math.inf  # Unix time when it should fit; inf: not known


class Planner:
    """The nodes at one moment, and how pods are put on them."""

    def __init__(self, nodes: Sequence[Node], room: Room, score: Score) -> None:
        self._nodes, self._room, self._score = nodes, room, score
        self._row = {node.name: i for i, node in enumerate(nodes)}
        self._allowed: dict[Needs, Mask] = {}

    def plan(self, queue: Sequence[Job], bound: Sequence[Pod], now: float, most: int) -> Plan:
        """Return the pass over ``queue``, next job first.

        Args:
            queue: jobs with their pods.
            bound: the pods that have nodes.
            now: Unix time.
            most: pods that may start; a first job that is larger starts all the same.
        """
        plan, free, mates = Plan(), self._room.free.copy(), self._mates(bound)
        kept: Floats | None = None  # what is free at the time of the reservation, less what is reserved
        started = 0
        for job in queue:
            if started and started + len(job.pods) > most:
                break
            over = plan.held is not None and now + job.limit <= plan.at < math.inf
            limit = free if kept is None or over else np.minimum(free, kept)
            placement = self._place(job, limit, mates)
            if placement is not None:
                self._take(free, placement)
                if kept is not None and not over:
                    self._take(kept, placement)
                if job.like.gang:
                    self._count(mates, placement)
                plan.starts.append((job, [(pod, self._nodes[row].name) for pod, row in placement]))
                started += len(job.pods)
            elif plan.held is None:
                running = [*bound, *(pod for _, pods in plan.starts for pod in _as_bound(pods, now))]
                kept, at = self._reserve(job, free, running, mates, now)
                if kept is not None:
                    plan.held, plan.at = job, at
        return plan

    def _place(self, job: Job, free: Floats, mates: Mapping[str, Floats]) -> Placement | None:
        """Return a node for each pod, largest pod first, or None if one finds none."""
        room = self._room.with_free(free.copy())
        placed = mates.get(job.like.gang, np.zeros(len(self._nodes))).copy()
        placement: Placement = []
        by_size = sorted(job.pods, key=lambda pod: self._size(pod), reverse=True)
        for k, pod in enumerate(by_size):
            request = room.row(pod.amounts)
            possible = fits(room.free, request) & self._mask(pod.needs)
            if not possible.any():
                return None
            scores = self._score(room, request, Mates(placed, len(by_size) - k), possible)
            row = int(np.where(possible, scores, -1.0).argmax())
            room.free[row] -= request
            placed[row] += bool(pod.gang)
            placement.append((pod, row))
        return placement

    def _reserve(
        self, job: Job, free: Floats, running: Sequence[Pod], mates: Mapping[str, Floats], now: float
    ) -> tuple[Floats | None, float]:
        """Return what the reservation leaves free and when it begins; None if the job fits on no empty machine."""
        released = sorted((pod for pod in running if pod.node in self._row), key=lambda pod: _end(pod, now))

        def after(n: int) -> Floats:
            then = free.copy()
            for pod in released[:n]:
                then[self._row[pod.node]] += self._room.row(pod.amounts)
            return then

        enough = bisect_left(
            range(len(released) + 1), True, key=lambda n: self._place(job, after(n), mates) is not None
        )
        if enough == 0 or enough > len(released):
            return None, math.inf
        then = after(enough)
        placement = self._place(job, then, mates)
        if placement is None:
            return None, math.inf
        self._take(then, placement)
        return then, _end(released[enough - 1], now)[0]

    def _take(self, free: Floats, placement: Placement) -> None:
        for pod, row in placement:
            free[row] -= self._room.row(pod.amounts)

    def _mask(self, needs: Needs) -> Mask:
        if needs not in self._allowed:
            self._allowed[needs] = np.array([eligible(node, needs) for node in self._nodes], dtype=bool)
        return self._allowed[needs]

    def _size(self, pod: Pod) -> tuple[float, float]:
        row = self._room.row(pod.amounts)
        return float(row[self._room.gpu].sum()), float(row[0])

    def _mates(self, bound: Sequence[Pod]) -> dict[str, Floats]:
        mates: dict[str, Floats] = {}
        self._count(mates, [(pod, self._row[pod.node]) for pod in bound if pod.gang and pod.node in self._row])
        return mates

    def _count(self, mates: dict[str, Floats], placement: Placement) -> None:
        for pod, row in placement:
            mates.setdefault(pod.gang, np.zeros(len(self._nodes)))[row] += 1


def _end(pod: Pod, now: float) -> tuple[float, float]:
    """Return when a pod is over, inf if it does not say or should be over by now; and when it started."""
    start = now if math.isnan(pod.started) else pod.started
    end = start + pod.limit
    return (end if end > now else math.inf), start


def _as_bound(pods: Sequence[tuple[Pod, str]], now: float) -> list[Pod]:
    return [replace(pod, node=node, started=now) for pod, node in pods]
