"""What holds for every method."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from hpcai.cluster.spec import load_machine
from hpcai.device_placement import zoo
from hpcai.device_placement.bounds import lower_bounds
from hpcai.device_placement.devices import alike, pairwise
from hpcai.device_placement.machine_devices import machine_devices
from hpcai.device_placement.methods.problem import Options
from hpcai.device_placement.methods.registry import METHODS, run
from hpcai.device_placement.optimum import brute_force
from hpcai.device_placement.simulator import StepSimulator
from hpcai.errors import InputError
from tests.device_placement.random_graphs import random_devices, random_graph
from tests.device_placement.test_step_by_hand import graph_of

FEW = Options(evaluations=400, seed=3, seconds=60.0)


NETWORK = Path(str(resources.files("hpcai.device_placement") / "learned" / "network.npz"))
ASK_A_NETWORK = ("zero-shot", "policy", "learned")
SEARCHES = [
    pytest.param(name, marks=pytest.mark.skipif(name in ASK_A_NETWORK and not NETWORK.is_file(), reason="no network"))
    for name, method in METHODS.items()
    if method.searches
]


@pytest.fixture(params=METHODS)
def method(request):
    if request.param == "metis":
        pytest.importorskip("pymetis", reason="needs the extra metis")
    if request.param in ASK_A_NETWORK and not NETWORK.is_file():
        pytest.skip("no network ships")
    return request.param


def test_placements_are_feasible_and_never_below_the_bound(method):
    rng = np.random.default_rng(5)
    for kinds in (("V100",), ("V100", "CPU")):
        graph = random_graph(rng, 12, training=True, kinds=kinds, groups=True)
        memory = (3 * graph.weights + graph.activations + 3 * graph.output).sum() / 2
        devices = random_devices(rng, 3, kinds=kinds, memory=memory)
        simulator = StepSimulator(graph, devices)
        placed = run(method, graph, devices, FEW)
        assert placed.placement.shape == (12,)
        assert placed.placement.dtype == np.int64
        for group in np.unique(graph.group):
            assert len(set(placed.placement[graph.group == group])) == 1
        timing = simulator.time(placed.placement)
        assert timing.seconds >= lower_bounds(graph, simulator).best * (1 - 1e-9)
        assert timing.feasible or method == "single"


def test_the_same_seed_gives_the_same_placement(method):
    graph = zoo.build("rnnlm", steps=4, batch=4)
    devices = machine_devices(load_machine("mn-1b"), 3)
    first, second = (run(method, graph, devices, Options(evaluations=300, seed=1)) for _ in range(2))
    assert first.placement.tolist() == second.placement.tolist()


def test_one_device_takes_all(method):
    graph = random_graph(np.random.default_rng(1), 8, training=True)
    devices = alike("V100", 1, memory=np.inf, bandwidth=1.0)
    assert run(method, graph, devices, FEW).placement.tolist() == [0] * 8


def test_one_operator_alone(method):
    devices = alike("V100", 2, memory=np.inf, bandwidth=1.0)
    assert run(method, graph_of([1], []), devices, FEW).placement.shape == (1,)


def test_what_only_the_host_can_run_goes_there(method):
    graph = graph_of([[1, np.inf, 1], [9, 9, 9]], [(0, 1), (1, 2)], kinds=("V100", "CPU"))
    devices = pairwise(["V100", "CPU", "V100"], np.full(3, np.inf), np.ones((3, 3)))
    assert run(method, graph, devices, FEW).placement[1] == 1


def test_an_operator_for_no_device(method):
    graph = graph_of([[1, np.inf], [1, 1]], [(0, 1)], kinds=("V100", "CPU"))
    with pytest.raises(InputError, match="expected a device that can run b, found none"):
        run(method, graph, alike("V100", 2, memory=1.0, bandwidth=1.0), FEW)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_keeps_its_budget_and_never_gets_worse(name):
    graph = zoo.build("rnnlm", steps=4, batch=4)
    placed = run(name, graph, machine_devices(load_machine("mn-1b"), 3), Options(evaluations=700))
    curve = placed.curve
    assert curve.evaluations[-1] <= 700
    assert (np.diff(curve.evaluations) >= 0).all()
    assert (np.diff(curve.best) <= 0).all()
    assert (np.diff(curve.seconds) >= 0).all()
    timing = StepSimulator(graph, machine_devices(load_machine("mn-1b"), 3)).time(placed.placement)
    assert timing.seconds == curve.best[-1]
    short = run(name, graph, machine_devices(load_machine("mn-1b"), 3), Options(evaluations=10**9, seconds=0.2))
    assert short.curve.evaluations[-1] < 10**9


@pytest.mark.parametrize("name", ["cross-entropy", "annealing", "local-search"])
@pytest.mark.parametrize("seed", range(3))
def test_searches_find_the_optimum_of_small_graphs(name, seed):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, 7)
    devices = random_devices(rng, 2)
    best = brute_force(graph, StepSimulator(graph, devices)).seconds
    assert run(name, graph, devices, Options(evaluations=3000)).curve.best[-1] == pytest.approx(best)


def test_an_unknown_method_names_those_that_there_are():
    with pytest.raises(InputError, match=r"method 'heff': expected one of single, .*; did you mean 'heft'\?"):
        run("heff", graph_of([1], []), alike("V100", 2, memory=1.0, bandwidth=1.0))


def test_every_method_names_its_source():
    assert all(method.source for method in METHODS.values())
