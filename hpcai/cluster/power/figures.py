"""The figures of power that ship with hpcai, read from figures.yaml where their sources stand."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

Watts = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GpuFigures(_Figures):
    """A kind of GPU: what it draws idle and at most, and the curve of its speed under a power limit."""

    idle: Watts
    max: Watts
    curve: str
    source: str


class NodeFigures(_Figures):
    """A node without its GPUs, by its parts."""

    socket_idle: Watts
    socket_max: Watts
    base: Watts
    nic: Watts
    socket_cores: Annotated[int, Field(gt=0)]


class GpuNodeFigures(_Figures):
    """A node with GPUs, without these, by how many it has."""

    idle_per_gpu: Watts
    max_per_gpu: Watts


class Quantiles(_Figures):
    """How hard the parts of jobs work: evenly spaced quantiles of the share of the dynamic power."""

    gpu: tuple[Share, ...]
    cpu: tuple[Share, ...]


class Curve(_Figures):
    """Speed by the dynamic power that is left, both as shares of those without a limit; ascending, to 1 and 1."""

    power: tuple[Share, ...]
    speed: tuple[Share, ...]

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        for values in (self.power, self.speed):
            if list(values) != sorted(set(values)) or values[-1] != 1:
                raise ValueError("expected ascending values up to 1")
        if len(self.power) != len(self.speed):
            raise ValueError("expected as many speeds as powers")
        return self


class Figures(_Figures):
    """All of figures.yaml."""

    gpus: dict[str, GpuFigures]
    node: NodeFigures
    gpu_node: GpuNodeFigures
    psu_efficiency: Annotated[float, Field(gt=0, le=1)]
    quantiles: Quantiles
    curves: dict[str, Curve]

    def gpu(self, kind: str) -> GpuFigures:
        """Return the figures of a GPU by its name, as 'V100' or 'NVIDIA V100-SXM2'; those of 'other' if unknown."""
        words = kind.upper().replace("-", " ").replace("_", " ").split()
        return next((self.gpus[word] for word in words if word in self.gpus), self.gpus["other"])


@cache
def figures() -> Figures:
    """Return the figures that ship with hpcai."""
    text = (resources.files("hpcai.cluster.power") / "figures.yaml").read_text("utf-8")
    return Figures.model_validate(yaml.safe_load(text))
