"""A cluster under faults with several checkpoint policies, as data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpcai.configuration import Source, read_mapping, validated
from hpcai.evaluation.faults.checkpoint_config import Many, Seconds
from hpcai.faults.lifetimes import FAMILIES, Lifetime
from hpcai.scheduling.policy import Policy

CLUSTER_POLICIES: Final = {
    "none": "no checkpoint: a job that is struck begins anew",
    "young": "Young's interval at the mean time between faults of the training log",
    "daly": "Daly's higher-order interval at the same",
    "best": "the exact best interval for a constant rate, at the same",
    "hazard": "checkpoints at the density of the hazard by age, of the time a node stays up in the training log",
    "four-months": "Daly's interval at the rate of about the last four months",
    "self-exciting": "Daly's interval at the rate of a Hawkes process fitted to the nodes of the training log",
}
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class LifetimeConfig(BaseModel):
    """A distribution of durations: of ``family``, with its mean (s); ``shape`` is sigma for the log-normal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: str = "exponential"
    mean: Positive
    shape: Positive = 1.0

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.family not in FAMILIES:
            raise ValueError(f"family {self.family!r}: expected one of {', '.join(FAMILIES)}")
        return self

    @property
    def lifetime(self) -> Lifetime:
        """The distribution."""
        unit = Lifetime(self.family, 1.0, self.shape)
        return Lifetime(self.family, self.mean / unit.mean, self.shape)


class DomainConfig(BaseModel):
    """Neighbours that fail together, by a switch or a power supply that fails."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    component: str = "network"
    size: Annotated[int, Field(ge=1)]
    uptime: LifetimeConfig  # of one domain
    repair: LifetimeConfig


class NodeFaultsConfig(BaseModel):
    """Where faults of nodes come from: a log that is replayed, a fitted model, or two distributions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    log: Source | None = None
    options: dict[str, Any] = {}  # of the log's reader
    system: str = ""
    train: Annotated[float, Field(gt=0, lt=1)] = 0.6  # of the log's time, from which policies learn
    model: Source | None = None  # that 'hpcai failures fit' wrote
    node_class: str = ""  # of the model; '': its only one
    uptime: LifetimeConfig | None = None
    repair: LifetimeConfig | None = None
    repair_if_unknown: Seconds = 3600.0

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = [name for name in ("log", "model", "uptime") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"faults: expected one of log, model and uptime, found {', '.join(given) or 'none'}")
        return self


class ClusterFaultsConfig(BaseModel):
    """Every checkpoint policy sees the same jobs and the same faults under every seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = ""
    nodes: Annotated[int, Field(ge=1)]
    trace: Source | None = None  # a log of jobs; None: jobs of Lublin's model, other ones under every seed
    node_processors: Annotated[int, Field(ge=1)] = 1  # of the trace's processors or GPUs that make a node
    load: Annotated[float, Field(gt=0)] = 0.8  # offered by jobs of the model
    longer: Positive = 1.0  # all run times are multiplied by it
    duration: Positive = 30 * 86400.0  # s
    faults: NodeFaultsConfig
    domains: tuple[DomainConfig, ...] = ()
    shared: Positive = 100e9  # B/s of the file system for checkpoints
    node_link: Positive = 10e9  # B/s that a node gets of it
    node_bytes: Positive = 500e9  # of a job's state on each node
    requeue: Seconds = 60.0
    crews: Annotated[int, Field(ge=1)] | None = None
    spares: Annotated[int, Field(ge=0)] = 0
    drain_after: Annotated[int, Field(ge=1)] | None = None  # faults of a node within drain_window; None: never
    drain_window: Positive = 7 * 86400.0
    drain_for: Positive = 7 * 86400.0
    scheduling: Policy = Policy()
    policies: Annotated[tuple[str, ...], Many, Field(min_length=1)] = ("none", "daly")
    baseline: str = "daly"
    seeds: Annotated[int, Field(ge=2)] = 10
    first_seed: Annotated[int, Field(ge=0)] = 0
    out: Source = "runs/cluster-faults"

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if unknown := [name for name in self.policies if name not in CLUSTER_POLICIES]:
            raise ValueError(f"policies: unknown {unknown[0]!r}; expected some of {', '.join(CLUSTER_POLICIES)}")
        if self.baseline not in self.policies:
            raise ValueError(f"baseline: expected one of {', '.join(self.policies)}, found {self.baseline!r}")
        if self.spares >= self.nodes:
            raise ValueError(f"spares: expected fewer than the {self.nodes} nodes, found {self.spares}")
        return self


def load_cluster_config(path: str | Path, given: Mapping[str, Any] | None = None) -> ClusterFaultsConfig:
    """Return the configuration in a YAML file, ``given`` before what it says; InputError if it is wrong."""
    return validated(ClusterFaultsConfig, read_mapping(path) | dict(given or {}), str(path))
