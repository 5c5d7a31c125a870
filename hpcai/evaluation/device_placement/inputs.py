"""The graph, the devices and what is known of both, from a configuration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.arrays import file_hash
from hpcai.cluster.spec import load_machine
from hpcai.device_placement import zoo
from hpcai.device_placement.devices import Devices, through_dram
from hpcai.device_placement.graph import BACKWARD, OperatorGraph
from hpcai.device_placement.grouping import Grouping, grouped
from hpcai.device_placement.machine_devices import machine_devices
from hpcai.device_placement.methods.problem import Options
from hpcai.device_placement.readers import FORMATS, read_graph
from hpcai.device_placement.readers.dnn_partitioning import BANDWIDTH
from hpcai.device_placement.readers.dnn_partitioning import machine as instance_machine
from hpcai.device_placement.simulator import StepSimulator
from hpcai.errors import InputError
from hpcai.evaluation.device_placement.config import PlaceConfig
from hpcai.records.readers._source import head

ZOO: Final = "zoo:"
MACHINE: Final = "mn-1b"


@dataclass(frozen=True)
class Inputs:
    """What is placed."""

    graph: OperatorGraph
    grouping: Grouping | None  # what methods place instead, if operators are fused
    devices: Devices
    where: str  # the machine, in words
    simulator: StepSimulator  # of the graph, not of its groups
    sha256: dict[str, str]  # of files

    @property
    def placed(self) -> OperatorGraph:
        """The graph that methods are given."""
        return self.graph if self.grouping is None else self.grouping.graph

    def options(self, config: PlaceConfig) -> Options:
        """What methods are told."""
        return replace(config.options, weight_copies=self.simulator.weight_copies)


def load_inputs(config: PlaceConfig) -> Inputs:
    """Return the graph and the devices that ``config`` names.

    Raises InputError if one cannot be read, is not what it should be, or the graph has no costs for a device.
    """
    known = None if config.model.startswith(ZOO) else _format(Path(config.model))
    instance = known == "dnn_partitioning" and config.machine is None
    devices, where = _instance(Path(config.model)) if instance else _machine(config)
    graph = _passes(_graph(config, known, devices), config)
    copies = 1.0 if config.weight_copies is None and known == "dnn_partitioning" else config.weight_copies
    files = [path for path in (config.model, config.machine) if path and Path(path).is_file()]
    return Inputs(
        graph=graph,
        grouping=None if config.groups is None else grouped(graph, at_most=config.groups),
        devices=devices,
        where=where,
        simulator=StepSimulator(graph, devices, weight_copies=copies),
        sha256={path: file_hash(path) for path in files},
    )


def _machine(config: PlaceConfig) -> tuple[Devices, str]:
    machine = load_machine(config.machine or MACHINE)
    devices = machine_devices(machine, config.gpus, host=config.host)
    hosts = " and the host" if config.host else ""
    return devices, f"{config.gpus} GPU{'s' * (config.gpus > 1)}{hosts} of {machine.name}"


def _instance(path: Path) -> tuple[Devices, str]:
    asked = instance_machine(path)
    devices = through_dram(asked.accelerators, asked.cpus, memory=asked.memory, bandwidth=BANDWIDTH)
    return devices, f"{asked.accelerators} accelerators and {asked.cpus} CPUs around one DRAM"


def _format(path: Path) -> str | None:
    """Return the name of a file's format, as of FORMATS; None if it is of none, which the reader says better."""
    start = head(path)
    readers = {name: import_module(f"hpcai.device_placement.readers.{name}") for name in FORMATS}
    return next((name for name, reader in readers.items() if reader.matches(start)), None)


def _graph(config: PlaceConfig, known: str | None, devices: Devices) -> OperatorGraph:
    kinds = list(dict.fromkeys(devices.kinds))
    if config.model.startswith(ZOO):
        name = config.model.removeprefix(ZOO).replace("-", "_")
        given: dict[str, Any] = {"training": config.training is not False} | config.settings
        return zoo.build(name, kinds, **given)
    options: dict[str, Any] = {}
    if known == "onnx":
        options = {"device_kinds": kinds, "training": bool(config.training), "sizes": config.settings}
    elif config.settings:
        raise InputError(f"{config.model}: settings are for models of the zoo and ONNX, found {config.settings}")
    return read_graph(config.model, **options)


def _passes(graph: OperatorGraph, config: PlaceConfig) -> OperatorGraph:
    """Return the graph with the passes that the configuration asks for."""
    if config.training and not graph.trains:
        raise InputError(f"{config.model}: expected costs of a backward pass for a training, found none")
    if config.training is False and graph.trains:
        if (graph.phase == BACKWARD).any():
            raise InputError(f"{config.model}: expected a graph that can do without its backward operators")
        return replace(graph, backward=np.zeros_like(graph.backward), activations=np.zeros(len(graph)))
    return graph
