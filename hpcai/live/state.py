"""What is known of a live cluster at one moment, in the tables that every policy reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.scheduling.snapshot import Tasks

REMEMBERED: Final = 5_000
"""Jobs that have ended, of which a predictor of run times is told at most."""


@dataclass(frozen=True)
class LiveState:
    """A cluster as it stands.

    ``waiting`` and ``running`` are canonical jobs tables (:mod:`hpcai.records.schema`), times in s from ``origin``
    (Unix time of second 0). ``waiting`` holds the jobs that may start now: none that is held, begins later or waits
    for another. ``running`` has ``start``, and ``tasks`` says on which nodes of ``machine`` each of them runs, in the
    same order; empty where the machine is counted by processor. Nodes that take no jobs are reservations of
    ``machine`` without an end. ``past`` are jobs that have ended, from which a predictor of run times learns.
    """

    now: float  # s from origin
    origin: float  # Unix time
    machine: Machine
    waiting: pd.DataFrame
    running: pd.DataFrame
    tasks: Sequence[Tasks] = ()
    past: pd.DataFrame | None = None


class Ranker(Protocol):
    """Whatever says who is next."""

    def rank(self, state: LiveState) -> NDArray[np.int64]:
        """Return all rows of ``state.waiting``, the one to start first in front."""
        ...
