"""How busy the machine is and how many jobs wait, over time, from a schedule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Load:
    """Step functions of time: value ``i`` holds from ``time[i]`` to ``time[i + 1]``.

    ``time``: float64[steps + 1], s. ``processors``, ``gpus``, ``queue``: float64[steps], processors and GPUs
    occupied and jobs waiting.
    """

    time: Floats
    processors: Floats
    gpus: Floats
    queue: Floats

    @property
    def width(self) -> Floats:
        """Duration of each step (float64[steps], s)."""
        return np.diff(self.time)

    @property
    def duration(self) -> float:
        """From the first to the last instant, s."""
        return float(self.time[-1] - self.time[0])

    def integral(self, values: Floats) -> float:
        """Return the integral over time of ``values`` (float64[steps])."""
        return float(np.dot(values, self.width))


def load_over_time(schedule: pd.DataFrame, since: float = -np.inf) -> Load:
    """Return the load of a schedule from ``since`` (s), or the first submission if later, to the last end.

    A job that never started waits to the end.
    """
    ran = schedule[np.isfinite(schedule["start"].to_numpy(np.float64))]
    submit = schedule["submit"].to_numpy(np.float64)
    start, end = ran["start"].to_numpy(np.float64), ran["end"].to_numpy(np.float64)
    time = np.concatenate([submit, start, end])
    order = np.argsort(time, kind="stable")
    time = time[order]
    last_of_instant = np.append(np.flatnonzero(np.diff(time)), len(time) - 1)
    instants = time[last_of_instant]
    first = max(int(np.searchsorted(instants, since, side="right")) - 1, 0)
    instants = instants[first:].copy()
    instants[0] = max(instants[0], since)

    def steps(at_submit: Floats, at_start: Floats, at_end: Floats) -> Floats:
        change = np.concatenate([at_submit, at_start, at_end])[order]
        level: Floats = np.cumsum(change)[last_of_instant][first:-1]
        return level

    zero, zero_ran = np.zeros(len(submit)), np.zeros(len(ran))
    processors, gpus = (ran[name].to_numpy(np.float64) for name in ("processors", "gpus"))
    return Load(
        instants,
        steps(zero, processors, -processors),
        steps(zero, gpus, -gpus),
        steps(zero + 1, zero_ran - 1, zero_ran),
    )
