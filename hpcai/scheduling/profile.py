"""Free processors over future time, for reservations and conservative backfilling.

A list of steps in order of time: from one step's time to the next's so many processors are free, and the last
step has no end. ``free`` may be negative where running jobs overlap a reservation. The steps lie in blocks that
know their lowest and highest ``free``, so that looking for a place, and taking it, passes over whole blocks: with
s steps it costs about sqrt(s), and a pass over a deep queue does not become quadratic.
"""

from __future__ import annotations

import numpy as np

from hpcai.jit import jit
from hpcai.scheduling.state import BLOCK_WIDTH, UNBOUNDED, State


@jit
def lay_profile(st: State, now: float) -> None:
    """Lay the profile of the running jobs' expected ends and of the reservations, from ``now`` on."""
    s = st.scalars[0]
    s.blocks = 0
    free = s.total - s.used
    time = now
    for r in range(s.running - 1, -1, -1):
        end = max(now, st.running[r].end)
        if end == np.inf:
            break
        if end > time:
            _append(st, time, free)
            time = end
        free += st.jobs[st.running[r].job].size
    _append(st, time, free)
    for b in range(s.blocks):
        _measure(st, b)
    for w in range(st.windows.shape[0]):
        window = st.windows[w]
        if window.end > now:
            start = max(now, window.start)
            _cut(st, start)
            _take_between(st, start, window.end, window.processors)


@jit
def _append(st: State, time: float, free: int) -> None:
    """Add a step after all others; blocks are left half full, for what will be cut into them."""
    s = st.scalars[0]
    if s.blocks == 0 or st.blocks[s.blocks - 1].count == BLOCK_WIDTH // 2:
        block = st.blocks[s.blocks]
        block.slot = s.blocks
        block.count = 0
        block.shift = 0
        block.begin = time
        s.blocks += 1
    block = st.blocks[s.blocks - 1]
    step = st.steps[block.slot * BLOCK_WIDTH + block.count]
    step.time = time
    step.free = free
    block.count += 1


@jit
def _measure(st: State, b: int) -> None:
    """Find a block's lowest and highest anew; what its steps were to be shifted by is put into them."""
    block = st.blocks[b]
    lowest, highest = UNBOUNDED, -UNBOUNDED
    first = block.slot * BLOCK_WIDTH
    for k in range(first, first + block.count):
        st.steps[k].free += block.shift
        lowest = min(lowest, st.steps[k].free)
        highest = max(highest, st.steps[k].free)
    block.shift = 0
    block.lowest = lowest
    block.highest = highest


@jit
def _locate(st: State, time: float) -> tuple[int, int]:
    """Return the block and the place in it of the last step that does not begin after ``time``."""
    low, high = 0, int(st.scalars[0].blocks)
    while high - low > 1:
        middle = (low + high) // 2
        if st.blocks[middle].begin <= time:
            low = middle
        else:
            high = middle
    block = st.blocks[low]
    first, last = 0, int(block.count)
    while last - first > 1:
        middle = (first + last) // 2
        if st.steps[block.slot * BLOCK_WIDTH + middle].time <= time:
            first = middle
        else:
            last = middle
    return low, first


@jit
def _cut(st: State, time: float) -> None:
    """Let a step begin at ``time``, which is not before the first step."""
    b, i = _locate(st, time)
    block = st.blocks[b]
    first = block.slot * BLOCK_WIDTH
    if st.steps[first + i].time == time:
        return
    for k in range(first + block.count, first + i + 1, -1):
        st.steps[k] = st.steps[k - 1]
    st.steps[first + i + 1].time = time
    st.steps[first + i + 1].free = st.steps[first + i].free
    block.count += 1
    if block.count == BLOCK_WIDTH:
        _split(st, b)


@jit
def _split(st: State, b: int) -> None:
    """Move the second half of a full block to a new one behind it."""
    s = st.scalars[0]
    for k in range(s.blocks, b + 1, -1):
        st.blocks[k] = st.blocks[k - 1]
    old, new = st.blocks[b], st.blocks[b + 1]
    half = BLOCK_WIDTH // 2
    new.slot = s.blocks
    new.shift = old.shift
    new.count = half
    old.count = half
    for k in range(half):
        st.steps[new.slot * BLOCK_WIDTH + k] = st.steps[old.slot * BLOCK_WIDTH + half + k]
    new.begin = st.steps[new.slot * BLOCK_WIDTH].time
    s.blocks += 1
    _measure(st, b)
    _measure(st, b + 1)


@jit
def _take_between(st: State, time: float, end: float, size: int) -> None:
    """Take ``size`` processors from ``time``, where a step begins, to ``end``."""
    last_block, last = int(st.scalars[0].blocks), 0
    if end < np.inf:
        _cut(st, end)
        last_block, last = _locate(st, end)
    b, i = _locate(st, time)
    while b < last_block or (b == last_block and last > 0):
        block = st.blocks[b]
        stop = block.count if b < last_block else last
        if i == 0 and stop == block.count:
            block.shift -= size
            block.lowest -= size
            block.highest -= size
        else:
            first = block.slot * BLOCK_WIDTH
            for k in range(first + i, first + stop):
                st.steps[k].free -= size
            _measure(st, b)
        b += 1
        i = 0


@jit
def take(st: State, time: float, duration: float, size: int) -> None:
    """Take ``size`` processors from ``time``, where a step begins, for ``duration``."""
    if duration > 0.0 and time < np.inf:
        _take_between(st, time, time + duration, size)


@jit
def find(st: State, duration: float, size: int) -> float:
    """Return the earliest time from which ``size`` processors are free for ``duration``; inf if there is none."""
    found, end = np.inf, np.inf
    holding = False  # from ``found`` on there has been enough
    for b in range(st.scalars[0].blocks):
        block = st.blocks[b]
        if holding and block.begin >= end:
            return found
        if (holding and block.lowest >= size) or (not holding and block.highest < size):
            continue
        first = block.slot * BLOCK_WIDTH
        for k in range(first, first + block.count):
            step = st.steps[k]
            if holding and step.time >= end:
                return found
            enough = step.free + block.shift >= size
            if enough and not holding:
                found, end = step.time, step.time + duration
            holding = enough
    return found if holding else np.inf


@jit
def free_for(st: State, size: int) -> float:
    """Return for how long ``size`` processors are free from the first step on; inf if they stay so."""
    begin = st.blocks[0].begin
    for b in range(st.scalars[0].blocks):
        block = st.blocks[b]
        if block.lowest >= size:
            continue
        first = block.slot * BLOCK_WIDTH
        for k in range(first, first + block.count):
            if st.steps[k].free + block.shift < size:
                return float(st.steps[k].time - begin)
    return np.inf


@jit
def fits_now(st: State, duration: float, size: int) -> bool:
    """Return whether ``size`` processors are free from the first step on for ``duration``."""
    end = st.blocks[0].begin + duration
    for b in range(st.scalars[0].blocks):
        block = st.blocks[b]
        if b > 0 and block.begin >= end:
            return True
        if block.lowest >= size:
            continue
        first = block.slot * BLOCK_WIDTH
        for k in range(first, first + block.count):
            if (b > 0 or k > first) and st.steps[k].time >= end:
                return True
            if st.steps[k].free + block.shift < size:
                return False
    return True
