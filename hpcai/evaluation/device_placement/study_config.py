"""A comparison of methods over graphs and devices, as data."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hpcai.configuration import Source, one_or_many, read_mapping, validated
from hpcai.device_placement.methods.registry import METHODS
from hpcai.device_placement.zoo import MODELS

Many = BeforeValidator(one_or_many)
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class DeviceStudy(BaseModel):
    """Every graph on every number of devices that are alike, placed by every method with every seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    graphs: Annotated[tuple[Source, ...], Many, Field(min_length=1)]  # files, or zoo:NAME
    devices: Annotated[tuple[Annotated[int, Field(ge=1, le=64)], ...], Many, Field(min_length=1)] = (2, 4, 8)
    kind: str = "V100"  # of the devices, for models of the zoo; files have their own
    host: bool = False  # whether there is a CPU, too, if the graph has costs for one
    memory: Positive = 16.0  # GiB of a device; that of the host has no limit
    bandwidth: Positive = 10.0  # GB/s between any two
    latency: Annotated[float, Field(ge=0)] = 5.7  # µs
    methods: Annotated[tuple[str, ...], Many, Field(min_length=1)]
    networks: dict[str, Source] = {}  # by pattern of graph: a network for the methods that take one, not the shipped
    evaluations: Annotated[int, Field(ge=1)] = 20_000  # of each search
    seconds: Positive | None = None  # of each search
    seeds: Annotated[tuple[int, ...], Many, Field(min_length=1)] = (0,)  # of searches; other methods run once
    out: Source = "runs/devices"

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for name in self.methods:
            if name not in METHODS:
                raise ValueError(f"methods: expected some of {', '.join(METHODS)}, found {name!r}")
        for source in self.graphs:
            if source.startswith("zoo:") and source[4:] not in MODELS:
                raise ValueError(f"graphs: {source}: expected one of {', '.join(f'zoo:{name}' for name in MODELS)}")
        return self

    def network_of(self, graph: str) -> str | None:
        """Return the file of the network for a graph; None: the shipped one."""
        name = name_of(graph)
        return next((network for pattern, network in self.networks.items() if fnmatch(name, pattern)), None)


def name_of(source: str) -> str:
    """Return a graph's short name, such as pipedream_vgg16."""
    return source if source.startswith("zoo:") else Path(source).name.split(".")[0]


def load_device_study(path: str | Path, given: Mapping[str, Any] | None = None) -> DeviceStudy:
    """Return the configuration in a YAML file, ``given`` before what it says; InputError if it is wrong."""
    return validated(DeviceStudy, read_mapping(path) | dict(given or {}), str(path))
