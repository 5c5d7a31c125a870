"""Graphs of dnn-partitioning, in JSON: operators with their times on an accelerator and on a CPU.

Source: Tarnawski et al., Efficient Algorithms for Device Placement of DNN Graph Operators, NeurIPS 2020;
https://github.com/msr-fiddle/dnn-partitioning (README.md, "Input format"). There, "FPGA" is any accelerator.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Final, NamedTuple

from pydantic import BaseModel, Field

from hpcai.configuration import validated
from hpcai.device_placement.assembling import Row, assemble
from hpcai.device_placement.graph import BACKWARD, FORWARD, OperatorGraph
from hpcai.device_placement.readers._json import load_mapping
from hpcai.errors import InputError
from hpcai.records.readers._source import stem

DEVICE_KINDS: Final = ("accelerator", "CPU")
BANDWIDTH: Final = 2.0**31  # bytes/s that the published costs of edges are made with: 2^31 bytes in 1000 ms

_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Node(BaseModel):
    id: int
    name: str | None = None
    supported: bool = Field(alias="supportedOnFpga")
    cpu: _Amount = Field(alias="cpuLatency")
    accelerator: _Amount = Field(alias="fpgaLatency")
    backward: bool = Field(False, alias="isBackwardNode")
    color: int | None = Field(None, alias="colorClass")
    size: _Amount = 0.0


class _Edge(BaseModel):
    source: int = Field(alias="sourceId")
    target: int = Field(alias="destId")
    cost: _Amount
    size: _Amount | None = None


class _Instance(BaseModel):
    memory: _Amount = Field(alias="maxSizePerFPGA")
    accelerators: int = Field(alias="maxFPGAs", ge=0)
    cpus: int = Field(alias="maxCPUs", ge=0)
    nodes: list[_Node]
    edges: list[_Edge]


class Machine(NamedTuple):
    """The devices that a published instance is to be placed on."""

    accelerators: int
    cpus: int
    memory: float  # bytes of each accelerator; that of the CPUs has no limit


def matches(head: bytes) -> bool:
    """Whether it is JSON with an operator's time on an accelerator."""
    return head.lstrip().startswith(b"{") and b'"fpgaLatency"' in head


def machine(path: Path) -> Machine:
    """Return the devices that the file asks to place on; raises InputError as ``read`` does."""
    instance = _load(path)
    return Machine(instance.accelerators, instance.cpus, instance.memory)


def read(path: Path, *, bandwidth: float = BANDWIDTH, fold: bool = True) -> OperatorGraph:
    """Return the graph in a file of dnn-partitioning, with costs for ``DEVICE_KINDS``.

    Times are taken as milliseconds. A node's ``size`` is all the memory that it takes on an accelerator, parameters and
    output alike, for the whole step; it becomes ``weights``. The output's bytes are the largest ``size`` of its edges;
    an edge without has ``cost`` x ``bandwidth``.

    The layer graphs of training have no edge from a forward to a backward node, and their backward edges run the way of
    the forward ones. With ``fold``, each backward node of such a graph becomes the backward time of the forward node of
    its colour, which it shares a device with anyway; without, the graph is as in the file.

    Raises:
        InputError: path and key, if it cannot be read or is no such graph; see ``assemble``.
    """
    instance = _load(path)
    output: dict[int, float] = {}
    for edge in instance.edges:
        size = edge.size if edge.size is not None else edge.cost / 1000 * bandwidth
        output[edge.source] = max(size, output.get(edge.source, 0.0))
    backward = _pairs(instance) if fold else {}
    folded = {node.id for node in backward.values()}
    names = {node.id: _name(node) for node in instance.nodes}
    rows = [_row(node, backward.get(node.id), output) for node in instance.nodes if node.id not in folded]
    edges = [
        (names.get(edge.source, f"id {edge.source}"), names.get(edge.target, f"id {edge.target}"))
        for edge in instance.edges
        if not (edge.source in folded and edge.target in folded)
    ]
    return assemble(str(path), stem(path), DEVICE_KINDS, rows, edges)


def _load(path: Path) -> _Instance:
    instance = validated(_Instance, load_mapping(path), str(path))
    ids = {node.id: node for node in instance.nodes}
    for node in instance.nodes:
        if ids[node.id] is not node:
            raise InputError(f"{path}: id {node.id}: expected an id of one node, found it twice")
    return instance


def _name(node: _Node) -> str:
    return node.name if node.name is not None else f"id {node.id}"


def _row(node: _Node, backward: _Node | None, output: dict[int, float]) -> Row:
    return Row(
        _name(node),
        "unknown",
        forward=_seconds(node),
        backward=_seconds(backward) if backward else (0.0, 0.0),
        weights=node.size + (backward.size if backward else 0.0),
        output=output.get(node.id, 0.0),
        group=node.color,
        phase=BACKWARD if node.backward else FORWARD,
    )


def _seconds(node: _Node) -> tuple[float, float]:
    return node.accelerator / 1000 if node.supported else math.inf, node.cpu / 1000


def _pairs(instance: _Instance) -> dict[int, _Node]:
    """Return the backward node by the id of its forward node; none unless all nodes pair and no edge joins the two."""
    is_backward = {node.id: node.backward for node in instance.nodes}
    if any(is_backward.get(edge.source) != is_backward.get(edge.target) for edge in instance.edges):
        return {}
    forward = {node.color: node.id for node in instance.nodes if not node.backward}
    backward = {node.color: node for node in instance.nodes if node.backward}
    if None in forward or forward.keys() != backward.keys() or len(forward) + len(backward) < len(instance.nodes):
        return {}
    return {forward[color]: node for color, node in backward.items()}
