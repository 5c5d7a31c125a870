"""Links of machines: capacities, order, units."""

from __future__ import annotations

import numpy as np
import pytest

from hpcai.cluster import Machine, load_machine
from hpcai.cluster.network.fabric import make_fabric, make_room
from hpcai.cluster.spec import parse_machine
from hpcai.errors import InputError
from hpcai.scheduling.placement.nodes import make_nodes

SMALL = """
name: small
groups:
  - {name: a, count: 3, cpus: 4, memory_gib: 8, gpus: 2, nics: 2, nic_gbit_s: 8, gpu_link_gbyte_s: 3, gpu_speed: 2}
  - {name: b, count: 2, cpus: 4, memory_gib: 8, gpus: 4}
network: {topology: fat-tree, nodes_per_switch: 2, oversubscription: 2, efficiency: 0.5}
"""


def test_links_are_nodes_then_leaves():
    fabric = make_fabric(parse_machine(SMALL, "here"))
    assert fabric.leaf.tolist() == [0, 0, 1, 1, 2]
    assert fabric.capacity.tolist() == [1e9, 1e9, 1e9, np.inf, np.inf, 1e9, np.inf, np.inf]
    assert fabric.gpus.tolist() == [2, 2, 2, 4, 4, 4, 6, 4]
    assert fabric.inside.tolist() == [3e9, 3e9, 3e9, np.inf, np.inf]
    assert fabric.speed.tolist() == [2, 2, 2, 1, 1]
    assert [room.shape for room in make_room(fabric)] == [(5,), (3,)]


@pytest.mark.parametrize("name", ["mn-1a", "mn-1b", "mn-1"])
def test_leaves_are_those_of_the_placement(name):
    machine = load_machine(name)
    fabric = make_fabric(machine)
    assert fabric.leaf.tolist() == make_nodes(machine).leaf.tolist()
    assert np.isfinite(fabric.capacity).all()
    assert np.isfinite(fabric.inside).all()


def test_without_a_network_all_nodes_are_under_one_leaf():
    fabric = make_fabric(load_machine("mn-1a").model_copy(update={"network": None}))
    assert fabric.leaf.max() == 0


def test_a_machine_of_processors_has_none():
    with pytest.raises(InputError, match="expected nodes"):
        make_fabric(Machine.by_processors(8))
