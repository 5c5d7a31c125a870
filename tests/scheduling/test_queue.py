from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.cluster import Machine
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.queue import (
    accrue,
    dequeue,
    drop_started,
    enqueue,
    lay_order,
    next_fit,
    next_waiting,
    smallest_waiting,
)
from hpcai.scheduling.state import UNBOUNDED, State, make_state
from tests.workloads import table

SIXTEEN = Machine.by_processors(16)
Question = tuple[int, int, float, int]  # position, room, slack, extra

jobs_of_a_queue = st.lists(st.tuples(st.integers(1, 16), st.integers(0, 20)), min_size=1, max_size=40)
slacks = st.one_of(st.integers(-1, 21).map(float), st.just(math.inf))
questions = st.lists(
    st.tuples(st.integers(0, 70), st.integers(0, 17), slacks, st.integers(0, 17)), min_size=1, max_size=20
)


def state_of(jobs: list[tuple[int, int]], ordering: str) -> State:
    """A state of jobs of these sizes and estimates, nobody waiting yet."""
    sizes, times = [size for size, _ in jobs], [float(time) for _, time in jobs]
    submit = np.arange(float(len(jobs)))
    return make_state(
        table(submit=submit, run_time=times, requested_time=times, processors=sizes), SIXTEEN, Policy(ordering=ordering)
    )


def first_fit(waiting: dict[int, tuple[int, int]], question: Question) -> int:
    """The answer of one who walks past all: ``waiting`` is who waits at which position."""
    position, room, slack, extra = question
    for place in sorted(waiting):
        size, estimate = waiting[place]
        if place >= position and size <= room and (size <= extra or estimate <= slack):
            return place
    return -1


@given(jobs=jobs_of_a_queue, questions=questions, data=st.data())
@settings(max_examples=60, deadline=None)
def test_next_fit_under_a_static_ordering(
    jobs: list[tuple[int, int]], questions: list[Question], data: st.DataObject
) -> None:
    state = state_of(jobs, "sjf")
    order = sorted(range(len(jobs)), key=lambda j: (jobs[j][1], j))
    waiting: dict[int, tuple[int, int]] = {}
    for j in data.draw(st.permutations(range(len(jobs))))[: data.draw(st.integers(0, len(jobs)))]:
        enqueue(state, j, 0.0)
        waiting[order.index(j)] = jobs[j]
    leaving = data.draw(st.sets(st.sampled_from(sorted(waiting)))) if waiting else set()
    for position in leaving:
        dequeue(state, position)
        del waiting[position]
    assert state.scalars[0]["waiting"] == len(waiting)
    assert smallest_waiting(state) == min((size for size, _ in waiting.values()), default=UNBOUNDED)
    for question in questions:
        assert next_fit(state, *question) == first_fit(waiting, question)
        ahead = [place for place in sorted(waiting) if place >= question[0]]
        assert next_waiting(state, question[0]) == (ahead[0] if ahead else -1)


@given(jobs=jobs_of_a_queue, questions=questions, data=st.data())
@settings(max_examples=60, deadline=None)
def test_next_fit_under_a_dynamic_ordering(
    jobs: list[tuple[int, int]], questions: list[Question], data: st.DataObject
) -> None:
    state = state_of(jobs, "expr:requested_time - 0 * wait")
    joined = data.draw(st.permutations(range(len(jobs))))[: data.draw(st.integers(0, len(jobs)))]
    for j in joined:
        enqueue(state, j, 0.0)
    assert smallest_waiting(state) == min((jobs[j][0] for j in joined), default=UNBOUNDED)
    lay_order(state, 5.0)
    order = sorted(joined, key=lambda j: (jobs[j][1], j))
    assert state.queue[: len(order)].tolist() == order
    waiting = {place: jobs[j] for place, j in enumerate(order)}
    leaving = data.draw(st.sets(st.sampled_from(sorted(waiting)))) if waiting else set()
    for position in leaving:
        dequeue(state, position)
        state.start[order[position]] = 5.0
        del waiting[position]
    for question in questions:
        assert next_fit(state, *question) == first_fit(waiting, question)
    drop_started(state, len(order))
    left = [j for place, j in enumerate(order) if place in waiting]
    assert state.queue[: state.scalars[0]["waiting"]].tolist() == left
    lay_order(state, 6.0)  # a shorter queue: nothing of the longer one is left in the tree
    for question in questions:
        assert next_fit(state, *question) == first_fit({place: jobs[j] for place, j in enumerate(left)}, question)


def test_a_job_that_is_small_and_another_that_is_short_are_not_taken_for_one() -> None:
    # Of the two halves the first has a small long job and a large short one: neither may be backfilled.
    state = state_of([(1, 20), (16, 1), (2, 2), (16, 20)], "fcfs")
    for j in range(4):
        enqueue(state, j, 0.0)
    assert next_fit(state, 0, 8, 5.0, 0) == 2
    assert next_fit(state, 0, 8, 5.0, 1) == 0
    assert next_fit(state, 0, 16, 1.0, 0) == 1
    assert next_fit(state, 3, 15, 99.0, 99) == -1
    assert next_fit(state, 4, 16, 99.0, 99) == -1


def test_equal_values_of_a_static_ordering_keep_the_order_of_submission() -> None:
    state = state_of([(4, 5), (2, 9), (4, 5), (1, 9), (4, 1)], "sjf")
    assert state.places["job"].tolist() == [4, 0, 2, 1, 3]
    assert [int(state.places[j]["position"]) for j in range(5)] == [1, 3, 2, 4, 0]


@given(
    queue=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), min_size=1, max_size=50),
    data=st.data(),
)
@settings(max_examples=80, deadline=None)
def test_lay_order_breaks_ties_by_submission_and_then_by_row(queue: list[tuple[int, int]], data: st.DataObject) -> None:
    sizes = [size for size, _ in queue]
    submitted = [float(time) for _, time in queue]  # not in the order of the rows
    state = state_of([(size, 1) for size in sizes], "expr:size + 0 * wait")
    for j in data.draw(st.permutations(range(len(queue)))):
        enqueue(state, j, submitted[j])
    expected = sorted(range(len(queue)), key=lambda j: (sizes[j], submitted[j], j))
    for now in (3.0, 4.0):  # the second time the queue is in order already
        lay_order(state, now)
        assert state.places["job"].tolist() == expected
        assert state.queue.tolist() == expected


def test_the_order_changes_with_time() -> None:
    state = state_of([(1, 10), (8, 10)], "wfp3")
    enqueue(state, 0, 0.0)
    enqueue(state, 1, 40.0)
    orders = []
    for now in (50.0, 100.0):
        lay_order(state, now)
        orders.append(state.queue.tolist())
    assert orders == [[0, 1], [1, 0]]  # 5 ** 3 against 1 ** 3 * 8, then 10 ** 3 against 6 ** 3 * 8


def test_a_value_that_is_not_a_number_is_last() -> None:
    state = state_of([(1, 1), (4, 1), (2, 1), (3, 1)], "expr:log(size - 2) + 0 * wait")
    for j in range(4):
        enqueue(state, j, 0.0)
    lay_order(state, 1.0)
    assert state.queue.tolist() == [2, 3, 1, 0]


def test_an_ordering_reads_the_submission_that_took_effect() -> None:
    state = make_state(
        table(submit=[0.0, 1.0], run_time=[1.0, 1.0], processors=[1, 1]), SIXTEEN, Policy(dependencies=True)
    )
    enqueue(state, 0, 9.0)  # it had to wait for another job
    enqueue(state, 1, 1.0)
    lay_order(state, 9.0)
    assert state.queue.tolist() == [1, 0]


def test_use_decays_with_its_half_life() -> None:
    jobs = table(submit=[0.0], run_time=[1.0], processors=[1])
    state = make_state(jobs, SIXTEEN, Policy(ordering="fair-share", usage_half_life=100.0))
    accrue(state, 0, 4.0, 0.0)  # from 0 on 4 processors, from 50 on 1, from 80 on none
    accrue(state, 0, -3.0, 50.0)
    accrue(state, 0, -1.0, 80.0)
    accrue(state, 0, 0.0, 200.0)
    instants = np.arange(0.0, 80.0, 1e-3) + 5e-4
    used = np.where(instants < 50.0, 4.0, 1.0)
    expected = float((used * 0.5 ** ((200.0 - instants) / 100.0)).sum() * 1e-3)
    assert state.accounts[0]["usage"] == pytest.approx(expected, rel=1e-9)
    before = float(state.accounts[0]["usage"])
    accrue(state, 0, 0.0, 300.0)
    assert state.accounts[0]["usage"] == pytest.approx(before / 2, rel=1e-12)


def test_who_has_used_least_is_first() -> None:
    jobs = table(submit=[0.0, 1.0, 2.0], run_time=[1.0] * 3, processors=[1] * 3, user=["ada", "bob", "ada"])
    state = make_state(jobs, SIXTEEN, Policy(ordering="fair-share"))
    everybody = len(state.accounts) - 1
    for account, processors in ((0, 3.0), (everybody, 3.0), (1, 1.0), (everybody, 1.0)):
        accrue(state, account, processors, 0.0)
    for j in range(3):
        enqueue(state, j, float(j))
    lay_order(state, 10.0)
    assert state.queue.tolist() == [1, 0, 2]
    # By place in the queue at the time of reading: the share, and that over an equal share of two accounts.
    assert state.usage[0].tolist() == pytest.approx([0.75, 0.25, 0.75])
    assert state.usage[1].tolist() == pytest.approx([1.5, 0.5, 1.5])
