"""The queue of Kueue: its Workloads are put in the ranker's order by their priorities, which Kueue admits by.

The priority that a Workload came with is kept in an annotation, and goes back when the kill switch is thrown.
"""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from hpcai.live.kubernetes.api import Api, ApiError, name
from hpcai.live.kubernetes.cluster_state import live_state
from hpcai.live.kubernetes.guards import Guards, Outcome
from hpcai.live.kubernetes.jobs import Job, total
from hpcai.live.kubernetes.objects import Keys, node_of, pod_of, understood
from hpcai.live.kubernetes.ordering import ordered
from hpcai.live.state import LiveState, Ranker

_log = logging.getLogger(__name__)
GROUP: Final = "kueue.x-k8s.io"
ORIGINAL: Final = "hpcai/original-priority"  # annotation; 'none' where there was none
STEP: Final = 10  # between the priorities of neighbours, so that a newcomer finds a place without moving others
_BAND: Final = 1_000_000  # above the base; what has drifted beyond is set anew
_MOST_PODS: Final = 1_000_000  # of a pod set


class KueueQueue:
    """Orders the Workloads in scope that wait for quota, by patching ``spec.priority``."""

    def __init__(
        self,
        api: Api,
        ranker: Ranker | None,
        guards: Guards,
        keys: Keys,
        base: int = 0,
        default_limit: float = 86_400.0,
    ) -> None:
        self._api, self._ranker, self._guards, self._keys = api, ranker, guards, keys
        self._base, self._default_limit, self._path = base, default_limit, ""

    async def cycle(self) -> Outcome:
        """Look at the queue once and set priorities, or give them back. Raises ApiError."""
        if not self._path:
            group = await self._api.get(f"/apis/{GROUP}")
            version = (group.get("preferredVersion") or {}).get("version") or "v1beta1"
            self._path = f"/apis/{GROUP}/{name(str(version))}"
        items, _ = await self._api.list(f"{self._path}/workloads")
        scope = [item for item in items if self._covers(item)]
        if self._guards.killed:
            return await self._restore(scope)
        (pods, _), (nodes, _) = await asyncio.gather(
            self._api.list("/api/v1/pods", fieldSelector="status.phase=Running"), self._api.list("/api/v1/nodes")
        )
        outcome, wanted = await asyncio.to_thread(self._decide, scope, pods, nodes, time.time())
        for job, priority in wanted[: self._guards.most_writes]:
            note: dict[str, str | None] | None
            note = None if ORIGINAL in _notes(job.item) else {ORIGINAL: _text(_priority(job.item))}
            await self._write(job.item, priority, note, outcome)
        return outcome

    def _decide(
        self, scope: list[Any], pod_items: list[Any], node_items: list[Any], now: float
    ) -> tuple[Outcome, list[tuple[Job, int]]]:
        """Return the priorities to write, those of the first jobs in front."""
        waiting = [item for item in scope if understood([item], _waits) == [True]]
        jobs: list[Job] = understood(waiting, lambda item: job_of(item, self._keys))
        jobs.sort(key=lambda job: (job.created, job.name))

        def state() -> LiveState:
            running = understood(pod_items, lambda item: pod_of(item, self._keys))
            return live_state(jobs, running, understood(node_items, node_of), self._keys, now, self._default_limit)

        queue, ranked = ordered(jobs, state, self._ranker, self._guards.respect_priority)
        found = priorities([_priority(job.item) or 0 for job in queue], self._base)
        wanted = [(job, new) for job, new in zip(queue, found, strict=True) if new != (_priority(job.item) or 0)]
        return Outcome(waiting=len(jobs), ranked=ranked), wanted

    async def _restore(self, scope: list[Any]) -> Outcome:
        """Give every Workload the priority back that it came with, however many there are."""
        outcome = Outcome(ranked=False)
        for item in scope:
            if ORIGINAL in _notes(item):
                await self._write(item, _original(item), {ORIGINAL: None}, outcome)
        return outcome

    async def _write(self, item: Any, priority: int | None, notes: dict[str, str | None] | None, to: Outcome) -> None:
        meta = item["metadata"]
        where = f"{meta['namespace']}/{meta['name']}"
        if self._guards.shadow:
            _log.info("shadow: would give %s priority %s", where, priority)
            return
        # With its version: a Workload that has changed since it was read is left for the next cycle.
        body: dict[str, Any] = {
            "metadata": {"resourceVersion": meta.get("resourceVersion"), **({"annotations": notes} if notes else {})},
            "spec": {"priority": priority},
        }
        try:
            path = f"{self._path}/namespaces/{name(meta['namespace'])}/workloads/{name(meta['name'])}"
            await self._api.patch(path, body)
            to.written += 1
        except ApiError as error:
            to.refused += 1
            _log.warning("%s: %s", where, error)

    def _covers(self, item: Any) -> bool:
        try:
            return self._guards.covers(str(item["metadata"]["namespace"]), str(item["spec"].get("queueName", "")))
        except (AttributeError, KeyError, TypeError):
            return False


def priorities(now: Sequence[int], base: int) -> list[int]:
    """Return priorities above ``base`` that fall along the queue, next job first; as few of ``now`` change as can be.

    Those that stay are the longest run that can: whole numbers a_1, a_2, ... from the last job up leave room for
    those between them where a_i - i does not fall. The others are spread evenly between their neighbours.
    """
    upward = list(reversed(now))
    found: list[int] = []
    level = base
    for place in _stay(upward, base):
        gap = place - len(found)
        found += [level + (upward[place - 1] - level) * k // gap for k in range(1, gap + 1)]
        level = upward[place - 1]
    found += [level + STEP * k for k in range(1, len(upward) - len(found) + 1)]
    return found[::-1]


def _stay(upward: Sequence[int], base: int) -> list[int]:
    """Return the places, from 1, of the longest run of priorities that may stay."""
    tails: list[int] = []  # the least end of a run of each length
    ends: list[int] = []  # its place
    before: dict[int, int] = {}
    for place, value in enumerate(upward, start=1):
        slack = value - place
        if not base <= slack <= base + _BAND:
            continue
        length = bisect_right(tails, slack)
        before[place] = ends[length - 1] if length else 0
        tails[length : length + 1], ends[length : length + 1] = [slack], [place]
    run, place = [], ends[-1] if ends else 0
    while place:
        run.append(place)
        place = before[place]
    return run[::-1]


def job_of(item: Any, keys: Keys) -> Job:
    """Return the job that a Workload is. Raises one of NOT_UNDERSTOOD."""
    meta, spec = item["metadata"], item["spec"]
    pods, amounts = 0, []
    likes = []
    for part in spec["podSets"]:
        count = int(part.get("count", 1))
        if not 0 <= count <= _MOST_PODS:
            raise ValueError(count)
        template = part["template"]
        labels = (template.get("metadata") or {}).get("labels") or {}
        like = pod_of({"metadata": {**meta, "labels": {**labels}}, "spec": template["spec"]}, keys)
        likes.append(like)
        amounts.append({key: amount * count for key, amount in like.amounts.items()})
        pods += count
    limit = spec.get("maximumExecutionTimeSeconds")
    original = _original(item)
    return Job(
        name=f"{meta['namespace']}/{meta['name']}",
        created=likes[0].created,
        priority=original or 0,
        nodes=max(pods, 1),
        amounts=total(amounts),
        limit=float(limit) if limit else likes[0].limit,
        like=replace(likes[0], queue=str(spec.get("queueName", ""))),
        item=item,
    )


def _waits(item: Any) -> bool:
    """Whether a Workload waits for quota."""
    conditions = (item.get("status") or {}).get("conditions") or []
    true = {each.get("type") for each in conditions if each.get("status") == "True"}
    return item["spec"].get("active") is not False and not true & {"QuotaReserved", "Admitted", "Finished"}


def _notes(item: Any) -> dict[str, str]:
    notes: dict[str, str] = item["metadata"].get("annotations") or {}
    return notes


def _priority(item: Any) -> int | None:
    found = item["spec"].get("priority")
    return found if isinstance(found, int) else None


def _original(item: Any) -> int | None:
    """Return the priority that a Workload came with."""
    kept = _notes(item).get(ORIGINAL)
    if kept is None:
        return _priority(item)
    try:
        return None if kept == "none" else int(kept)
    except ValueError:
        return None


def _text(priority: int | None) -> str:
    return "none" if priority is None else str(priority)
