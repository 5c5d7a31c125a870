"""What a study of placement compares, as data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hpcai.configuration import Source, one_or_many, read_mapping, validated
from hpcai.scheduling.placement import POLICIES

Many = BeforeValidator(one_or_many)


class InflationConfig(BaseModel):
    """Pods drawn with replacement are placed until so much is offered; every seed draws others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nodes: Source  # a list of nodes (hpcai.records.pods)
    pods: Annotated[tuple[Source, ...], Many, Field(min_length=1)]  # lists of pods, each a workload of its own
    loads: Annotated[tuple[Annotated[float, Field(gt=0, le=3)], ...], Many, Field(min_length=1)] = (1.0, 1.1, 1.2, 1.3)
    coverage: Annotated[float, Field(gt=0, le=1)] = 0.95  # of the pods, by the task classes of the target workload


class PlacementConfig(InflationConfig):
    """A comparison of placements; ``loads`` are GPUs offered relative to those of the cluster."""

    policies: Annotated[tuple[str, ...], Many, Field(min_length=1)]
    baseline: str = "best-fit"
    weights: Source | None = None  # what 'hpcai train placement' wrote, for the policy 'learned'
    seeds: Annotated[int, Field(ge=2)] = 50
    first_seed: Annotated[int, Field(ge=0)] = 0
    out: Source = "runs/placement.json"

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for name in (*self.policies, self.baseline):
            if name not in POLICIES:
                raise ValueError(f"policies: unknown placement {name!r}; expected some of {', '.join(POLICIES)}")
        if self.baseline not in self.policies:
            raise ValueError(f"baseline: {self.baseline!r} is not among the policies")
        if "learned" in self.policies and self.weights is None:
            raise ValueError("weights: required for the policy 'learned', not given")
        return self


def load_placement_config(path: str | Path, given: dict[str, Any] | None = None) -> PlacementConfig:
    """Return the configuration in a YAML file, ``given`` before what it says; InputError if it is wrong."""
    return validated(PlacementConfig, read_mapping(path) | (given or {}), str(path))
