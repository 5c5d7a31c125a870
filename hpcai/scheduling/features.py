"""What a policy sees: one function from the state of queue and machine to numbers, in training, replay and live.

Every column is scaled to about 0..1, means the same on every machine, and is known to a live scheduler: the true
run time is none of them. x / (x + c) is used where a column changes at every decision, because it is bounded and
needs no logarithm; columns fixed at submission (traits) are logarithms of what spans decades.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.jit import jit
from hpcai.scheduling.decisions import BACKFILL, Decision
from hpcai.scheduling.formula import FIRST_PREDICTED, PREDICTED_VARIABLES, SIZE, STATIC_VARIABLES
from hpcai.scheduling.jobs import SLOWDOWN_FLOOR
from hpcai.scheduling.kinds import by_kind, if_predicting
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.state import OPEN, State

HOUR, DAY, WEEK = 3600.0, 86400.0, 7 * 86400.0
LONGEST: Final = 30 * DAY  # of times on a logarithmic scale
CLASSES: Final = 4

# Columns that change from decision to decision, in order, then those fixed at submission.
CHANGING_FEATURES: Final = {
    "present": "1; 0 in a slot without a job, where all else is 0 too",
    "wait_hours": "w / (w + 1 h), w the wait so far",
    "wait_days": "w / (w + 1 d)",
    "stretch": "w / (w + e), e the estimated run time, at least 10 s: 0.5 when it has waited as long as it will run",
    "can_start": "1 if it fits now, else 0",
    "fits_hole": "1 if it fits now without delaying the head (the first of the window if there is no head), else 0",
    "is_head": "1 if the reservation is for this job, else 0",
    "user_share": "share of the machine that its account (Policy.fairshare_by) holds now, 0..1",
    # 0 without a predictor (docs/semantics.md, 'Predicted run times').
    "predicted_time": "log(1 + t) / log(1 + 30 d), t the predicted median of the run time",
    "predicted_low": "the same of its 25 % quantile",
    "predicted_high": "the same of its 75 % quantile",
    "slowdown_rate": "1 + log10(10 s * r) / 6, r the predicted mean of 1 / max(run time, 10 s): 1 if it will be short",
}
TRAITS: Final = {
    "requested_time": "log(1 + t) / log(1 + 30 d), t the requested time, or with `estimate: actual` the run time; "
    "1 if unlimited or unknown",
    "size_fraction": "processors, or the dominant share of CPUs, memory and GPUs, as a share of the machine, 0..1",
    "size": "log(1 + n) / log(1 + machine), n that size in processors or GPUs",
    "memory_fraction": "memory asked for as a share of the machine's, 0..1; 0 if unknown",
    **{f"class_{c}": f"1 if its class is number {c} of those told apart, else 0" for c in range(CLASSES)},
}
JOB_FEATURES: Final = {**CHANGING_FEATURES, **TRAITS}
MACHINE_FEATURES: Final = {
    "free": "share of the machine that is free to use, 0..1",
    "drained": "share of the machine that reservations and drains hold back, 0..1",
    "queue": "q / (q + 100), q the jobs waiting",
    "beyond_window": "share of the waiting jobs that the window does not show, 0..1",
    "running": "r / (r + 100), r the jobs running",
    "backfilling": "1 if the head is known and who is backfilled is to be decided, else 0",
    "shadow": "t / (t + 1 h), t from now to the shadow time of the head (the first of the window); 0 with a profile",
    "extra": "processors beyond the head's at its shadow time, share of the machine; 0 on nodes and with a profile",
    "hour_sin": "sine of the time of day",
    "hour_cos": "cosine of the time of day",
    "week_sin": "sine of the time of the week",
    "week_cos": "cosine of the time of the week",
    "machine": "log10(machine) / 6, in processors or GPUs",
}
_FIRST_TRAIT: Final = len(CHANGING_FEATURES)
_PREDICTED: Final = list(CHANGING_FEATURES).index("predicted_time")
_TIMES: Final = tuple(
    FIRST_PREDICTED + list(PREDICTED_VARIABLES).index(f"predicted_{name}") for name in ("time", "low", "high")
)
_RATE: Final = FIRST_PREDICTED + list(PREDICTED_VARIABLES).index("slowdown_rate")
_PER_LOG_SECOND: Final = 1.0 / math.log1p(LONGEST)
WIDTH: Final = len(JOB_FEATURES)


def traits(
    jobs: pd.DataFrame, machine: Machine, policy: Policy, static: NDArray[np.float64], classes: tuple[str, ...] = ()
) -> NDArray[np.float32]:
    """Return the columns of TRAITS for every job, (jobs, traits).

    ``static`` are the variables of formulas (:func:`hpcai.scheduling.jobs.features`). ``classes`` are the names
    (of ``qos``, or of ``queue`` for a job without one) told apart.
    """
    requested = (jobs["run_time"] if policy.estimate == "actual" else jobs["requested_time"]).to_numpy(np.float64)
    size, fraction = static[SIZE], static[list(STATIC_VARIABLES).index("size_fraction")]
    capacity = _capacity(machine)
    memory = sum(group.memory_gib * 2**30 * group.count for group in machine.groups) if machine.by_node else 0.0
    asked = np.nan_to_num(jobs["memory"].to_numpy(np.float64), nan=0.0)
    name = jobs["qos"].astype(str).where(jobs["qos"].astype(str) != "", jobs["queue"].astype(str))
    columns = [
        np.where(np.isfinite(requested), np.log1p(np.maximum(requested, 0.0)) / math.log1p(LONGEST), 1.0),
        fraction,
        np.log1p(size) / math.log1p(capacity),
        asked / memory if memory else np.zeros(len(jobs)),
        *((name == classes[c]).to_numpy(float) if c < len(classes) else np.zeros(len(jobs)) for c in range(CLASSES)),
    ]
    return np.ascontiguousarray(np.clip(np.column_stack(columns), 0.0, 1.0), dtype=np.float32)


def _capacity(machine: Machine) -> float:
    """Return the machine's processors, or its GPUs (CPUs if it has none) if it is counted by node."""
    return float(machine.total_gpus or machine.total_cpus) if machine.by_node else float(machine.total_cpus)


@jit
def _drained_processors(st: State) -> float:
    return float(min(st.scalars[0].reserved / st.scalars[0].total, 1.0))


@jit
def _drained_nodes(st: State) -> float:
    closed = 0
    for i in range(st.room.shape[0]):
        closed += st.room[i, OPEN] < 0
    return float(closed / st.room.shape[0])


_drained = by_kind(_drained_processors, _drained_nodes)


@jit
def _write_prediction(st: State, j: int, row: NDArray[np.float32]) -> None:
    for k in range(3):
        row[_PREDICTED + k] = min(math.log1p(st.features[_TIMES[k], j]) * _PER_LOG_SECOND, 1.0)
    row[_PREDICTED + 3] = max(1.0 + math.log10(SLOWDOWN_FLOOR * st.features[_RATE, j]) / 6.0, 0.0)


_see_prediction = if_predicting(_write_prediction)


@jit
def observe(
    st: State,
    de: Decision,
    trait: NDArray[np.float32],
    origin: float,
    now: float,
    jobs: NDArray[np.float32],
    machine: NDArray[np.float32],
) -> None:
    """Write what is to be seen of the decision at hand.

    ``trait`` (n, traits) are the jobs' fixed columns, ``origin`` the Unix time of second 0 (0 if unknown).
    ``jobs`` is (K, WIDTH), a row for each slot of the window; ``machine`` is (len(MACHINE_FEATURES),).
    """
    _observe_machine(st, de, origin, now, machine)
    capacity = st.scalars[0].capacity
    d = de.scalars[0]
    for k in range(d.count):
        position = de.slots[k]
        j = st.places[position].job
        job = st.jobs[j]
        wait = now - st.submit[j]
        estimate = max(job.estimate, SLOWDOWN_FLOOR)
        row = jobs[k]
        row[0] = 1.0
        row[1] = wait / (wait + HOUR)
        row[2] = wait / (wait + DAY)
        row[3] = wait / (wait + estimate)
        row[4] = de.fits[k]
        row[5] = de.beside[k]
        row[6] = position == d.head
        row[7] = min(max(st.accounts[job.account].rate / capacity, 0.0), 1.0)
        _see_prediction(st, j, row)
        for c in range(trait.shape[1]):
            row[_FIRST_TRAIT + c] = trait[j, c]
    for k in range(d.count, jobs.shape[0]):
        if jobs[k, 0] == 0.0:
            break  # the rest has been empty since the last time
        jobs[k] = 0.0


@jit
def _observe_machine(st: State, de: Decision, origin: float, now: float, machine: NDArray[np.float32]) -> None:
    s, d = st.scalars[0], de.scalars[0]
    total = float(s.total)
    drained = _drained(st)
    until = max(d.shadow - now, 0.0)
    day = 2.0 * math.pi * ((origin + now) % DAY) / DAY
    week = 2.0 * math.pi * ((origin + now) % WEEK) / WEEK
    machine[0] = max(1.0 - s.used / total - drained, 0.0)
    machine[1] = drained
    machine[2] = s.waiting / (s.waiting + 100.0)
    machine[3] = max(s.waiting - d.count, 0) / max(s.waiting, 1)
    machine[4] = s.running / (s.running + 100.0)
    machine[5] = d.phase == BACKFILL
    machine[6] = until / (until + HOUR) if until < np.inf else 1.0
    machine[7] = min(max(d.extra / total, 0.0), 1.0)
    machine[8] = math.sin(day)
    machine[9] = math.cos(day)
    machine[10] = math.sin(week)
    machine[11] = math.cos(week)
    machine[12] = math.log10(s.capacity) / 6.0
