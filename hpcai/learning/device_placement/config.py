"""A training of a device placement policy, as data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hpcai.configuration import Source, one_or_many, read_mapping, validated
from hpcai.device_placement.zoo import MODELS
from hpcai.learning.budget import Budget, BudgetText, parse_budget

Many = BeforeValidator(one_or_many)
Positive = Annotated[float, Field(gt=0)]


class Learner(BaseModel):
    """Settings of the network and of its learning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: Annotated[int, Field(ge=1, le=128)] = 32
    rounds: Annotated[int, Field(ge=0, le=8)] = 3
    learning_rate: Positive = 1e-3
    drawn: Annotated[int, Field(ge=4)] = 32  # placements of a graph for each update
    best: Annotated[float, Field(gt=0, le=1)] = 0.2  # part of them that is learned from
    entropy: Annotated[float, Field(ge=0)] = 0.01


class DeviceTraining(BaseModel):
    """What is learned, on which graphs and devices, for how long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    graphs: Annotated[tuple[Source, ...], Many, Field(min_length=1)]  # files, 'generated', or zoo:NAME
    devices: Annotated[tuple[Annotated[int, Field(ge=2, le=16)], ...], Many, Field(min_length=1)] = (2, 4, 8)
    bandwidth: tuple[Positive, Positive] = (3.0, 50.0)  # GB/s between devices, drawn between these for each instance
    latency: tuple[Positive, Positive] = (2.0, 20.0)  # µs
    pressure: tuple[Positive, Positive] = (0.05, 0.7)  # memory of a graph to that of all devices
    host: Annotated[float, Field(ge=0, le=1)] = 0.2  # part of the instances with a CPU, too, if it has costs
    vary: Annotated[float, Field(ge=0)] = 0.3  # log-normal spread of seconds and bytes, of graphs not generated
    instances: Annotated[int, Field(ge=1)] = 240  # graphs with devices
    validation: Annotated[int, Field(ge=1)] = 40  # more of them, that choose among the networks on the way
    validate_every: Annotated[int, Field(ge=1)] = 500  # updates
    learner: Learner = Learner()
    begin: Source | None = None  # a network to begin with
    budget: BudgetText = "10m"  # or 'steps', which are updates
    seed: Annotated[int, Field(ge=0)] = 0
    out: Source = "runs/device-placement"

    @model_validator(mode="after")
    def _zoo_is_known(self) -> Self:
        for source in self.graphs:
            if source.startswith("zoo:") and source[4:] not in MODELS:
                raise ValueError(f"graphs: {source}: expected one of {', '.join(f'zoo:{name}' for name in MODELS)}")
        for name in ("bandwidth", "latency", "pressure"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name}: expected the lower number first, found {low:g} and {high:g}")
        return self

    @property
    def limits(self) -> Budget:
        """The budget."""
        return parse_budget(self.budget)


def load_device_training(path: str | Path, given: Mapping[str, Any] | None = None) -> DeviceTraining:
    """Return the configuration in a YAML file, ``given`` before what it says; InputError if it is wrong."""
    return validated(DeviceTraining, read_mapping(path) | dict(given or {}), str(path))
