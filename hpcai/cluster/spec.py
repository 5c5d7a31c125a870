"""The machine as a specification: node groups, partitions, network, power; read from YAML.

A machine is counted either by processor (``processors`` is set: any free processors serve any job, as in the
Parallel Workloads Archive) or by node (``groups`` is set: jobs take CPUs, GPUs and memory of named nodes).
"""

from __future__ import annotations

from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hpcai.errors import InputError

Positive = Annotated[int, Field(gt=0)]
NonNegative = Annotated[int, Field(ge=0)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Spec(BaseModel):
    """Base of the parts: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NodeGroup(_Spec):
    """A number of like nodes. Power figures are per node without GPUs and per GPU, in watts.

    A bandwidth of 0 is not known, and then limits nothing.
    """

    name: str
    count: Positive
    cpus: Positive
    memory_gib: Annotated[float, Field(gt=0)]
    sockets: Positive = 1
    gpus: NonNegative = 0  # per node
    gpu_kind: str = ""
    gpu_memory_gib: NonNegativeFloat = 0.0
    gpu_speed: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0  # of training, P100 = 1
    gpu_link_gbyte_s: NonNegativeFloat = 0.0  # between GPUs of a node, each way, as a ring over them gets it
    gpu_latency_us: NonNegativeFloat = 5.7  # of a hop from GPU to GPU in a node; NCCL has 5.7 on PCIe, 3.4 on NVLink
    nics: NonNegative = 1
    nic_kind: str = ""
    nic_gbit_s: NonNegativeFloat = 0.0
    node_idle_w: NonNegativeFloat = 0.0
    node_max_w: NonNegativeFloat = 0.0
    gpu_idle_w: NonNegativeFloat = 0.0
    gpu_max_w: NonNegativeFloat = 0.0


class Partition(_Spec):
    """A named set of node groups that jobs are submitted to; ``priority`` in 0..1 feeds multifactor."""

    name: str
    groups: tuple[str, ...]
    priority: Annotated[float, Field(ge=0, le=1)] = 1.0
    max_time: Annotated[float, Field(gt=0)] | None = None  # s


class Network(_Spec):
    """How the nodes are joined.

    ``fat-tree``: ``nodes_per_switch`` nodes under a leaf switch, ``levels`` levels of switches, leaf uplinks
    oversubscribed by ``oversubscription``. ``dragonfly``: ``nodes_per_switch`` nodes per router,
    ``switches_per_group`` routers per group, groups joined all to all.

    A collective gets the part ``efficiency`` of the line rate. A hop from node to node takes ``leaf_latency_us``
    under one leaf switch and ``spine_latency_us`` to another leaf (NCCL has 14 for any hop between nodes; two more
    switches and their cables add half a microsecond).
    """

    topology: Literal["fat-tree", "dragonfly"]
    nodes_per_switch: Positive
    levels: Annotated[int, Field(ge=1, le=4)] = 2
    oversubscription: Annotated[float, Field(ge=1)] = 1.0
    switches_per_group: Positive = 1
    efficiency: Annotated[float, Field(gt=0, le=1)] = 0.9
    leaf_latency_us: NonNegativeFloat = 14.0
    spine_latency_us: NonNegativeFloat = 14.5


class Reservation(_Spec):
    """Capacity that jobs may not use from ``start`` to ``end`` (seconds from the trace's origin).

    Serves for advance reservations and for drained nodes. ``processors`` on a machine counted by processor,
    ``nodes`` (node names) on one counted by node. ``end: .inf`` never returns.
    """

    name: str = ""
    start: float = float("-inf")
    end: float = float("inf")
    processors: NonNegative = 0
    nodes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if not self.start < self.end:
            raise ValueError(f"reservation {self.name!r}: end {self.end} is not after start {self.start}")
        return self


class Machine(_Spec):
    """A cluster: either ``processors`` or ``groups`` is given."""

    name: str
    processors: Positive | None = None
    groups: tuple[NodeGroup, ...] = ()
    partitions: tuple[Partition, ...] = ()
    network: Network | None = None
    reservations: tuple[Reservation, ...] = ()

    @classmethod
    def by_processors(cls, processors: int, name: str = "") -> Machine:
        """Return a homogeneous machine of ``processors`` processors."""
        return cls(name=name or f"{processors} processors", processors=processors)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.processors is None) == (not self.groups):
            raise ValueError("give either 'processors' or 'groups', not both or none")
        names = [group.name for group in self.groups]
        if len(set(names)) != len(names):
            raise ValueError(f"node group names repeat: {names}")
        for partition in self.partitions:
            for name in partition.groups:
                if name not in names:
                    raise ValueError(f"partition {partition.name!r} names an unknown node group {name!r}")
        known = set(self.node_names)
        for reservation in self.reservations:
            if self.processors is not None and reservation.nodes:
                raise ValueError(f"reservation {reservation.name!r} names nodes of a machine counted by processor")
            unknown = [name for name in reservation.nodes if name not in known]
            if unknown:
                raise ValueError(f"reservation {reservation.name!r} names an unknown node {unknown[0]!r}")
        return self

    @property
    def by_node(self) -> bool:
        """Whether jobs take CPUs, GPUs and memory of nodes, rather than processors of one pool."""
        return self.processors is None

    @cached_property
    def node_names(self) -> tuple[str, ...]:
        """Name of every node, in order of the groups: ``<group>-0001`` and so on."""
        return tuple(
            f"{group.name}-{i:0{max(4, len(str(group.count)))}d}"
            for group in self.groups
            for i in range(1, group.count + 1)
        )

    @property
    def total_nodes(self) -> int:
        """Number of nodes; 0 on a machine counted by processor."""
        return sum(group.count for group in self.groups)

    @property
    def total_cpus(self) -> int:
        """Number of processors (CPU cores)."""
        return self.processors or sum(group.count * group.cpus for group in self.groups)

    @property
    def total_gpus(self) -> int:
        """Number of GPUs."""
        return sum(group.count * group.gpus for group in self.groups)


def preset_names() -> list[str]:
    """Return the names of the machines that ship with hpcai."""
    folder = resources.files("hpcai.cluster") / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_machine(source: str | Path) -> Machine:
    """Return the machine that ``source`` names: a preset, a YAML file, or a number of processors.

    Raises InputError if it names none of these or the file does not describe a machine.
    """
    text = str(source)
    if text.isdecimal() and int(text) > 0:
        return Machine.by_processors(int(text))
    if text in preset_names():
        content = (resources.files("hpcai.cluster") / "presets" / f"{text}.yaml").read_text("utf-8")
        return parse_machine(content, f"preset {text}")
    path = Path(text)
    if not path.is_file():
        raise InputError(
            f"machine {text!r}: expected a number of processors, a YAML file, or a preset ({', '.join(preset_names())})"
        )
    try:
        content = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"machine {text}: cannot be read: {error}") from error
    return parse_machine(content, text)


def parse_machine(content: str, where: str) -> Machine:
    """Return the machine that a YAML text describes; ``where`` names the text in errors."""
    try:
        data: Any = yaml.safe_load(content)
        if not isinstance(data, dict):
            raise InputError(f"machine {where}: expected a mapping, found {type(data).__name__}")
        return Machine.model_validate(data)
    except yaml.YAMLError as error:
        raise InputError(f"machine {where}: not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "machine"
        raise InputError(f"machine {where}: {key}: {first['msg']}") from error
