"""The time and the memory of one step of a placement: list scheduling, compiled; docs/device-placement.md.

Each device has one compute stream, which takes the most urgent of the operators whose inputs are there and never waits
for a more urgent one, and one copy stream each way. Whatever takes no time needs no stream. When an operator ends, its
output is sent once to each other device that needs it, most urgent consumer first; a transfer is booked then, and
begins as soon as both copy streams and all links on its way have done what was booked before. Of operators that end
at the same time the most urgent books first.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcai.device_placement.heap import heap_pop, heap_push
from hpcai.jit import inlined, jit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Step(NamedTuple):
    """What runs: N operators, of n of the model, E edges, on d devices; nothing in it changes."""

    origin: Ints  # (N,) operator of the model whose device it takes
    seconds: Floats  # (d, N); inf where it cannot run
    rank: Ints  # (N,) 0 is the most urgent
    next_at: Ints  # (N + 1,)
    next: Ints  # (E,) successors of i from next_at[i], most urgent first
    before_at: Ints  # (N + 1,)
    before: Ints  # (E,) predecessors of i from before_at[i]
    output: Floats  # (N,) bytes
    gradient: Floats  # (N,) bytes, -1 but for mirrored backward operators
    kept: Floats  # (N,) bytes of activations
    frees: Ints  # (N,) whose activations it frees, -1 for none
    weights: Floats  # (n,) bytes that an operator of the model takes all the time
    memory: Floats  # (d,)
    bandwidth: Floats  # (d, d)
    latency: Floats  # (d, d)
    links: Ints  # (d, d, k)


class Room(NamedTuple):
    """Room to work in, where the last step also leaves its course; N operators, d devices, T transfers at most."""

    place: Ints  # (N,) device
    start: Floats  # (N,)
    end: Floats  # (N,)
    peak: Floats  # (d,) bytes
    what: Ints  # (T,) of a transfer: whose output it is, or the backward operator that takes the gradient in
    source: Ints  # (T,) device
    target: Ints  # (T,) device
    begin: Floats  # (T,)
    arrive: Floats  # (T,)
    counts: Ints  # operators to end now, transfers booked, transfers on their way
    missing: Ints  # (N,) inputs that are not there; -1 of what has ended
    uses: Ints  # (N,) local consumers and transfers that still need the output
    holds: Floats  # (N,) bytes of activations that it still keeps
    block: Floats  # (N,) bytes that it has on its device
    copies: Ints  # (N, d) consumers that still need the copy of an output there; of gradients, whether one is there
    used: Floats  # (d,) bytes
    running: Ints  # (d,) operator, -1 for none
    ready_at: Ints  # (d + 1,)
    ready: Ints  # (N,) a heap of ready operators for each device
    waiting: Ints  # (d,) sizes of the heaps
    ending: Ints  # (N,) heap of operators that end now
    flying: Ints  # (T,) heap of transfers on their way
    out_free: Floats  # (d,) when the copy streams and links have done what is booked
    in_free: Floats  # (d,)
    link_free: Floats  # (links,)


ENDING, BOOKED, FLYING = range(3)


def make_room(step: Step) -> Room:
    """Return the room that :func:`run` needs."""
    operators, devices, transfers = len(step.origin), len(step.memory), max(len(step.next), 1)

    def ints(*shape: int) -> Ints:
        return np.zeros(shape, np.int64)

    return Room(
        place=ints(operators), start=np.zeros(operators), end=np.zeros(operators), peak=np.zeros(devices),
        what=ints(transfers), source=ints(transfers), target=ints(transfers),
        begin=np.zeros(transfers), arrive=np.zeros(transfers), counts=ints(3),
        missing=ints(operators), uses=ints(operators), holds=np.zeros(operators), block=np.zeros(operators),
        copies=ints(operators, devices), used=np.zeros(devices), running=ints(devices),
        ready_at=ints(devices + 1), ready=ints(operators), waiting=ints(devices),
        ending=ints(operators), flying=ints(transfers),
        out_free=np.zeros(devices), in_free=np.zeros(devices), link_free=np.zeros(step.links.max(initial=0) + 1),
    )  # fmt: skip


@jit
def run_many(step: Step, placements: Ints, room: Room, seconds: Floats, excess: Floats) -> None:
    """Write the seconds (k,) and the excess (k,) of each of the ``placements`` (k, n)."""
    for i in range(placements.shape[0]):
        seconds[i], excess[i] = run(step, placements[i], room)


@jit
def run(step: Step, placement: Ints, room: Room) -> tuple[float, float]:
    """Return the seconds of a step, and the bytes that devices lack at their peaks, summed over devices.

    ``placement`` (n,) has the device of each operator of the model. The seconds are inf where one cannot run there.
    """
    possible = clear(step, placement, room)
    now = 0.0
    while possible:
        while room.counts[ENDING] > 0:
            i = heap_pop(room.ending, 0, room.counts[ENDING], step.rank)
            room.counts[ENDING] -= 1
            finish(step, room, i, now)
        coming = start_next(step, room, now)
        if coming == np.inf:
            break
        now = coming
        advance(step, room, now)
    lacking = 0.0
    for d in range(step.memory.shape[0]):
        lacking += max(0.0, room.peak[d] - step.memory[d])
    return now if possible else np.inf, lacking


@inlined
def clear(step: Step, placement: Ints, room: Room) -> bool:
    """Begin: nothing has run, weights are in memory; return False if an operator cannot run where it is placed."""
    room.counts[:] = 0
    room.waiting[:] = 0
    room.running[:] = -1
    room.used[:] = 0.0
    room.out_free[:] = 0.0
    room.in_free[:] = 0.0
    room.link_free[:] = 0.0
    for i in range(step.weights.shape[0]):
        room.used[placement[i]] += step.weights[i]
    possible = True
    for i in range(step.origin.shape[0]):
        d = placement[step.origin[i]]
        room.place[i] = d
        room.waiting[d] += 1
        room.missing[i] = step.before_at[i + 1] - step.before_at[i]
        possible &= step.seconds[d, i] < np.inf
    for d in range(step.memory.shape[0]):
        room.peak[d] = room.used[d]
        room.ready_at[d + 1] = room.ready_at[d] + room.waiting[d]
        room.waiting[d] = 0
    for i in range(step.origin.shape[0]):
        if possible and room.missing[i] == 0:
            make_ready(step, room, i, 0.0)
    return possible


@inlined
def start_next(step: Step, room: Room, now: float) -> float:
    """Start the most urgent operator on each idle device; return when something next happens, inf if nothing will."""
    coming = np.inf
    for d in range(step.memory.shape[0]):
        if room.running[d] < 0 and room.waiting[d] > 0:
            i = heap_pop(room.ready, room.ready_at[d], room.waiting[d], step.rank)
            room.waiting[d] -= 1
            room.running[d] = i
            begin(step, room, i, now)
        if room.running[d] >= 0:
            coming = min(coming, room.end[room.running[d]])
    if room.counts[FLYING] > 0:
        coming = min(coming, room.arrive[room.flying[0]])
    return coming


@inlined
def advance(step: Step, room: Room, now: float) -> None:
    """Take note of the operators that end ``now``, and of the transfers that arrive."""
    for d in range(step.memory.shape[0]):
        i = room.running[d]
        if i >= 0 and room.end[i] == now:
            room.running[d] = -1
            heap_push(room.ending, 0, room.counts[ENDING], i, step.rank)
            room.counts[ENDING] += 1
    while room.counts[FLYING] > 0 and room.arrive[room.flying[0]] == now:
        transfer = heap_pop(room.flying, 0, room.counts[FLYING], room.arrive)
        room.counts[FLYING] -= 1
        if step.gradient[room.what[transfer]] >= 0:
            receive_gradient(step, room, transfer, now)
        else:
            receive_output(step, room, transfer, now)


@inlined
def make_ready(step: Step, room: Room, i: int, now: float) -> None:
    """Let an operator whose inputs are there wait for its device, or end at once if it takes no time."""
    d = room.place[i]
    if step.seconds[d, i] > 0:
        heap_push(room.ready, room.ready_at[d], room.waiting[d], i, step.rank)
        room.waiting[d] += 1
    else:
        begin(step, room, i, now)
        heap_push(room.ending, 0, room.counts[ENDING], i, step.rank)
        room.counts[ENDING] += 1


@inlined
def begin(step: Step, room: Room, i: int, now: float) -> None:
    """Start an operator: its output, activations and gradients take memory from now on."""
    d = room.place[i]
    room.start[i] = now
    room.end[i] = now + step.seconds[d, i]
    room.uses[i] = 0
    room.holds[i] = step.kept[i]
    room.block[i] = max(step.output[i], step.kept[i])
    take(room, d, room.block[i])
    if step.gradient[i] >= 0:
        for e in range(step.next_at[i], step.next_at[i + 1]):
            if step.gradient[step.next[e]] >= 0:
                hold_gradient(step, room, step.next[e], d)


@inlined
def finish(step: Step, room: Room, i: int, now: float) -> None:
    """End an operator: consumers here have its output, others are sent it, what nobody needs any more is freed."""
    d = room.place[i]
    room.missing[i] = -1
    for e in range(step.next_at[i], step.next_at[i + 1]):
        consumer = step.next[e]
        there = room.place[consumer]
        returns = step.gradient[i] >= 0 and step.gradient[consumer] >= 0
        if there == d:
            room.uses[i] += not returns
            give(step, room, consumer, 1, now)
        elif returns:
            if sum_is_done(step, room, consumer, d):
                hold_gradient(step, room, consumer, there)
                book(step, room, consumer, d, there, step.gradient[consumer], now)
        else:
            if room.copies[i, there] == 0:
                room.uses[i] += 1
                take(room, there, step.output[i])
                book(step, room, i, d, there, step.output[i], now)
            room.copies[i, there] += 1
    shrink(step, room, i)
    free_inputs(step, room, i, d)


@inlined
def free_inputs(step: Step, room: Room, i: int, d: int) -> None:
    """Free what only operator ``i``, which has ended on device ``d``, still needed."""
    for e in range(step.before_at[i], step.before_at[i + 1]):
        producer = step.before[e]
        if step.gradient[i] >= 0 and step.gradient[producer] >= 0:
            continue
        if room.place[producer] == d:
            room.uses[producer] -= 1
            shrink(step, room, producer)
        else:
            room.copies[producer, d] -= 1
            if room.copies[producer, d] == 0:
                room.used[d] -= step.output[producer]
    if step.gradient[i] >= 0:
        drop_gradient(step, room, i, d)
    if step.frees[i] >= 0:
        room.holds[step.frees[i]] = 0.0
        shrink(step, room, step.frees[i])


@inlined
def give(step: Step, room: Room, i: int, inputs: int, now: float) -> None:
    """Note that some inputs of an operator are there."""
    room.missing[i] -= inputs
    if room.missing[i] == 0:
        make_ready(step, room, i, now)


@inlined
def receive_output(step: Step, room: Room, transfer: int, now: float) -> None:
    """Give an output that has arrived to its consumers there."""
    i, there = room.what[transfer], room.target[transfer]
    for e in range(step.next_at[i], step.next_at[i + 1]):
        if room.place[step.next[e]] == there:
            give(step, room, step.next[e], 1, now)
    room.uses[i] -= 1
    shrink(step, room, i)


@inlined
def receive_gradient(step: Step, room: Room, transfer: int, now: float) -> None:
    """Give a gradient that has arrived to its backward operator; it stands for all operators that added to it."""
    i, source = room.what[transfer], room.source[transfer]
    drop_gradient(step, room, i, source)
    inputs = 0
    for e in range(step.before_at[i], step.before_at[i + 1]):
        producer = step.before[e]
        inputs += room.place[producer] == source and step.gradient[producer] >= 0
    give(step, room, i, inputs, now)


@inlined
def sum_is_done(step: Step, room: Room, i: int, d: int) -> bool:
    """Whether all operators on device ``d`` that add to the gradient which operator ``i`` takes in have ended."""
    for e in range(step.before_at[i], step.before_at[i + 1]):
        producer = step.before[e]
        if room.place[producer] == d and step.gradient[producer] >= 0 and room.missing[producer] >= 0:
            return False
    return True


@inlined
def book(step: Step, room: Room, what: int, source: int, target: int, size: float, now: float) -> None:
    """Book a transfer of ``size`` bytes on its copy streams and links, after all that is booked there."""
    free = max(now, room.out_free[source], room.in_free[target])
    for k in range(step.links.shape[2]):
        link = step.links[source, target, k]
        if link >= 0:
            free = max(free, room.link_free[link])
    done = free + step.latency[source, target] + size / step.bandwidth[source, target]
    room.out_free[source] = room.in_free[target] = done
    for k in range(step.links.shape[2]):
        link = step.links[source, target, k]
        if link >= 0:
            room.link_free[link] = done
    transfer = room.counts[BOOKED]
    room.what[transfer], room.source[transfer], room.target[transfer] = what, source, target
    room.begin[transfer], room.arrive[transfer] = free, done
    room.counts[BOOKED] += 1
    heap_push(room.flying, 0, room.counts[FLYING], transfer, room.arrive)
    room.counts[FLYING] += 1


@inlined
def hold_gradient(step: Step, room: Room, i: int, d: int) -> None:
    """Take memory on device ``d`` for the gradient that operator ``i`` takes in, unless it is there already."""
    if room.copies[i, d] == 0:
        room.copies[i, d] = 1
        take(room, d, step.gradient[i])


@inlined
def drop_gradient(step: Step, room: Room, i: int, d: int) -> None:
    """Free the gradient that operator ``i`` takes in, on device ``d``, if it is there."""
    if room.copies[i, d] > 0:
        room.copies[i, d] = 0
        room.used[d] -= step.gradient[i]


@inlined
def shrink(step: Step, room: Room, i: int) -> None:
    """Bring the memory of an operator to what is still needed: the larger of its output and its activations."""
    needed = max(step.output[i] if room.uses[i] > 0 else 0.0, room.holds[i])
    room.used[room.place[i]] -= room.block[i] - needed
    room.block[i] = needed


@inlined
def take(room: Room, d: int, size: float) -> None:
    """Take memory on a device."""
    room.used[d] += size
    room.peak[d] = max(room.peak[d], room.used[d])
