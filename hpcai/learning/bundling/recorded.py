"""A replay seen as a live cluster: what an adapter would have known at the submissions of a log."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from hpcai.learning.logs import Log
from hpcai.live.state import LiveState
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.snapshot import Tasks
from hpcai.scheduling.state import State
from hpcai.simulation.replay import final_state

REMEMBERED = 5_000
"""Earlier jobs of a log that a predictor is shown."""


def recorded_states(
    log: Log, policy: Policy, *, states: int, windows: int, length: int, seed: int
) -> Iterator[LiveState]:
    """Yield ``states`` moments of the training part of a log, replayed under ``policy`` in windows of ``length`` jobs.

    Moments are submissions after which somebody waits, drawn evenly among windows; there are fewer where the queue
    is seldom more than empty.
    """
    rng = np.random.default_rng(seed)
    drawn = log.draw("train", windows, length, seed)
    for number, window in enumerate(drawn):
        share = states * (number + 1) // len(drawn) - states * number // len(drawn)
        jobs = log.window_jobs(window)
        past = log.jobs.iloc[max(window.first - REMEMBERED, 0) : window.first] if policy.learns else None
        end = final_state(jobs, log.machine, policy, past, log.trace.origin)
        busy = _moments_with_a_queue(end)
        for now in np.sort(rng.choice(busy, min(share, len(busy)), replace=False)).tolist():
            yield _at(now, jobs, end, log, past)


def _moments_with_a_queue(end: State) -> np.ndarray:
    """Return the instants of submissions after which somebody waits."""
    submit, start = np.sort(end.submit), np.sort(end.start)
    waiting = np.arange(1, len(submit) + 1) - np.searchsorted(start, submit, side="right")
    return np.unique(submit[waiting > 0])


def _at(now: float, jobs: pd.DataFrame, end: State, log: Log, past: pd.DataFrame | None) -> LiveState:
    """Return what is known at ``now``, with what only the future tells hidden."""
    start, run = end.start, end.jobs["run"]
    waits = np.flatnonzero((end.submit <= now) & ~(start <= now))
    runs = np.flatnonzero((start <= now) & (start + run > now))
    ended = np.flatnonzero(start + run <= now)
    hidden = jobs.assign(run_time=np.nan, start=np.nan, end=np.nan)
    known = past
    if past is not None:
        over = jobs.iloc[ended].assign(start=start[ended], end=(start + run)[ended])
        known = pd.concat([past, over], ignore_index=True)
    return LiveState(
        now=now,
        origin=log.trace.origin if np.isfinite(log.trace.origin) else 0.0,
        machine=log.machine,
        waiting=hidden.iloc[waits].reset_index(drop=True),
        running=hidden.iloc[runs].assign(start=start[runs]).reset_index(drop=True),
        tasks=[_tasks(end, j) for j in runs.tolist()] if log.machine.by_node else (),
        past=known,
    )


def _tasks(end: State, j: int) -> Tasks:
    """Return where the tasks of a job were put; every job keeps its entries to the end of a replay."""
    first, size = int(end.jobs["entries"][j]), int(end.jobs["size"][j])
    return [(int(entry["node"]), int(entry["gpus"])) for entry in end.entries[first : first + size]]
