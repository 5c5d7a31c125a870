from __future__ import annotations

import numpy as np
import pytest

from hpcai.cluster.spec import Machine, load_machine
from hpcai.device_placement.machine_devices import CUBE_MESH, machine_devices
from hpcai.errors import InputError


def links(devices, i, j):
    return [devices.link_names[link] for link in devices.links[i, j] if link >= 0]


def test_nvlink_is_the_cube_mesh_of_a_dgx_1():
    assert (CUBE_MESH == CUBE_MESH.T).all()
    assert (CUBE_MESH.sum(axis=0) == 6).all()
    devices = machine_devices(load_machine("mn-1b"), 8)
    assert devices.kinds == ("V100",) * 8
    assert devices.memory.tolist() == [32 * 2**30] * 8
    # one link is a sixth of 130 GB/s, two are a third; 0 and 5 have none: PCIe, over both pairs and the sockets
    assert devices.bandwidth[0, 1] == pytest.approx(130e9 / 6)
    assert devices.bandwidth[0, 3] == pytest.approx(130e9 / 3)
    assert devices.latency[0, 3] == pytest.approx(3.4e-6)
    assert (devices.bandwidth[0, 5], devices.latency[0, 5]) == (10e9, 5.7e-6)
    assert links(devices, 0, 3) == []
    assert links(devices, 0, 5) == ["node0 pcie0 up", "node0 socket0 to 1", "node0 pcie2 down"]


def test_pcie_shares_the_ways_up_and_down():
    devices = machine_devices(load_machine("mn-1a"), 8)
    assert devices.kinds[0] == "P100"
    assert (devices.bandwidth[~np.eye(8, dtype=bool)] == 10e9).all()
    assert links(devices, 0, 1) == []
    assert links(devices, 0, 2) == ["node0 pcie0 up", "node0 pcie1 down"]
    assert links(devices, 1, 7) == ["node0 pcie0 up", "node0 socket0 to 1", "node0 pcie3 down"]


def test_nodes_are_joined_by_nics():
    devices = machine_devices(load_machine("mn-1a"), 16)
    # FDR: 56 Gbit/s x 0.9 / 8 = 6.3 GB/s; two NICs a node, so GPUs 0-3 have the first
    assert devices.bandwidth[0, 8] == pytest.approx(6.3e9)
    assert devices.latency[0, 8] == pytest.approx(14e-6)
    assert links(devices, 0, 12) == ["node0 nic0 out", "node1 nic1 in"]
    assert links(devices, 3, 8) == ["node0 nic0 out", "node1 nic0 in"]


def test_the_host_is_a_device_of_its_own():
    devices = machine_devices(load_machine("mn-1b"), 4, host=True)
    assert devices.names[-1] == "node0/cpu"
    assert devices.kinds[-1] == "CPU"
    assert devices.memory[-1] == 384 * 2**30
    assert links(devices, 4, 2) == ["node0 pcie1 down"]
    assert links(devices, 2, 4) == ["node0 pcie1 up"]
    two = machine_devices(load_machine("mn-1b"), 9, host=True)
    assert two.names[-2:] == ("node0/cpu", "node1/cpu")
    assert two.kinds[-3:] == ("V100", "CPU", "CPU")


def test_leaves_are_further_apart():
    devices = machine_devices(load_machine("mn-1b"), 17 * 8)
    assert devices.latency[0, 15 * 8] == pytest.approx(14e-6)
    assert devices.latency[0, 16 * 8] == pytest.approx(14.5e-6)


@pytest.mark.parametrize("gpus", [0, 513])
def test_more_than_there_are(gpus):
    with pytest.raises(InputError, match=f"{gpus} GPUs: expected from 1 to 512, all that mn-1b has"):
        machine_devices(load_machine("mn-1b"), gpus)


def test_a_machine_of_processors_has_none():
    with pytest.raises(InputError, match="expected from 1 to 0"):
        machine_devices(Machine.by_processors(8), 1)


def test_some_of_the_devices():
    devices = machine_devices(load_machine("mn-1b"), 8).only([0, 5])
    assert devices.names == ("node0/gpu0", "node0/gpu5")
    assert devices.bandwidth[0, 1] == 10e9
    assert links(devices, 0, 1) == ["node0 pcie0 up", "node0 socket0 to 1", "node0 pcie2 down"]
