"""Units, and placements built unit by unit: worked out by hand; 1 byte takes 1 s from device to device."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.device_placement import zoo
from hpcai.device_placement.devices import alike
from hpcai.device_placement.graph import NO_GROUP
from hpcai.device_placement.learned.construction import (
    CHOICES,
    FIRST,
    INPUTS,
    LACKING,
    LAST,
    SIBLINGS,
    allowed,
    clear,
    make_state,
    make_task,
    observe,
    put,
)
from hpcai.device_placement.learned.encoder import FEATURES, unit_features
from hpcai.device_placement.learned.units import make_units
from tests.device_placement.random_graphs import random_devices, random_graph
from tests.device_placement.test_step_by_hand import DIAMOND, graph_of, two


def start(graph, devices):
    units = make_units(graph, devices)
    task = make_task(units)
    return units, task, make_state(task)


def seen_of(task, state, v):
    seen = np.zeros((task.seconds.shape[0], len(CHOICES)))
    observe(task, state, v, seen)
    return seen


def test_units_keep_groups_together_and_take_in_what_is_free():
    # a is an input without time, which goes with b; c and d share a device; e is a view of d
    graph = graph_of([0, 1, 1, 1, 0], [(0, 1), (1, 2), (1, 3), (3, 4)])
    graph.group[[2, 3]] = 0
    units = make_units(graph, two())
    unit = units.unit[units.member]
    assert unit[0] == unit[1]
    assert unit[2] == unit[3] == unit[4]
    assert len(units) == 2
    assert units.seconds[0].tolist() == [1.0, 2.0]
    assert units.operators_placed(np.array([1, 0])).tolist() == [1, 1, 0, 0, 0]
    assert units.units_of(np.array([1, 1, 0, 0, 0])).tolist() == [1, 0]


def test_inputs_come_before_what_needs_them():
    units = make_units(zoo.build("nmt", steps=6, batch=4), two())
    assert (units.edges[:, 0] < units.edges[:, 1]).all()


def test_a_unit_waits_for_its_inputs_which_are_sent_one_by_one():
    # a and b end at 2 and 3 on different devices; c on the first waits for 5 bytes of b until 8, then runs 1
    _, task, state = start(graph_of([2, 3, 1], [(0, 2), (1, 2)], output=[4, 5, 0]), two())
    first, second, third = 1, 0, 2  # by upward rank: b, a, c
    put(task, state, second, 1)
    put(task, state, first, 0)
    seen = seen_of(task, state, third)
    assert seen[:, FIRST].tolist() == [0.0, 1.0]  # on the second device it waits for 4 bytes of a until 6, ends at 7
    assert seen[:, LAST].tolist() == [0.0, 1.0]
    assert seen[:, INPUTS] == pytest.approx([4 / 9, 5 / 9])
    put(task, state, third, 0)
    assert state.finish[third] == 3 + 5 + 1


def test_two_outputs_of_a_device_queue_on_its_copy_stream():
    # a and b end at 2 and 5 on the first device; c on the second gets 4 bytes at 6, then 6 more until 12
    _, task, state = start(graph_of([2, 3, 1], [(0, 2), (1, 2)], output=[4, 6, 0]), two())
    put(task, state, 0, 0)  # b, which has the longer way to the end
    put(task, state, 1, 0)
    put(task, state, 2, 1)
    assert state.finish[0] == 3
    assert state.finish[2] == 3 + 6 + 4 + 1  # b's 6 bytes first


def test_training_sends_everything_there_and_back():
    _, task, state = start(graph_of([1, 1], [(0, 1)], backward=1.0, output=[3, 0]), two(latency=0.5))
    put(task, state, 0, 0)
    put(task, state, 1, 1)
    assert state.finish[1] == 2 + 2 * (0.5 + 3) + 2


def test_siblings_are_what_consumers_need_besides():
    # of the diamond b and c are siblings: d needs both
    _, task, state = start(graph_of([1, 3, 2, 1], DIAMOND), two())
    put(task, state, 0, 0)
    put(task, state, 1, 1)
    assert seen_of(task, state, 2)[:, SIBLINGS].tolist() == [0.0, 1.0]


def test_memory_rules_devices_out_and_if_all_are_full_those_with_most_left_remain():
    graph = graph_of([1, 1, 1, 1], DIAMOND, weights=[4, 3, 3, 3])
    _, task, state = start(graph, alike("V100", 2, memory=7.0, bandwidth=1.0))
    mask = np.zeros(2, np.int64)
    put(task, state, 0, 0)
    put(task, state, 1, 0)
    allowed(task, state, 2, mask)
    assert mask.tolist() == [0, 1]
    assert seen_of(task, state, 2)[:, LACKING].tolist() == [1.0, 0.0]
    put(task, state, 2, 1)
    state.used[:] = [6.0, 5.0]
    allowed(task, state, 3, mask)
    assert mask.tolist() == [0, 1]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_all_that_is_seen_lies_in_0_to_1(seed):
    rng = np.random.default_rng(seed)
    kinds = ("V100", "CPU")
    graph = random_graph(rng, 10, training=bool(seed % 2), kinds=kinds, groups=True)
    units, task, state = start(graph, random_devices(rng, 3, kinds=kinds, memory=graph.weights.sum()))
    mask = np.zeros(3, np.int64)
    clear(state)
    for v in range(len(units)):
        seen = seen_of(task, state, v)
        assert (seen >= 0).all()
        assert (seen <= 1).all()
        allowed(task, state, v, mask)
        assert mask.any()
        put(task, state, v, int(rng.choice(np.flatnonzero(mask))))
    features = unit_features(units)
    assert features.shape == (len(units), len(FEATURES))
    assert (features >= 0).all()
    assert (features <= 1).all()
    assert NO_GROUP not in state.place


def test_the_list_schedule_is_close_to_the_step_of_a_model():
    graph = zoo.build("inception_v3", batch=16)
    devices = alike("V100", 3, memory=np.inf, bandwidth=20e9, latency=5e-6)
    units, task, state = start(graph, devices)
    rng = np.random.default_rng(0)
    for v in range(len(units)):
        put(task, state, v, int(rng.integers(3)))
    step = units.simulator.time(units.groups_placed(state.place)).seconds
    assert state.finish.max() == pytest.approx(step, rel=0.3)
