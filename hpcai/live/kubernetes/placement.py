"""Which nodes have room for a pod, and which of them suits it best: pure functions of what is free.

Rows of :class:`Room` are nodes, columns resources, in the whole amounts of :func:`objects.amounts_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.errors import InputError
from hpcai.live.kubernetes.objects import Keys, Node

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_COMMON: Final = ("cpu", "memory", "pods")
_TIE: Final = 0.1  # weight of the best fit among nodes equally near


@dataclass(frozen=True)
class Room:
    """What the nodes have and what of it is free."""

    nodes: tuple[str, ...]
    resources: tuple[str, ...]
    gpu: Mask  # (resources,): counted as GPUs
    capacity: Floats  # (nodes, resources)
    free: Floats  # (nodes, resources); negative where more was promised than there is
    domains: NDArray[np.int64]  # (nodes, levels), nearest first; -1: the node does not say

    def with_free(self, free: Floats) -> Room:
        """Return the same nodes with other amounts free."""
        return replace(self, free=free)

    def row(self, amounts: Mapping[str, float]) -> Floats:
        """Return ``amounts`` in the order of the resources; what is not among them is left out."""
        return np.array([amounts.get(name, 0.0) for name in self.resources])

    def at(self, rows: Sequence[int]) -> Room:
        """Return the room of some of the nodes."""
        chosen = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            nodes=tuple(self.nodes[i] for i in rows),
            capacity=self.capacity[chosen],
            free=self.free[chosen],
            domains=self.domains[chosen],
        )


@dataclass(frozen=True)
class Mates:
    """The rest of a pod's gang."""

    placed: Floats  # (nodes,): how many are on each
    left: int  # how many have no node yet, this pod included


Score = Callable[[Room, Floats, Mates, Mask], Floats]
"""From room, request, the gang's other pods and the nodes that come into question (nodes,) to 0..1 for each node."""


def empty_room(nodes: Sequence[Node], keys: Keys, others: Sequence[str] = ()) -> Room:
    """Return the room of ``nodes`` with nothing on them; ``others`` are resources beside CPUs, memory, pods, GPUs."""
    resources = tuple(dict.fromkeys([*_COMMON, *keys.gpus, *others]))
    capacity = np.array([[node.capacity.get(name, 0.0) for name in resources] for node in nodes])
    capacity = capacity.reshape(len(nodes), len(resources))
    levels = [_codes([node.labels.get(key) for node in nodes]) for key in keys.domains]
    return Room(
        nodes=tuple(node.name for node in nodes),
        resources=resources,
        gpu=np.array([name in keys.gpus for name in resources]),
        capacity=capacity,
        free=capacity.copy(),
        domains=np.array(levels, dtype=np.int64).reshape(len(keys.domains), len(nodes)).T,
    )


def _codes(labels: Sequence[str | None]) -> list[int]:
    known: dict[str, int] = {}
    return [-1 if label is None else known.setdefault(label, len(known)) for label in labels]


def fits(free: Floats, request: Floats) -> Mask:
    """Return on which nodes the request fits: (nodes,). What is not asked for may be short."""
    enough: Mask = np.all((free >= request) | (request == 0), axis=1)
    return enough


def best_fit(room: Room, request: Floats, mates: Mates, possible: Mask) -> Floats:
    """Return 0..1, most where least is left: of the GPUs if the pod wants any, else of CPUs and memory.

    A pod without GPUs goes to nodes without GPUs first.
    """
    del mates, possible
    return _kept_apart(room, request, _used_after(room, request))


def spread(room: Room, request: Floats, mates: Mates, possible: Mask) -> Floats:
    """Return 0..1, most where most is left; a pod without GPUs goes to nodes without GPUs first."""
    del mates, possible
    return _kept_apart(room, request, 1.0 - _used_after(room, request))


def topology(room: Room, request: Floats, mates: Mates, possible: Mask) -> Floats:
    """Return 0..1, most near the rest of the gang; ties by best fit.

    Nearness counts the levels of the network (the node itself, then ``domains``) that a node shares with each mate.
    A gang that has no node yet gathers around the one in whose neighbourhood most of it finds room: the same one for
    each of its pods, for the next is asked about before the last one is seen on its node.
    """
    packed = best_fit(room, request, mates, possible)
    placed = mates.placed
    if mates.left <= 1 and not placed.any():
        return packed
    if not placed.any():
        copies = np.where(possible, _copies(room, request), 0.0)
        around = np.minimum(_by_level(room, copies) / mates.left, 1.0).mean(axis=1)
        centre = np.where(copies > 0, _mixed(around, packed), -1.0).argmax()
        placed = (np.arange(len(room.nodes)) == centre).astype(np.float64)
    near = _by_level(room, placed) / placed.sum()
    return _mixed(near.mean(axis=1), packed)


def _mixed(near: Floats, packed: Floats) -> Floats:
    return (1.0 - _TIE) * near + _TIE * packed


SCORES: Final[Mapping[str, Score]] = {"best-fit": best_fit, "spread": spread, "topology": topology}


def score_named(name: str) -> Score:
    """Return a score by its name. Raises InputError."""
    if name not in SCORES:
        raise InputError(f"--score {name}: expected {', '.join(SCORES)}")
    return SCORES[name]


def _used_after(room: Room, request: Floats) -> Floats:
    """Return the share in use once the pod is there, (nodes,), of what it is about: its GPUs, or CPUs and memory."""
    wanted = room.gpu & (request > 0)
    if not wanted.any():
        wanted = np.array([name in ("cpu", "memory") for name in room.resources])
    capacity = np.maximum(room.capacity[:, wanted], 1.0)
    used = 1.0 - (room.free[:, wanted] - request[wanted]) / capacity
    shares: Floats = np.clip(used, 0.0, 1.0).mean(axis=1)
    return shares


def _kept_apart(room: Room, request: Floats, score: Floats) -> Floats:
    if (room.gpu & (request > 0)).any():
        return score
    with_gpus = (room.capacity[:, room.gpu] > 0).any(axis=1)
    return np.where(with_gpus, score / 2, 0.5 + score / 2)


def _copies(room: Room, request: Floats) -> Floats:
    """Return how many such pods each node has room for."""
    asked = request > 0
    if not asked.any():
        return np.ones(len(room.nodes))
    copies: Floats = np.maximum(np.floor(room.free[:, asked] / request[asked]).min(axis=1), 0.0)
    return copies


def _by_level(room: Room, count: Floats) -> Floats:
    """Return the sum of ``count`` over each node's neighbourhood at each level: (nodes, 1 + levels)."""
    sums = [count]
    for level in room.domains.T:
        total = np.bincount(level + 1, weights=count, minlength=1)
        sums.append(np.where(level >= 0, total[level + 1], 0.0))
    return np.stack(sums, axis=1)
