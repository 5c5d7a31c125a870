"""Allreduce times against closed forms."""

from __future__ import annotations

import math

import pytest

from hpcai.cluster.network.collectives import ALGORITHMS, BEST, HIERARCHICAL, RING, TREE, Span, allreduce

S = 1e8
HOP, LEAF, SPINE = 5e-6, 14e-6, 20e-6


def span(gpus=32, nodes=4, leaves=1, most=8, inside=10e9, outside=5e9):
    return Span(gpus, nodes, leaves, most, inside, outside, HOP, LEAF, SPINE, 1.0)


@pytest.mark.parametrize("algorithm", [RING, HIERARCHICAL])
def test_on_one_node_each_gpu_sends_its_part_twice(algorithm):
    seconds, _ = allreduce(algorithm, S, 1.0, span(8, 1, outside=math.inf))
    assert seconds == pytest.approx(2 * 7 * HOP + 2 * 7 / 8 * S / 10e9)


def test_ring_goes_at_its_slowest_link():
    seconds, sent = allreduce(RING, S, 3.0, span())
    assert sent == pytest.approx(2 * 31 / 32 * S)
    assert seconds == pytest.approx(3 * (2 * 28 * HOP + 2 * 3 * LEAF) + sent / 5e9)


def test_tree_takes_the_logarithm_of_the_nodes_in_hops():
    seconds, sent = allreduce(TREE, S, 1.0, span(1024, 128, 8))
    assert sent == 2 * S
    assert seconds == pytest.approx(2 * 7 * HOP + 2 * 4 * LEAF + 2 * 3 * SPINE + 2 * S / 5e9)


def test_hierarchical_reduces_in_the_node_first():
    seconds, sent = allreduce(HIERARCHICAL, S, 1.0, span(leaves=2))
    assert sent == pytest.approx(2 * 3 / 4 * S)
    assert seconds == pytest.approx(2 * 7 * HOP + 2 * (2 * LEAF + SPINE) + 2 * 7 / 8 * S / 10e9 + sent / 5e9)


@pytest.mark.parametrize("algorithm", ALGORITHMS.values())
def test_a_gpu_alone_sends_nothing(algorithm):
    assert allreduce(algorithm, S, 1.0, span(1, 1, 1, 1, math.inf, math.inf)) == (0.0, 0.0)


@pytest.mark.parametrize("size", [1e3, 1e6, 1e9])
@pytest.mark.parametrize("place", [span(), span(1024, 128, 8), span(8, 8, 2, 1, math.inf)])
def test_best_is_the_quickest_with_its_own_traffic(size, place):
    assert allreduce(BEST, size, 1.0, place) == min(allreduce(a, size, 1.0, place) for a in (RING, TREE, HIERARCHICAL))


def test_large_messages_prefer_bandwidth_and_small_ones_few_hops():
    place = span(1024, 128, 8, inside=100e9)
    assert allreduce(TREE, 1e4, 1.0, place)[0] < allreduce(RING, 1e4, 1.0, place)[0]
    assert allreduce(RING, 1e11, 1.0, place)[0] < allreduce(TREE, 1e11, 1.0, place)[0]
