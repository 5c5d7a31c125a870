"""What a site does tick by tick, as rows that are kept, or passed on a day at a time and forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.cooling.interface import READINGS, SETPOINTS

Floats = NDArray[np.float64]

OWN_COLUMNS: Final = {
    "time": "end of the tick, s",
    "it_east": "mean power of the machines in the east, W",
    "it_west": "mean power of the machines in the west, W",
    "of_jobs": "part of it that jobs answer for, W",
    "hvac": "mean power of all that cools, W",
    "site": "mean power of everything, W",
    "carbon": "intensity, gCO2/kWh; nan: not known",
    "price": "per MWh; nan: not known",
    "limit_east": "lowest limit on the GPUs in the east at its end, as a share of the most they can draw",
    "limit_west": "the same in the west",
    "waiting": "jobs in the queue at its end",
    "held": "jobs that are held back",
    "running": "jobs that hold places",
    "gpus": "GPUs on the books",
    "down": "nodes that are down",
    "ended": "jobs that have ended so far",
    "preemptions": "stops of jobs for others so far",
    "killed": "stops of jobs by faults so far",
    "lost": "GPU-s of running lost so far",
}
COLUMNS: Final = (
    *OWN_COLUMNS,
    *(f"plant_{point.name}" for point in READINGS),  # as the plant says, before it is scaled to the machine
    *(f"set_{point.name}" for point in SETPOINTS),
)
INDEX: Final = {name: i for i, name in enumerate(COLUMNS)}
CHUNK: Final = 1440


class Timeline:
    """Rows of COLUMNS; ``sink`` is given each CHUNK of them, (rows, columns), and then they are not kept."""

    def __init__(self, sink: Callable[[Floats], object] | None = None) -> None:
        self._parts: list[Floats] = []
        self._sink = self._parts.append if sink is None else sink
        self._chunk = np.empty((CHUNK, len(COLUMNS)))
        self._filled = 0
        self.last = np.full(len(COLUMNS), np.nan)

    def add(self, row: Floats) -> None:
        """Add a row, (columns,)."""
        self.last[:] = row
        self._chunk[self._filled] = row
        self._filled += 1
        if self._filled == CHUNK:
            self.flush()

    def flush(self) -> None:
        """Pass on what has come since the last chunk."""
        if self._filled:
            self._sink(self._chunk[: self._filled].copy())
            self._filled = 0

    def table(self) -> pd.DataFrame:
        """Return the rows that were kept."""
        self.flush()
        rows = np.concatenate(self._parts) if self._parts else np.empty((0, len(COLUMNS)))
        return pd.DataFrame(rows, columns=list(COLUMNS))
