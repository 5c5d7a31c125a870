"""Orders within bounds, and priorities dealt out: by hand and by properties."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcai.live.order import bounded_order, is_in_order, last_positions, site_order, target_priorities


def test_the_site_s_order():
    own = np.array([5, 9, 5, 9])
    eligible = np.array([1.0, 4.0, 0.0, 3.0])
    assert site_order(own, eligible, np.arange(4)).tolist() == [3, 1, 2, 0]
    assert site_order(own, np.zeros(4), np.array([8, 7, 6, 9])).tolist() == [1, 3, 2, 0]


def test_a_job_that_has_waited_long_keeps_its_place():
    own = [0, 1, 2, 3]
    waited = np.array([500.0, 90.0, 90.0, 90.0])
    latest = last_positions(own, waited, 100.0, None)
    assert latest == [0, 3, 3, 3]
    assert bounded_order([3, 2, 1, 0], own, latest) == [0, 3, 2, 1]


def test_no_job_falls_back_further_than_it_may():
    own = [0, 1, 2, 3, 4]
    latest = last_positions(own, np.zeros(5), 100.0, 2)
    assert latest == [2, 3, 4, 4, 4]
    assert bounded_order([4, 3, 2, 1, 0], own, latest) == [4, 3, 0, 1, 2]


@given(st.data())
def test_bounds_hold_and_nothing_else_is_changed(data):
    n = data.draw(st.integers(0, 12))
    wanted = data.draw(st.permutations(range(n)))
    own = data.draw(st.permutations(range(n)))
    place = {job: position for position, job in enumerate(own)}
    latest = [data.draw(st.integers(place[job], n - 1)) for job in range(n)]
    order = bounded_order(wanted, own, latest)
    assert sorted(order) == list(range(n))
    assert all(position <= latest[job] for position, job in enumerate(order))
    if all(bound == n - 1 for bound in latest):
        assert order == list(wanted)
    for position, (first, second) in enumerate(itertools.pairwise(order)):
        if wanted.index(first) > wanted.index(second):  # only a bound keeps the wanted neighbours apart
            assert latest[first] <= position


@given(st.data())
def test_priorities_are_dealt_out(data):
    n = data.draw(st.integers(1, 12))
    own = np.array(data.draw(st.lists(st.integers(50, 90), min_size=n, max_size=n)))
    order = data.draw(st.permutations(range(n)))
    targets = target_priorities(order, own)
    assert is_in_order(order, targets)
    dealt, had = np.sort(targets)[::-1], np.sort(own)[::-1]
    assert (dealt <= had).all()  # nobody outside is overtaken who was not before
    assert dealt[0] == had[0]
    if len(set(own.tolist())) == n:
        assert dealt.tolist() == had.tolist()


def test_a_priority_never_becomes_a_hold():
    assert target_priorities([0, 1, 2], np.array([2, 2, 2])).tolist() == [2, 1, 1]


@pytest.mark.parametrize(("priority", "expected"), [([3, 2, 1], True), ([3, 3, 1], False), ([1, 2, 3], False)])
def test_whether_an_order_is_there(priority, expected):
    assert is_in_order([0, 1, 2], np.array(priority)) is expected
