"""The machine behind Slurm's nodes, and which of its nodes is which."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from hpcai.cluster.spec import Machine, NodeGroup, Partition, Reservation
from hpcai.errors import InputError
from hpcai.live.slurm.client import Node, PartitionSeen, Poll
from hpcai.live.slurm.words import TAKES_NO_JOBS

OUT: Final = "takes no jobs"

_GIB: Final = 2.0**30


@dataclass(frozen=True)
class Layout:
    """A machine, and Slurm's name of each of its nodes, in the order of ``machine.node_names``."""

    machine: Machine
    names: tuple[str, ...]  # empty where the machine is counted by processor


def layout(poll: Poll, machine: Machine | None = None) -> Layout:
    """Return the machine, with a reservation of the nodes that take no jobs.

    Without ``machine`` it is inferred: like nodes of the same partitions are a group. With one, each of its groups
    takes that many of Slurm's nodes with as many CPUs and GPUs, by name. Raises InputError if they do not match.
    """
    nodes = sorted(poll.nodes, key=_by_name)
    if not nodes:
        raise InputError(f"Slurm ({poll.source}): has no nodes, expected at least one")
    if machine is not None and not machine.by_node:
        return Layout(_without_processors(machine, nodes), ())
    if machine is None:
        groups = _alike(nodes)
        machine = Machine(
            name="slurm",
            groups=tuple(_group(like, number) for number, like in enumerate(groups, start=1)),
            partitions=_partitions(poll.partitions, groups),
        )
    else:
        groups = _matching(nodes, machine)
    placed = [node for like in groups for node in like]
    out = tuple(name for name, node in zip(machine.node_names, placed, strict=True) if _is_out(node))
    if out:
        machine = _reserving(machine, Reservation(name=OUT, nodes=out))
    return Layout(machine, tuple(node.name for node in placed))


def _by_name(node: Node) -> list[tuple[int, str]]:
    """Order n2 before n10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", node.name)]


def _is_out(node: Node) -> bool:
    return not TAKES_NO_JOBS.isdisjoint(node.states)


def _reserving(machine: Machine, reservation: Reservation) -> Machine:
    return machine.model_copy(update={"reservations": (*machine.reservations, reservation)})


def _without_processors(machine: Machine, nodes: Iterable[Node]) -> Machine:
    out = sum(node.cpus for node in nodes if _is_out(node))
    return _reserving(machine, Reservation(name=OUT, processors=min(out, machine.total_cpus))) if out else machine


def _alike(nodes: Sequence[Node]) -> list[list[Node]]:
    groups: dict[tuple[object, ...], list[Node]] = {}
    for node in nodes:
        key = (node.cpus, node.memory, node.gpus, node.gpu_kind, node.partitions)
        groups.setdefault(key, []).append(node)
    return list(groups.values())


def _group(like: Sequence[Node], number: int) -> NodeGroup:
    node = like[0]
    return NodeGroup(
        name=f"{node.gpu_kind or ('gpu' if node.gpus else 'cpu')}-{number}",
        count=len(like),
        cpus=max(node.cpus, 1),
        memory_gib=max(node.memory, 1.0) / _GIB,
        gpus=node.gpus,
        gpu_kind=node.gpu_kind,
    )


def _partitions(seen: Sequence[PartitionSeen], groups: Sequence[Sequence[Node]]) -> tuple[Partition, ...]:
    highest = max((partition.priority for partition in seen), default=0) or 1
    named = [(_group(like, number).name, like[0].partitions) for number, like in enumerate(groups, start=1)]
    return tuple(
        Partition(
            name=partition.name,
            groups=tuple(group for group, of in named if partition.name in of),
            priority=partition.priority / highest,
            max_time=partition.max_time or None,
        )
        for partition in sorted(seen, key=lambda partition: partition.name)
    )


def _matching(nodes: Sequence[Node], machine: Machine) -> list[list[Node]]:
    left, groups = list(nodes), []
    for group in machine.groups:
        like = [node for node in left if (node.cpus, node.gpus) == (group.cpus, group.gpus)][: group.count]
        if len(like) < group.count:
            raise InputError(
                f"machine {machine.name}: group {group.name!r} has {group.count} nodes of {group.cpus} CPUs and "
                f"{group.gpus} GPUs, expected {len(like)} as Slurm has"
            )
        groups.append(like)
        left = [node for node in left if node not in like]
    if left:
        raise InputError(f"machine {machine.name}: has no node for {left[0].name!r}, expected all nodes of Slurm")
    return groups
