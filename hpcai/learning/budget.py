"""How long a run may learn: by the clock, or by steps so that it can be repeated exactly."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator

from hpcai.configuration import seconds_in

EXPECTED: Final = "a time such as '20m', '90s', '1h', or a number such as '100000 steps' or '50 trials'"


@dataclass(frozen=True)
class Budget:
    """The end of a run: after ``seconds`` of learning or ``steps`` (decisions or trials); inf is no limit."""

    seconds: float = math.inf
    steps: float = math.inf

    def spent(self, seconds: float, steps: int) -> float:
        """Return the share that is used up, 0..1."""
        return min(1.0, max(seconds / self.seconds, steps / self.steps))


def parse_budget(text: str) -> Budget:
    """Return the budget that ``text`` says. Raises ValueError."""
    if seconds := seconds_in(text):
        return Budget(seconds=seconds)
    if (match := re.fullmatch(r"(\d+) ?(?:steps?|trials?)", text.strip())) and int(match[1]) > 0:
        return Budget(steps=int(match[1]))
    raise ValueError(f"budget: expected {EXPECTED}, found {text!r}")


def _checked(text: str) -> str:
    parse_budget(text)
    return text


BudgetText = Annotated[str, AfterValidator(_checked)]
"""A budget as people write it, of a configuration."""
