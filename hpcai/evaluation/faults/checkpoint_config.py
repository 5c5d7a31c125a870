"""A comparison of checkpoint policies on faults replayed from logs, as data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hpcai.configuration import Source, one_or_many, read_mapping, validated

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Many = BeforeValidator(one_or_many)

POLICIES: Final = {
    "none": "no checkpoint is written",
    "young": "Young's interval at the mean time between faults of the training part",
    "daly-first": "Daly's first-order interval at the same",
    "daly": "Daly's higher-order interval at the same",
    "best": "the exact best interval for a constant rate, at the same",
    "two-level": "the best interval of two levels for constant rates, of the training part",
    "lazy": "lazy checkpoints (Tiwari et al.), with the Weibull shape of the training part",
    "hazard": "checkpoints at the density of the hazard by age (Ling et al.), of the fitted lifetime",
    "renewal": "the optimum by age, by dynamic programming, of the same lifetime",
    "four-months": "Daly's interval at the rate of about the last four months",
    "forgetting": "Daly's interval at a gamma-Poisson rate that forgets",
    "self-exciting": "Daly's interval at the rate of a Hawkes process fitted to the training part",
    "learned": "the same, bent as CMA-ES learned in replays of all training parts",
    "transferred": "memory and bends of the training parts of other machines, with the case's own mean rate",
}


class LogConfig(BaseModel):
    """A log, and which machines and jobs of it are cases."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Source
    options: dict[str, Any] = {}  # of its reader
    systems: Annotated[tuple[str, ...], Many] = ()  # each a machine of its own; none: the log is one machine
    nodes: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Many, Field(min_length=1)] = (0,)  # of a job; 0: all


class DrawnConfig(BaseModel):
    """Faults that are drawn: time between a job's faults of a known distribution."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mtbf: Annotated[float, Field(gt=0)]
    shape: Annotated[float, Field(gt=0)] = 1.0  # of a Weibull
    faults: Annotated[int, Field(ge=10)] = 2000


class LearningConfig(BaseModel):
    """How long is searched for what is learned, and on checkpoints of which cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generations: Annotated[int, Field(ge=1)] = 40
    population: Annotated[int, Field(ge=4)] = 10
    write: Annotated[float, Field(gt=0)] = 600.0


class CheckpointConfig(BaseModel):
    """Every policy is fitted to the training part of every case and plays the rest of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = ""
    logs: dict[str, LogConfig] = {}
    drawn: dict[str, DrawnConfig] = {}
    writes: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Many, Field(min_length=1)] = (600.0,)
    restart: Seconds | None = None  # None: as long as writing
    down: Seconds = 300.0  # from a fault to the restart, on a spare node
    local_write: Seconds = 0.0  # of a checkpoint on local disks, for two-level
    train: Annotated[float, Field(gt=0, lt=1)] = 0.6  # of the time of full service
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.1  # of the training part, in which faults are only seen
    least_faults: Annotated[int, Field(ge=2)] = 30  # of a case in either part; cases of fewer are left out
    placements: Annotated[int, Field(ge=1)] = 8
    windows: Annotated[int, Field(ge=4)] = 40
    policies: Annotated[tuple[str, ...], Many, Field(min_length=1)] = ("young", "daly", "renewal", "self-exciting")
    baseline: str = "daly"
    learning: LearningConfig = LearningConfig()
    seed: Annotated[int, Field(ge=0)] = 0
    out: Source = "runs/checkpoints"

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self.logs and not self.drawn:
            raise ValueError("logs: expected one or more, or drawn faults, found neither")
        if unknown := [name for name in self.policies if name not in POLICIES]:
            raise ValueError(f"policies: unknown {unknown[0]!r}; expected some of {', '.join(POLICIES)}")
        if self.baseline not in self.policies:
            raise ValueError(f"baseline: expected one of {', '.join(self.policies)}, found {self.baseline!r}")
        if "two-level" in self.policies and not self.local_write:
            raise ValueError("local_write: required for the policy 'two-level', not given")
        return self


def load_checkpoint_config(path: str | Path, given: Mapping[str, Any] | None = None) -> CheckpointConfig:
    """Return the configuration in a YAML file, ``given`` before what it says; InputError if it is wrong."""
    return validated(CheckpointConfig, read_mapping(path) | dict(given or {}), str(path))
