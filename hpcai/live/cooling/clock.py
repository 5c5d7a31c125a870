"""Two clocks: what time it is, and how much has passed, which no correction of the former disturbs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Clock:
    """``now`` is Unix time (s), ``passed`` seconds since whenever; ``utc_offset`` (h) of local standard time."""

    now: Callable[[], float] = time.time
    passed: Callable[[], float] = time.monotonic
    utc_offset: float = -time.timezone / 3600.0

    def local(self, now: float) -> datetime:
        """Return local standard time, as controllers learned it."""
        return _EPOCH + timedelta(seconds=now, hours=self.utc_offset)
