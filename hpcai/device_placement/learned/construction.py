"""A placement built unit by unit, and what is known of each device when the next unit is to be placed.

Until all is placed, times are those of a list schedule: a unit takes the seconds of its forward and backward pass at
once, as soon as its inputs are on its device and the units before it there have ended; inputs are sent one by one from
a device, and into one, with their gradients. The step itself is simulated later.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from hpcai.device_placement.graph import Floats, Ints
from hpcai.device_placement.learned.units import Units
from hpcai.jit import inlined, jit

CHOICES: Final = (  # what is known of a device, 0..1; times x as x / (x + a time), of a mean unit or of the step
    "start",  # later than on the device where it could start first, to a mean unit
    "finish",  # later than on the device where it could end first, to a mean unit
    "finish_of_step",  # the same, to the least seconds of the step
    "finish_of_own",  # the same, to the unit's own seconds
    "first",  # 1 where it ends first
    "sending",  # seconds of sending its inputs there, to a mean unit
    "inputs",  # share of the bytes of its inputs that is there
    "siblings",  # share of the bytes there, of what else those that need it need, as far as that is placed
    "last_input",  # 1 where the input is that comes last
    "work",  # seconds of what is placed there, to an even share of all
    "idle",  # when it is free, beyond the device that is free first, to a mean unit
    "slow",  # its seconds there beyond those on the fastest device for it, to its own
    "empty",  # 1 if nothing is placed there
    "memory",  # share of the memory that would be taken with it
    "lacking",  # 1 if that memory would not suffice
)
START, FINISH, OF_STEP, OF_OWN, FIRST, SENDING, INPUTS, SIBLINGS = range(8)
LAST, WORK, IDLE, SLOW, EMPTY, MEMORY, LACKING = range(8, 15)


class Task(NamedTuple):
    """What is to be placed: u units, e edges between them, on d devices; nothing in it changes."""

    seconds: Floats  # (d, u)
    mean: Floats  # (u,) seconds
    memory: Floats  # (u,) bytes
    capacity: Floats  # (d,) bytes
    latency: Floats  # (d, d) s there and back
    inverse: Floats  # (d, d) seconds per byte; 0 on the diagonal
    before_at: Ints  # (u + 1,)
    before: Ints  # (e,) inputs of v from before_at[v]
    before_size: Floats  # (e,) bytes there and back
    next_at: Ints  # (u + 1,)
    next: Ints  # (e,)
    tick: float  # seconds of a mean unit
    scale: float  # seconds of the step, at least
    share: float  # seconds of work of each device, if shared evenly


class State(NamedTuple):
    """What is placed so far."""

    place: Ints  # (u,) device; -1: not placed
    finish: Floats  # (u,) s
    arrival: Floats  # (u, d) when the output is there; inf: not sent
    free: Floats  # (d,) s
    sent: Floats  # (d,) s when all is sent that is booked
    received: Floats  # (d,) s
    work: Floats  # (d,) s
    used: Floats  # (d,) bytes
    near: Floats  # (d,) room to work in


def make_task(units: Units) -> Task:
    """Return the arrays of a construction."""
    devices, u = units.simulator.devices, len(units)
    source, target = units.edges.T
    into, out = np.lexsort((source, target)), np.lexsort((target, source))
    return Task(
        seconds=units.seconds,
        mean=units.mean,
        memory=units.memory,
        capacity=devices.memory,
        latency=units.messages * devices.latency,
        inverse=1.0 / devices.bandwidth,
        before_at=_starts(target, u),
        before=np.ascontiguousarray(source[into]),
        before_size=np.ascontiguousarray(units.size[into]),
        next_at=_starts(source, u),
        next=np.ascontiguousarray(target[out]),
        tick=float(units.mean.mean()) or 1.0,
        scale=units.scale,
        share=float(units.mean.sum()) / len(devices) or 1.0,
    )


def _starts(key: Ints, u: int) -> Ints:
    return np.concatenate([[0], np.cumsum(np.bincount(key, minlength=u))]).astype(np.int64)


def make_state(task: Task) -> State:
    """Return a state in which nothing is placed."""
    d, u = task.seconds.shape
    return State(
        place=np.full(u, -1, np.int64), finish=np.zeros(u), arrival=np.full((u, d), np.inf), free=np.zeros(d),
        sent=np.zeros(d), received=np.zeros(d), work=np.zeros(d), used=np.zeros(d), near=np.zeros(d),
    )  # fmt: skip


@jit
def clear(state: State) -> None:
    """Take everything away."""
    state.place[:] = -1
    state.finish[:] = 0.0
    state.arrival[:] = np.inf
    for d in range(state.free.shape[0]):
        state.free[d] = state.sent[d] = state.received[d] = state.work[d] = state.used[d] = 0.0


@inlined
def share_of(value: float, unit: float) -> float:
    """Return a number from 0 up as one below 1."""
    return value / (value + unit)


@inlined
def fetch(task: Task, state: State, v: int, k: int, book: bool) -> tuple[float, float]:
    """Return when the inputs of unit ``v`` are on device ``k``, and how long they are sent; ``book`` that."""
    ready, sending = 0.0, 0.0
    for d in range(state.near.shape[0]):
        state.near[d] = state.sent[d]
    received = state.received[k]
    for e in range(task.before_at[v], task.before_at[v + 1]):
        source = task.before[e]
        there = state.place[source]
        if there < 0:
            continue
        arrival = state.arrival[source, k]
        if arrival == np.inf:
            seconds = task.latency[there, k] + task.before_size[e] * task.inverse[there, k]
            arrival = max(state.finish[source], state.near[there], received) + seconds
            state.near[there] = received = arrival
            sending += seconds
            if book:
                state.arrival[source, k] = state.sent[there] = state.received[k] = arrival
        ready = max(ready, arrival)
    return ready, sending


@jit
def observe(task: Task, state: State, v: int, seen: Floats) -> None:
    """Write what is known of each device for unit ``v`` to ``seen`` (d, len(CHOICES))."""
    d = task.seconds.shape[0]
    first_start, first_finish, first_free, fastest = np.inf, np.inf, np.inf, np.inf
    for k in range(d):
        ready, sending = fetch(task, state, v, k, False)
        seen[k, SENDING] = share_of(sending, task.tick)
        seen[k, START] = max(ready, state.free[k])
        seen[k, FINISH] = seen[k, START] + task.seconds[k, v]
        first_start = min(first_start, seen[k, START])
        first_finish = min(first_finish, seen[k, FINISH])
        first_free = min(first_free, state.free[k])
        fastest = min(fastest, task.seconds[k, v])
    last = see_inputs(task, state, v, seen)
    see_siblings(task, state, v, seen)
    own = max(task.mean[v], 0.01 * task.tick)
    for k in range(d):
        taken = state.used[k] + task.memory[v]
        possible = task.seconds[k, v] < np.inf
        late = seen[k, FINISH] - first_finish if possible else 1e9 * task.scale
        seen[k, START] = share_of(seen[k, START] - first_start, task.tick)
        seen[k, FINISH] = share_of(late, task.tick)
        seen[k, OF_STEP] = share_of(late, task.scale)
        seen[k, OF_OWN] = share_of(late, own)
        seen[k, FIRST] = late == 0.0
        seen[k, LAST] = k == last
        seen[k, WORK] = share_of(state.work[k], task.share)
        seen[k, IDLE] = share_of(state.free[k] - first_free, task.tick)
        seen[k, SLOW] = share_of(task.seconds[k, v] - fastest, own) if possible else 1.0
        seen[k, EMPTY] = state.work[k] == 0.0 and state.used[k] == 0.0
        seen[k, MEMORY] = min(taken / task.capacity[k], 1.0)
        seen[k, LACKING] = taken > task.capacity[k]


@inlined
def see_inputs(task: Task, state: State, v: int, seen: Floats) -> int:
    """Write the share of the inputs' bytes on each device; return where the input is that ends last, -1 without."""
    state.near[:] = 0.0
    total, last, latest = 0.0, -1, -1.0
    for e in range(task.before_at[v], task.before_at[v + 1]):
        source = task.before[e]
        there = state.place[source]
        if there >= 0:
            state.near[there] += task.before_size[e]
            total += task.before_size[e]
            if state.finish[source] > latest:
                latest, last = state.finish[source], there
    for k in range(state.near.shape[0]):
        seen[k, INPUTS] = state.near[k] / total if total > 0.0 else 0.0
    return last


@inlined
def see_siblings(task: Task, state: State, v: int, seen: Floats) -> None:
    """Write the share of each device in the bytes that what needs ``v`` needs besides, as far as that is placed."""
    state.near[:] = 0.0
    total = 0.0
    for e in range(task.next_at[v], task.next_at[v + 1]):
        consumer = task.next[e]
        for f in range(task.before_at[consumer], task.before_at[consumer + 1]):
            there = state.place[task.before[f]]
            if there >= 0:
                state.near[there] += task.before_size[f]
                total += task.before_size[f]
    for k in range(state.near.shape[0]):
        seen[k, SIBLINGS] = state.near[k] / total if total > 0.0 else 0.0


@jit
def put(task: Task, state: State, v: int, k: int) -> None:
    """Place unit ``v`` on device ``k``."""
    ready, _ = fetch(task, state, v, k, True)
    seconds = task.seconds[k, v] if task.seconds[k, v] < np.inf else task.mean[v]
    state.place[v] = k
    state.finish[v] = max(ready, state.free[k]) + seconds
    state.arrival[v, k] = state.finish[v]
    state.free[k] = state.finish[v]
    state.work[k] += seconds
    state.used[k] += task.memory[v]


@jit
def allowed(task: Task, state: State, v: int, mask: Ints) -> None:
    """Write which devices (d,) can run unit ``v`` and have the memory; if none has, those that have most left."""
    d = task.seconds.shape[0]
    most, count = -np.inf, 0
    for k in range(d):
        room = task.capacity[k] - state.used[k]
        possible = task.seconds[k, v] < np.inf
        mask[k] = possible and task.memory[v] <= room
        count += mask[k]
        if possible:
            most = max(most, room)
    if count == 0:
        for k in range(d):
            room = task.capacity[k] - state.used[k]
            mask[k] = room == most and task.seconds[k, v] < np.inf
