from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.device_placement.bounds import lower_bounds
from hpcai.device_placement.devices import alike
from hpcai.device_placement.optimum import brute_force
from hpcai.device_placement.relaxed import Program, milp
from hpcai.device_placement.simulator import StepSimulator
from hpcai.errors import InputError
from tests.device_placement.random_graphs import random_devices, random_graph
from tests.device_placement.test_step_by_hand import DIAMOND, graph_of, two

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS, n=st.integers(1, 12), d=st.integers(1, 4), training=st.booleans(), tight=st.booleans())
def test_no_feasible_placement_undercuts_a_bound(seed, n, d, training, tight):
    rng = np.random.default_rng(seed)
    kinds = ("V100", "CPU")[: 1 + seed % 2]
    graph = random_graph(rng, n, training=training, kinds=kinds, groups=seed % 3 == 0)
    memory = 3 * graph.weights.sum() * 0.8 + graph.activations.sum() if tight else np.inf
    simulator = StepSimulator(graph, random_devices(rng, d, kinds=kinds, memory=memory))
    placements = rng.integers(0, d, (64, n))
    if (graph.group >= 0).any():
        placements = rng.integers(0, d, (64, n))[:, graph.group]
    seconds, excess = simulator.times(placements)
    try:
        bounds = lower_bounds(graph, simulator)
    except InputError:
        assert (excess > 0).all()
        return
    assert seconds[excess == 0].min(initial=np.inf) >= bounds.best * (1 - 1e-9)


def test_bounds_by_hand():
    # the longest path is a, b, d: 5; the work 8 on two devices 4
    graph = graph_of([1, 3, 3, 1], DIAMOND, output=2, weights=[4, 4, 0, 0])
    assert lower_bounds(graph, StepSimulator(graph, two(), weight_copies=1)) == pytest.approx((5, 4, 0))
    # 8 bytes of weights on devices of 6: some edge is cut, and each is on a path of 5 that a transfer makes 7
    tight = StepSimulator(graph, two(memory=6.0), weight_copies=1)
    assert lower_bounds(graph, tight) == pytest.approx((5, 4, 7))
    with pytest.raises(InputError, match=r"weights of 0.000 GB, found 0.000 GB too little"):
        lower_bounds(graph, StepSimulator(graph, two(memory=3.0), weight_copies=1))


def test_brute_force_by_hand():
    # c and d on the other device: a 0-1, b 1-4 while c has a's output at 2 and runs 2-5; that of b is there at 5, d 5-6
    graph = graph_of([1, 3, 3, 1], DIAMOND)
    found = brute_force(graph, StepSimulator(graph, two()))
    assert found.seconds == 6
    assert found.placement.tolist() == [0, 0, 1, 1]


def test_brute_force_says_why_it_finds_none():
    heavy, many = graph_of([1, 1], [], output=0, weights=[4, 4]), graph_of([1] * 26, [])
    with pytest.raises(InputError, match=r"expected a feasible placement, found that the best lacks 2 bytes"):
        brute_force(heavy, StepSimulator(heavy, two(memory=3.0), weight_copies=1))
    with pytest.raises(InputError, match=r"found 3\^26"):
        brute_force(many, StepSimulator(many, two(count=3)))


def relaxed_by_brute_force(graph, simulator):
    """Return the optimum of the ordered program: every placement, and every order that respects the edges."""
    program = Program(graph, simulator, ordered=True)
    n, d = len(program.of), program.d
    before = {j: [(i, e) for e, (i, t) in enumerate(program.edges.tolist()) if t == j] for j in range(n)}
    orders = [
        order
        for order in itertools.permutations(range(n))
        if all(order.index(i) < order.index(j) for i, j in program.edges.tolist())
    ]
    best = np.inf
    for places in itertools.product(range(d), repeat=program.u):
        used = np.bincount(places, weights=program.weights, minlength=d)
        if (used > program.step.memory).any():
            continue
        at = [places[u] for u in program.of]
        for order in orders:
            end, free = {}, [0.0] * d
            for j in order:
                inputs = [end[i] + program.transfer[e, at[i], at[j]] for i, e in before[j]]
                length = program.seconds[at[j], j]
                end[j] = max([*inputs, free[at[j]] if length > 0 else 0.0]) + length
                free[at[j]] = max(free[at[j]], end[j]) if length > 0 else free[at[j]]
            best = min(best, max(end.values()))
    return best * program.scale


@pytest.mark.parametrize("seed", range(12))
def test_the_program_finds_the_optimum_of_the_relaxed_model(seed):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, 5, kinds=("V100", "CPU")[: 1 + seed % 2], groups=seed % 4 == 0)
    memory = 0.7 * graph.weights.sum() + 1 if seed % 3 == 0 else np.inf
    simulator = StepSimulator(graph, random_devices(rng, 2, kinds=graph.device_kinds, memory=memory))
    expected = relaxed_by_brute_force(graph, simulator)
    found = milp(graph, simulator)
    if expected == np.inf:
        assert found is None
        return
    assert found.seconds == pytest.approx(expected, rel=1e-5)
    assert found.bound == pytest.approx(expected, rel=1e-3)
    assert milp(graph, simulator, ordered=False).seconds <= expected * (1 + 1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_brute_force_is_no_better_than_the_relaxed_model_and_no_worse_than_any(seed):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, 6, training=seed % 2 == 0)
    simulator = StepSimulator(graph, random_devices(rng, 2))
    found = brute_force(graph, simulator)
    assert simulator.time(found.placement).seconds == found.seconds
    assert found.seconds >= lower_bounds(graph, simulator).best * (1 - 1e-9)
    assert found.seconds >= milp(graph, simulator, ordered=False).bound * (1 - 1e-6)
    assert found.seconds <= simulator.times(rng.integers(0, 2, (100, 6)))[0].min()


def test_the_program_meets_the_simulator_where_nothing_queues():
    # a chain: nothing can run side by side and no two transfers meet, so the two models are one
    rng = np.random.default_rng(3)
    graph = graph_of(rng.uniform(1, 5, (2, 6)), [(i, i + 1) for i in range(5)], output=2, kinds=("V100", "CPU"))
    simulator = StepSimulator(graph, random_devices(rng, 3, kinds=("V100", "CPU")))
    assert milp(graph, simulator).seconds == pytest.approx(brute_force(graph, simulator).seconds, rel=1e-5)


def test_alike_devices_share_the_work():
    graph = graph_of([2, 2, 2, 2], [])
    devices = alike("V100", 4, memory=np.inf, bandwidth=1.0)
    assert brute_force(graph, StepSimulator(graph, devices)).seconds == 2
    assert milp(graph, StepSimulator(graph, devices)).seconds == pytest.approx(2)
