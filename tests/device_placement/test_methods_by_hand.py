"""Methods on graphs that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hpcai.device_placement import zoo
from hpcai.device_placement.devices import alike, pairwise
from hpcai.device_placement.methods import chunks, etf, expert, heft, min_cut, pipedream, sct, single
from hpcai.device_placement.methods.list_schedule import Tasks, tasks_of
from hpcai.device_placement.methods.problem import DEFAULTS, Options, Problem
from hpcai.device_placement.simulator import StepSimulator
from tests.device_placement.test_step_by_hand import DIAMOND, graph_of, two

# Topcuoglu et al. 2002, figure 3: ten tasks on three processors; computation costs and those of communication
TASKS = [
    [14, 16, 9], [13, 19, 18], [11, 13, 19], [13, 8, 17], [12, 13, 10],
    [13, 16, 9], [7, 15, 11], [5, 11, 14], [18, 12, 20], [21, 7, 16],
]  # fmt: skip
EDGES = {
    (1, 2): 18, (1, 3): 12, (1, 4): 9, (1, 5): 11, (1, 6): 14, (2, 8): 19, (2, 9): 16, (3, 7): 23, (4, 8): 27,
    (4, 9): 23, (5, 9): 13, (6, 8): 15, (7, 10): 17, (8, 10): 11, (9, 10): 13,
}  # fmt: skip


def published():
    """The example: each edge has bytes of its own, which a graph of operators, with one output each, has not."""
    graph = graph_of([1] * 10, [(i - 1, j - 1) for i, j in EDGES])
    return Tasks(
        graph=graph,
        seconds=np.array(TASKS, float).T,
        size=np.array(list(EDGES.values()), float),
        latency=np.zeros((3, 3)),
        bandwidth=np.where(np.eye(3) > 0, np.inf, 1.0),
        unit=np.arange(10),
        memory=np.zeros(10),
        allowed=np.ones((3, 10), bool),
        preferred=np.ones(3, bool),
        room=np.full(3, np.inf),
    )


def test_heft_on_the_published_example():
    tasks = published()
    ranks = [108.000, 77.000, 80.000, 80.000, 69.000, 63.333, 42.667, 35.667, 44.333, 14.667]
    assert tasks.upward_rank == pytest.approx(ranks, abs=5e-4)
    found = heft.schedule(tasks)
    assert found.makespan == 80
    # figure 4a: processor of each task, and the times of the last
    assert (found.device + 1).tolist() == [3, 1, 3, 2, 3, 2, 3, 1, 2, 2]
    assert (found.start[9], found.end[9]) == (73, 80)


def test_heft_fills_gaps():
    # device busy 2-5 and 9-10: 3 s fit from 5 on, 2 s at once, 4 s between, 5 s only at the end
    busy = [(2.0, 5.0), (9.0, 10.0)]
    assert heft.gap(busy, 0.0, 3.0) == 5
    assert heft.gap(busy, 0.0, 2.0) == 0
    assert heft.gap(busy, 1.0, 4.0) == 5
    assert heft.gap(busy, 0.0, 5.0) == 10
    assert heft.gap(busy, 3.0, 1.0) == 5


def problem_of(graph, devices, **options):
    return Problem(graph, devices, Options(**options))


def test_etf_by_hand():
    # a 0-1 on device 0; b can start there at 1, c on device 1 at 2 (after b it would be 4); d after both: c's output
    # is on device 0 at 6, b's on device 1 at 5, so d starts there at 5, when c has ended
    found = etf.schedule(tasks_of(problem_of(graph_of([1, 3, 3, 1], DIAMOND), two())))
    assert found.device.tolist() == [0, 0, 1, 1]
    assert found.start.tolist() == [0, 1, 2, 5]


def test_etf_fills_a_device_only_as_far_as_memory_goes():
    graph = graph_of([1, 1, 1], [(0, 1), (1, 2)], output=0, weights=[4, 4, 4])
    found = etf.schedule(tasks_of(problem_of(graph, two(memory=8.0), weight_copies=1)))
    assert found.device.tolist() == [0, 0, 1]


def test_etf_takes_the_host_only_for_what_accelerators_cannot_hold():
    graph = graph_of([[1, 1, 1], [9, 9, 9]], [], output=0, weights=[4, 4, 4], kinds=("V100", "CPU"))
    devices = pairwise(["V100", "CPU"], np.array([8.0, 99.0]), np.ones((2, 2)))
    assert sorted(etf.place(graph, devices, Options(weight_copies=1))) == [0, 0, 1]


def test_sct_keeps_the_device_for_the_favourite_child():
    # a (1 s) has children b (1 s) and c (5 s): at most one is its favourite, and c's path is longer
    graph = graph_of([1, 1, 5], [(0, 1), (0, 2)], output=4)
    tasks = tasks_of(problem_of(graph, two()))
    favourite, held = sct.favourites(tasks)
    assert favourite.tolist() == [2, -1, -1]
    assert held[0] == 4
    found = etf.schedule(tasks, favourite, held)
    assert (found.device[2], found.start[2]) == (0, 1)


def test_pieces_hold_equal_time():
    graph = graph_of([1] * 8, [(i, i + 1) for i in range(7)])
    assert chunks.place(graph, two()).tolist() == [0] * 4 + [1] * 4


def test_pipedream_cuts_where_the_slowest_stage_is_quickest():
    # stages of 3 + 3 and 6 balance, but the cut there costs 9 s; 3 and 9 with a cut of 1 s are quicker
    graph = graph_of([3, 3, 6], [(0, 1), (1, 2)], output=[1, 9, 0])
    assert pipedream.place(graph, two()).tolist() == [0, 1, 1]
    cheap = graph_of([3, 3, 6], [(0, 1), (1, 2)], output=[1, 5, 0])
    assert pipedream.place(cheap, two()).tolist() == [0, 0, 1]


def test_crossing_counts_an_output_until_its_last_use():
    problem = problem_of(graph_of([1] * 4, [(0, 1), (0, 3), (1, 2), (2, 3)], output=[5, 1, 2, 0]), two())
    assert pipedream.crossing(problem.graph, problem.work).tolist() == [0, 5, 6, 7, 0]


def test_the_minimum_cut_is_the_thin_edge():
    # twelve in a row, all edges thick but that after the fifth: within the tolerance of a half
    output = [9.0] * 12
    output[5] = 1.0
    graph = graph_of([1] * 12, [(i, i + 1) for i in range(11)], output=output)
    assert min_cut.place(graph, two()).tolist() == [0] * 6 + [1] * 6
    output[5], output[4] = 9.0, 1.0
    graph = graph_of([1] * 12, [(i, i + 1) for i in range(11)], output=output)
    assert min_cut.place(graph, two()).tolist() == [0] * 5 + [1] * 7


def test_the_minimum_cut_sends_an_output_once():
    # a (3 bytes) to four operators: 3 bytes to cut before them, 4 x 1 byte after them
    edges = [(0, i) for i in range(1, 5)] + [(i, 5) for i in range(1, 5)]
    graph = graph_of([4, 0.1, 0.1, 0.1, 0.1, 4], edges, output=[3, 1, 1, 1, 1, 0])
    assert min_cut.place(graph, two()).tolist() == [0, 1, 1, 1, 1, 1]
    graph = graph_of([4, 0.1, 0.1, 0.1, 0.1, 4], edges, output=[5, 1, 1, 1, 1, 0])
    assert min_cut.place(graph, two()).tolist() == [0, 0, 0, 0, 0, 1]


def test_experts_give_layers_devices_of_their_own():
    graph = zoo.build("nmt", steps=3, batch=2)
    placement = expert.place(graph, alike("V100", 6, memory=np.inf, bandwidth=1e9))
    where = {}
    for name, device in zip(graph.operators, placement, strict=True):
        for layer in ("encoder/layer0", "encoder/layer1", "attention", "decoder/layer0", "decoder/layer1", "softmax"):
            if name.startswith(layer):
                where.setdefault(layer, set()).add(int(device))
    assert all(len(devices) == 1 for devices in where.values())
    assert len({min(devices) for devices in where.values()}) == 6


def test_experts_cut_inception_between_blocks():
    graph = zoo.build("inception_v3", batch=2)
    placement = expert.place(graph, alike("V100", 4, memory=np.inf, bandwidth=1e9))
    blocks = {}
    for name, device in zip(graph.operators, placement, strict=True):
        blocks.setdefault(name.split("/")[0], set()).add(int(device))
    assert all(len(devices) == 1 for devices in blocks.values())
    assert set().union(*blocks.values()) == {0, 1, 2, 3}


def test_a_single_device_is_the_quickest_with_room():
    graph = graph_of([[1, 1], [3, 3]], [(0, 1)], weights=[5, 5], kinds=("V100", "CPU"))
    devices = alike("V100", 2, memory=8.0, bandwidth=1.0)
    assert set(single.place(graph, devices).tolist()) == {0}
    timing = StepSimulator(graph, devices).time(single.place(graph, devices))
    assert timing.excess == (5 + 5) + (1 + 1) - 8  # weights and both outputs


def test_methods_take_defaults():
    assert DEFAULTS.evaluations == 20_000
    assert chunks.place(graph_of([1, 1], [(0, 1)]), two()).tolist() == [0, 1]
