"""Placement at the grain of a GPU: by hand, against FGD's formulas written out, and by property."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.cluster.spec import Machine, Network, NodeGroup
from hpcai.errors import InputError
from hpcai.scheduling.placement import (
    FEATURES,
    GANG_WEIGHTS,
    POLICIES,
    WEIGHTS,
    choose,
    cluster_fragmentation,
    fits,
    fragmentation,
    inflate,
    make_nodes,
    make_pods,
    make_rule,
    make_target,
    place_gang,
    place_pod,
    remove,
)
from hpcai.scheduling.placement.nodes import GIB, gpu_kinds
from hpcai.scheduling.placement.pods import ANY, PLACE, POD

QUICK = settings(max_examples=40, deadline=None)


def pod(cpu=1.0, gpu=0.0, memory=0.0, kinds=ANY):
    """Return a pod of so many CPUs, GPUs and GiB."""
    return np.array([(round(cpu * 1000), round(memory * GIB), round(gpu * 1000), kinds, 1.0, 0)], dtype=POD)[0]


def target(*tasks):
    """Return task classes: (popularity, cpu, gpu) or (popularity, cpu, gpu, kinds)."""
    rows = [(round(t[1] * 1000), 0, round(t[2] * 1000), t[3] if len(t) > 3 else ANY, t[0], 0) for t in tasks]
    return np.array(rows, dtype=POD)


def machine(*groups, nodes_per_switch=None):
    """Return a machine of groups (count, cpus, gpus, ...): with kind and sockets if given."""
    return Machine(
        name="test",
        groups=tuple(
            NodeGroup(
                name=f"g{i}",
                count=g[0],
                cpus=g[1],
                gpus=g[2],
                memory_gib=64,
                gpu_kind=g[3] if len(g) > 3 else "V100",
                sockets=g[4] if len(g) > 4 else 1,
            )
            for i, g in enumerate(groups)
        ),
        network=Network(topology="fat-tree", nodes_per_switch=nodes_per_switch) if nodes_per_switch else None,
    )


def put(nodes, rule, one):
    """Place a pod and return (node, GPUs)."""
    held = np.zeros(1, dtype=PLACE)
    assert place_pod(nodes, one, -1, rule, held[0])
    return int(held[0]["node"]), mask_of(held[0]["gpus"])


def mask_of(bits):
    return [g for g in range(62) if int(bits) >> g & 1]


def weights_of(name):
    return GANG_WEIGHTS if name == "learned-gang" else WEIGHTS


def chosen(nodes, name, one, tasks=None, **options):
    n, bits = choose(nodes, one, -1, make_rule(name, tasks, **options))
    return n, mask_of(bits)


def set_room(nodes, n, cpu=None, gpu=None):
    """Say what is free on a node: CPUs, and of each GPU."""
    if cpu is not None:
        nodes.cpu[n] = nodes.socket_cpu[n, 0] = round(cpu * 1000)
    if gpu is not None:
        for g, free in enumerate(gpu):
            nodes.leaf_gpu[nodes.leaf[n]] += round(free * 1000) - nodes.gpu[n, g]
            nodes.gpu[n, g] = round(free * 1000)


class TestByHand:
    def test_first_fit_takes_the_first_node_and_its_first_gpu_with_room(self):
        nodes = make_nodes(machine((3, 8, 2)))
        set_room(nodes, 0, gpu=[0.2, 0.3])
        set_room(nodes, 1, gpu=[0.9, 0.4])
        assert chosen(nodes, "first-fit", pod(gpu=0.4)) == (1, [0])

    def test_best_fit_leaves_least_of_cpus_and_gpus_together(self):
        nodes = make_nodes(machine((3, 8, 2)))
        set_room(nodes, 0, cpu=4, gpu=[1, 1])  # left: 2/8 and 1/2 -> 0.375
        set_room(nodes, 1, cpu=6, gpu=[1, 0.2])  # left: 4/8 and 0.2/2 -> 0.3
        set_room(nodes, 2, cpu=8, gpu=[1, 0])  # left: 6/8 and 0 -> 0.375
        assert chosen(nodes, "best-fit", pod(cpu=2, gpu=1)) == (1, [0])

    def test_best_fit_puts_a_share_on_the_fullest_gpu(self):
        nodes = make_nodes(machine((1, 8, 4)))
        set_room(nodes, 0, gpu=[1, 0.5, 0.3, 0.6])
        assert chosen(nodes, "best-fit", pod(gpu=0.5)) == (0, [1])

    def test_pack_takes_the_most_and_spread_the_least_allocated(self):
        nodes = make_nodes(machine((3, 8, 2)))
        set_room(nodes, 1, cpu=2, gpu=[1, 0.5])
        set_room(nodes, 2, cpu=7, gpu=[1, 1])
        assert chosen(nodes, "pack", pod(gpu=0.5)) == (1, [1])
        assert chosen(nodes, "spread", pod(gpu=0.5)) == (0, [0])

    def test_spread_puts_a_share_on_the_emptiest_gpu(self):
        nodes = make_nodes(machine((1, 8, 3)))
        set_room(nodes, 0, gpu=[0.5, 0.9, 0.6])
        assert chosen(nodes, "spread", pod(gpu=0.5)) == (0, [1])

    def test_dot_product_avoids_what_the_pod_needs_most_of(self):
        nodes = make_nodes(machine((2, 10, 4)))
        set_room(nodes, 0, cpu=10, gpu=[1, 1, 0, 0])  # 1 * 0.2 + 0.5 * 0.25 = 0.325: score 83
        set_room(nodes, 1, cpu=2, gpu=[1, 1, 1, 1])  # 0.2 * 0.2 + 1 * 0.25 = 0.29: score 85
        assert chosen(nodes, "dot-product", pod(cpu=2, gpu=1)) == (1, [0])

    def test_gpu_packing_prefers_gpus_then_nodes_in_use(self):
        nodes = make_nodes(machine((1, 8, 2), (1, 8, 4), (1, 8, 2)))
        set_room(nodes, 1, gpu=[0.5, 1, 1, 1])
        assert chosen(nodes, "gpu-packing", pod(gpu=0.5)) == (1, [0])  # a GPU in use
        assert chosen(nodes, "gpu-packing", pod(gpu=0.6)) == (1, [1])  # an idle one of a node in use
        set_room(nodes, 1, gpu=[1, 1, 1, 1])
        assert chosen(nodes, "gpu-packing", pod(gpu=0.6)) == (0, [0])  # the idle node with fewest GPUs
        set_room(nodes, 2, gpu=[0.7, 1])
        set_room(nodes, 1, gpu=[0.9, 1, 1, 1])
        assert chosen(nodes, "gpu-packing", pod(gpu=0.6)) == (2, [0])  # the fullest of the GPUs in use

    def test_gpu_clustering_joins_pods_with_as_many_gpus(self):
        nodes = make_nodes(machine((4, 8, 4)))
        nodes.holds[1, 1] = 2  # two shares
        nodes.holds[2, 1] = nodes.holds[2, 3] = 1  # a share and a pair
        nodes.holds[3, 3] = 1  # a pair
        assert chosen(nodes, "gpu-clustering", pod(gpu=0.5))[0] == 1
        assert chosen(nodes, "gpu-clustering", pod(gpu=2))[0] == 3
        assert chosen(nodes, "gpu-clustering", pod(gpu=1))[0] == 0  # none of its like: an empty node
        set_room(nodes, 1, cpu=0)
        assert chosen(nodes, "gpu-clustering", pod(gpu=0.5))[0] == 2  # its like among others

    def test_random_fit_takes_every_place_about_as_often(self):
        nodes = make_nodes(machine((3, 8, 2)))
        set_room(nodes, 1, cpu=0)
        rule = make_rule("random-fit", seed=3)
        places = [(n, bits) for n, bits in (choose(nodes, pod(gpu=0.5), -1, rule) for _ in range(2000))]
        counts = pd.Series(places).value_counts()
        assert set(counts.index) == {(0, 1), (0, 2), (2, 1), (2, 2)}
        assert counts.between(420, 580).all()

    def test_topology_aware_takes_the_gpus_of_one_socket_and_the_fullest_switch(self):
        nodes = make_nodes(machine((4, 8, 4, "V100", 2), nodes_per_switch=2))
        set_room(nodes, 0, gpu=[1, 0, 1, 1])
        set_room(nodes, 3, gpu=[1, 0, 1, 0])
        assert chosen(nodes, "topology-aware", pod(gpu=1)) == (3, [0])  # switch 1 has 6 free, switch 0 has 7
        assert chosen(nodes, "topology-aware", pod(gpu=2)) == (2, [0, 1])  # node 3 has two, but of two sockets
        set_room(nodes, 2, gpu=[0, 0, 0, 0])
        assert chosen(nodes, "topology-aware", pod(gpu=2)) == (0, [2, 3])

    def test_fgd_keeps_a_whole_gpu_for_the_tasks_that_need_one(self):
        tasks = target((0.5, 1, 1), (0.5, 1, 0.3))
        nodes = make_nodes(machine((2, 8, 2)))
        set_room(nodes, 1, gpu=[0.4, 0])
        # Node 0: 0 before; with 0.7 of a GPU left half the tasks cannot use that: + 0.35.
        # Node 1: 0.4 are lost on half the tasks before, 0.1 on all afterwards: 0.1 - 0.2 = - 0.1.
        assert chosen(nodes, "fgd", pod(gpu=0.3), tasks) == (1, [0])
        assert chosen(nodes, "fgd-exact", pod(gpu=0.3), tasks) == (1, [0])

    def test_fgd_spares_the_cpus_that_free_gpus_need(self):
        tasks = target((1.0, 4, 1))
        nodes = make_nodes(machine((1, 4, 2), (1, 8, 1)))
        assert chosen(nodes, "fgd", pod(cpu=4), tasks) == (1, [])

    def test_fgd_takes_differences_too_small_for_a_score_for_none(self):
        tasks = target((0.66, 1, 0.1), (0.3, 1, 0.25), (0.04, 1, 1))
        nodes = make_nodes(machine((2, 8, 1)))
        set_room(nodes, 1, gpu=[0.6])
        # Node 0: 0.04 * 0.5 = 0.02; node 1: 0.3 * 0.1 + 0.04 * 0.1 - 0.04 * 0.6 = 0.01. Both score 49 of 100.
        assert chosen(nodes, "fgd-exact", pod(gpu=0.5), tasks)[0] == 1
        assert chosen(nodes, "fgd", pod(gpu=0.5), tasks)[0] == 0

    def test_learned_goes_by_its_weights(self):
        nodes = make_nodes(machine((3, 8, 2)))
        set_room(nodes, 1, cpu=3)
        set_room(nodes, 2, gpu=[0.5, 1])
        tasks = target((1.0, 1, 1))
        assert chosen(nodes, "learned", pod(gpu=0.5), tasks, weights={"share.free_cpu": 1})[0] == 1
        assert chosen(nodes, "learned", pod(gpu=0.5), tasks, weights={"share.opens_gpu": 1}) == (2, [0])
        assert chosen(nodes, "learned", pod(gpu=0.5), tasks, weights={"share.remainder": -1, "cpu.whole": 9}) == (
            0,
            [0],
        )


class TestFragmentation:
    def test_the_cases_of_the_paper(self):
        nodes = make_nodes(machine((1, 8, 4)))
        set_room(nodes, 0, cpu=4, gpu=[1, 1, 0.6, 0.3])  # u = 2 + 0.6, 2.9 in all
        cases = {
            (1, 0): 2.9,  # needs no GPU
            (5, 1): 2.9,  # not enough CPUs
            (1, 4): 2.9,  # not enough GPUs
            (1, 2): 0.9,  # shares of GPUs are of no use to it
            (1, 1): 0.9,
            (1, 0.5): 0.3,  # too small a rest
            (1, 0.2): 0.0,
        }
        for (cpu, gpu), lost in cases.items():
            assert fragmentation(nodes, 0, target((1.0, cpu, gpu))) == pytest.approx(lost)
        assert fragmentation(nodes, 0, target((1.0, 1, 0.2, 2))) == pytest.approx(2.9)  # another GPU kind
        assert fragmentation(nodes, 0, target((0.75, 1, 1), (0.25, 1, 0.5))) == pytest.approx(0.75 * 0.9 + 0.25 * 0.3)

    def test_a_cluster_is_the_sum_of_its_nodes(self):
        nodes = make_nodes(machine((2, 8, 2), (1, 8, 0)))
        set_room(nodes, 1, gpu=[0.5, 0])
        assert cluster_fragmentation(nodes, target((1.0, 1, 1))) == pytest.approx(0.5)


def slow_fragmentation(cpu, gpus, kind, tasks):
    """F_n(M) of Weng et al. (2023), section 4, in plain Python."""
    u = sum(int(r) for r in gpus) + max(r - int(r) for r in gpus)
    total = 0.0
    for p, d_cpu, d_gpu, kinds in tasks:
        runs = d_gpu > 0 and d_cpu <= cpu + 1e-9 and d_gpu <= u + 1e-9 and bool(kinds & kind)
        total += p * sum(r for r in gpus if not runs or r < min(d_gpu, 1.0) - 1e-9)
    return total


def slow_growth(nodes, n, one, gpu, tasks):
    """Growth of F_n(M) by a pod; ``gpu`` is that of a share."""
    cpu, gpus, kind = nodes.cpu[n] / 1000, [r / 1000 for r in nodes.gpu[n, : nodes.gpus[n]]], int(nodes.kind[n])
    before = slow_fragmentation(cpu, gpus, kind, tasks)
    if gpu is not None:
        gpus[gpu] = round(gpus[gpu] - one["gpu"] / 1000, 3)
    for _ in range(one["gpu"] // 1000):
        gpus[gpus.index(1.0)] = 0.0
    return slow_fragmentation(cpu - one["cpu"] / 1000, gpus, kind, tasks) - before


shares = st.sampled_from([0.1, 0.25, 0.5, 0.6, 0.9])
sizes = st.one_of(st.just(0.0), shares, st.sampled_from([1.0, 2.0, 4.0]))
pods_ = st.builds(
    pod,
    cpu=st.sampled_from([0.5, 1.0, 2.0, 4.0]),
    gpu=sizes,
    memory=st.sampled_from([0.0, 1.0, 9.0]),
    kinds=st.sampled_from([ANY, 1, 2, 3]),
)
MIXED = machine((2, 8, 4, "V100", 2), (2, 16, 2, "T4"), (1, 12, 0, ""), nodes_per_switch=2)
TASKS = target((0.3, 1, 0.5), (0.2, 2, 1), (0.1, 4, 2, 1), (0.2, 1, 0.25, 2), (0.2, 1, 0))
SLOW_TASKS = [(float(t["weight"]), t["cpu"] / 1000, t["gpu"] / 1000, int(t["kinds"])) for t in TASKS]


@QUICK
@given(st.lists(pods_, min_size=1, max_size=25))
def test_fgd_takes_the_steepest_descent_of_the_papers_formulas(pods):
    nodes, rule = make_nodes(MIXED), make_rule("fgd-exact", TASKS)
    held = np.zeros(len(pods), dtype=PLACE)
    for k, one in enumerate(pods):
        growths = {
            (n, g): slow_growth(nodes, n, one, g, SLOW_TASKS)
            for n in range(4)
            if fits(nodes, n, one)
            for g in (
                [g for g in range(nodes.gpus[n]) if nodes.gpu[n, g] >= one["gpu"]] if 0 < one["gpu"] < 1000 else [None]
            )
        }
        if fits(nodes, 4, one):
            growths[4, None] = 0.0  # without GPUs nothing is lost
        for n in range(4):
            room = [r / 1000 for r in nodes.gpu[n, : nodes.gpus[n]]]
            slow = slow_fragmentation(nodes.cpu[n] / 1000, room, int(nodes.kind[n]), SLOW_TASKS)
            assert fragmentation(nodes, n, TASKS) == pytest.approx(slow, abs=1e-9)
        n, bits = choose(nodes, one, -1, rule)
        if not growths:
            assert n == -1
            continue
        share = mask_of(bits)[0] if 0 < one["gpu"] < 1000 else None
        assert growths[n, share] == pytest.approx(min(growths.values()), abs=1e-9)
        score, _ = choose(nodes, one, -1, make_rule("fgd", TASKS))
        top = max(int(100 / (1 + np.exp(round(growth, 9)))) for growth in growths.values())
        best = min(growth for (node, _), growth in growths.items() if node == score)
        assert int(100 / (1 + np.exp(best)) + 1e-6) >= top
        place_pod(nodes, one, -1, rule, held[k])


def copy_of(nodes):
    return [array.copy() for array in nodes[:-1]]


@QUICK
@pytest.mark.parametrize("name", POLICIES)
@given(data=st.data())
def test_nothing_is_taken_twice_and_removal_restores_exactly(name, data):
    pods = data.draw(st.lists(pods_, min_size=1, max_size=30))
    nodes = make_nodes(MIXED)
    rule = make_rule(name, TASKS, weights={weight: 0.1 * k for k, weight in enumerate(weights_of(name))}, seed=1)
    empty = copy_of(nodes)
    held = np.zeros(len(pods), dtype=PLACE)
    there = []
    for k, one in enumerate(pods):
        fitted = [n for n in range(5) if fits(nodes, n, one)]
        before = copy_of(nodes)
        placed = place_pod(nodes, one, -1, rule, held[k])
        assert placed == bool(fitted)
        if not placed:
            assert held[k]["node"] == -1
            assert all(np.array_equal(a, b) for a, b in zip(before, copy_of(nodes), strict=True))
            continue
        there.append(k)
        assert held[k]["node"] in fitted
        gpus = mask_of(held[k]["gpus"])
        assert len(gpus) == (1 if 0 < one["gpu"] < 1000 else one["gpu"] // 1000)  # a share is of one GPU
        taken = before[2][held[k]["node"]] - nodes.gpu[held[k]["node"]]
        assert taken.sum() == one["gpu"]
        assert held[k]["cpu"].sum() == one["cpu"]
        for free in (nodes.cpu, nodes.memory, nodes.gpu, nodes.socket_cpu):
            assert (free >= 0).all()
        assert (nodes.gpu <= 1000).all()
        assert (nodes.socket_cpu.sum(axis=1) == nodes.cpu).all()
        assert (nodes.leaf_gpu == np.bincount(nodes.leaf, weights=nodes.gpu.sum(axis=1))).all()
    for k in data.draw(st.permutations(there)):
        remove(nodes, pods[k], held[k])
    assert all(np.array_equal(a, b) for a, b in zip(empty, copy_of(nodes)[: len(empty)], strict=True))


@pytest.mark.parametrize("name", POLICIES)
def test_remembered_costs_change_nothing(name):
    rng = np.random.default_rng(0)
    types = np.array([pod(*need) for need in [(1, 0.5), (2, 1), (1, 0.25), (4, 2), (1, 0)]], dtype=POD)
    order = rng.integers(len(types), size=60)
    results = []
    for remember in ((0, 0), (len(types), 5)):
        rule = make_rule(name, TASKS, weights=dict.fromkeys(weights_of(name), 0.1), remember=remember)
        held, taken = np.zeros(60, dtype=PLACE), np.zeros(60, dtype=np.int64)
        inflate(make_nodes(MIXED), types, order, rule, held, taken)
        results.append((held, taken))
    assert np.array_equal(results[0][0], results[1][0])
    assert np.array_equal(results[0][1], results[1][1])


class TestGangs:
    def gang(self, nodes, one, size, name="topology-aware"):
        held = np.zeros(size, dtype=PLACE)
        placed = place_gang(nodes, one, -1, make_rule(name, TASKS), held)
        return placed, sorted(int(n) for n in held["node"]) if placed else None

    def test_it_takes_the_tightest_switch_that_is_enough(self):
        nodes = make_nodes(machine((6, 16, 4), nodes_per_switch=2))
        set_room(nodes, 2, gpu=[1, 1, 0, 0])
        assert self.gang(nodes, pod(gpu=2), 3) == (True, [2, 3, 3])

    def test_across_switches_it_takes_the_roomiest_first(self):
        nodes = make_nodes(machine((6, 16, 4), nodes_per_switch=2))
        set_room(nodes, 0, gpu=[1, 0, 0, 0])
        placed, where = self.gang(nodes, pod(gpu=1), 9)
        assert placed
        assert where == [0, 2, 2, 2, 2, 3, 3, 3, 3]

    def test_it_takes_the_fewest_nodes(self):
        nodes = make_nodes(machine((4, 16, 4)))
        set_room(nodes, 0, gpu=[1, 1, 0, 0])
        set_room(nodes, 1, gpu=[1, 1, 1, 0])
        assert self.gang(nodes, pod(gpu=1), 3) == (True, [1, 1, 1])
        assert self.gang(nodes, pod(gpu=1), 6) == (True, [0, 0, 2, 2, 2, 2])

    @pytest.mark.parametrize("name", POLICIES)
    def test_all_or_nothing(self, name):
        nodes = make_nodes(machine((2, 16, 4), nodes_per_switch=1))
        set_room(nodes, 0, gpu=[1, 1, 0, 0])
        before = copy_of(nodes)
        assert not self.gang(nodes, pod(gpu=1), 7, name)[0]
        assert all(np.array_equal(a, b) for a, b in zip(before[:-1], copy_of(nodes)[:-1], strict=True))
        assert self.gang(nodes, pod(gpu=1), 6, name)[0]
        assert nodes.gpu.sum() == 0

    @QUICK
    @given(st.lists(st.integers(0, 4), min_size=6, max_size=6), st.integers(1, 12), st.sampled_from([0.5, 1.0, 2.0]))
    def test_no_other_choice_of_switches_is_smaller(self, free, size, gpu):
        nodes = make_nodes(machine((6, 64, 4), nodes_per_switch=2))
        for n, gpus in enumerate(free):
            set_room(nodes, n, gpu=[1.0] * gpus + [0.0] * (4 - gpus))
        room = [int(gpus / gpu) if gpu <= 1 else gpus // 2 for gpus in free]
        leaves = sorted((room[0] + room[1], room[2] + room[3], room[4] + room[5]), reverse=True)
        placed, where = self.gang(nodes, pod(cpu=0.5, gpu=gpu), size)
        assert placed == (sum(leaves) >= size)
        if placed:
            fewest = next(k for k in (1, 2, 3) if sum(leaves[:k]) >= size)
            assert len({n // 2 for n in where}) == fewest


class TestNodes:
    def test_sockets_share_gpus_and_cpus(self):
        nodes = make_nodes(machine((1, 9, 4, "V100", 2), (1, 8, 2)))
        assert nodes.socket.tolist() == [[0, 0, 1, 1], [0, 0, 0, 0]]
        assert nodes.socket_cpu.tolist() == [[4500, 4500], [8000, 0]]

    def test_cpus_come_from_the_socket_of_the_gpu_first(self):
        nodes = make_nodes(machine((1, 8, 4, "V100", 2)))
        nodes.gpu[0, :2] = 0
        held = np.zeros(1, dtype=PLACE)
        assert place_pod(nodes, pod(cpu=5, gpu=1), -1, make_rule("first-fit"), held[0])
        assert mask_of(held[0]["gpus"]) == [2]
        assert held[0]["cpu"][:2].tolist() == [1000, 4000]

    def test_kinds_and_memory_count(self):
        nodes = make_nodes(machine((1, 8, 2, "V100"), (1, 8, 2, "T4")))
        assert gpu_kinds(machine((1, 8, 2, "V100"), (1, 8, 2, "T4"))) == ["V100", "T4"]
        assert not fits(nodes, 0, pod(gpu=1, kinds=2))
        assert fits(nodes, 1, pod(gpu=1, kinds=2))
        assert not fits(nodes, 1, pod(memory=65))

    def test_a_machine_counted_by_processor_is_refused(self):
        with pytest.raises(InputError, match="expected nodes"):
            make_nodes(Machine.by_processors(8))

    def test_unknown_names_are_refused(self):
        with pytest.raises(InputError, match="expected one of first-fit"):
            make_rule("worst-fit")
        with pytest.raises(InputError, match="task classes"):
            make_rule("fgd")
        with pytest.raises(InputError, match=r"unknown weight 'share\.x'"):
            make_rule("learned", TASKS, weights={"share.x": 1})


def test_pods_and_target_of_a_list():
    jobs = pd.DataFrame(
        {
            "cpu": [1000, 1000, 2000, 1000],
            "memory": [1, 2, 1, 1],
            "gpu": [500, 500, 2000, 500],
            "gpu_kind": ["", "", "T4|V100", ""],
        }
    )
    pods = make_pods(jobs, ["P100", "T4", "V100"])
    assert pods.types["memory"][pods.type].tolist() == [1, 2, 1, 1]
    assert pods.types["kinds"][pods.type].tolist() == [ANY, ANY, 6, ANY]
    assert pods.types["weight"].tolist() == [0.5, 0.25, 0.25]
    assert make_target(pods, 1.0)[["cpu", "weight"]].tolist() == [(1000, 0.75), (2000, 0.25)]
    assert make_target(pods, 0.7)["weight"].tolist() == [1.0]
    assert len(WEIGHTS) == 3 * len(FEATURES)
