"""What a checkpoint costs: bytes of a training's state over the bandwidth of the storage that holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hpcai.errors import InputError

BYTES_OF_A_PARAMETER: Final = 14.0
"""Kept of each parameter by mixed-precision training with Adam: 2 of the weight, 4 of its master copy, 4 of each of
two moments (Rajbhandari et al., "ZeRO", SC 2020, section 3.1, whose 16 count 2 of the gradient, which is not kept)."""


@dataclass(frozen=True)
class Storage:
    """Where checkpoints go (B/s): the file system, shared by all who write, and each node's own disks.

    ``node_link`` is the most that a node gets of the file system.
    """

    shared: float
    node_link: float = float("inf")
    local: float = float("inf")

    def __post_init__(self) -> None:
        for name in ("shared", "node_link", "local"):
            if not getattr(self, name) > 0:
                raise InputError(f"storage {name} {getattr(self, name)}: expected a bandwidth above 0 B/s")

    def write_time(self, size: float, nodes: int, writers: int = 1) -> float:
        """Return the seconds to write ``size`` bytes from ``nodes`` nodes while ``writers`` jobs share equally."""
        return size / min(self.shared / writers, self.node_link * nodes)

    def local_write_time(self, size: float, nodes: int) -> float:
        """Return the seconds to write ``size`` bytes to the disks of ``nodes`` nodes, each its share."""
        return size / (self.local * nodes)


def state_bytes(parameters: float, bytes_of_each: float = BYTES_OF_A_PARAMETER) -> float:
    """Return the bytes of a training's state."""
    return parameters * bytes_of_each
