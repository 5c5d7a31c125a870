"""The power of a machine: what it draws idle, and what each job adds.

Power is linear in use, P = P_idle + (P_max - P_idle) u, for GPUs and for the rest of a node, as in RAPS. The machine is
never switched off: it draws its idle power, and a job adds the dynamic power of what it occupies. For the books a job
also answers for the idle power of what it occupies: of its GPUs and their share of the node, or on nodes without GPUs
of its processors. All results are at the plug, after the losses of the power supplies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcai.cluster.power.figures import figures
from hpcai.cluster.spec import Machine, NodeGroup

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class UnitPower:
    """The power of like nodes, by what jobs occupy of them (W, at the plug)."""

    name: str
    gpu_kind: str
    gpus: int  # of all its nodes
    cpus: int
    gpu_idle: float  # of a GPU and its share of the node
    gpu_dynamic: float  # of a GPU in full use, beyond idle
    cpu_idle: float  # of a processor and its share of the node; 0 on nodes with GPUs, which carry the node
    cpu_dynamic: float
    gpu_floor: float = 0.0  # what a GPU alone draws idle, as a share of the most it can draw

    @property
    def idle(self) -> float:
        """Power of all its nodes with no job on them."""
        return self.gpus * self.gpu_idle + self.cpus * self.cpu_idle

    @property
    def maximum(self) -> float:
        """Power of all its nodes with everything in full use."""
        return self.idle + self.gpus * self.gpu_dynamic + self.cpus * self.cpu_dynamic


@dataclass(frozen=True)
class PowerModel:
    """The power of a machine by node group; a machine counted by processor has one group."""

    groups: tuple[UnitPower, ...]

    @property
    def idle(self) -> float:
        """Power of the machine with no job on it (W)."""
        return sum(group.idle for group in self.groups)

    @property
    def maximum(self) -> float:
        """Power of the machine with everything in full use (W)."""
        return sum(group.maximum for group in self.groups)


def power_model(machine: Machine, *, of_gpus: bool = False) -> PowerModel:
    """Return the power of ``machine``.

    What its groups leave at 0 W is taken from the figures that ship. A machine counted by processor is taken to consist
    of nodes of one socket, or with ``of_gpus``, where a log of GPU jobs counts GPUs by the name of processors, of GPUs
    of the kind 'other'.
    """
    node, efficiency = figures().node, figures().psu_efficiency
    if machine.by_node:
        return PowerModel(tuple(_of_group(group) for group in machine.groups))
    if of_gpus:
        gpu = figures().gpu("")
        idle, dynamic = gpu.idle / efficiency, (gpu.max - gpu.idle) / efficiency
        return PowerModel((UnitPower("gpus", "", machine.total_cpus, 0, idle, dynamic, 0.0, 0.0, gpu.idle / gpu.max),))
    cores = node.socket_cores
    idle = (node.socket_idle + node.base + node.nic) / cores / efficiency
    dynamic = (node.socket_max - node.socket_idle) / cores / efficiency
    return PowerModel((UnitPower("processors", "", 0, machine.total_cpus, 0.0, 0.0, idle, dynamic),))


def _bare_node(group: NodeGroup) -> tuple[float, float]:
    """Return what a node draws without its GPUs, idle and at most, where the machine does not say (W)."""
    if group.gpus:
        with_gpus = figures().gpu_node
        return with_gpus.idle_per_gpu * group.gpus, with_gpus.max_per_gpu * group.gpus
    node = figures().node
    fixed = node.base + node.nic * group.nics
    return node.socket_idle * group.sockets + fixed, node.socket_max * group.sockets + fixed


def _of_group(group: NodeGroup) -> UnitPower:
    known, efficiency = figures().gpu(group.gpu_kind), figures().psu_efficiency
    idle, most = _bare_node(group)
    node_idle = group.node_idle_w or idle
    node_max = max(group.node_max_w or most, node_idle)
    gpu_idle = group.gpu_idle_w or known.idle
    gpu_max = max(group.gpu_max_w or known.max, gpu_idle)
    on_gpus = group.gpus > 0
    return UnitPower(
        name=group.name,
        gpu_kind=group.gpu_kind,
        gpus=group.count * group.gpus,
        cpus=group.count * group.cpus,
        gpu_idle=(gpu_idle + node_idle / group.gpus) / efficiency if on_gpus else 0.0,
        gpu_dynamic=(gpu_max - gpu_idle) / efficiency if on_gpus else 0.0,
        cpu_idle=0.0 if on_gpus else node_idle / group.cpus / efficiency,
        cpu_dynamic=(node_max - node_idle) / group.cpus / efficiency,
        gpu_floor=gpu_idle / gpu_max if on_gpus and gpu_max else 0.0,
    )


@dataclass(frozen=True)
class JobPower:
    """What each job draws while it runs (W at the plug, (jobs,) each)."""

    idle: Floats  # of what it occupies, which draws it without the job too
    gpu_dynamic: Floats
    cpu_dynamic: Floats

    @property
    def dynamic(self) -> Floats:
        """What the job adds to the machine's idle power."""
        return self.gpu_dynamic + self.cpu_dynamic

    @property
    def total(self) -> Floats:
        """What the job answers for."""
        return self.idle + self.dynamic


def job_power(
    model: PowerModel,
    where: Floats,
    gpus: Floats,
    processors: Floats,
    gpu_use: Floats,
    cpu_use: Floats,
    recorded: Floats | None = None,
) -> JobPower:
    """Return the power of jobs.

    Args:
        model: of the machine.
        where: share of each job on each group of the model, (jobs, groups), rows sum to 1.
        gpus: that each job occupies, (jobs,).
        processors: that it occupies, (jobs,); 0 where unknown: then those that belong to its GPUs.
        gpu_use: share of the GPUs' dynamic power, 0..1, (jobs,).
        cpu_use: the same of the processors.
        recorded: mean power that the log says each job drew (W at the plug), nan where it does not; goes first.
    """
    of = {
        name: np.array([getattr(group, name) for group in model.groups])
        for name in ("gpu_idle", "gpu_dynamic", "cpu_idle", "cpu_dynamic")
    }
    per_gpu = np.array([group.cpus / group.gpus if group.gpus else 0.0 for group in model.groups])
    held = np.where(processors > 0, processors, gpus * (where @ per_gpu))
    idle = gpus * (where @ of["gpu_idle"]) + held * (where @ of["cpu_idle"])
    gpu_dynamic = gpus * (where @ of["gpu_dynamic"]) * gpu_use
    cpu_dynamic = held * (where @ of["cpu_dynamic"]) * cpu_use
    if recorded is not None:
        known = np.isfinite(recorded)
        drawn = np.maximum(np.where(known, recorded, 0.0) - idle, 0.0)
        modelled = gpu_dynamic + cpu_dynamic
        by_gpus = np.divide(gpu_dynamic, modelled, out=np.zeros_like(modelled), where=modelled > 0)
        gpu_dynamic = np.where(known, drawn * by_gpus, gpu_dynamic)
        cpu_dynamic = np.where(known, drawn * (1 - by_gpus), cpu_dynamic)
    return JobPower(idle, gpu_dynamic, cpu_dynamic)
