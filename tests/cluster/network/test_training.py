"""Step time of a job by where its tasks are, and the links that it uses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.cluster.network.collectives import RING, TREE
from hpcai.cluster.network.fabric import make_fabric, make_room
from hpcai.cluster.network.training import MODEL, expected_most, links_of, train_step
from hpcai.cluster.spec import parse_machine

MACHINE = """
name: six nodes of 4 under three leaves
groups:
  - {name: p, count: 4, cpus: 4, memory_gib: 8, gpus: 4, nic_gbit_s: 80, gpu_link_gbyte_s: 20, gpu_latency_us: 0}
  - {name: v, count: 2, cpus: 4, memory_gib: 8, gpus: 4, nic_gbit_s: 80, gpu_link_gbyte_s: 40, gpu_latency_us: 0,
     gpu_speed: 2}
network: {topology: fat-tree, nodes_per_switch: 2, oversubscription: 4, efficiency: 1, leaf_latency_us: 0,
  spine_latency_us: 0}
"""
FABRIC = make_fabric(parse_machine(MACHINE, "here"))


def model(compute=1.0, overlap=0.0, size=8e9, algorithm=RING, jitter=0.0):
    return np.array([(1, compute, jitter, overlap, size, 1, algorithm)], dtype=MODEL)[0]


def step(of, node, gpus):
    room = make_room(FABRIC)
    found = train_step(FABRIC, of, np.array(node, dtype=np.int64), np.array(gpus, dtype=np.int64), room)
    assert not any(part.any() for part in room)
    return found


def links(node, gpus):
    room, ids, held = make_room(FABRIC), np.zeros(9, dtype=np.int64), np.zeros(9)
    count = links_of(FABRIC, np.array(node, dtype=np.int64), np.array(gpus, dtype=np.int64), room, ids, held)
    assert not any(part.any() for part in room)
    return dict(zip(ids[:count].tolist(), held[:count].tolist(), strict=True))


@pytest.mark.parametrize(("node", "gpus", "seconds", "traffic"), [
    ([0], [1], 1.0, 0.0),
    ([4], [1], 0.5, 0.0),  # twice as fast
    ([0, 0], [1, 1], 1 + 8 / 20, 0.0),  # in the node
    ([0, 1], [1, 1], 1 + 8 / 10, 8e9 / 1.8),  # over NICs
    ([0, 2], [1, 1], 1 + 8 / 5, 8e9 / 2.6),  # over uplinks: two NICs of 10 GB/s by 4
    ([0, 1], [2, 2], 1 + 12 / 10, 12e9 / 2.2),
    ([3, 4], [1, 1], 1 + 8 / 5, 8e9 / 2.6),  # at the slower kind
    ([4, 5], [1, 1], 0.5 + 8 / 10, 8e9 / 1.3),
    ([], [], 1.0, 0.0),
    ([0], [0], 1.0, 0.0),
])  # fmt: skip
def test_step(node, gpus, seconds, traffic):
    assert step(model(), node, gpus) == (pytest.approx(seconds), pytest.approx(traffic))


def test_communication_hides_behind_its_part_of_compute():
    assert step(model(overlap=0.5), [0, 1], [1, 1])[0] == pytest.approx(1 + 0.8 - 0.5)
    assert step(model(overlap=0.9), [0, 1], [1, 1]) == (1.0, 8e9)


def test_a_step_waits_for_the_slowest_gpu():
    assert step(model(jitter=0.1, size=0.0), [0, 1], [4, 4])[0] == pytest.approx(1 + 0.1 * expected_most(8))
    assert step(model(jitter=0.1), [0], [1])[0] == 1.0


@pytest.mark.parametrize(("n", "exact", "within"), [(1, 0, 0), (2, 0.5642, 0.19), (8, 1.4236, 0.11),
                                                    (100, 2.5076, 0.05), (1000, 3.2414, 0.04)])  # fmt: skip
def test_expected_most_of_normal_numbers(n, exact, within):
    assert abs(expected_most(n) - exact) <= within


@pytest.mark.parametrize(("node", "gpus", "expected"), [
    ([0, 0], [1, 3], {}),
    ([0, 1, 0], [1, 2, 1], {0: 2, 1: 2}),
    ([0, 3, 1, 5], [1, 2, 1, 4], {0: 1, 1: 1, 3: 2, 5: 4, 6: 2, 7: 2, 8: 4}),
    ([0, 4], [2, 0], {}),
])  # fmt: skip
def test_links(node, gpus, expected):
    assert links(node, gpus) == expected


tasks = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), min_size=1, max_size=12)


@settings(deadline=None)
@given(tasks, st.randoms(), st.sampled_from([RING, TREE]))
def test_the_order_of_tasks_does_not_matter(placed, random, algorithm):
    shuffled = list(placed)
    random.shuffle(shuffled)
    of = model(algorithm=algorithm)
    assert step(of, *zip(*placed, strict=True)) == pytest.approx(step(of, *zip(*shuffled, strict=True)))
    assert links(*zip(*placed, strict=True)) == links(*zip(*shuffled, strict=True))


@settings(deadline=None)
@given(tasks, st.floats(0.01, 10), st.floats(0, 1))
def test_no_job_alone_overloads_a_link(placed, compute, overlap):
    node, gpus = zip(*placed, strict=True)
    _, traffic = step(model(compute, overlap), node, gpus)
    assert all(traffic <= FABRIC.capacity[link] * (1 + 1e-12) for link in links(node, gpus))
