"""GPUs of a machine, node after node, and its hosts, as devices.

In a node, two GPUs share a PCIe switch and its way up to their socket, the sockets share the way between them; a NIC
serves as many GPUs as there are for each. This is how a DGX-1 is built, and most servers with 8 GPUs alike:

- GPUs under one PCIe switch: at the speed of PCIe, nothing shared but their copy streams.
- Others without NVLink between them, and host and GPU: also the way up of the source's pair, that down of the
  target's, and the way between sockets where they are on two.
- NVLink, on nodes whose ring of GPUs is quicker than PCIe: with eight V100 the hybrid cube mesh of a DGX-1 (NVIDIA,
  DGX-1 With Tesla V100 System Architecture, WP-08437, 2017), a GPU's six links at a sixth of the ring's bandwidth each;
  on other nodes all to all, at the ring's bandwidth.
- Between nodes: the NIC of the source out, that of the target in, at the line rate times the network's efficiency.
  Uplinks of leaf switches are left out: a single transfer does not fill them.

The host is one device for each node, on its first socket; its copy streams serve one GPU each way at a time.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from hpcai.cluster.network.fabric import GBIT, GBYTE
from hpcai.cluster.spec import Machine, Network, NodeGroup
from hpcai.device_placement.devices import Devices
from hpcai.errors import InputError

GIB: Final = 2.0**30
PCIE: Final = 10 * GBYTE  # bytes/s each way of PCIe 3.0 x16, of 15.8 on the wire; as in the presets
PCIE_LATENCY: Final = 5.7e-6  # s; as in the presets
HOST: Final = "CPU"
NVLINKS: Final = 6  # of a V100
CUBE_MESH: Final = np.array(  # NVLinks between the eight GPUs of a DGX-1 with V100
    [
        [0, 1, 1, 2, 2, 0, 0, 0],
        [1, 0, 2, 1, 0, 2, 0, 0],
        [1, 2, 0, 2, 0, 0, 1, 0],
        [2, 1, 2, 0, 0, 0, 0, 1],
        [2, 0, 0, 0, 0, 1, 1, 2],
        [0, 2, 0, 0, 1, 0, 2, 1],
        [0, 0, 1, 0, 1, 2, 0, 2],
        [0, 0, 0, 1, 2, 1, 2, 0],
    ]
)


class _Seat(NamedTuple):
    """Where a device is."""

    node: int
    gpu: int  # of the node; -1: its host
    group: NodeGroup

    @property
    def name(self) -> str:
        return f"node{self.node}/{'cpu' if self.gpu < 0 else f'gpu{self.gpu}'}"

    @property
    def pair(self) -> str:
        return f"node{self.node} pcie{self.gpu // 2}"

    @property
    def socket(self) -> int:
        return max(self.gpu, 0) * self.group.sockets // max(self.group.gpus, 1)

    @property
    def nic(self) -> str:
        return f"node{self.node} nic{max(self.gpu, 0) * self.group.nics // max(self.group.gpus, 1)}"


class _Way(NamedTuple):
    """What a transfer between two devices takes, and the names of the links that it holds."""

    bandwidth: float
    latency: float
    links: tuple[str, ...] = ()


def machine_devices(machine: Machine, gpus: int, *, host: bool = False) -> Devices:
    """Return the first ``gpus`` GPUs of ``machine`` as devices, and with ``host`` the CPUs of their nodes after them.

    Raises InputError if the machine is counted by processor or has fewer GPUs.
    """
    seats = _seats(machine, gpus)
    if host:
        seats += [_Seat(node, -1, group) for node, group in {seat.node: seat.group for seat in seats}.items()]
    network = machine.network or Network(topology="fat-tree", nodes_per_switch=machine.total_nodes)
    d, numbers = len(seats), dict[str, int]()
    bandwidth, latency = np.full((d, d), np.inf), np.zeros((d, d))
    links = np.full((d, d, 3), -1, np.int64)
    for i, j in zip(*np.nonzero(~np.eye(d, dtype=bool)), strict=True):
        way = _way(seats[i], seats[j], network)
        bandwidth[i, j], latency[i, j] = way.bandwidth, way.latency
        links[i, j, : len(way.links)] = [numbers.setdefault(link, len(numbers)) for link in way.links]
    return Devices(
        names=tuple(seat.name for seat in seats),
        kinds=tuple(HOST if seat.gpu < 0 else seat.group.gpu_kind for seat in seats),
        memory=np.array([GIB * (g.memory_gib if gpu < 0 else g.gpu_memory_gib or np.inf) for _, gpu, g in seats]),
        bandwidth=bandwidth,
        latency=latency,
        links=links,
        link_names=tuple(numbers),
    )


def _seats(machine: Machine, gpus: int) -> list[_Seat]:
    groups = [group for group in machine.groups for _ in range(group.count)]
    seats = [_Seat(node, gpu, group) for node, group in enumerate(groups) for gpu in range(group.gpus)]
    if not 0 < gpus <= len(seats):
        raise InputError(f"{gpus} GPUs: expected from 1 to {len(seats)}, all that {machine.name} has")
    return seats[:gpus]


def _way(source: _Seat, target: _Seat, network: Network) -> _Way:
    if source.node != target.node:
        return _between_nodes(source, target, network)
    group = source.group
    ring = group.gpu_link_gbyte_s * GBYTE
    if source.gpu >= 0 and target.gpu >= 0 and ring > PCIE:
        bandwidth = ring
        if group.gpus == len(CUBE_MESH) and group.gpu_kind == "V100":
            bandwidth = ring * CUBE_MESH[source.gpu, target.gpu] / NVLINKS
        if bandwidth > 0:
            return _Way(bandwidth, group.gpu_latency_us * 1e-6)
    if source.gpu >= 0 and source.pair == target.pair:
        return _Way(PCIE, PCIE_LATENCY)
    links = [f"{source.pair} up"] if source.gpu >= 0 else []
    if source.socket != target.socket:
        links.append(f"node{source.node} socket{source.socket} to {target.socket}")
    links += [f"{target.pair} down"] if target.gpu >= 0 else []
    return _Way(PCIE, PCIE_LATENCY, tuple(links))


def _between_nodes(source: _Seat, target: _Seat, network: Network) -> _Way:
    slower = min(source.group.nic_gbit_s or np.inf, target.group.nic_gbit_s or np.inf) * GBIT
    same = source.node // network.nodes_per_switch == target.node // network.nodes_per_switch
    hop = network.leaf_latency_us if same else network.spine_latency_us
    return _Way(min(slower * network.efficiency, PCIE), hop * 1e-6, (f"{source.nic} out", f"{target.nic} in"))
