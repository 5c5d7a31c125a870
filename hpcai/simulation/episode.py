"""An episode: a window of a log replayed on the compiled clock, stopping wherever an agent has to decide.

A lane is one episode's arrays. It is made once and loaded again for each window, in compiled code, so that a reset
costs microseconds. Lanes are stacked along a first axis and advanced by :mod:`hpcai.simulation.batch`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.jit import inlined, jit
from hpcai.scheduling.decisions import (
    NO_PASS,
    Decide,
    Decision,
    begin_pass,
    decide,
    find_options,
    make_decision,
    no_option,
)
from hpcai.scheduling.features import observe, traits
from hpcai.scheduling.formula import evaluate_static
from hpcai.scheduling.headroom import static_needs
from hpcai.scheduling.history import Histories
from hpcai.scheduling.jobs import features, job_array, predicted_features
from hpcai.scheduling.kinds import by_kind, if_predicting
from hpcai.scheduling.nodes import copy_room
from hpcai.scheduling.orderings import formulas_of
from hpcai.scheduling.passes import schedule
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.prediction import Prediction, make_prediction
from hpcai.scheduling.queue import lay_static_order
from hpcai.scheduling.state import ENTRY, FAILED, UNBOUNDED, State, make_state
from hpcai.simulation.compiled import Events, begin_replay, handle_events, launch, make_events, next_instant
from hpcai.simulation.rewards import COST, Reward, costs, tenant_weights

BEGIN, LOAD = -1, -2  # instead of an action
REMEMBERED: Final = 512  # windows of a log whose beginnings a predictor is taken to

EPISODE = np.dtype(
    [
        ("now", "f8"),  # s
        ("accrued", "f8"),  # cost so far
        ("rate", "f8"),  # cost per second of the jobs waiting now
        ("idle_rate", "f8"),  # cost per second of a wholly idle machine
        ("heuristic", "f8"),  # cost of the whole window under the policy's own ordering
        ("lead", "f8"),  # heuristic's cost less the agent's, at the latest decision
        ("knots", "i8"),
        ("knot", "i8"),  # the latest that lies in the past
        ("origin", "f8"),  # s; Unix time of second 0
        ("window", "i8"),  # of the pool
        ("steps", "i8"),  # decisions taken
        ("idle_weight", "f8"),
        ("dense", "i8"),
        ("relative", "i8"),
    ],
    align=True,
)
KNOT = np.dtype([("time", "f8"), ("cost", "f8"), ("rate", "f8")], align=True)


class Episode(NamedTuple):
    """What an episode keeps beside the replay's own state; n jobs."""

    scalars: NDArray[np.void]  # EPISODE (1,)
    cost: NDArray[np.void]  # COST (n,), shares of the whole
    trait: NDArray[np.float32]  # (n, traits)
    knots: NDArray[np.void]  # KNOT: the heuristic's cost over time, straight between knots
    renumber: NDArray[np.int64]  # (accounts of the pool,) room to number a window's accounts in, all -1


class Lane(NamedTuple):
    """One episode."""

    state: State
    events: Events
    decision: Decision
    episode: Episode


class Pool(NamedTuple):
    """The jobs of a log and the windows of it that are played; m jobs, sorted by submission, W windows."""

    firsts: NDArray[np.int64]  # (W,) row of each window's first job
    jobs: NDArray[np.void]  # JOB (m,)
    static: NDArray[np.float64]  # (v, m) variables of formulas
    keys: NDArray[np.float64]  # (m,) of a static ordering
    cost: NDArray[np.void]  # COST (m,)
    weight: NDArray[np.float64]  # (m,) of the job's tenant
    trait: NDArray[np.float32]  # (m, traits)
    room: NDArray[np.int64]  # State.room of the empty machine; None on one counted by processor
    past: Histories  # what each window's predictor knows at its beginning, every array (W, ...); None without one


@dataclass(frozen=True)
class Setting:
    """How episodes are played. ``window`` is the number K of jobs an agent sees and may choose among."""

    policy: Policy = field(default_factory=lambda: Policy(ordering="saf"))
    window: int = 128
    decide: Decide = "both"
    defer: bool = False
    reward: Reward = field(default_factory=Reward)
    classes: tuple[str, ...] = ()

    @property
    def actions(self) -> int:
        """Number of actions: a slot each, and to defer if that is allowed."""
        return self.window + int(self.defer)


def check_setting(setting: Setting, jobs: pd.DataFrame) -> None:
    """Raise InputError if ``jobs`` cannot be played under ``setting``."""
    policy = setting.policy
    if setting.decide != "next" and policy.backfill != "easy":
        raise InputError(f"decide {setting.decide!r}: expected backfill 'easy', found {policy.backfill!r}")
    if policy.dependencies:
        raise InputError("dependencies: environments do not support jobs that wait for jobs")
    unknown = int(jobs["requested_time"].isna().sum())
    if policy.estimate == "requested" and unknown:
        raise InputError(
            f"estimate 'requested': {unknown} of {len(jobs)} jobs have no requested time, and an agent must not see "
            "their run time; expected estimate 'predicted', or 'actual' to study perfect knowledge"
        )


def window_beginnings(first: int, last: int, length: int, policy: Policy, seed: int) -> NDArray[np.int64]:
    """Return at which rows windows of ``length`` jobs begin that lie within rows ``first`` to ``last - 1``.

    A predictor has to be taken to the beginning of each window, so with one that learns there are REMEMBERED of them
    at most, drawn once; else all.
    """
    firsts = np.arange(first, last - length + 1)
    if policy.learns and len(firsts) > REMEMBERED:
        firsts = np.sort(np.random.default_rng(seed).choice(firsts, REMEMBERED, replace=False))
    return firsts


class Episodes:
    """Windows of one log on one machine, to be played."""

    def __init__(
        self,
        jobs: pd.DataFrame,
        machine: Machine,
        setting: Setting,
        *,
        length: int,
        firsts: NDArray[np.int64] | None = None,
        origin: float = float("nan"),
        believe: bool = False,
    ) -> None:
        """Lay out windows of ``length`` jobs that begin at the rows ``firsts`` of ``jobs``; by default at any.

        ``jobs`` are replayable on ``machine`` and sorted by submit; a predictor learns from those before a window.
        ``origin`` is the Unix time of second 0. ``believe`` that jobs without a requested time take their run time,
        as replays do, since nobody looks at it. Raises InputError if they cannot be played.
        """
        check_setting(setting, jobs if not believe else jobs.iloc[:0])
        if not 1 <= length <= len(jobs):
            raise InputError(f"window of {length} jobs: expected 1 to {len(jobs)}, the jobs there are")
        self.machine, self.setting, self.length = machine, setting, length
        self.origin = origin if np.isfinite(origin) else 0.0
        firsts = np.arange(len(jobs) - length + 1) if firsts is None else np.asarray(firsts, dtype=np.int64)
        policy = setting.policy
        self._predictions = self._remember(jobs, firsts)
        array = job_array(jobs, machine, policy)
        weight = tenant_weights(jobs, setting.reward)
        static = np.concatenate((features(jobs, machine, policy, array), predicted_features(array)))
        ordering, headroom = formulas_of(policy)
        self._state = make_state(jobs.iloc[:length], machine, policy, observed=True)
        scalars = self._state.scalars[0]
        if not scalars["dynamic"]:
            array["needs"] = static_needs(headroom, array, static, int(scalars["total"]))
        self.pool = Pool(
            firsts=firsts,
            jobs=array,
            static=static,
            keys=np.zeros(len(jobs)) if scalars["dynamic"] else evaluate_static(ordering, static),
            cost=costs(array["run"], weight, setting.reward),
            weight=weight,
            trait=traits(jobs, machine, policy, static, setting.classes),
            room=self._state.room,
            past=_stack_histories([p.histories for p in self._predictions]),
        )

    @property
    def windows(self) -> int:
        """Number of windows."""
        return len(self.pool.firsts)

    def _remember(self, jobs: pd.DataFrame, firsts: NDArray[np.int64]) -> list[Prediction]:
        """Return what a predictor knows at the beginning of each window; empty without one."""
        if not self.setting.policy.learns:
            return []
        policy = self.setting.policy
        return [make_prediction(jobs.iloc[f : f + self.length], policy, jobs.iloc[:f]) for f in firsts.tolist()]

    def new_lane(self) -> Lane:
        """Return an episode to be loaded, to be copied: it shares what it can with every other."""
        state = self._state
        pool, n = self.pool, self.length
        accounts = int(pool.jobs["account"].max()) + 1
        state = state._replace(accounts=np.zeros(accounts + 1, dtype=state.accounts.dtype))
        if self.machine.by_node:
            tasks = np.cumsum(np.concatenate(([0], pool.jobs["size"])))
            state = state._replace(
                entries=np.zeros(int((tasks[pool.firsts + n] - tasks[pool.firsts]).max()), dtype=ENTRY),
                failed=np.zeros(int(pool.jobs["shape"].max()) + 1, dtype=FAILED),
            )
        if pool.past is not None:
            histories = Histories(*(np.zeros_like(array[0]) for array in pool.past))
            state = state._replace(prediction=self._predictions[0]._replace(histories=histories))
        events = make_events(state)
        scalars = np.zeros(1, dtype=EPISODE)
        scalars["origin"] = self.origin
        scalars["idle_weight"] = self.setting.reward.utilisation
        scalars["dense"] = self.setting.reward.timing == "dense"
        scalars["relative"] = self.setting.reward.relative
        episode = Episode(
            scalars=scalars,
            cost=np.zeros(n, dtype=COST),
            trait=np.zeros((n, pool.trait.shape[1]), dtype=np.float32),
            # A knot for each instant: every job is submitted once and ends once.
            knots=np.zeros(2 * n + len(events.boundaries) + 2, dtype=KNOT),
            renumber=np.full(accounts, -1),
        )
        decision = make_decision(self.setting.window, self.setting.decide, self.setting.defer)
        return Lane(state, events, decision, episode)


def _stack_histories(parts: list[Histories]) -> Histories:
    """Return histories stacked along a first axis, padded to the longest; None if there are none."""
    if not parts:
        return cast(Histories, None)

    def stacked(arrays: list[NDArray[Any]]) -> NDArray[Any]:
        longest = max(len(array) for array in arrays)
        out = np.zeros((len(arrays), longest, *arrays[0].shape[1:]), dtype=arrays[0].dtype)
        for row, array in zip(out, arrays, strict=True):
            row[: len(array)] = array
        return out

    return Histories(*(stacked(list(arrays)) for arrays in zip(*parts, strict=True)))


@jit
def load(lane: Lane, pool: Pool, window: int) -> None:
    """Begin the episode of a window of the pool."""
    st, ep = lane.state, lane.episode
    n = st.jobs.shape[0]
    first = pool.firsts[window]
    e = ep.scalars[0]
    e.window = window
    weight = 0.0
    for i in range(n):
        weight += pool.weight[first + i]
    for i in range(n):
        for c in range(ep.trait.shape[1]):
            ep.trait[i, c] = pool.trait[first + i, c]
        ep.cost[i].fixed = pool.cost[first + i].fixed / weight
        ep.cost[i].slope = pool.cost[first + i].slope / weight
        ep.cost[i].graced = pool.cost[first + i].graced / weight
        ep.cost[i].grace = pool.cost[first + i].grace
    span = max(pool.jobs[first + n - 1].submit - pool.jobs[first].submit, 1.0)
    e.idle_rate = e.idle_weight / span
    rewind(lane, pool, first)
    if e.relative:
        _follow_heuristic(lane)
        rewind(lane, pool, first)


@jit
def rewind(lane: Lane, pool: Pool, first: int) -> None:
    """Put the replay's own arrays back to before the first event of the window that begins at row ``first``."""
    st, e = lane.state, lane.episode.scalars[0]
    n = st.jobs.shape[0]
    for i in range(n):
        st.jobs[i] = pool.jobs[first + i]
        st.start[i] = np.nan
        st.submit[i] = np.nan
        st.places[i].key = pool.keys[first + i]
        st.places[i].job = i
    for v in range(st.features.shape[0]):
        for i in range(n):
            st.features[v, i] = pool.static[v, first + i]
    _number_accounts(st, lane.episode)
    for k in range(st.accounts.shape[0]):
        st.accounts[k].usage = 0.0
        st.accounts[k].rate = 0.0
        st.accounts[k].since = 0.0
    _rewind_scalars(st)
    if not st.scalars[0].dynamic:
        lay_static_order(st, n)
    for k in range(st.tree.shape[0]):
        st.tree[k].needs = UNBOUNDED
        st.tree[k].estimate = np.inf
    _empty_machine(st, pool)
    _recall_past(st, pool, e.window)
    c = lane.events.counts[0]
    c.arrived, c.arriving, c.running, c.boundary, c.ended, c.begun = 0, 0, 0, 0, 0, 0
    d = lane.decision.scalars[0]
    d.phase, d.head, d.count, d.shadow, d.extra = NO_PASS, -1, 0, 0.0, 0
    e.now = st.jobs[0].submit
    e.accrued = 0.0
    e.rate = 0.0
    e.lead = 0.0
    e.knot = 0
    e.steps = 0


@jit
def _rewind_scalars(st: State) -> None:
    s = st.scalars[0]
    s.used, s.reserved, s.waiting, s.running, s.started, s.starts, s.passes = 0, 0, 0, 0, 0, 0, 0
    s.leaves = 1
    while s.leaves < st.jobs.shape[0]:
        s.leaves *= 2


@jit
def _number_accounts(st: State, ep: Episode) -> None:
    """Number the window's accounts from 0 as they come up, as a replay of the window alone would."""
    count = 0
    for i in range(st.jobs.shape[0]):
        account = st.jobs[i].account
        if ep.renumber[account] < 0:
            ep.renumber[account] = count
            count += 1
        st.jobs[i].account = ep.renumber[account]
    st.scalars[0].accounts = count
    ep.renumber[:] = -1


@jit
def _empty_processors(st: State, pool: Pool) -> None:
    pass


@jit
def _empty_nodes(st: State, pool: Pool) -> None:
    copy_room(pool.room, st.room)
    entries = 0
    for i in range(st.jobs.shape[0]):
        st.jobs[i].entries = entries
        entries += st.jobs[i].size
    for k in range(st.failed.shape[0]):
        st.failed[k].in_pass = 0
        st.failed[k].at_moment = 0


_empty_machine = by_kind(_empty_processors, _empty_nodes)


@jit
def _recall(st: State, pool: Pool, window: int) -> None:
    """Put what the predictor knows back to the beginning of the window."""
    h, past = st.prediction.histories, pool.past
    for j in range(h.job_class.shape[0]):
        h.job_class[j] = past.job_class[window, j]
    for c in range(h.classes.shape[0]):
        h.classes[c] = past.classes[window, c]
        for level in range(h.keys.shape[1]):
            h.keys[c, level] = past.keys[window, c, level]
    for k in range(h.histories.shape[0]):
        h.histories[k] = past.histories[window, k]
    st.prediction.counts[0].ended = 0
    for j in range(st.prediction.beliefs.shape[0]):
        st.prediction.beliefs[j].corrections = 0


_recall_past = if_predicting(_recall)


@jit
def _follow_heuristic(lane: Lane) -> None:
    """Replay the window under the policy's own ordering and keep its cost over time."""
    st, ev, ep = lane.state, lane.events, lane.episode
    e = ep.scalars[0]
    e.knots = 0
    begin_replay(st, ev)
    while _next_events(lane):
        schedule(st, e.now)
        _begin_running(lane)
        ep.knots[e.knots].time = e.now
        ep.knots[e.knots].cost = e.accrued
        ep.knots[e.knots].rate = e.rate + _idle_cost_rate(lane)
        e.knots += 1
    e.heuristic = e.accrued


@jit
def _idle_cost_rate(lane: Lane) -> float:
    s = lane.state.scalars[0]
    return float(lane.episode.scalars[0].idle_rate * (1.0 - s.used / s.total))


@inlined
def _next_events(lane: Lane) -> bool:
    """Let the next instant's events happen, the waiting jobs' cost accruing until then; False if there are none."""
    st, ev, ep = lane.state, lane.events, lane.episode
    e = ep.scalars[0]
    now = next_instant(st, ev)
    if now == np.inf:
        return False
    # A reservation may begin before the first submission.
    e.accrued += (e.rate + _idle_cost_rate(lane)) * max(now - e.now, 0.0)
    e.now = now
    arrived = ev.counts[0].arrived
    handle_events(st, ev, now)
    for j in range(arrived, ev.counts[0].arrived):
        e.accrued += ep.cost[j].fixed
        e.rate += ep.cost[j].slope
    return True


@inlined
def _begin_running(lane: Lane) -> None:
    """The jobs that the pass has started wait no longer; give back what accrued within their grace."""
    st, ep = lane.state, lane.episode
    e = ep.scalars[0]
    launch(st, lane.events, e.now)
    for k in range(st.scalars[0].started):
        j = st.started[k]
        e.rate -= ep.cost[j].slope
        e.accrued -= ep.cost[j].graced * min(e.now - st.submit[j], ep.cost[j].grace)
    if st.scalars[0].waiting == 0:
        e.rate = 0.0  # no rounding is carried along


@jit
def run_to_decision(lane: Lane, action: int) -> bool:
    """Carry out ``action`` (negative: none) and go on to what is to be decided next; False at the end of the episode.

    An action that is not possible counts as the first that is. The one place that decides serves the agent and those
    decisions that take themselves, because every mention becomes a copy of the whole pass.
    """
    st, ev, de = lane.state, lane.events, lane.decision
    d, e = de.scalars[0], lane.episode.scalars[0]
    begin_replay(st, ev)
    if action >= 0:
        e.steps += 1
        if not de.legal[action]:
            action = _first_option(de)
    while True:
        if action >= 0:
            decide(st, de, action, e.now)
            action = -1
        elif d.phase == NO_PASS:
            _begin_running(lane)
            st.scalars[0].started = 0
            if not _next_events(lane):
                return False
            begin_pass(st, de, e.now)
        else:
            options = find_options(st, de, e.now, ev.counts[0].arrived < st.jobs.shape[0])
            if options > 1:
                return True
            if options == 1:
                action = _first_option(de)
            else:
                no_option(st, de, e.now)


@jit
def _first_option(de: Decision) -> int:
    """Return the first action that is possible, or -1."""
    for k in range(de.legal.shape[0]):
        if de.legal[k]:
            return k
    return -1


@jit
def _heuristic_cost(lane: Lane) -> float:
    """Return what the window has cost under the heuristic by now."""
    ep = lane.episode
    e = ep.scalars[0]
    while e.knot + 1 < e.knots and ep.knots[e.knot + 1].time <= e.now:
        e.knot += 1
    knot = ep.knots[e.knot]
    return float(knot.cost + knot.rate * max(e.now - knot.time, 0.0)) if e.knots > 0 else 0.0


@jit
def reward_since(lane: Lane, ended: bool) -> float:
    """Return the reward of what has happened since the latest decision, or since the beginning."""
    e = lane.episode.scalars[0]
    scale = max(e.heuristic, 1e-12) if e.relative else 1.0
    if not e.dense and not ended:
        return 0.0
    lead = -e.accrued
    if e.relative:
        lead += e.heuristic if ended else _heuristic_cost(lane)
    reward = (lead - e.lead) / scale
    e.lead = lead
    return float(reward)


@jit
def look(lane: Lane, jobs: NDArray[np.float32], machine: NDArray[np.float32]) -> None:
    """Write what is to be seen of the decision at hand."""
    e = lane.episode.scalars[0]
    observe(lane.state, lane.decision, lane.episode.trait, e.origin, e.now, jobs, machine)
