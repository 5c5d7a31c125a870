"""The queue of pods that name this scheduler: they are bound to nodes in the ranker's order, gangs all or none."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from hpcai.live.kubernetes.api import Api, ApiError
from hpcai.live.kubernetes.cluster_state import live_state
from hpcai.live.kubernetes.guards import Guards, Outcome
from hpcai.live.kubernetes.jobs import Job, queue_of, resources_beside
from hpcai.live.kubernetes.objects import Keys, Node, Pod, node_of, pod_of, understood
from hpcai.live.kubernetes.ordering import ordered
from hpcai.live.kubernetes.placement import Room, Score, empty_room
from hpcai.live.kubernetes.plan import Plan, Planner
from hpcai.live.state import LiveState, Ranker

_log = logging.getLogger(__name__)
_NOT_OVER = "status.phase!=Succeeded,status.phase!=Failed"


class BindingQueue:
    """Binds the waiting pods whose ``schedulerName`` is ``scheduler``."""

    def __init__(
        self,
        api: Api,
        ranker: Ranker | None,
        guards: Guards,
        keys: Keys,
        score: Score,
        scheduler: str = "hpcai",
        default_limit: float = 86_400.0,
    ) -> None:
        self._api, self._ranker, self._guards, self._keys = api, ranker, guards, keys
        self._score, self._scheduler, self._default_limit = score, scheduler, default_limit

    async def cycle(self) -> Outcome:
        """Look at the cluster once and bind what may start. Raises ApiError."""
        (pod_items, _), (node_items, _) = await asyncio.gather(
            self._api.list("/api/v1/pods", fieldSelector=_NOT_OVER), self._api.list("/api/v1/nodes")
        )
        outcome, plan = await asyncio.to_thread(self._decide, pod_items, node_items, time.time())
        if plan.held is not None:
            _log.info("%s has to wait: room is held for it", plan.held.name)
        for job, places in plan.starts:
            await self._start(job, places, outcome)
        return outcome

    def _decide(self, pod_items: list[Any], node_items: list[Any], now: float) -> tuple[Outcome, Plan]:
        pods: list[Pod] = understood(pod_items, lambda item: pod_of(item, self._keys))
        nodes: list[Node] = understood(node_items, node_of)
        bound = [pod for pod in pods if pod.node and not pod.finished]
        queue = queue_of((pod for pod in pods if self._ours(pod)), bound)
        for name, why in queue.unmet.items():
            _log.warning("%s is left alone: it asks for %s, which is not known here", name, why)

        def state() -> LiveState:
            return live_state(queue.jobs, bound, nodes, self._keys, now, self._default_limit)

        ranker = None if self._guards.killed else self._ranker
        jobs, ranked = ordered(queue.jobs, state, ranker, self._guards.respect_priority)
        room = room_left(nodes, bound, jobs, self._keys)
        plan = Planner(nodes, room, self._score).plan(jobs, bound, now, self._guards.most_writes)
        held = int(plan.held is not None)
        return Outcome(waiting=len(jobs), held=held, unmet=len(queue.unmet), ranked=ranked), plan

    def _ours(self, pod: Pod) -> bool:
        waits = not (pod.node or pod.finished or pod.held)
        return waits and pod.scheduler == self._scheduler and self._guards.covers(pod.namespace, pod.queue)

    async def _start(self, job: Job, places: list[tuple[Pod, str]], outcome: Outcome) -> None:
        """Bind all pods of a job, or none: the API server is asked first whether it would take each of a gang.

        Should it refuse one all the same, the rest of the gang goes first in the next cycle.
        """
        if self._guards.shadow:
            for pod, node in places:
                _log.info("shadow: would bind %s/%s to %s", pod.namespace, pod.name, node)
            return
        try:
            for dry in (True, False) if len(places) > 1 else (False,):
                for pod, node in places:
                    await self._api.bind(pod.namespace, pod.name, pod.uid, node, dry=dry)
                    outcome.written += not dry
        except ApiError as error:
            outcome.refused += 1
            _log.warning("%s: %s", job.name, error)
            return
        _log.info("started %s on %s", job.name, ", ".join(sorted({node for _, node in places})))


def room_left(nodes: list[Node], bound: list[Pod], jobs: list[Job], keys: Keys) -> Room:
    """Return what the bound pods leave of the nodes, in every resource that some job asks for."""
    room = empty_room(nodes, keys, resources_beside(jobs, keys))
    row = {name: i for i, name in enumerate(room.nodes)}
    for pod in bound:
        if pod.node in row:
            room.free[row[pod.node]] -= room.row(pod.amounts)
    return room
