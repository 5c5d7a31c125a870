"""Devices that operators are placed on, and what a transfer between two of them takes and holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpcai.device_placement.graph import Floats, Ints, OperatorGraph
from hpcai.errors import InputError


@dataclass(frozen=True)
class Devices:
    """d devices; arrays are not to be written to.

    A transfer of b bytes from device i to j takes ``latency[i, j] + b / bandwidth[i, j]`` seconds, in which it holds
    the outgoing copy stream of i, the incoming one of j, and all ``links[i, j]``.
    """

    names: tuple[str, ...]  # d, unique
    kinds: tuple[str, ...]  # d, such as V100 or CPU
    memory: Floats  # (d,) bytes; inf: no limit
    bandwidth: Floats  # (d, d) bytes/s; inf on the diagonal
    latency: Floats  # (d, d) s; 0 on the diagonal
    links: Ints  # (d, d, k) ids of shared serial resources that a transfer holds, -1 for none
    link_names: tuple[str, ...]

    def __post_init__(self) -> None:
        d = len(self.names)
        for field, shape in (("memory", (d,)), ("bandwidth", (d, d)), ("latency", (d, d))):
            found = getattr(self, field).shape
            if found != shape:
                raise ValueError(f"{field}: expected the shape {shape}, found {found}")
        if self.links.shape[:2] != (d, d) or self.links.max(initial=-1) >= len(self.link_names):
            raise ValueError(f"links: expected ids below {len(self.link_names)} by {d} x {d} devices")

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, graph: OperatorGraph) -> Ints:
        """Return (d,) the row of the costs of ``graph`` for each device.

        Raises InputError, naming the kinds that the graph has costs for, if one's kind is not among them.
        """
        for name, kind in zip(self.names, self.kinds, strict=True):
            if kind not in graph.device_kinds:
                known = ", ".join(graph.device_kinds)
                raise InputError(
                    f"device {name}: expected a kind that {graph.name} has costs for ({known}), found {kind}"
                )
        return np.array([graph.device_kinds.index(kind) for kind in self.kinds], np.int64)

    @property
    def mean_latency(self) -> float:
        """Seconds, the mean over pairs of different devices; 0 of one device."""
        return float(self.latency[_pairs(len(self))].mean()) if len(self) > 1 else 0.0

    @property
    def mean_inverse_bandwidth(self) -> float:
        """Seconds per byte, the mean over pairs of different devices; 0 of one device."""
        return float((1 / self.bandwidth[_pairs(len(self))]).mean()) if len(self) > 1 else 0.0

    def only(self, chosen: Sequence[int]) -> Devices:
        """Return the devices of these numbers alone."""
        chosen = list(chosen)
        return Devices(
            names=tuple(self.names[i] for i in chosen),
            kinds=tuple(self.kinds[i] for i in chosen),
            memory=self.memory[chosen],
            bandwidth=self.bandwidth[np.ix_(chosen, chosen)],
            latency=self.latency[np.ix_(chosen, chosen)],
            links=self.links[np.ix_(chosen, chosen)],
            link_names=self.link_names,
        )


def alike(kind: str, count: int, *, memory: float, bandwidth: float, latency: float = 0.0) -> Devices:
    """Return ``count`` devices of a ``kind`` joined all to all, without shared links; bytes, bytes/s, seconds."""
    return pairwise([kind] * count, np.full(count, memory), np.full((count, count), bandwidth), latency)


def pairwise(kinds: Sequence[str], memory: Floats, bandwidth: Floats, latency: float = 0.0) -> Devices:
    """Return devices with a link of their own for each pair: memory (d,) bytes, bandwidth (d, d) bytes/s."""
    d = len(kinds)
    own = np.eye(d, dtype=bool)
    seen: dict[str, int] = {}
    names = []
    for kind in kinds:
        names.append(f"{kind.lower()}-{seen.get(kind, 0)}")
        seen[kind] = seen.get(kind, 0) + 1
    return Devices(
        names=tuple(names),
        kinds=tuple(kinds),
        memory=np.asarray(memory, np.float64),
        bandwidth=np.where(own, np.inf, bandwidth),
        latency=np.where(own, 0.0, latency),
        links=np.full((d, d, 1), -1, np.int64),
        link_names=(),
    )


def through_dram(accelerators: int, cpus: int, *, memory: float, bandwidth: float) -> Devices:
    """Return accelerators and CPU cores around one DRAM, as in dnn-partitioning (Tarnawski et al., NeurIPS 2020).

    An accelerator has ``memory`` bytes and reaches the DRAM with ``bandwidth`` bytes/s each way, so that a transfer
    from one to another is twice on the way. CPUs work in the DRAM: nothing is sent among them, without limit of memory.
    """
    on_cpu = np.arange(accelerators + cpus) >= accelerators
    hops = (~on_cpu).astype(float)[:, None] + ~on_cpu[None, :]
    with np.errstate(divide="ignore"):
        return pairwise(
            ["CPU" if cpu else "accelerator" for cpu in on_cpu], np.where(on_cpu, np.inf, memory), bandwidth / hops
        )


def _pairs(d: int) -> tuple[Ints, Ints]:
    first, second = np.nonzero(~np.eye(d, dtype=bool))
    return first, second
