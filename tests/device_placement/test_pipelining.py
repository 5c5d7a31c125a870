"""Pipelines of equal stages, where the time of a step is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from hpcai.cluster.spec import load_machine
from hpcai.device_placement import zoo
from hpcai.device_placement.devices import alike
from hpcai.device_placement.machine_devices import machine_devices
from hpcai.device_placement.methods import pipedream
from hpcai.device_placement.pipelining import SCHEDULES, pipelined
from hpcai.device_placement.replication import replicated
from hpcai.device_placement.simulator import StepSimulator
from hpcai.errors import InputError
from tests.device_placement.test_step_by_hand import graph_of

STAGES, BATCHES = 4, 8


def chain(count=STAGES, **fields):
    return graph_of([BATCHES] * count, [(i, i + 1) for i in range(count - 1)], output=0, **fields)


def run(graph, schedule, batches=BATCHES, devices=STAGES, **options):
    there = alike("V100", devices, memory=np.inf, bandwidth=1.0)
    placement = np.arange(len(graph)) * devices // len(graph)
    return pipelined(graph, there, placement, batches, schedule, **options), placement


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_step_fills_and_drains(schedule):
    # a micro-batch takes 1 s forward and 2 s back on each stage: (M + S - 1) x (1 + 2)
    simulator, placement = run(chain(backward=2.0 * BATCHES), schedule)
    assert simulator.time(placement).seconds == pytest.approx((BATCHES + STAGES - 1) * 3)
    alone, placement = run(chain(backward=2.0 * BATCHES), schedule, batches=1)
    assert alone.time(placement).seconds == pytest.approx(STAGES * BATCHES * 3)


def test_inference_is_a_pipeline_too():
    simulator, placement = run(chain(), "gpipe")
    assert simulator.time(placement).seconds == pytest.approx(BATCHES + STAGES - 1)


def test_gpipe_keeps_all_activations_and_1f1b_those_on_their_way():
    # 8 bytes of activations a step, 1 a micro-batch: all 8 with GPipe, with 1F1B 4, 3, 2 and 1 by stage
    graph = chain(backward=2.0 * BATCHES, activations=float(BATCHES))
    gpipe, placement = run(graph, "gpipe")
    assert gpipe.time(placement).peak.tolist() == [8, 8, 8, 8]
    one, placement = run(graph, "1f1b")
    assert one.time(placement).peak.tolist() == [4, 3, 2, 1]


def test_weights_are_there_once_and_updated_once():
    graph = chain(backward=1.0, weights=5.0)
    simulator, placement = run(graph, "1f1b", weight_copies=2)
    assert simulator.step.weights.tolist() == [10] * STAGES
    names = simulator.expansion.graph.operators
    assert sum("update" in name for name in names) == STAGES
    course = simulator.course(placement)
    updates = [i for i, name in enumerate(names) if "update" in name]
    for i in updates:
        same = (course.expansion.origin == course.expansion.origin[i]) & (np.arange(len(names)) != i)
        assert course.start[i] >= course.end[same].max()


def test_the_turn_of_gpipe_waits_for_all():
    simulator, placement = run(chain(backward=2.0 * BATCHES), "gpipe")
    course, names = simulator.course(placement), simulator.expansion.graph.operators
    last = max(course.end[i] for i, name in enumerate(names) if name.startswith("d #"))
    assert min(course.start[i] for i, name in enumerate(names) if name.startswith("d backward")) >= last


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_pipeline_of_a_model_is_quicker_than_its_stages_in_turn(schedule):
    graph = zoo.build("gpt2", batch=8)
    devices = machine_devices(load_machine("mn-1b"), 4)
    placement = pipedream.place(graph, devices)
    plain = StepSimulator(graph, devices).time(placement).seconds
    piped = pipelined(graph, devices, placement, 8, schedule).time(placement).seconds
    assert plain / 4 < piped < 0.6 * plain


def test_what_is_wrong_is_said():
    with pytest.raises(InputError, match="expected gpipe or 1f1b and at least one micro-batch, found pipe and 2"):
        run(chain(), "pipe", batches=2)
    with pytest.raises(InputError, match="found gpipe and 0"):
        run(chain(), "gpipe", batches=0)


def replicas_of(weights, count, **options):
    graph = graph_of([1.0], [], output=0, backward=1.0, weights=weights, kinds=("P100",))
    simulator = StepSimulator(graph, machine_devices(load_machine("mn-1a"), 1), weight_copies=1)
    step = simulator.time(np.array([0])).seconds
    return step, replicated(simulator, np.array([0]), load_machine("mn-1a"), count, algorithm="ring", **options)


def test_an_allreduce_by_hand():
    # two GPUs of a node of mn-1a, a ring: 2 hops of 5.7 us, and 2 (p - 1) / p x 8 GB over 10 GB/s
    step, found = replicas_of(8e9, 2)
    assert found.allreduce[0] == pytest.approx(2 * 5.7e-6 + 0.8)
    assert found.seconds == pytest.approx(step + found.allreduce[0])
    # half of the second in the backward pass hides as much
    assert replicas_of(8e9, 2, overlap=0.5)[1].seconds == pytest.approx(step + found.allreduce[0] - 0.5)
    assert replicas_of(8e9, 1)[1] == (step, [0.0])
    with pytest.raises(InputError, match="2000 replicas of 1 GPUs: expected at most 1024 GPUs, all of mn-1a"):
        replicas_of(8e9, 2000)
