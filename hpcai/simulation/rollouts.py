"""Thousands of replays of windows of one log, for a search: what does not depend on the policy is prepared once.

Predictions are frozen: each job has what was predicted of it when it was submitted, as recorded, where a replay
would predict anew whenever a job ends, and what backfilling believes is not corrected when it is overrun. That makes
a replay some twenty times as fast; what comes out of a search is to be judged by real replays.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.jit import announce_compilation, jit
from hpcai.scheduling.formula import FIRST_PREDICTED, REMAINING_TIME, REQUESTED_TIME, SUBMIT, evaluate_static
from hpcai.scheduling.headroom import static_needs
from hpcai.scheduling.orderings import formulas_of
from hpcai.scheduling.passes import schedule
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.predictor import PREDICTED
from hpcai.scheduling.state import make_state
from hpcai.simulation.compiled import begin_replay, handle_events, launch, next_instant
from hpcai.simulation.episode import Episodes, Lane, Pool, Setting, rewind
from hpcai.simulation.rewards import Reward


class Rollouts:
    """Windows of ``length`` jobs of one log under policies that differ in ordering and headroom alone."""

    def __init__(
        self,
        jobs: pd.DataFrame,
        machine: Machine,
        policy: Policy,
        length: int,
        predicted: NDArray[np.float64] | None = None,
    ) -> None:
        """Prepare ``jobs``, replayable and sorted by submit, under the beliefs and the backfilling of ``policy``.

        ``predicted`` (jobs, PREDICTED) stands for what its predictor says. Raises InputError if the jobs cannot be
        played.
        """
        believed = policy.estimate == "predicted"
        self._frozen = {"predictor": "none" if predicted is None else "actual"}
        self._frozen |= {"estimate": "requested"} if believed else {}
        multiplier, policy = policy.estimate_multiplier, policy.model_copy(update=self._frozen)
        setting = Setting(policy, 1, "next", reward=Reward(relative=False))
        self._first_jobs, self._machine = jobs.iloc[:length], machine
        episodes = Episodes(jobs, machine, setting, length=length, believe=True)
        self._pool, self._lane = episodes.pool, episodes.new_lane()
        self.run = self._pool.jobs["run"].astype(np.float64)
        self.length = length
        if predicted is not None:
            known = np.where(np.isfinite(predicted), predicted, 1.0)  # unknown only of jobs that never ran
            self._pool.static[FIRST_PREDICTED : FIRST_PREDICTED + len(PREDICTED)] = known.T
            if believed:
                requested = np.nan_to_num(jobs["requested_time"].to_numpy(np.float64), nan=np.inf)
                estimate = np.minimum(known[:, 0] * multiplier, requested)
                self._pool.jobs["estimate"] = estimate
                self._pool.static[[REQUESTED_TIME, REMAINING_TIME]] = estimate

    def waits(
        self, policy: Policy, firsts: NDArray[np.int64], pace: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return how long each job of the windows that begin at rows ``firsts`` waits, s (windows, length).

        Jobs come ``pace`` (windows,) times as fast as recorded. Raises InputError if a formula cannot be read.
        """
        lane, pool = self._under(policy, firsts)
        pace = np.ones(len(firsts)) if pace is None else pace
        waits = np.empty((len(firsts), self.length))
        announce_compilation(_replay_windows)
        _replay_windows(lane, pool, firsts, pace, waits)
        return waits

    def _under(self, policy: Policy, firsts: NDArray[np.int64]) -> tuple[Lane, Pool]:
        """Return the lane and the pool with the formulas of ``policy``, evaluated where jobs of the windows are."""
        policy = policy.model_copy(update=self._frozen)
        state = make_state(self._first_jobs, self._machine, policy, observed=True)
        roomy = self._lane.state  # sized for every window, not for the first alone
        state = state._replace(accounts=roomy.accounts, entries=roomy.entries, failed=roomy.failed)
        lane = self._lane._replace(state=state)
        ordering, headroom = formulas_of(policy)
        if state.scalars["dynamic"][0]:
            return lane, self._pool
        rows = np.unique(firsts[:, None] + np.arange(self.length))
        static = np.ascontiguousarray(self._pool.static[:, rows])
        keys, jobs = np.zeros(len(self._pool.jobs)), self._pool.jobs.copy()
        keys[rows] = evaluate_static(ordering, static)
        jobs["needs"][rows] = static_needs(headroom, jobs[rows], static, int(state.scalars["total"][0]))
        return lane, self._pool._replace(keys=keys, jobs=jobs)


@jit
def _replay_windows(
    lane: Lane, pool: Pool, firsts: NDArray[np.int64], pace: NDArray[np.float64], waits: NDArray[np.float64]
) -> None:
    st, ev = lane.state, lane.events
    for w in range(firsts.shape[0]):
        rewind(lane, pool, firsts[w])
        begin = st.jobs[0].submit
        for j in range(st.jobs.shape[0]):
            st.jobs[j].submit = begin + (st.jobs[j].submit - begin) / pace[w]
            st.features[SUBMIT, j] = st.jobs[j].submit
        begin_replay(st, ev)
        now = next_instant(st, ev)
        while now < np.inf:
            handle_events(st, ev, now)
            schedule(st, now)
            launch(st, ev, now)
            now = next_instant(st, ev)
        for j in range(st.jobs.shape[0]):
            waits[w, j] = st.start[j] - st.jobs[j].submit
