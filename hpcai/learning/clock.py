"""How much of its budget a run has used, over all its sittings."""

from __future__ import annotations

import time

from hpcai.learning.budget import Budget


class Clock:
    """Counts seconds and steps against a budget; ``seconds`` and ``steps`` are what earlier sittings used."""

    def __init__(self, budget: Budget, seconds: float = 0.0, steps: int = 0) -> None:
        self._budget = budget
        self._since = time.monotonic() - seconds
        self.steps = steps

    @property
    def seconds(self) -> float:
        """Seconds of learning so far."""
        return time.monotonic() - self._since

    @property
    def spent(self) -> float:
        """Share of the budget that is used up, 0..1."""
        return self._budget.spent(self.seconds, self.steps)

    @property
    def over(self) -> bool:
        """Whether the budget is used up."""
        return self.spent >= 1
