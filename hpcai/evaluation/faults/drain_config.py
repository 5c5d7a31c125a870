"""A comparison of drain policies on faults replayed from logs, as data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpcai.configuration import Source, read_mapping, validated
from hpcai.evaluation.faults.checkpoint_config import LogConfig, Many, Seconds

DRAIN_POLICIES: Final = {
    "none": "no node is drained, gangs take nodes in a fixed order",
    "threshold": "nodes that failed k times within some days are drained; k and the days did best in the training part",
    "keep-off": "no node is drained, gangs take the nodes of least risk",
    "learned": "gangs take the nodes of least risk, and nodes of some times the mean risk are drained; that multiple, "
    "or none, did best in the training part",
}


class DrainConfig(BaseModel):
    """Every policy is fitted to the training part of every case and plays the rest of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = ""
    logs: Annotated[dict[str, LogConfig], Field(min_length=1)]  # 'nodes' are those of a gang
    spares: Annotated[tuple[Annotated[float, Field(ge=0, lt=1)], ...], Many, Field(min_length=1)] = (0.1,)
    write: Annotated[float, Field(gt=0)] = 600.0
    restart: Seconds = 600.0
    down: Seconds = 300.0
    epoch: Annotated[float, Field(gt=0)] = 86400.0  # between decisions (s)
    train: Annotated[float, Field(gt=0, lt=1)] = 0.6
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.1
    repair_if_unknown: Seconds = 3600.0
    counts: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Many] = (1, 2, 3, 5)  # thresholds that are tried
    days: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Many] = (7.0, 30.0, 90.0)
    multiples: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Many] = (2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
    windows: Annotated[int, Field(ge=4)] = 40
    policies: Annotated[tuple[str, ...], Many, Field(min_length=1)] = tuple(DRAIN_POLICIES)
    baseline: str = "none"
    seed: Annotated[int, Field(ge=0)] = 0
    out: Source = "runs/drains.json"

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        if unknown := [name for name in self.policies if name not in DRAIN_POLICIES]:
            raise ValueError(f"policies: unknown {unknown[0]!r}; expected some of {', '.join(DRAIN_POLICIES)}")
        if self.baseline not in self.policies:
            raise ValueError(f"baseline: expected one of {', '.join(self.policies)}, found {self.baseline!r}")
        return self


def load_drain_config(path: str | Path, given: Mapping[str, Any] | None = None) -> DrainConfig:
    """Return the configuration in a YAML file, ``given`` before what it says; InputError if it is wrong."""
    return validated(DrainConfig, read_mapping(path) | dict(given or {}), str(path))
