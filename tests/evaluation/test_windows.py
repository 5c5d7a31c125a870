"""Parts never overlap in time; windows are seeded and stay in their part."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcai.errors import InputError
from hpcai.evaluation.windows import draw_windows, overlap
from hpcai.records import Trace
from hpcai.records.splitting import part_bounds
from tests.evaluation.tables import jobs_table

PARTS = ("train", "validation", "test")


def trace_of(submit) -> Trace:
    return Trace("log", jobs_table(submit=np.asarray(submit, dtype=float)))


def test_parts_are_sixty_ten_thirty():
    trace = trace_of(np.arange(1000.0))
    assert [part_bounds(trace, trace.jobs, part) for part in PARTS] == [(0, 600), (600, 700), (700, 1000)]
    assert part_bounds(trace, trace.jobs, "all") == (0, 1000)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.integers(1, 4))
def test_parts_share_no_instant_whatever_is_left_out_of_the_replay(times, every):
    trace = trace_of(np.sort(times))
    jobs = trace.jobs.iloc[::every]
    try:
        bounds = [part_bounds(trace, jobs, part) for part in PARTS]
    except InputError:
        return  # too few jobs, or all at one instant
    parts = [set(jobs["submit"].iloc[first:last]) for first, last in bounds]
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert sum(last - first for first, last in bounds) == len(jobs)


def test_windows_are_seeded_distinct_and_inside_their_part():
    first, notes = draw_windows((700, 1000), (20, 50), 3, "log")
    again, _ = draw_windows((700, 1000), (20, 50), 3, "log")
    other, _ = draw_windows((700, 1000), (20, 50), 4, "log")
    assert first == again != other
    assert notes == []
    assert len({window.first for window in first}) == 20
    assert all(window.first >= 700 and window.last <= 1000 and len(window) == 50 for window in first)
    assert [window.number for window in first] == list(range(20))


def test_a_short_part_gives_fewer_windows_and_says_so():
    windows, (note,) = draw_windows((0, 52), (50, 50), 0, "log")
    assert [window.first for window in windows] == [0, 1, 2]
    assert note == "3 windows instead of 50: the part has 52 jobs"


def test_a_part_shorter_than_one_window_is_an_error():
    with pytest.raises(InputError, match=r"^log: the part has 49 jobs, fewer than one window of 50"):
        draw_windows((0, 49), (50, 50), 0, "log")
    with pytest.raises(InputError, match="no job"):
        draw_windows((5, 5), None, 0, "log")


def test_all_is_the_whole_part():
    (window,), _ = draw_windows((700, 1000), None, 0, "log")
    assert (window.first, window.last) == (700, 1000)


def test_overlap_counts_neighbours_that_share_jobs():
    apart, _ = draw_windows((0, 1_000_000), (5, 10), 0, "log")
    assert overlap(apart) == 1
    crowded, _ = draw_windows((0, 60), (50, 10), 0, "log")
    assert overlap(crowded) == 9  # 500 rows in 60 jobs or a little less
