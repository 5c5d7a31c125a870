"""Many episodes stepped together: lanes stacked along a first axis, one compiled call for all of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.jit import jit
from hpcai.scheduling.decisions import Decision
from hpcai.scheduling.features import JOB_FEATURES, MACHINE_FEATURES
from hpcai.scheduling.history import Histories
from hpcai.scheduling.kinds import by_kind, if_predicting
from hpcai.scheduling.prediction import Prediction
from hpcai.scheduling.predictor import Trees
from hpcai.scheduling.state import State
from hpcai.simulation.compiled import Events
from hpcai.simulation.episode import (
    BEGIN,
    LOAD,
    Episode,
    Episodes,
    Lane,
    Pool,
    load,
    look,
    reward_since,
    run_to_decision,
)


class Seen(NamedTuple):
    """What the agent gets of B lanes at each step; filled anew by every call."""

    jobs: NDArray[np.float32]  # (B, K, job features)
    machine: NDArray[np.float32]  # (B, machine features)
    legal: NDArray[np.bool_]  # (B, K + 1)
    reward: NDArray[np.float64]  # (B,)
    done: NDArray[np.bool_]  # (B,) the episode has ended; what is seen is the next episode's first decision
    cost: NDArray[np.float64]  # (B, 2) of the episode that has ended: the agent's, the heuristic's
    steps: NDArray[np.int64]  # (B,) decisions of the episode that has ended


def make_seen(lanes: int, window: int) -> Seen:
    """Return room for what ``lanes`` agents see."""
    return Seen(
        jobs=np.zeros((lanes, window, len(JOB_FEATURES)), dtype=np.float32),
        machine=np.zeros((lanes, len(MACHINE_FEATURES)), dtype=np.float32),
        legal=np.zeros((lanes, window + 1), dtype=np.bool_),
        reward=np.zeros(lanes),
        done=np.zeros(lanes, dtype=np.bool_),
        cost=np.zeros((lanes, 2)),
        steps=np.zeros(lanes, dtype=np.int64),
    )


def stack(episodes: Episodes, lanes: int) -> Lane:
    """Return ``lanes`` episodes as one, every array with a first axis of that length."""

    def repeated(part: Any) -> Any:
        if part is None:
            return None
        if isinstance(part, Trees):  # only read, so one copy serves all lanes; the room to work in is each lane's own
            read = (part.nodes[None], part.roots[None], part.output[None], part.baseline[None])
            return Trees(*read, repeated(part.x), repeated(part.y))
        if isinstance(part, tuple):
            return type(part)(*(repeated(item) for item in part))
        return np.repeat(part[None], lanes, axis=0)

    result: Lane = repeated(episodes.new_lane())
    return result


def lane_of(lanes: Lane, b: int) -> Lane:
    """Return lane ``b`` as views of the stacked arrays, for Python to look into; all but a predictor's trees."""

    def view(part: Any) -> Any:
        if isinstance(part, tuple) and not isinstance(part, Trees):
            return type(part)(*(view(item) for item in part))
        return None if part is None or isinstance(part, Trees) else part[b]

    result: Lane = view(lanes)
    return result


@jit
def _no_prediction(st: State, b: int) -> None:
    return None


@jit
def _prediction(st: State, b: int) -> Prediction:
    p = st.prediction
    h, t = p.histories, p.trees
    return Prediction(
        Histories(h.job_class[b], h.classes[b], h.keys[b], h.histories[b]),
        Trees(t.nodes[0], t.roots[0], t.output[0], t.baseline[0], t.x[b], t.y[b]),
        p.counts[b],
        p.ended[b],
        p.beliefs[b],
    )


_prediction_of = if_predicting(_prediction, _no_prediction)


@jit
def _state_on_processors(st: State, b: int) -> State:
    return State(
        st.scalars[b], st.jobs[b], st.submit[b], st.start[b], st.started[b], st.queue[b], st.places[b], st.merging[b],
        st.tree[b], st.running[b], st.accounts[b], st.program[b], st.constants[b], st.features[b], st.keys[b],
        st.usage[b], st.steps[b], st.blocks[b], st.windows[b], _prediction_of(st, b),
        None, None, None, None, None, None, None, None, None, None, None,  # type: ignore[arg-type]
    )  # fmt: skip


@jit
def _state_on_nodes(st: State, b: int) -> State:
    return State(
        st.scalars[b], st.jobs[b], st.submit[b], st.start[b], st.started[b], st.queue[b], st.places[b], st.merging[b],
        st.tree[b], st.running[b], st.accounts[b], st.program[b], st.constants[b], st.features[b], st.keys[b],
        st.usage[b], st.steps[b], st.blocks[b], st.windows[b], _prediction_of(st, b),
        st.room[b], st.node_group[b], st.window_nodes[b], st.entries[b], st.failed[b], st.changes[b],
        st.ahead[b], st.begin[b], st.cursor[b], st.least[b], st.left[b],
    )  # fmt: skip


_state_of = by_kind(_state_on_processors, _state_on_nodes)


@jit
def _lane(lanes: Lane, b: int) -> Lane:
    """Return lane ``b`` as views of the stacked arrays."""
    ev, de, ep = lanes.events, lanes.decision, lanes.episode
    return Lane(
        _state_of(lanes.state, b),
        Events(
            ev.counts[b], ev.arrival_times[b], ev.arrival_jobs[b], ev.end_times[b], ev.end_jobs[b],
            ev.boundaries[b], ev.followers[b], ev.next_follower[b],
        ),
        Decision(de.scalars[b], de.slots[b], de.fits[b], de.beside[b], de.legal[b]),
        Episode(ep.scalars[b], ep.cost[b], ep.trait[b], ep.knots[b], ep.renumber[b]),
    )  # fmt: skip


@jit
def advance(
    lanes: Lane, pool: Pool, actions: NDArray[np.int64], windows: NDArray[np.int64], seen: Seen, low: int, high: int
) -> None:
    """Carry out ``actions[b]`` in lanes ``low`` to ``high - 1`` and go on to the next decision.

    An episode that ends is followed by that of window ``windows[b]`` of the pool, or the next later one in which
    there is something to decide; by none if it is negative. Instead of an action: BEGIN such an episode at once, or
    LOAD exactly window ``windows[b]``, where ``seen.done`` says that there is nothing to decide. This is the one
    entry to compiled code, and names each part once, because every mention becomes a copy of the whole pass.
    """
    for b in range(low, high):
        lane = _lane(lanes, b)
        action, window = actions[b], windows[b]
        count = pool.firsts.shape[0]
        seen.done[b] = False
        for tried in range(count + 1):
            if action < 0:
                load(lane, pool, window)
            going_on = run_to_decision(lane, action)
            if action >= 0:
                seen.reward[b] = reward_since(lane, not going_on)
                seen.done[b] = not going_on
                if not going_on:
                    _note_outcome(lane, seen, b)
            elif actions[b] < 0:
                seen.done[b] = not going_on
            if going_on or window < 0 or action == LOAD or tried == count:
                break
            window = (window + 1) % count if action == BEGIN else window
            action = BEGIN
        if not going_on:
            seen.jobs[b] = 0.0  # nothing is left to see
            seen.machine[b] = 0.0
        else:
            look(lane, seen.jobs[b], seen.machine[b])
        for k in range(seen.legal.shape[1]):
            seen.legal[b, k] = lane.decision.legal[k]


@jit
def _note_outcome(lane: Lane, seen: Seen, b: int) -> None:
    e = lane.episode.scalars[0]
    seen.steps[b] = e.steps
    seen.cost[b, 0] = e.accrued
    seen.cost[b, 1] = e.heuristic
