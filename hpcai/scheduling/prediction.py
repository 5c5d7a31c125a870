"""Predicted run times in a replay: kept up to date as jobs end, and corrected when a job outlives its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.jit import jit
from hpcai.scheduling.expected_ends import settle
from hpcai.scheduling.formula import FIRST_PREDICTED, REMAINING_TIME, REQUESTED_TIME
from hpcai.scheduling.history import Histories, live_through, make_histories, note_end, recorded_events, who
from hpcai.scheduling.history import note_start as _note_start
from hpcai.scheduling.history import note_submission as _note_submission
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.predictor import Trees, model_of, predict

if TYPE_CHECKING:
    from hpcai.scheduling.state import State

# s added to the first prediction when it is overrun, then instead when that is overrun, and so on (Tsafrir et al.
# 2007): 1, 5, 15, 30 minutes, 1, 2, 5, 10, 20, 50, 100 hours; beyond them by 100 hours each.
STEPS: Final = np.array([60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 18000.0, 36000.0, 72000.0, 180000.0, 360000.0])

_BELIEF = np.dtype(
    [
        ("predicted", "f8"),  # s, when it started
        ("corrections", "i8"),
    ],
    align=True,
)
_ENDED = np.dtype([("time", "f8"), ("job", "i8")], align=True)
_COUNTS = np.dtype([("ended", "i8"), ("believed", "i8"), ("multiplier", "f8")], align=True)


class Prediction(NamedTuple):
    """What a state needs to predict run times; n jobs."""

    histories: Histories
    trees: Trees
    counts: NDArray[np.void]  # _COUNTS (1,): how many in ``ended``; whether backfilling believes the predictions,
    # and whether nobody looks at them for now
    ended: NDArray[np.void]  # _ENDED (n,) jobs that the histories do not know to have ended yet
    beliefs: NDArray[np.void]  # _BELIEF (n,)


def make_prediction(jobs: pd.DataFrame, policy: Policy, past: pd.DataFrame | None) -> Prediction:
    """Return the predictor of ``policy`` with the history that ``past`` gives it when the first of ``jobs`` comes.

    ``past`` are earlier jobs of the same log; only what had ended before the first submission is looked at. Raises
    InputError if the predictor's file cannot be used.
    """
    model = model_of(policy)
    n = len(jobs)
    histories = make_histories(jobs)
    if past is not None and n and len(past):
        known = past[who(past).isin(who(jobs).unique())]
        everyone = pd.concat([jobs, known], ignore_index=True)
        histories = make_histories(everyone)
        events = recorded_events(everyone.iloc[n:], before=float(jobs["submit"].min()))
        run = everyone["run_time"].to_numpy(np.float64)[n:]
        live_through(histories._replace(job_class=histories.job_class[n:]), events, run)
        histories = histories._replace(job_class=histories.job_class[:n].copy())
    counts = np.zeros(1, dtype=_COUNTS)
    counts["believed"] = policy.estimate == "predicted"
    counts["multiplier"] = policy.estimate_multiplier
    return Prediction(histories, model.trees(), counts, np.zeros(n, dtype=_ENDED), np.zeros(n, dtype=_BELIEF))


@jit
def note_submission(st: State, j: int, now: float) -> None:
    """Job ``j`` joins the queue."""
    h = st.prediction.histories
    _note_submission(h, h.job_class[j], now)


@jit
def note_start(st: State, j: int, now: float) -> None:
    """Job ``j`` starts."""
    p = st.prediction
    _note_start(p.histories, p.histories.job_class[j], now)
    p.beliefs[j].predicted = st.jobs[j].estimate


@jit
def note_finish(st: State, j: int, now: float) -> None:
    """Job ``j`` has ended. The histories learn of ends in order of time, then row, whatever a clock's order is."""
    p = st.prediction
    k = p.counts[0].ended
    while k > 0 and p.ended[k - 1].time == now and p.ended[k - 1].job > j:
        p.ended[k] = p.ended[k - 1]
        k -= 1
    p.ended[k].time = now
    p.ended[k].job = j
    p.counts[0].ended += 1


@jit
def predict_waiting(st: State, now: float) -> None:
    """Bring the predictions of all waiting jobs up to date."""
    p = st.prediction
    h = p.histories
    for k in range(p.counts[0].ended):
        j = p.ended[k].job
        note_end(h, h.job_class[j], st.jobs[j].run, p.ended[k].time)
    p.counts[0].ended = 0
    for q in range(st.scalars[0].waiting):
        j = st.queue[q]
        c = h.job_class[j]
        if h.classes[c].revision != h.histories[h.keys[c, 0]].ended:
            predict(h, p.trees, c, now)
        predicted = h.classes[c]
        st.features[FIRST_PREDICTED, j] = predicted.time
        st.features[FIRST_PREDICTED + 1, j] = predicted.low
        st.features[FIRST_PREDICTED + 2, j] = predicted.high
        st.features[FIRST_PREDICTED + 3, j] = predicted.mean
        st.features[FIRST_PREDICTED + 4, j] = predicted.rate
        if p.counts[0].believed:
            estimate = min(predicted.time * p.counts[0].multiplier, predicted.requested)
            st.jobs[j].estimate = estimate
            st.features[REQUESTED_TIME, j] = estimate
            st.features[REMAINING_TIME, j] = estimate


@jit
def correct_overruns(st: State, now: float) -> None:
    """Raise what is believed of running jobs that have outlived it, never beyond what they asked for."""
    if not st.prediction.counts[0].believed:
        return
    r = st.scalars[0].running - 1
    while r >= 0 and st.running[r].end <= now:
        if _raise_estimate(st, st.running[r].job, now):
            _move_up(st, r)  # another job is now at r, or this one with a later end
        else:
            r -= 1


@jit
def _raise_estimate(st: State, j: int, now: float) -> bool:
    """Raise the estimate of job ``j`` beyond ``now``, or to what it asked for; return False if it is there already."""
    p = st.prediction
    limit = p.histories.classes[p.histories.job_class[j]].requested
    estimate = st.jobs[j].estimate
    if estimate >= limit:
        return False
    belief = p.beliefs[j]
    while st.start[j] + estimate <= now and estimate < limit:
        estimate = min(belief.predicted + _step(belief.corrections), limit)
        belief.corrections += 1
    st.jobs[j].estimate = estimate
    return True


@jit
def _step(k: int) -> float:
    last = STEPS.shape[0] - 1
    return float(STEPS[k]) if k <= last else float(STEPS[last]) * (k - last + 1)


@jit
def _move_up(st: State, r: int) -> None:
    """Restore the order of the running set after the estimate of the job at ``r`` has been raised."""
    j = st.running[r].job
    settle(st, r, j, st.start[j] + st.jobs[j].estimate)
