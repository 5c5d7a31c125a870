"""What the extender knows of the cluster: nodes, pods and what is free, kept up to date by watching."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from hpcai.errors import HpcaiError
from hpcai.live.kubernetes.api import Api
from hpcai.live.kubernetes.objects import NOT_UNDERSTOOD, Keys, Node, Pod, gpus_in, node_of, pod_of, understood
from hpcai.live.kubernetes.placement import Floats, Mates, Room, empty_room

_log = logging.getLogger(__name__)
_PAUSE: Final = 2.0  # s from one watch to the next at least, should they fail or end at once
_STALE: Final = 60.0  # s without a connection after which nobody should rely on the view


class ClusterView:
    """Nodes, pods that are not over, and the room that they leave. Used by one thread."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.pods: dict[str, Pod] = {}  # by uid
        self.nodes: dict[str, Node] = {}
        self.lost: dict[str, float] = {"nodes": 0.0, "pods": 0.0}  # when the watch broke; inf: not; 0: never begun
        self.asked: Counter[str] = Counter()  # pods with GPUs by the GPU kinds that they may have
        self.workload = 0  # pods beside those of DaemonSets
        self._gangs: dict[str, set[str]] = {}  # uids
        self._held = np.zeros(0)
        self._room: Room | None = None
        self._rows: dict[str, int] = {}

    @property
    def ready(self) -> bool:
        """Whether both lists have been read and are watched, or were a moment ago."""
        return all(since and since + _STALE > time.monotonic() for since in self.lost.values())

    @property
    def room(self) -> Room:
        """What the nodes have and what is free of it."""
        if self._room is None:
            self._room = empty_room(list(self.nodes.values()), self.keys)
            self._rows = {name: i for i, name in enumerate(self._room.nodes)}
            self._held = np.zeros(len(self._rows))
            for pod in self.pods.values():
                self._take(pod, 1)
        return self._room

    @property
    def held(self) -> Floats:
        """How many pods each node of ``room`` has beside those of DaemonSets: (nodes,)."""
        _ = self.room
        return self._held

    def rows(self, names: Iterable[str]) -> list[int]:
        """Return the row of each node in ``room``, -1 for one that is not known."""
        if self._room is None:
            _ = self.room
        return [self._rows.get(name, -1) for name in names]

    def mates(self, pod: Pod) -> Mates:
        """Return where the rest of the pod's gang is."""
        placed = np.zeros(len(self.room.nodes))
        uids = self._gangs.get(pod.gang, set()) - {pod.uid} if pod.gang else set()
        bound = [self.pods[uid].node for uid in uids if self.pods[uid].node]
        for row in self.rows(bound):
            placed[row] += row >= 0
        return Mates(placed, max(pod.gang_size, len(uids) + 1) - len(bound))

    def freed(self, uids: Iterable[str]) -> Floats:
        """Return what the pods hold that are known by these uids."""
        return sum((self.room.row(self.pods[uid].amounts) for uid in uids if uid in self.pods), np.zeros(1))

    def gangs_of(self, uids: Iterable[str]) -> set[str]:
        """Return the gangs that the pods belong to; a pod without one is its own."""
        return {self.pods[uid].gang or uid if uid in self.pods else uid for uid in uids}

    def jobs_of(self, uids: Iterable[str]) -> dict[str, list[Pod]]:
        """Return the jobs that the pods belong to, each with all its pods that are on a node.

        Raises KeyError if a pod is not known.
        """
        jobs = {self.pods[uid].gang or uid: self._gangs.get(self.pods[uid].gang, {uid}) for uid in uids}
        return {
            name: [self.pods[uid] for uid in sorted(members) if self.pods[uid].node] for name, members in jobs.items()
        }

    def replace_nodes(self, items: Sequence[Any]) -> None:
        """Know these nodes and no others."""
        self.nodes = {node.name: node for node in understood(items, node_of)}
        self._room = None

    def replace_pods(self, items: Sequence[Any]) -> None:
        """Know these pods and no others."""
        self.pods, self._gangs, self._room = {}, {}, None
        self.asked, self.workload = Counter(), 0
        for pod in understood(items, lambda item: pod_of(item, self.keys)):
            self._add(pod)

    def change_node(self, kind: str, item: Any) -> None:
        """Take in one event of a watch."""
        node = node_of(item)
        if kind == "DELETED":
            self.nodes.pop(node.name, None)
        elif self.nodes.get(node.name) == node:
            return  # a heartbeat
        else:
            self.nodes[node.name] = node
        self._room = None

    def change_pod(self, kind: str, item: Any) -> None:
        """Take in one event of a watch."""
        pod = pod_of(item, self.keys)
        self._remove(pod.uid)
        if kind != "DELETED":
            self._add(pod)

    def assume(self, uid: str, node: str) -> None:
        """Count a pod to a node before the watch says so."""
        if uid in self.pods:
            pod = self.pods[uid]
            self._remove(uid)
            self._add(replace(pod, node=node))

    def _add(self, pod: Pod) -> None:
        if pod.finished:
            return
        self.pods[pod.uid] = pod
        self._count(pod, 1)
        if pod.gang:
            self._gangs.setdefault(pod.gang, set()).add(pod.uid)
        if self._room is not None:
            self._take(pod, 1)

    def _remove(self, uid: str) -> None:
        pod = self.pods.pop(uid, None)
        if pod is None:
            return
        self._count(pod, -1)
        if pod.gang:
            self._gangs[pod.gang].discard(uid)
            if not self._gangs[pod.gang]:
                del self._gangs[pod.gang]
        if self._room is not None:
            self._take(pod, -1)

    def _count(self, pod: Pod, times: int) -> None:
        self.workload += 0 if pod.daemon else times
        if gpus_in(pod.amounts, self.keys):
            self.asked[pod.gpu_kind] += times

    def _take(self, pod: Pod, times: int) -> None:
        row = self._rows.get(pod.node, -1)
        if row >= 0 and self._room is not None:
            self._room.free[row] -= times * self._room.row(pod.amounts)
            self._held[row] += 0 if pod.daemon else times


async def keep(view: ClusterView, api: Api) -> None:
    """Keep the view up to date for ever; failures of the API server are waited out."""
    await asyncio.gather(
        _follow(view, api, "nodes", "/api/v1/nodes", view.replace_nodes, view.change_node),
        _follow(view, api, "pods", "/api/v1/pods", view.replace_pods, view.change_pod),
    )


async def _follow(
    view: ClusterView,
    api: Api,
    what: str,
    path: str,
    swap: Callable[[Sequence[Any]], None],
    change: Callable[[str, Any], None],
) -> None:
    version = ""
    while True:
        begun = time.monotonic()
        try:
            if not version:
                items, version = await api.list(path)
                swap(items)
            view.lost[what] = float("inf")
            version = await _watch(api, path, version, change)
        except HpcaiError as error:
            _log.warning("%s", error)
            version = ""
        if not version and view.lost[what] == float("inf"):
            view.lost[what] = time.monotonic()
        await asyncio.sleep(max(0.0, begun + _PAUSE - time.monotonic()))


async def _watch(api: Api, path: str, version: str, change: Callable[[str, Any], None]) -> str:
    """Apply changes until the watch ends; return the version to go on from, '' if the list must be read again."""
    async for kind, item in api.watch(path, version):
        if kind == "ERROR":  # most often: the version is too old
            return ""
        try:
            version = str(item["metadata"]["resourceVersion"])
            if kind != "BOOKMARK":
                change(kind, item)
        except NOT_UNDERSTOOD:
            _log.warning("%s: a change that is not understood is left out", path)
    return version
