"""A replay seen as a live cluster: what an adapter would have known at the submissions of a log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.evaluation.windows import Window
from hpcai.learning.logs import Log
from hpcai.live.state import REMEMBERED, LiveState
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.snapshot import Tasks
from hpcai.scheduling.state import State
from hpcai.simulation.replay import final_state


def recorded_states(
    log: Log, policy: Policy, *, states: int, windows: int, length: int, seed: int
) -> Iterator[LiveState]:
    """Yield ``states`` moments of the training part of a log, replayed under ``policy`` in windows of ``length`` jobs.

    Moments are submissions, before anybody is started then: what the policy was asked about when it learned. They are
    drawn evenly among the windows, what is short in one from the others, and half of them where somebody waits
    afterwards too, if there are so many. There are none if nobody ever waits.
    """
    rng = np.random.default_rng(seed)
    replays = [_replay(log, policy, window) for window in log.draw("train", windows, length, seed)]
    if not any(len(replay.busy) for replay in replays):
        return
    for replay, share in zip(replays, _shares([len(r.moments) for r in replays], states), strict=True):
        for now in replay.draw(share, rng):
            yield _at(now, replay, log, policy)


@dataclass(frozen=True)
class _Replay:
    """A window of a log at the end of its replay, the instants of its submissions, and those after which some wait."""

    jobs: pd.DataFrame
    past: pd.DataFrame | None
    end: State
    moments: NDArray[np.float64]
    busy: NDArray[np.float64]

    def draw(self, count: int, rng: np.random.Generator) -> list[float]:
        """Return ``count`` moments in order, half of them busy if there are so many."""
        first = rng.choice(self.busy, min(-(-count // 2), len(self.busy)), replace=False)
        others = np.setdiff1d(self.moments, first)
        rest = rng.choice(others, min(count - len(first), len(others)), replace=False)
        return sorted([*first.tolist(), *rest.tolist()])


def _replay(log: Log, policy: Policy, window: Window) -> _Replay:
    jobs = log.window_jobs(window)
    past = log.jobs.iloc[max(window.first - REMEMBERED, 0) : window.first] if policy.learns else None
    end = final_state(jobs, log.machine, policy, past, log.trace.origin)
    submit, start = np.sort(end.submit), np.sort(end.start)
    waiting = np.arange(1, len(submit) + 1) - np.searchsorted(start, submit, side="right")
    known = np.isfinite(submit)
    return _Replay(jobs, past, end, np.unique(submit[known]), np.unique(submit[known & (waiting > 0)]))


def _shares(sizes: Sequence[int], total: int) -> list[int]:
    """Return how many of ``total`` each of several gets: the same, except who has fewer, whose rest the others get."""
    shares, left = [0] * len(sizes), total
    smallest_first = sorted(range(len(sizes)), key=lambda k: sizes[k])
    for others, k in zip(range(len(sizes), 0, -1), smallest_first, strict=True):
        shares[k] = min(sizes[k], left // others)
        left -= shares[k]
    return shares


def _at(now: float, replay: _Replay, log: Log, policy: Policy) -> LiveState:
    """Return what is known at ``now`` before anybody is started, with what only the future tells hidden.

    A policy that learned with run times known reads the requested times live: a job without one has its run time there.
    """
    jobs, end, past = replay.jobs, replay.end, replay.past
    start, run = end.start, end.jobs["run"]
    waits = np.flatnonzero((end.submit <= now) & ~(start < now))
    runs = np.flatnonzero((start < now) & (start + run > now))
    ended = np.flatnonzero((start < now) & (start + run <= now))
    hidden = jobs.assign(run_time=np.nan, start=np.nan, end=np.nan)
    if policy.estimate == "actual":
        hidden = hidden.assign(requested_time=jobs["requested_time"].fillna(jobs["run_time"]))
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
