"""The pipeline's throughput, against all splits of small instances and on published ones."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from hpcai.device_placement.ideals import best_contiguous, contracted
from hpcai.device_placement.max_load import Instance, excess, is_contiguous, loads, read_instance
from hpcai.device_placement.max_load_program import best_split
from hpcai.errors import InputError

GRAPHS = Path(__file__).parents[3] / "shared" / "data" / "graphs"


def instance_of(time, edges, *, cost=1.0, accelerators=2, cpus=1, memory=np.inf, size=0.0, backward=(), colour=None):
    n = len(time)
    return Instance(
        accelerators=accelerators,
        cpus=cpus,
        memory=memory,
        accelerator=np.array(time, float),
        cpu=10 * np.where(np.isfinite(time), time, 1.0),
        size=np.broadcast_to(np.asarray(size, float), n).copy(),
        cost=np.broadcast_to(np.asarray(cost, float), n).copy(),
        edges=np.array(edges, np.int64).reshape(-1, 2),
        backward=np.isin(np.arange(n), backward).astype(np.int64),
        colour=np.arange(n) if colour is None else np.array(colour),
    )


def test_loads_by_hand():
    # a feeds b and c: sent from 0 once, taken in by 1 once; c feeds d: sent from 1, taken in by 0
    instance = instance_of([1, 2, 3, 4], [(0, 1), (0, 2), (2, 3)], cost=[10, 20, 30, 40])
    assert loads(instance, np.array([0, 1, 1, 0])).tolist() == [1 + 4 + 10 + 30, 2 + 3 + 10 + 30, 0]
    # on the CPU (device 2) nothing is paid, but those that send to it pay
    assert loads(instance, np.array([0, 2, 2, 0])).tolist() == [1 + 4 + 10 + 30, 0, 20 + 30]


def test_contiguity_by_hand():
    instance = instance_of([1, 1, 1], [(0, 1), (1, 2)])
    assert is_contiguous(instance, np.array([0, 0, 1]))
    assert not is_contiguous(instance, np.array([0, 1, 0]))
    apart = instance_of([1, 1, 1, 1], [(0, 1), (2, 3)])
    assert is_contiguous(apart, np.array([0, 1, 0, 1]))
    assert not is_contiguous(apart, np.array([0, 1, 1, 0]))


def test_an_interleaved_split_can_be_better():
    # 3, 3, 3, 3 in a row with a cut that is cheap but one: contiguous halves pay it, two ends together do not
    instance = instance_of([3, 3, 3, 3], [(0, 1), (1, 2), (2, 3)], cost=[0, 9, 0, 0], cpus=0)
    assert best_contiguous(instance).load == 9
    assert best_split(instance).seconds == 6


def random_instance(rng, *, training):
    n = 5
    edges = [(i, j) for i in range(n) for j in range(i + 1, n) if rng.random() < 0.5]
    time = rng.uniform(1, 5, n) * (rng.random(n) > 0.2)
    if not training:
        size = rng.uniform(0, 1, n)
        return instance_of(time, edges, cost=rng.uniform(0, 2, n), memory=size.sum() * 0.8, size=size)
    mirror = [(n + j, n + i) for i, j in edges]
    cost = np.tile(rng.uniform(0, 2, n), 2)
    both = np.concatenate([time, 2 * time])
    return instance_of(both, edges + mirror, cost=cost, backward=np.arange(n, 2 * n), colour=np.tile(np.arange(n), 2))


@pytest.mark.parametrize("seed", range(16))
def test_both_methods_find_the_best_of_all_splits(seed):
    instance = random_instance(np.random.default_rng(seed), training=seed % 2 == 1)
    colours = int(instance.colour.max()) + 1
    every = [np.array(places)[instance.colour] for places in itertools.product(range(3), repeat=colours)]
    fitting = [split for split in every if excess(instance, split) == 0]
    least = min(loads(instance, split).max() for split in fitting)
    contiguous = min(loads(instance, split).max() for split in fitting if is_contiguous(instance, split))
    assert best_contiguous(instance).load == pytest.approx(contiguous)
    assert best_split(instance).seconds == pytest.approx(least, rel=1e-4)
    # the program asks for contiguity device by device, which two devices that feed each other can have too
    assert least * (1 - 1e-4) <= best_split(instance, contiguous=True).seconds <= contiguous * (1 + 1e-4)
    assert is_contiguous(instance, best_contiguous(instance).placement)


def test_what_takes_no_time_goes_with_its_only_neighbour():
    instance = instance_of([0, 0, 5, 5], [(0, 2), (1, 2), (2, 3)])
    unit, edges = contracted(instance)
    assert unit[0] == unit[1] == unit[2] != unit[3]
    assert len(edges) == 1


def test_colours_on_a_cycle_are_one():
    instance = instance_of([1, 1, 1, 1], [(0, 1), (2, 3)], colour=[0, 1, 1, 0])
    assert len(set(contracted(instance)[0])) == 1


def test_what_cannot_be_split_is_said():
    with pytest.raises(InputError, match="expected a contiguous split that fits the memory"):
        best_contiguous(instance_of([1, 1], [(0, 1)], memory=1.0, size=2.0, cpus=0))
    with pytest.raises(InputError, match="expected at most 60000 ideals"):
        best_contiguous(instance_of([1] * 20, []))


@pytest.mark.parametrize(
    ("name", "ideals", "load"),
    [
        ("dnnpart_throughput_layer_resnet50_training.json", 242, 78.632),
        ("dnnpart_throughput_operator_bert_l-3_inference.json", 1428, 27.919),
        ("dnnpart_throughput_operator_bert_l-3_training.json", 2774, 65.303),
        ("dnnpart_throughput_operator_bert_l-6_inference.json", 1923, 29.580),
        pytest.param("dnnpart_throughput_layer_gnmt_training.json", 17914, 107.004, marks=pytest.mark.long),
        pytest.param("dnnpart_throughput_layer_inceptionv3_training.json", 36596, 122.762, marks=pytest.mark.long),
    ],
)
def test_published_instances(name, ideals, load):
    if not (GRAPHS / name).is_file():
        pytest.skip(f"{name} is not at hand")
    instance = read_instance(GRAPHS / name)
    found = best_contiguous(instance)
    assert found.ideals == ideals
    assert found.load == pytest.approx(load, abs=1e-3)
    assert excess(instance, found.placement) == 0
    colours = json.loads((GRAPHS / name).read_text("utf-8"))["nodes"]
    assert len(colours) == len(found.placement)
    # no split can be below the mean of what accelerators and CPUs, all busy, would take
    devices = instance.accelerators + instance.cpus
    assert found.load >= np.minimum(instance.accelerator, instance.cpu).sum() / devices
