"""What a comparison of disciplines is asked to do, as data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpcai.configuration import Source, read_mapping, validated
from hpcai.errors import InputError
from hpcai.evaluation.gpu_cluster.metrics import METRICS
from hpcai.records.generators import KINDS
from hpcai.records.splitting import Part
from hpcai.scheduling.gpu_cluster.discipline import Discipline
from hpcai.scheduling.gpu_cluster.presets import discipline_of

Positive = Annotated[int, Field(gt=0)]


class Generated(BaseModel):
    """Jobs that a generator draws, anew for each seed; ``load`` is GPU-seconds asked for over those there are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    jobs: Positive
    load: Annotated[float, Field(gt=0, le=100)] | None = None
    parameters: Source | None = None  # a YAML file, as of 'hpcai trace generate'

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.kind not in KINDS:
            raise ValueError(f"generator.kind: unknown {self.kind!r}; expected one of {', '.join(KINDS)}")
        return self


class ClusterConfig(BaseModel):
    """A comparison of named disciplines on windows of a log, or on the days that a generator draws.

    A discipline is a mapping of settings with, at will, the preset ``base`` that they change; nothing at all stands
    for the preset of its name. ``common`` holds settings of all, such as what stopping costs at the site.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trace: Source | None = None
    format: str | None = None
    generator: Generated | None = None
    machine: Source | None = None  # the log's own by default
    disciplines: dict[str, dict[str, Any] | str | None] = Field(min_length=1)
    common: dict[str, Any] = Field(default_factory=dict)
    baseline: str
    objective: str = "mean_jct"
    windows: Annotated[str, Field(pattern=r"^(all|[1-9]\d*x[1-9]\d*)$")] = "all"  # of a log
    part: Part | None = None  # of a log; by default the test part for windows and everything for 'all'
    jobs: Literal["all", "gpu"] = "all"
    load: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0  # times as fast as recorded that jobs come
    seeds: Positive = 10  # of a generator
    first_seed: Annotated[int, Field(ge=0)] = 0
    seed: Annotated[int, Field(ge=0)] = 0  # of the windows
    resamples: Annotated[int, Field(ge=2000)] = 10_000
    title: str = ""
    out: Source = "runs/cluster"

    @model_validator(mode="before")
    @classmethod
    def _names_alone(cls, values: Any) -> Any:
        """Let a list of presets stand for disciplines of these names."""
        if isinstance(values, dict) and isinstance(values.get("disciplines"), (list, tuple)):
            names = values["disciplines"]
            if not all(isinstance(name, str) for name in names):
                raise ValueError("disciplines: expected a mapping by name, or a list of presets")
            return values | {"disciplines": dict.fromkeys(names)}
        return values

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.trace is None) == (self.generator is None):
            raise ValueError("expected either 'trace' or 'generator', found both or none")
        if self.baseline not in self.disciplines:
            raise ValueError(f"baseline: {self.baseline!r} is not among the disciplines")
        metric = METRICS.get(self.objective)
        if metric is None or not metric.better:
            good = ", ".join(name for name, each in METRICS.items() if each.better)
            raise ValueError(f"objective: found {self.objective!r}, expected one of {good}")
        for own in (self.common, *self.disciplines.values()):
            if isinstance(own, dict) and (wrong := [key for key in own if not isinstance(key, str)]):
                raise ValueError(f"disciplines: key {wrong[0]!r}: expected the name of a setting")
        return self

    @cached_property
    def settings(self) -> dict[str, Discipline]:
        """The disciplines by name. Raises InputError if one cannot be used."""
        found = {}
        for name, own in self.disciplines.items():
            fields = {"base": name} if own is None else {"base": own} if isinstance(own, str) else own
            found[name] = discipline_of(fields, f"discipline {name!r}", self.common)
        return found

    @property
    def window_shape(self) -> tuple[int, int] | None:
        """Number of windows and jobs in each; None for the whole part as one window."""
        count, _, length = self.windows.partition("x")
        return (int(count), int(length)) if length else None

    @property
    def part_used(self) -> Part:
        """The part of the log that is replayed."""
        return self.part or ("all" if self.windows == "all" else "test")

    def as_dict(self) -> dict[str, Any]:
        """Return plain data that gives this configuration again, less ``out``, on which no result depends."""
        return self.model_dump(mode="json", exclude={"out"}, exclude_defaults=True)


def make_cluster_config(fields: Mapping[str, Any], where: str = "hpcai cluster") -> ClusterConfig:
    """Return the configuration that ``fields`` describe; InputError, one line that names ``where``, if it is wrong."""
    config = validated(ClusterConfig, fields, where, {"windows": "'all' or NxM such as '20x1024'"})
    try:
        _ = config.settings
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return config


def load_cluster_config(path: str | Path, given: Mapping[str, Any] | None = None) -> ClusterConfig:
    """Return the configuration in a YAML file, ``given`` before what it says; InputError if it is wrong."""
    return make_cluster_config(read_mapping(path) | dict(given or {}), str(path))
