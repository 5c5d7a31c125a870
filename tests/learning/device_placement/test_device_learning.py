"""A policy of device placement: the same in PyTorch and in NumPy, and it learns."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.device_placement.learned.decoding import draw, make_drawn
from hpcai.device_placement.learned.network import Network, known_network, read_network
from hpcai.errors import InputError
from hpcai.learning.device_placement import training
from hpcai.learning.device_placement.config import DeviceTraining, Learner, load_device_training
from hpcai.learning.device_placement.generated import SHAPES, generate
from hpcai.learning.device_placement.instances import draw_instances
from hpcai.learning.device_placement.lessons import Sample, decoder_of, lesson, sample
from hpcai.learning.device_placement.policy import Policy, seen_of
from hpcai.learning.device_placement.training import train_devices

torch.set_num_threads(1)


def few(tmp_path, **settings):
    usual = {"graphs": "generated", "instances": 3, "validation": 2, "validate_every": 3, "budget": "6 steps"}
    learner = {"hidden": 8, "rounds": 1, "drawn": 6}
    return DeviceTraining(**(usual | {"learner": learner, "out": str(tmp_path / "run")} | settings))


def curve_of(folder):
    with (folder / "curves.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def instance():
    return draw_instances(DeviceTraining(graphs="generated", seed=3), 1, 0)[0]


def test_pytorch_and_numpy_agree(instance):
    network = known_network()
    policy = Policy(len(network.weights.out), len(network.weights.own))
    policy.load(network.weights)
    seen = seen_of(instance.units)
    assert policy.encode(seen).detach().numpy() == pytest.approx(network.decoder(instance.units).unit, abs=1e-5)
    task, decoder = instance.task, network.decoder(instance.units)
    drawn, noise = make_drawn(task, len(decoder.direct)), np.random.default_rng(0).random(len(task.mean))
    draw(task, instance.state, decoder, noise, 1.0, np.zeros(len(decoder.out)), drawn)
    chances = policy.chances(seen, drawn.seen, drawn.mask).exp().detach().numpy()
    assert chances == pytest.approx(drawn.chance, abs=1e-5)


def test_a_lesson_makes_the_best_of_what_was_drawn_likelier(instance):
    torch.manual_seed(0)
    policy, seen = Policy(8, 1), seen_of(instance.units)
    found = sample(instance, decoder_of(policy, instance), 8, np.random.default_rng(1))
    found = Sample(found.places, found.choices, found.mask, np.arange(1.0, 9.0))  # the first is the best by far

    def log_chance():
        logs = policy.chances(seen, found.choices[:1], found.mask[:1])
        return float(logs.gather(-1, torch.tensor(found.places[:1])[..., None]).sum().detach())

    before = log_chance()
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    for _ in range(5):
        optimizer.zero_grad()
        lesson(policy, seen, found, Learner(best=0.2, entropy=0.0)).backward()
        optimizer.step()
    assert log_chance() > before


def test_generated_graphs_have_every_shape_and_differ_by_seed():
    graphs = [generate(np.random.default_rng(seed)) for seed in range(40)]
    assert {graph.name.removeprefix("generated ") for graph in graphs} == set(SHAPES)
    for graph in graphs:
        assert len(graph.order) == len(graph)  # no cycle
        assert (graph.forward >= 0).all()
        assert len(graph) == len(set(graph.operators))
    assert len({len(graph) for graph in graphs}) > 10
    again = generate(np.random.default_rng(7))
    assert np.array_equal(again.forward, graphs[7].forward)
    assert {graph.trains for graph in graphs} == {True, False}


def test_instances_of_another_part_are_others():
    config = DeviceTraining(graphs=("generated", "zoo:rnnlm"), devices=(2, 3))
    first, again, other = (draw_instances(config, 4, part) for part in (0, 0, 1))
    assert [i.task.scale for i in first] == [i.task.scale for i in again]
    assert [i.task.scale for i in first] != [i.task.scale for i in other]
    assert {len(i.task.capacity) for i in first + other} <= {2, 3, 4}  # and a host


def test_a_training_leaves_curves_and_the_best_network(tmp_path):
    config = few(tmp_path)
    trained = train_devices(config)
    rows = curve_of(tmp_path / "run")
    assert [int(row["updates"]) for row in rows] == [0, 3, 6]
    assert trained.best == min(float(row["drawn"]) for row in rows)
    network = read_network(tmp_path / "run" / "network.npz")
    assert network.meta.graphs == ("generated",)
    assert network.weights.out.shape == (8,)
    again = train_devices(few(tmp_path, out=str(tmp_path / "again")))
    assert again == trained
    assert load_device_training(tmp_path / "run" / "config.yaml") == config


def test_it_learns(tmp_path):
    learner = {"hidden": 16, "rounds": 2, "drawn": 16, "learning_rate": 3e-3, "entropy": 0.0}
    settings = {"devices": 4, "bandwidth": (10, 10), "latency": (5, 5), "pressure": (0.2, 0.2), "host": 0, "vary": 0}
    settings |= {"instances": 1, "validation": 1, "budget": "60 steps", "validate_every": 20}
    trained = train_devices(few(tmp_path, learner=learner, graphs="zoo:inception_v3", **settings))
    assert trained.best < trained.begun


def test_an_interrupt_leaves_the_best_so_far(tmp_path, monkeypatch):
    calls = []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return lesson(*arguments)

    monkeypatch.setattr(training, "lesson", interrupted)
    trained = train_devices(few(tmp_path))
    assert trained.interrupted
    assert isinstance(read_network(tmp_path / "run" / "network.npz"), Network)
    assert [row["updates"] for row in curve_of(tmp_path / "run")] == ["0", "3"]


def test_it_goes_on_from_a_network(tmp_path):
    config = few(tmp_path)
    train_devices(config)
    begun = tmp_path / "run" / "network.npz"
    tuned = train_devices(few(tmp_path, begin=str(begun), out=str(tmp_path / "tuned")))
    first = curve_of(tmp_path / "tuned")[0]
    assert float(first["drawn"]) == tuned.begun
    best = min(float(row["drawn"]) for row in curve_of(tmp_path / "run"))
    assert tuned.begun == pytest.approx(best)
    with pytest.raises(InputError, match="found 8 hidden values and 1 rounds"):
        train_devices(few(tmp_path, begin=str(begun), learner={"hidden": 4}, out=str(tmp_path / "other")))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("graphs: zoo:vgg", "expected one of zoo:resnet50"),
        ("graphs: generated\nbandwidth: [9, 3]", "expected the lower number first"),
        ("graphs: generated\nbudget: soon", "budget: expected a time"),
        ("graphs: missing.json", "cannot be read"),
    ],
)
def test_wrong_configurations_are_one_line(tmp_path, settings, message):
    path = tmp_path / "config.yaml"
    path.write_text(f"{settings}\nout: {tmp_path / 'run'}\n")
    with pytest.raises(InputError, match=message):
        train_devices(load_device_training(path))


def test_the_command_line(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("graphs: generated\ninstances: 2\nvalidation: 1\nlearner: {hidden: 4, rounds: 1, drawn: 4}\n")
    arguments = ["train", "device-placement", str(path), "--budget", "2 steps", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert f"Network: {tmp_path / 'run'}/network.npz" in result.output
