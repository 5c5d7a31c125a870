"""A job as a checkpoint policy sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcai.errors import InputError

WRITE, LOCAL_WRITE, RESTART, LOCAL_RESTART, DOWN = range(5)  # places in CheckpointedJob.costs


@dataclass(frozen=True)
class CheckpointedJob:
    """What checkpoints and faults cost a job (s).

    ``write`` and ``restart`` are of a checkpoint on the shared file system, which outlives a node; ``local_write``
    and ``local_restart`` of one on the nodes' own disks, which serves where no node is lost. ``down`` passes from a
    fault until the job may restart. Of its machine, ``others`` nodes are not its own.
    """

    write: float
    restart: float = 0.0
    down: float = 0.0
    nodes: int = 1
    local_write: float = 0.0
    local_restart: float = 0.0
    others: int = 0

    def __post_init__(self) -> None:
        if self.nodes < 1 or self.others < 0:
            raise InputError(f"job of {self.nodes} nodes beside {self.others} others: expected 1 or more, 0 or more")
        for name in ("write", "restart", "down", "local_write", "local_restart"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"job {name}: expected 0 s or more, found {getattr(self, name)}")

    @property
    def costs(self) -> NDArray[np.float64]:
        """The times by place, float64[5]."""
        return np.array([self.write, self.local_write, self.restart, self.local_restart, self.down], dtype=np.float64)
