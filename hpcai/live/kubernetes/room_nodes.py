"""The room of a Kubernetes cluster as the nodes that the simulator places pods on.

Kubernetes counts the GPUs of a node and tells nothing of each: the first are in use, the others free. What the network
carries is not known: nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.live.kubernetes.objects import Node
from hpcai.live.kubernetes.placement import Floats, Mask, Room
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.placement import POD, Nodes, make_pods


@dataclass(frozen=True)
class RoomNodes:
    """The nodes of one :class:`Room`, with all that does not change while pods come and go."""

    room: Room
    kinds: tuple[str, ...]
    empty: Nodes

    @classmethod
    def of(cls, room: Room, nodes: Sequence[Node]) -> RoomNodes:
        """Return the nodes of ``room``; ``nodes`` are theirs, in order."""
        n = len(nodes)
        cpus, memories = (room.capacity[:, room.resources.index(name)].astype(np.int64) for name in ("cpu", "memory"))
        gpus = room.capacity[:, room.gpu].sum(axis=1).astype(np.int64)
        kinds = tuple(dict.fromkeys(node.gpu_kind for node, has in zip(nodes, gpus, strict=True) if has))
        kind = np.array([1 << kinds.index(node.gpu_kind) if has else 0 for node, has in zip(nodes, gpus, strict=True)])
        of_kind = np.array([gpus[kind == own].sum() for own in kind])
        leaf = leaves(room.domains)
        under = np.bincount(leaf, weights=gpus * MILLI).astype(np.int64)
        speed = np.array([node.gpu_speed for node in nodes])
        fastest = np.nanmax(speed) if (~np.isnan(speed)).any() else 1.0
        most = np.array([cpus.max(initial=1), memories.max(initial=1), gpus.max(initial=0) * MILLI])
        slots = max(int(gpus.max(initial=1)), 1)
        return cls(
            room,
            kinds,
            Nodes(
                cpu=cpus,
                memory=memories,
                gpu=np.zeros((n, slots), dtype=np.int64),
                socket_cpu=cpus[:, None].copy(),
                holds=np.zeros((n, slots + 2), dtype=np.int64),
                cpus=np.maximum(cpus, 1),
                memories=memories,
                gpus=gpus,
                kind=kind.astype(np.int64),
                kind_share=of_kind / max(gpus.sum(), 1),
                group=np.zeros(n, dtype=np.int64),
                socket=np.zeros((n, slots), dtype=np.int64),
                leaf=leaf,
                leaf_gpu=under,
                leaf_gpus=under,
                speed=np.where(np.isnan(speed), 1.0, speed / fastest),
                traffic=np.zeros(n + len(under)),
                room=np.zeros((2, n), dtype=np.int64),
                most=np.maximum(most, 1).astype(np.float64),
            ),
        )

    def now(self, held: Floats, possible: Mask) -> Nodes:
        """Return the nodes with what is free now; ``held`` is how many pods each has, DaemonSets' left out.

        Those that do not come into question have no room, but their GPUs count to their leaf switch.
        """
        room, empty = self.room, self.empty
        cpu, memory = (room.free[:, room.resources.index(name)].astype(np.int64) for name in ("cpu", "memory"))
        free = np.clip(room.free[:, room.gpu].sum(axis=1).astype(np.int64), 0, empty.gpus)
        slot = np.arange(empty.gpu.shape[1])[None, :]
        free_from = (empty.gpus - free)[:, None]
        holds = empty.holds.copy()
        holds[:, 0] = held
        full = room.free[:, room.resources.index("pods")] < 1
        return empty._replace(
            cpu=np.where(possible & ~full, cpu, -1),
            memory=memory,
            gpu=np.where((slot >= free_from) & (slot < empty.gpus[:, None]), MILLI, 0),
            holds=holds,
            leaf_gpu=np.bincount(empty.leaf, weights=free * MILLI).astype(np.int64),
        )

    def pod(self, request: Floats, gpu_kind: str) -> NDArray[np.void]:
        """Return what a pod asks for, POD (1,)."""
        room, pod = self.room, np.zeros(1, dtype=POD)
        pod["cpu"], pod["memory"] = (request[room.resources.index(name)] for name in ("cpu", "memory"))
        pod["gpu"], pod["kinds"] = request[room.gpu].sum() * MILLI, masks((gpu_kind,), self.kinds)["kinds"][0]
        return pod

    def target(self, asked: Mapping[str, int], pods: int) -> NDArray[np.void]:
        """Return the task classes of a workload of ``pods``; ``asked`` counts those with GPUs by their GPU kinds."""
        target = masks(tuple(asked), self.kinds).copy()
        target["weight"] = np.array(list(asked.values()), dtype=np.float64) / max(pods, 1)
        return target


@lru_cache(maxsize=256)
def masks(gpu_kinds: tuple[str, ...], kinds: tuple[str, ...]) -> NDArray[np.void]:
    """Return a pod with a GPU for each of ``gpu_kinds``, POD (n,), with its mask of the cluster's ``kinds``."""
    if not gpu_kinds:
        return np.zeros(0, dtype=POD)
    asked = pd.DataFrame({"cpu": 0, "memory": 0, "gpu": MILLI, "gpu_kind": list(gpu_kinds)})
    pods = make_pods(asked, kinds)
    return pods.types[pods.type]


def leaves(domains: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the leaf switch of each node: that of its nearest label; one for all where no node has such a label.

    A node without the label that others have is alone under its own.
    """
    nearest = domains[:, 0] if domains.shape[1] else np.full(len(domains), -1)
    if (nearest < 0).all():
        return np.zeros(len(nearest), dtype=np.int64)
    alone = nearest < 0
    own = nearest.max() + np.cumsum(alone)
    return np.where(alone, own, nearest).astype(np.int64)
