from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.cluster import Machine
from hpcai.cluster.spec import Reservation
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.profile import find, fits_now, free_for, lay_profile, take
from hpcai.scheduling.state import BLOCK_WIDTH, State, make_state
from tests.workloads import table

INF = math.inf
TOTAL = 16
Running = list[tuple[float, int]]  # expected end, processors
Window = tuple[float, float, int]  # start, end, processors


@dataclass
class Steps:
    """The same profile as a plain list of steps: (time, free), each up to the next one's time."""

    steps: list[tuple[float, int]] = field(default_factory=list)

    @classmethod
    def laid(cls, total: int, running: Running, windows: list[Window], now: float) -> Steps:
        profile = cls([(now, total)])
        for end, size in running:
            profile.hold(now, max(now, end), size)
        for start, end, size in windows:
            profile.hold(max(now, start), end, size)
        return profile

    def hold(self, start: float, end: float, size: int) -> None:
        if not start < end or start == INF:
            return
        for time in (start, end):
            if time < INF and all(known != time for known, _ in self.steps):
                before = [free for known, free in self.steps if known < time]
                if before:
                    self.steps.append((time, before[-1]))
                    self.steps.sort()
        self.steps = [(time, free - size if start <= time < end else free) for time, free in self.steps]

    def free_over(self, start: float, duration: float, size: int) -> bool:
        """Whether there is enough from ``start``, where a step begins, for ``duration``."""
        return all(free >= size for time, free in self.steps if time == start or start < time < start + duration)

    def find(self, duration: float, size: int) -> float:
        return next((time for time, _ in self.steps if self.free_over(time, duration, size)), INF)

    def free_for(self, size: int) -> float:
        begin = self.steps[0][0]
        return next((time - begin for time, free in self.steps if free < size), INF)

    def fits_now(self, duration: float, size: int) -> bool:
        return self.free_over(self.steps[0][0], duration, size)

    def changes(self) -> list[tuple[float, int]]:
        """The steps without those at which nothing changes."""
        return self.steps[:1] + [b for a, b in pairwise(self.steps) if a[1] != b[1]]


def laid(total: int, running: Running, windows: list[Window], now: float, room_for: int) -> State:
    """The state of a machine on which these run, its profile laid; up to ``room_for`` takes have a place in it."""
    n = max(len(running), room_for, 1)
    reservations = tuple(Reservation(start=start, end=end, processors=size) for start, end, size in windows)
    machine = Machine(name="m", processors=total, reservations=reservations)
    sizes = [size for _, size in running] + [1] * (n - len(running))
    jobs = table(submit=np.zeros(n), run_time=np.ones(n), processors=sizes)
    state = make_state(jobs, machine, Policy(backfill="conservative"))
    latest_first = sorted(range(len(running)), key=lambda j: -running[j][0])
    for r, j in enumerate(latest_first):
        state.running[r] = (running[j][0], j)
    state.scalars["running"] = len(running)
    state.scalars["used"] = sum(size for _, size in running)
    lay_profile(state, now)
    return state


def steps_of(state: State) -> list[tuple[float, int]]:
    """The steps of a state's profile, in order."""
    found = []
    for block in state.blocks[: state.scalars[0]["blocks"]]:
        first = block["slot"] * BLOCK_WIDTH
        steps = state.steps[first : first + block["count"]]
        assert block["begin"] == steps["time"][0]
        free = steps["free"] + block["shift"]
        assert (block["lowest"], block["highest"]) == (free.min(), free.max())
        found += list(zip(steps["time"].tolist(), free.tolist(), strict=True))
    assert all(a[0] < b[0] for a, b in pairwise(found))
    return found


times = st.integers(0, 30).map(float)
durations = st.one_of(st.integers(0, 25).map(float), st.just(INF))
sizes = st.integers(1, TOTAL + 1)
windows_of_a_machine = st.lists(
    st.tuples(
        st.one_of(times, st.just(-INF)), st.one_of(st.integers(1, 20).map(float), st.just(INF)), st.integers(0, TOTAL)
    ).map(lambda w: (w[0], w[0] + w[1] if w[0] > -INF else w[1], w[2])),
    max_size=3,
)


@st.composite
def running_jobs(draw: st.DrawFn) -> Running:
    """Jobs that together fit the machine; some have outlived their estimate, some have none that ends."""
    running: Running = []
    free = TOTAL
    while free > 0 and len(running) < 8 and draw(st.integers(0, 4)) > 0:
        size = draw(st.integers(1, min(free, 6)))
        running.append((draw(st.one_of(times, times, st.just(INF))), size))
        free -= size
    return running


@given(
    running=running_jobs(),
    windows=windows_of_a_machine,
    now=st.integers(0, 20).map(float),
    places=st.lists(st.tuples(durations, sizes, st.integers(0, 40)), max_size=12),
    questions=st.lists(st.tuples(durations, st.integers(0, TOTAL + 1)), min_size=1, max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_against_a_list_of_steps(
    running: Running,
    windows: list[Window],
    now: float,
    places: list[tuple[float, int, int]],
    questions: list[tuple[float, int]],
) -> None:
    state = laid(TOTAL, running, windows, now, 12)
    plain = Steps.laid(TOTAL, running, windows, now)

    def compare() -> None:
        found = steps_of(state)
        assert found[0][0] == now
        assert Steps(found).changes() == plain.changes()
        for duration, size in questions:
            assert find(state, duration, size) == plain.find(duration, size)
            assert free_for(state, size) == plain.free_for(size)
            assert fits_now(state, duration, size) == plain.fits_now(duration, size)

    compare()
    for duration, size, at in places:
        time = find(state, duration, size)
        if at % 4 == 0:  # taken although it may not be free, as where an overdue job is in the way
            steps = steps_of(state)
            time = steps[at % len(steps)][0]
        take(state, time, duration, size)
        plain.hold(time, time + duration, size)
        compare()


def test_by_hand() -> None:
    # 16 processors; 10 are held until 20, 4 until 30; 8 are reserved from 40 to 50.
    state = laid(TOTAL, [(20.0, 10), (30.0, 4)], [(40.0, 50.0, 8)], 10.0, 4)
    assert Steps(steps_of(state)).changes() == [(10.0, 2), (20.0, 12), (30.0, 16), (40.0, 8), (50.0, 16)]
    assert find(state, 5.0, 2) == 10.0
    assert find(state, 5.0, 12) == 20.0
    assert find(state, 20.0, 12) == 20.0  # up to 40, where the reservation begins
    assert find(state, 21.0, 12) == 50.0
    assert find(state, INF, 8) == 20.0
    assert find(state, 1.0, 17) == INF
    assert free_for(state, 2) == INF
    assert free_for(state, 3) == 0.0
    take(state, 20.0, 15.0, 12)
    assert Steps(steps_of(state)).changes() == [(10.0, 2), (20.0, 0), (30.0, 4), (35.0, 16), (40.0, 8), (50.0, 16)]
    assert free_for(state, 2) == 10.0
    assert fits_now(state, 10.0, 2)
    assert not fits_now(state, 10.5, 2)
    assert find(state, 5.0, 5) == 35.0


def test_a_job_of_no_duration_must_fit_at_its_instant_and_takes_nothing() -> None:
    state = laid(TOTAL, [(20.0, 10)], [], 10.0, 4)
    before = steps_of(state)
    assert fits_now(state, 0.0, 6)
    assert not fits_now(state, 0.0, 7)
    assert find(state, 0.0, 7) == 20.0
    take(state, 10.0, 0.0, 6)
    take(state, INF, 5.0, 6)  # a job without a place
    assert steps_of(state) == before


def test_a_job_that_has_outlived_its_estimate_is_expected_to_end_at_any_moment() -> None:
    state = laid(TOTAL, [(3.0, 10), (12.0, 6)], [], 9.0, 4)
    assert Steps(steps_of(state)).changes() == [(9.0, 10), (12.0, 16)]
    assert find(state, 1.0, 10) == 9.0


def test_over_many_blocks() -> None:
    rng = np.random.default_rng(7)
    total, count = 4000, 1100
    ends = rng.choice(np.arange(100, 20_000), count, replace=False).astype(float)
    running = [(float(end), int(size)) for end, size in zip(ends, rng.integers(1, 4, count), strict=True)]
    windows = [(5000.0, 9000.0, 700), (8000.0, INF, 300)]
    state = laid(total, running, windows, 50.0, 1300)
    time, free = (np.array(column) for column in zip(*steps_of(state), strict=True))
    assert state.scalars[0]["blocks"] > 8

    # The profile by direct addition of all that holds processors at a time.
    held = sum((size * ((time >= 50.0) & (time < end)) for end, size in running), np.zeros(len(time), dtype=int))
    held += sum(size * ((time >= start) & (time < end)) for start, end, size in windows)
    assert free.tolist() == (total - held).tolist()
    assert set(ends) | {50.0, 5000.0, 8000.0, 9000.0} == set(time)

    def earliest(duration: float, size: int) -> float:
        short = np.flatnonzero(free < size)
        following = np.searchsorted(short, np.arange(len(time)))  # the first step from each on that is too low
        until = np.append(time[short], INF)[following]
        good = (free >= size) & (until >= time + duration)
        return float(time[good][0]) if good.any() else INF

    blocks_before = int(state.scalars[0]["blocks"])
    placed = 0
    for turn in range(1300):
        size = int(rng.integers(1, 4001 if turn % 5 == 0 else 400))
        duration = INF if turn % 97 == 0 else float(rng.integers(0, 12_000 if turn % 3 == 0 else 900)) + 0.5
        start = find(state, duration, size)
        assert start == earliest(duration, size)
        short = free < size
        until = float(time[short][0] - 50.0) if short.any() else INF
        assert free_for(state, size) == until
        assert fits_now(state, duration, size) == (free[0] >= size and until >= duration)
        if turn % 7 == 0:
            start = float(rng.choice(time))  # anywhere, whether free or not
            size = int(rng.integers(1, 5))
        if duration == INF:
            size = 1
        if start == INF:
            continue
        take(state, start, duration, size)
        end = start + duration
        if end < INF and end not in time:
            k = int(np.searchsorted(time, end))
            time, free = np.insert(time, k, end), np.insert(free, k, free[k - 1])
        free[(time >= start) & (time < end)] -= size
        placed += 1
        if turn % 100 == 0:
            assert steps_of(state) == list(zip(time.tolist(), free.tolist(), strict=True))
    assert steps_of(state) == list(zip(time.tolist(), free.tolist(), strict=True))
    assert placed > 1000
    assert state.scalars[0]["blocks"] > blocks_before  # blocks were split on the way
    assert (free < 0).any()
