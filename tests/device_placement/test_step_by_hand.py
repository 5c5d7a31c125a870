"""Steps worked out by hand: times in seconds, 1 byte takes 1 s from device to device."""

from __future__ import annotations

import numpy as np
import pytest

from hpcai.device_placement.costs import CostTable, DeviceKind, Efficiency
from hpcai.device_placement.devices import Devices, alike, pairwise
from hpcai.device_placement.expansion import BACKWARD, FORWARD, UPDATE, expand
from hpcai.device_placement.graph import NO_GROUP, OperatorGraph
from hpcai.device_placement.simulator import StepSimulator
from hpcai.errors import InputError


def graph_of(seconds, edges, *, output=1.0, backward=0.0, weights=0.0, activations=0.0, kinds=("V100",)):
    """A graph of n operators; (n,) or (m, n) seconds, the rest one number or (n,)."""
    forward = np.atleast_2d(np.asarray(seconds, float))
    m, n = forward.shape

    def each(value, *shape):
        return np.broadcast_to(np.asarray(value, float), shape).copy()

    return OperatorGraph(
        name="toy",
        operators=tuple("abcdefghijklmnopqrstuvwxyz"[:n]),
        kinds=("unknown",) * n,
        device_kinds=kinds,
        forward=forward,
        backward=each(backward, m, n),
        weights=each(weights, n),
        activations=each(activations, n),
        output=each(output, n),
        group=np.full(n, NO_GROUP),
        phase=np.zeros(n, np.int64),
        edges=np.array(edges, np.int64).reshape(-1, 2),
    )


def two(memory=np.inf, latency=0.0, count=2):
    return alike("V100", count, memory=memory, bandwidth=1.0, latency=latency)


def seconds(graph, devices, placement):
    return StepSimulator(graph, devices).time(np.array(placement)).seconds


DIAMOND = [(0, 1), (0, 2), (1, 3), (2, 3)]


def test_a_chain_on_one_device_is_the_sum():
    assert seconds(graph_of([1, 2, 3], [(0, 1), (1, 2)]), two(), [0, 0, 0]) == 1 + 2 + 3


def test_a_cut_chain_waits_for_latency_and_bytes():
    # a ends at 1, its 4 bytes arrive at 1 + 0.5 + 4, b takes 2
    assert seconds(graph_of([1, 2], [(0, 1)], output=[4, 0]), two(latency=0.5), [0, 1]) == 1 + 0.5 + 4 + 2


def test_branches_run_side_by_side():
    # a 0-1, b on its device 1-4; the output of a is with c at 2, which runs 2-5 and sends its own until 6; d 6-7
    graph = graph_of([1, 3, 3, 1], DIAMOND)
    assert seconds(graph, two(), [0, 0, 1, 0]) == 7
    assert seconds(graph, two(), [0, 0, 0, 0]) == 8


def test_an_output_is_sent_once_to_each_device():
    # both b and c wait on the other device for one transfer of 3 bytes, 1-4, and run one after the other
    graph = graph_of([1, 1, 1], [(0, 1), (0, 2)], output=[3, 0, 0])
    assert seconds(graph, two(), [0, 1, 1]) == 1 + 3 + 2
    # to two devices it is sent twice, one after the other on the outgoing copy stream: 1-4 and 4-7
    assert seconds(graph, two(count=3), [0, 1, 2]) == 1 + 3 + 3 + 1


def test_the_more_urgent_consumer_is_sent_to_first():
    # c has the longer way to the end: it gets the transfer of 1-4, runs 4-9; b gets that of 4-7, runs 7-8
    graph = graph_of([1, 1, 5], [(0, 1), (0, 2)], output=[3, 0, 0])
    assert seconds(graph, two(count=3), [0, 1, 2]) == 9


def test_the_most_urgent_ready_operator_runs_first():
    # b leads to d, so it goes before c: a 0-1, b 1-2, c 2-4 while b's output travels 2-3 to d 3-8
    graph = graph_of([1, 1, 2, 5], [(0, 1), (0, 2), (1, 3)])
    assert seconds(graph, two(), [0, 0, 0, 1]) == 8
    # told otherwise: c 1-3, b 3-4, d 5-10
    simulator = StepSimulator(graph, two(), urgency=np.array([9.0, 1.0, 2.0, 0.0]))
    assert simulator.time(np.array([0, 0, 0, 1])).seconds == 10


def test_a_free_device_does_not_wait_for_something_more_urgent():
    # b is more urgent than c, but not there before 2: c has the device from 0 to 3, b from 3 to 7
    graph = graph_of([1, 4, 3], [(0, 1)])
    assert seconds(graph, two(), [0, 1, 1]) == 7


def test_what_takes_no_time_needs_no_stream():
    # the view b is done at 1 although c has the device from 1 to 11; d on the other device starts at 1 + 1
    graph = graph_of([1, 0, 10, 3], [(0, 1), (0, 2), (1, 3)])
    course = StepSimulator(graph, two()).course(np.array([0, 0, 0, 1]))
    assert course.start.tolist() == [0, 1, 1, 2]
    assert course.end.tolist() == [1, 1, 11, 5]


def test_transfers_queue_on_the_copy_stream_into_a_device():
    # a and b end at 1 on devices 0 and 1 and both send 2 bytes to c: 1-3 and 3-5
    assert seconds(graph_of([1, 1, 1], [(0, 2), (1, 2)], output=[2, 2, 0]), two(count=3), [0, 1, 2]) == 6


def test_transfers_queue_on_a_shared_link():
    # 0 -> 1 and 2 -> 3 side by side take 1-3; through one link 1-3 and 3-5
    graph = graph_of([1, 1, 1, 1], [(0, 1), (2, 3)], output=2)
    apart = two(count=4)
    assert seconds(graph, apart, [0, 1, 2, 3]) == 4
    links = np.full((4, 4, 2), -1)
    links[0, 1, 1] = links[2, 3, 0] = 0
    shared = Devices(apart.names, apart.kinds, apart.memory, apart.bandwidth, apart.latency, links, ("bridge",))
    assert seconds(graph, shared, [0, 1, 2, 3]) == 6


def test_the_two_ways_of_a_pair_do_not_disturb_each_other():
    assert seconds(graph_of([1, 1, 1, 1], [(0, 1), (2, 3)], output=2), two(), [0, 1, 1, 0]) == 4


def test_slower_devices_take_their_own_time():
    graph = graph_of([[1, 1], [10, 20]], [(0, 1)], kinds=("V100", "CPU"))
    devices = pairwise(["V100", "CPU"], np.array([np.inf, np.inf]), np.ones((2, 2)))
    assert devices.names == ("v100-0", "cpu-0")
    assert seconds(graph, devices, [0, 1]) == 1 + 1 + 20
    assert seconds(graph, devices, [1, 1]) == 30


def test_an_operator_that_cannot_run_makes_the_step_infinite():
    graph = graph_of([[1, np.inf], [1, 1]], [(0, 1)], kinds=("V100", "CPU"))
    devices = pairwise(["V100", "CPU"], np.array([np.inf, np.inf]), np.ones((2, 2)))
    timing = StepSimulator(graph, devices).time(np.array([0, 0]))
    assert timing.seconds == np.inf
    assert not timing.feasible


def test_a_kind_without_costs_names_those_that_there_are():
    devices = alike("A100", 2, memory=1.0, bandwidth=1.0)
    with pytest.raises(InputError, match=r"device a100-0: expected a kind that toy has costs for \(V100\), found A100"):
        StepSimulator(graph_of([1], []), devices)


def test_training_runs_forward_backward_and_update():
    # forward 0-1-3, backward of b 3-7, of a 7-9; both on one device, nothing sent
    graph = graph_of([1, 2], [(0, 1)], backward=[2, 4], weights=[90, 0])
    all_of_it = Efficiency(compute=1, tensor=1, bandwidth=1)
    kind = DeviceKind(peak={"float32": 1.0}, bandwidth=100.0, memory=1.0, overhead=0.5)
    expansion = expand(graph, CostTable(classes={"unknown": all_of_it}, devices={"V100": kind}))
    assert expansion.graph.operators == ("a", "b", "a backward", "b backward", "a update")
    assert expansion.stage.tolist() == [FORWARD, FORWARD, BACKWARD, BACKWARD, UPDATE]
    assert expansion.graph.forward.tolist() == [[1, 2, 2, 4, 0.5 + 5 * 90 / 100]]
    course = StepSimulator(expansion, two()).course(np.array([0, 0]))
    assert course.start.tolist() == [0, 1, 7, 3, 9]
    assert course.end.tolist() == [1, 3, 9, 7, 14]


def test_the_gradient_is_as_large_as_the_output_and_sent_back_once():
    # a's output of 3 bytes is with b and c on the other device at 4; these two and their backward operators have it
    # until 8; the sum of their gradients is one transfer of 3 bytes, 8-11; backward of a 11-12
    graph = graph_of([1, 1, 1], [(0, 1), (0, 2)], output=[3, 1, 1], backward=1)
    simulator = StepSimulator(graph, two())
    course = simulator.course(np.array([0, 1, 1]))
    assert course.size.tolist() == [3, 3]
    assert (course.source.tolist(), course.target.tolist()) == ([0, 1], [1, 0])
    assert (course.begin.tolist(), course.arrive.tolist()) == ([1, 8], [4, 11])
    assert simulator.time(np.array([0, 1, 1])).seconds == 12


def test_operators_before_the_first_weight_have_no_backward():
    graph = graph_of([1, 2, 3], [(0, 1), (1, 2)], backward=[0, 4, 5], weights=[0, 8, 0])
    assert expand(graph).graph.operators == ("a", "b", "c", "b backward", "c backward", "b update")


def test_a_graph_with_both_kinds_of_backward_is_refused():
    graph = graph_of([1], [], backward=1)
    graph.phase[0] = BACKWARD
    with pytest.raises(InputError, match="backward times or backward operators, found both"):
        expand(graph)


def test_outputs_are_freed_after_their_last_use():
    # a 5 bytes, b 7, c 2: while b runs a and b are there (12); a goes when b ends, then b and c (9)
    timing = StepSimulator(graph_of([1, 1, 1], [(0, 1), (1, 2)], output=[5, 7, 2]), two()).time(np.zeros(3, int))
    assert timing.peak.tolist() == [12, 0]


def test_a_sent_output_takes_memory_on_both_devices():
    # device 0: a's 5 bytes until they are sent. device 1: its copy from when it is sent, with b's 7
    timing = StepSimulator(graph_of([1, 1], [(0, 1)], output=[5, 7]), two()).time(np.array([0, 1]))
    assert timing.peak.tolist() == [5, 12]


def test_activations_stay_until_the_backward_pass():
    # three copies of the weights of a (30); activations 10 of a and 20 of b; in b's backward also b's gradient of
    # a (output 4): 30 + 10 + 20 + 4, b itself takes in no gradient (1 byte, its own output's: the loss)
    graph = graph_of([1, 1], [(0, 1)], output=[4, 0], backward=1, weights=[10, 0], activations=[10, 20])
    timing = StepSimulator(graph, two()).time(np.zeros(2, int))
    assert timing.peak.tolist() == [30 + 10 + 20 + 4, 0]
    # apart: device 0 has weights, activations and the gradient that comes back; device 1 a copy of a's output, b's
    # activations and the gradient until it is sent
    timing = StepSimulator(graph, two()).time(np.array([0, 1]))
    assert timing.peak.tolist() == [30 + 10 + 4, 20 + 4]


def test_out_of_memory_says_by_how_much():
    graph = graph_of([1, 1], [(0, 1)], output=0, weights=[60, 70])
    simulator = StepSimulator(graph, two(memory=100.0))
    together, apart = simulator.time(np.array([0, 0])), simulator.time(np.array([0, 1]))
    assert (together.excess, together.feasible) == (30, False)
    assert (apart.excess, apart.feasible) == (0, True)
    seconds, excess = simulator.times(np.array([[0, 0], [0, 1]]))
    assert excess.tolist() == [30, 0]
    assert seconds.tolist() == [2, 2]


def test_a_room_is_clean_after_a_step():
    simulator = StepSimulator(graph_of([1, 3, 3, 1], DIAMOND, backward=2, weights=1, activations=1), two(count=3))
    rng = np.random.default_rng(0)
    placements = rng.integers(0, 3, (50, 4))
    many = simulator.times(placements)
    again = [StepSimulator(simulator.expansion, simulator.devices).time(placement) for placement in placements]
    assert many[0].tolist() == [timing.seconds for timing in again]
    assert not simulator.room.copies.any()
