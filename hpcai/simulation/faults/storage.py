"""A file system whose bandwidth is shared by all who read or write at a time, on a SimPy environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import simpy
from simpy.events import Event

from hpcai.faults.checkpoints.cost import Storage
from hpcai.simulation.simpy_clock import call_at

_ALMOST: Final = 1e-6  # bytes that are no bytes


@dataclass(eq=False)
class Transfer:
    """Bytes on their way; ``most`` is what the job's nodes can carry (B/s)."""

    left: float
    most: float
    done: Callable[[], None] = field(repr=False)
    rate: float = 0.0


class SharedStorage:
    """All transfers get an equal share, and what some cannot use the others do (max-min fairness)."""

    def __init__(self, env: simpy.Environment, storage: Storage) -> None:
        self.env, self.storage = env, storage
        self._active: list[Transfer] = []
        self._since = env.now
        self._latest = 0  # the number of the event that counts

    def begin(self, size: float, nodes: int, done: Callable[[], None]) -> Transfer:
        """Begin to move ``size`` bytes from or to ``nodes`` nodes; ``done`` is called at the end."""
        self._settle()
        transfer = Transfer(size, self.storage.node_link * nodes, done)
        self._active.append(transfer)
        self._share()
        return transfer

    def cancel(self, transfer: Transfer) -> None:
        """Stop a transfer that has not ended."""
        self._settle()
        self._active.remove(transfer)
        self._share()

    def _settle(self) -> None:
        """Bring what is left up to now."""
        for transfer in self._active:
            transfer.left -= transfer.rate * (self.env.now - self._since)
        self._since = self.env.now

    def _share(self) -> None:
        """Share the bandwidth anew and wait for whoever is done first."""
        room, soonest = self.storage.shared, np.inf
        waiting = sorted(self._active, key=lambda transfer: transfer.most)
        for i, transfer in enumerate(waiting):
            transfer.rate = min(transfer.most, room / (len(waiting) - i))
            room -= transfer.rate
            soonest = min(soonest, max(transfer.left, 0.0) / transfer.rate)
        self._latest += 1
        if waiting:
            call_at(self.env, self.env.now + soonest, self._end, self._latest)

    def _end(self, event: Event) -> None:
        if event._value != self._latest:
            return
        self._settle()
        least = min(transfer.left for transfer in self._active)
        ended = [transfer for transfer in self._active if transfer.left <= max(least, _ALMOST)]
        self._active = [transfer for transfer in self._active if transfer not in ended]
        self._share()
        for transfer in ended:
            transfer.done()
