"""What keeps the queue controller within bounds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Guards:
    """Whom the controller may touch, how much at a time, and what stops it."""

    namespaces: frozenset[str] = frozenset()  # none: all of them
    queues: frozenset[str] = frozenset()  # LocalQueues of Kueue; none: all of them
    shadow: bool = False  # say what would be written, write nothing
    most_writes: int = 100  # objects written in one cycle
    kill_switch: Path | None = None  # while this file is there the ranker is not asked, and priorities go back
    respect_priority: bool = True  # the ranker orders within a class of priority, not across

    @property
    def killed(self) -> bool:
        """Whether the file is there."""
        return self.kill_switch is not None and self.kill_switch.exists()

    def covers(self, namespace: str, queue: str = "") -> bool:
        """Whether objects of this namespace and queue are in scope."""
        return (not self.namespaces or namespace in self.namespaces) and (not self.queues or queue in self.queues)


@dataclass
class Outcome:
    """What one cycle did; counts of objects and jobs."""

    written: int = 0
    refused: int = 0  # writes that the API server turned down
    waiting: int = 0
    held: int = 0  # jobs that room is held for
    unmet: int = 0
    ranked: bool = True  # False: in order of creation
