"""What the past says of a job: histories of its user and of jobs like it, kept as jobs come, start and end.

A class is all jobs of one user (and group and queue) that ask for the same processors, GPUs and time: as far as can be
known at submission, they are repeats of one job. Each class has four histories, from the widest to its own, and the
features of a prediction are numbers of these histories and of what the class asks for. A replay, the seeding of one
with earlier jobs, and the training of a predictor all keep the histories by the functions of this module.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.jit import jit
from hpcai.scheduling.jobs import SLOWDOWN_FLOOR

HISTORY = np.dtype(
    [
        ("ended", "f8"),  # jobs that have ended
        ("running", "f8"),  # jobs that run
        ("waiting", "f8"),  # jobs in the queue
        ("last", "f8"),  # s, run time of the job that ended last
        ("before", "f8"),  # s, of the one that ended before it
        ("third", "f8"),
        ("mean", "f8"),  # of log run time, recent jobs count more
        ("deviation", "f8"),  # mean distance of log run time from that mean
        ("ratio", "f8"),  # mean of log (run time / requested time)
        ("rate", "f8"),  # 1/s, mean of 1 / max(run time, 10 s)
        ("last_end", "f8"),  # s
        ("last_start", "f8"),
        ("last_submit", "f8"),
        ("submit_before", "f8"),
    ],
    align=True,
)
CLASS = np.dtype(
    [
        ("processors", "f8"),
        ("gpus", "f8"),
        ("requested", "f8"),  # s; inf if unknown
        # The prediction, and how many jobs of the user had ended when it was made; -1: it is to be made.
        ("revision", "f8"),
        ("time", "f8"),  # s
        ("low", "f8"),
        ("high", "f8"),
        ("mean", "f8"),
        ("rate", "f8"),  # 1/s
    ],
    align=True,
)

LEVELS: Final = ("user", "user_size", "user_request", "class")
_OF_CLASS: Final = ("log_processors", "gpus", "log_requested", "hour", "weekday")
_OF_LEVEL: Final = (
    "ended", "log_last", "log_before", "log_third", "mean", "deviation", "ratio", "log_rate",
    "since_end", "submit_gap", "running", "since_start", "waiting",
)  # fmt: skip
FEATURES: Final = (*_OF_CLASS, *(f"{level}_{name}" for level in LEVELS for name in _OF_LEVEL))
_FIRST_LEVEL: Final = len(_OF_CLASS)
_WIDTH: Final = len(_OF_LEVEL)

# A mean over n jobs moves by 1/n, but never by less than this: the last few jobs count most.
_RECENT: Final = 1 / 5
_RECENT_RATE: Final = 1 / 20  # a rate is a share of short jobs, and needs more of them


class Histories(NamedTuple):
    """Histories of C classes; n jobs."""

    job_class: NDArray[np.int64]  # (n,)
    classes: NDArray[np.void]  # CLASS (C,)
    keys: NDArray[np.int64]  # (C, 4) the histories of a class, in the order of LEVELS
    histories: NDArray[np.void]  # HISTORY (K,)


def who(jobs: pd.DataFrame) -> pd.Series[str]:
    """Return whose history each job adds to: its user, or its tenant where the log names no user."""
    user = jobs["user"].astype(str)
    return user.where(user != "", jobs["tenant"].astype(str))


def make_histories(jobs: pd.DataFrame) -> Histories:
    """Return empty histories for the jobs of a canonical table."""
    user, group, queue = (pd.factorize(column)[0] for column in (who(jobs), jobs["group"], jobs["queue"]))
    processors, gpus = jobs["processors"].to_numpy(np.float64), jobs["gpus"].to_numpy(np.float64)
    requested = np.nan_to_num(jobs["requested_time"].to_numpy(np.float64), nan=np.inf)
    own, first = _number(user, group, queue, processors, gpus, requested)
    classes = np.zeros(len(first), dtype=CLASS)
    classes["processors"], classes["gpus"], classes["requested"] = processors[first], gpus[first], requested[first]
    classes["revision"] = -1
    levels = (
        _number(user)[0],
        _number(user, processors, gpus)[0],
        _number(user, requested)[0],
        own,
    )
    sizes = [int(level.max(initial=-1)) + 1 for level in levels]
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    keys = np.column_stack([level[first] + offset for level, offset in zip(levels, offsets, strict=False)])
    return Histories(own, classes, np.ascontiguousarray(keys), np.zeros(int(offsets[-1]), dtype=HISTORY))


def _number(*columns: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the distinct rows from 0; return each row's number, and where each number comes first."""
    number = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        codes, values = pd.factorize(column)
        number = pd.factorize(number * max(len(values), 1) + codes)[0]
    return number, np.unique(number, return_index=True)[1]


@jit
def note_submission(h: Histories, c: int, now: float) -> None:
    """A job of class ``c`` joins the queue; the prediction for the class is to be made anew."""
    for level in range(h.keys.shape[1]):
        history = h.histories[h.keys[c, level]]
        history.waiting += 1.0
        history.submit_before = history.last_submit
        history.last_submit = now
    h.classes[c].revision = -1.0


@jit
def note_start(h: Histories, c: int, now: float) -> None:
    """A job of class ``c`` starts."""
    for level in range(h.keys.shape[1]):
        history = h.histories[h.keys[c, level]]
        history.waiting -= 1.0
        history.running += 1.0
        history.last_start = now


@jit
def note_end(h: Histories, c: int, run: float, now: float) -> None:
    """A job of class ``c`` has ended after ``run`` seconds."""
    log_run = np.log(max(run, 1.0))
    requested = h.classes[c].requested
    for level in range(h.keys.shape[1]):
        history = h.histories[h.keys[c, level]]
        history.running -= 1.0
        history.ended += 1.0
        history.last_end = now
        history.third = history.before
        history.before = history.last
        history.last = run
        gain = max(1.0 / history.ended, _RECENT)
        if history.ended > 1.0:
            history.deviation += gain * (abs(log_run - history.mean) - history.deviation)
        history.mean += gain * (log_run - history.mean)
        if requested < np.inf:
            history.ratio += gain * (log_run - np.log(max(requested, 1.0)) - history.ratio)
        history.rate += max(1.0 / history.ended, _RECENT_RATE) * (1.0 / max(run, SLOWDOWN_FLOOR) - history.rate)


@jit
def fill_features(h: Histories, c: int, now: float, x: NDArray[np.float64]) -> None:
    """Write the features of a job of class ``c`` that waits at ``now``, in the order of FEATURES; nan is unknown.

    The job itself counts as submitted.
    """
    asked = h.classes[c]
    x[0] = np.log(max(asked.processors, 1.0))
    x[1] = asked.gpus
    x[2] = np.log(max(asked.requested, 1.0)) if asked.requested < np.inf else np.nan
    x[3] = (now % 86400.0) / 3600.0
    x[4] = (now // 86400.0) % 7.0
    for level in range(h.keys.shape[1]):
        _fill_level(h.histories[h.keys[c, level]], now, x, _FIRST_LEVEL + level * _WIDTH)


@jit
def _fill_level(history: Any, now: float, x: NDArray[np.float64], k: int) -> None:
    ended = history.ended
    x[k] = np.log1p(ended)
    x[k + 1] = np.log(max(history.last, 1.0)) if ended > 0.0 else np.nan
    x[k + 2] = np.log(max(history.before, 1.0)) if ended > 1.0 else np.nan
    x[k + 3] = np.log(max(history.third, 1.0)) if ended > 2.0 else np.nan
    x[k + 4] = history.mean if ended > 0.0 else np.nan
    x[k + 5] = history.deviation if ended > 1.0 else np.nan
    x[k + 6] = history.ratio if ended > 0.0 else np.nan
    x[k + 7] = np.log(history.rate) if ended > 0.0 else np.nan
    x[k + 8] = np.log1p(now - history.last_end) if ended > 0.0 else np.nan
    known = ended + history.running + history.waiting > 1.0
    x[k + 9] = np.log1p(history.last_submit - history.submit_before) if known else np.nan
    x[k + 10] = history.running
    x[k + 11] = np.log1p(now - history.last_start) if history.running > 0.0 else np.nan
    x[k + 12] = history.waiting


# Kinds of what a log records of a job, in the order in which they count at one instant. A job of run time 0 ends
# after it has started.
ENDS, SUBMITS, STARTS, ENDS_AT_ONCE = 0, 1, 2, 3
_EVENT = np.dtype([("time", "f8"), ("kind", "i8"), ("job", "i8")], align=True)


def recorded_events(jobs: pd.DataFrame, before: float = np.inf) -> NDArray[np.void]:
    """Return what is recorded of ``jobs`` in order of time, of those alone that ended before ``before``.

    A job without a recorded start counts as started when submitted, one without a run time as not being there.
    """
    submit, run = jobs["submit"].to_numpy(np.float64), jobs["run_time"].to_numpy(np.float64)
    start = recorded_start(jobs)
    end = start + run
    rows = np.flatnonzero(end < before)
    kinds = (
        (np.where(run[rows] > 0, ENDS, ENDS_AT_ONCE), end[rows]),
        (np.full(len(rows), SUBMITS), submit[rows]),
        (np.full(len(rows), STARTS), start[rows]),
    )
    events = np.zeros(3 * len(rows), dtype=_EVENT)
    events["kind"] = np.concatenate([kind for kind, _ in kinds])
    events["time"] = np.concatenate([time for _, time in kinds])
    events["job"] = np.tile(rows, 3)
    return events[np.lexsort((events["job"], events["kind"], events["time"]))]


def recorded_start(jobs: pd.DataFrame) -> NDArray[np.float64]:
    """Return when each job started as recorded; when it was submitted if the log does not say."""
    start: NDArray[np.float64] = np.fmax(jobs["start"].to_numpy(np.float64), jobs["submit"].to_numpy(np.float64))
    return start


@jit
def take_effect(h: Histories, event: Any, run: NDArray[np.float64]) -> None:
    """Let a recorded event take effect on the histories; ``run`` are the run times of all jobs."""
    c = h.job_class[event.job]
    if event.kind == SUBMITS:
        note_submission(h, c, event.time)
    elif event.kind == STARTS:
        note_start(h, c, event.time)
    else:
        note_end(h, c, run[event.job], event.time)


@jit
def live_through(h: Histories, events: NDArray[np.void], run: NDArray[np.float64]) -> None:
    """Let all recorded events take effect on the histories."""
    for e in range(events.shape[0]):
        take_effect(h, events[e], run)


def recorded_features(jobs: pd.DataFrame) -> NDArray[np.float64]:
    """Return the features of every job when it was submitted, then of every job when it started; (2 n, features).

    Rows of jobs without a run time are nan throughout.
    """
    x = np.full((2 * len(jobs), len(FEATURES)), np.nan)
    _collect(make_histories(jobs), recorded_events(jobs), jobs["run_time"].to_numpy(np.float64), x)
    return x


@jit
def _collect(h: Histories, events: NDArray[np.void], run: NDArray[np.float64], x: NDArray[np.float64]) -> None:
    for e in range(events.shape[0]):
        j = events[e].job
        if events[e].kind == STARTS:
            fill_features(h, h.job_class[j], events[e].time, x[run.shape[0] + j])
        take_effect(h, events[e], run)
        if events[e].kind == SUBMITS:
            fill_features(h, h.job_class[j], events[e].time, x[j])
