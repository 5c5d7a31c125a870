"""What is drawn, learned and searched for one graph, without PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from hpcai.device_placement import zoo
from hpcai.device_placement.devices import alike
from hpcai.device_placement.learned.annealing import anneal, costs, make_ground
from hpcai.device_placement.learned.network import Network, known_network, packed, read_network
from hpcai.device_placement.learned.proposing import Proposer, blank_decoder, scheduling_decoder
from hpcai.device_placement.learned.units import make_units
from hpcai.device_placement.methods.problem import Options
from hpcai.device_placement.methods.registry import run
from hpcai.device_placement.optimum import brute_force
from hpcai.device_placement.simulator import StepSimulator
from hpcai.errors import InputError
from tests.device_placement.random_graphs import random_devices, random_graph
from tests.device_placement.test_step_by_hand import graph_of, two


@pytest.fixture(scope="module")
def units():
    return make_units(zoo.build("inception_v3", batch=8), alike("V100", 3, memory=2.0**34, bandwidth=2e10))


def test_even_chances_draw_evenly(units):
    places, chances = Proposer(units, blank_decoder(units), 0).propose(50)
    assert chances == pytest.approx(np.full((50, len(units), 3), 1 / 3))
    assert np.bincount(places.ravel()) / places.size == pytest.approx(np.full(3, 1 / 3), abs=0.03)


def test_without_learning_it_places_as_list_scheduling_would():
    # b and c run side by side: the transfers take less than waiting
    graph = graph_of([1, 10, 10, 1], [(0, 1), (0, 2), (1, 3), (2, 3)])
    units = make_units(graph, two())
    places = Proposer(units, scheduling_decoder(units), 0).best_guess()
    _, b, c, _ = places[units.unit[units.member]]
    assert b != c


def test_what_is_learned_makes_good_placements_likelier(units):
    proposer = Proposer(units, blank_decoder(units), 0)
    begun = costs(units, proposer.propose(100)[0])
    for _ in range(60):
        places, chances = proposer.propose(32)
        proposer.learn(places, chances, costs(units, places))
    assert costs(units, proposer.propose(100)[0]).mean() < 0.8 * begun.mean()


def test_annealing_returns_the_cost_of_its_best_and_never_worse_than_its_start(units):
    step, room = units.simulator.step, units.simulator.room
    start = np.random.default_rng(0).integers(0, 3, len(units))
    found = []
    for _ in range(2):
        ground, best = make_ground(units, seed=4), start.copy()
        ground.place[:] = start
        least = anneal(step, room, ground, best, np.inf, 0.02 * units.scale, 2e-4 * units.scale, 2000)
        assert least == pytest.approx(costs(units, best[None])[0])
        found.append((least, best.tolist()))
    assert found[0] == found[1]
    assert found[0][0] < 0.8 * costs(units, start[None])[0]


def test_annealing_keeps_to_devices_that_can_run_a_unit():
    graph = random_graph(np.random.default_rng(3), 12, kinds=("V100", "CPU"))
    graph.forward[0, ::2] = np.inf  # of V100
    devices = random_devices(np.random.default_rng(4), 3, kinds=("V100", "CPU"))
    assert set(devices.kinds) == {"V100", "CPU"}
    units = make_units(graph, devices)
    ground, best = make_ground(units, seed=0), units.seconds.argmin(axis=0)
    ground.place[:] = best
    step, room = units.simulator.step, units.simulator.room
    assert anneal(step, room, ground, best, np.inf, 1.0, 0.1, 500) < np.inf
    assert np.isfinite(units.seconds[ground.place, np.arange(len(units))]).all()


@pytest.mark.parametrize("seed", range(4))
def test_learned_comes_within_five_percent_of_the_optimum(seed):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, 9, training=True, groups=seed % 2 == 1)
    devices = random_devices(rng, 3, memory=0.6 * (3 * graph.weights + graph.activations + 3 * graph.output).sum())
    simulator = StepSimulator(graph, devices)
    best = brute_force(graph, simulator).seconds
    found = simulator.time(run("learned", graph, devices, Options(evaluations=3000)).placement)
    assert found.excess == 0
    assert best * (1 - 1e-9) <= found.seconds <= 1.05 * best


def test_the_shipped_network_is_small_and_has_seen_no_model():
    network = known_network()
    assert len(packed(network)) < 200_000
    assert network.meta.graphs == ("generated",)


def test_a_network_survives_its_file(tmp_path):
    path = tmp_path / "network.npz"
    path.write_bytes(packed(known_network()))
    read = read_network(path)
    assert read.meta == known_network().meta
    for mine, its in zip(read.weights, known_network().weights, strict=True):
        assert np.array_equal(mine, its)


def test_files_that_are_no_network_are_told(tmp_path):
    path = tmp_path / "network.npz"
    with pytest.raises(InputError, match="expected a network of device placement"):
        read_network(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="expected a network of device placement"):
        read_network(path)
    network = known_network()
    meta = network.meta.model_copy(update={"choices": ("start",)})
    path.write_bytes(packed(Network(network.weights, meta)))
    with pytest.raises(InputError, match="for the features of this version"):
        read_network(path)
    path.write_bytes(packed(Network(network.weights._replace(out=network.weights.out[:-1]))))
    with pytest.raises(InputError, match="expected the shape"):
        read_network(path)
