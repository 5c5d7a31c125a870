"""A simulation of a whole site, as data: jobs, machine, discipline, faults, power, cooling, grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpcai.configuration import Source, read_mapping, validated
from hpcai.errors import InputError
from hpcai.records.generators import KINDS
from hpcai.scheduling.gpu_cluster.presets import discipline_of
from hpcai.simulation.cooling.case import CoolingCase
from hpcai.simulation.cooling.limits import Limits, LimitsName, limits_of
from hpcai.simulation.site.setting import PowerRule, ShiftRule

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]
Date = Annotated[str, Field(pattern=r"^\d\d-\d\d$")]  # MM-DD


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class JobSource(_Part):
    """A log, from ``begin_days`` after its first submission on, or what a generator draws, ``per_day`` jobs a day."""

    trace: Source | None = None
    format: str | None = None
    begin_days: Annotated[float, Field(ge=0)] = 0.0
    generator: str | None = None
    per_day: Positive = 1400.0
    load: Positive | None = None  # of a generator: GPU-seconds asked for over those there are
    parameters: Source | None = None  # of a generator, a YAML file

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.trace is None) == (self.generator is None):
            raise ValueError("jobs: expected either 'trace' or 'generator', found both or none")
        if self.generator is not None and self.generator not in KINDS:
            raise ValueError(f"jobs: unknown generator {self.generator!r}; expected one of {', '.join(KINDS)}")
        return self


class Falls(_Part):
    """How often something fails and how long that lasts: Weibull uptimes, log-normal repairs.

    ``size`` neighbours fall together, as nodes under one switch do. Raises InputError for numbers that are no law.
    """

    mtbf_days: Positive
    repair_hours: Positive = 4.0  # median
    shape: Positive = 1.0
    spread: Positive = 1.0  # sigma of the repairs' logarithm
    size: Count = 1


class FaultSource(_Part):
    """Faults drawn for ``domains`` by name, or by a model of 'hpcai failures fit', or replayed from a log."""

    domains: dict[str, Falls] = {}
    model: Source | None = None
    node_class: str | None = None  # of the model; None: its only one
    log: Source | None = None
    begin_days: Annotated[float, Field(ge=0)] = 0.0  # of the log, after its observation begins
    crews: Count | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(map(bool, (self.domains, self.model, self.log))) != 1:
            raise ValueError("faults: expected one of 'domains', 'model' and 'log'")
        return self


class CoolingSource(_Part):
    """What cools: a plant under a file's weather, which begins on ``start`` (MM-DD), or where the log has its date."""

    weather: Source
    plant: str = "fast"
    preset: str | None = "mn-1"
    it_curve: str = "flat"
    start: Date | None = None
    controller: dict[str, Any] | str = "default"
    every_minutes: Positive = 15.0
    limits: LimitsName = "recommended"


class SiteConfig(_Part):
    """One site for ``days``; a part that is not given is left out. It is judged by the mean of its ``draws``."""

    jobs: JobSource
    machine: Source = "mn-1"
    nodes: dict[str, Count] = {}  # of node groups, where there are to be more or fewer
    discipline: dict[str, Any] | str = {}
    days: Positive = 7.0
    tick_minutes: Annotated[int, Field(ge=1, le=60)] = 1
    faults: FaultSource | None = None
    power: PowerRule = PowerRule()
    shift: ShiftRule | None = None
    sides: dict[str, str] | None = None
    cooling: CoolingSource | None = None
    carbon: Source | None = None
    price: Source | None = None
    agent: Source | None = None  # the folder of 'hpcai train site', which rules what it was taught to
    seed: Annotated[int, Field(ge=0)] = 0
    draws: Count = 1
    starts: tuple[Date, ...] = ()  # of the weather, one draw after another
    title: str = ""
    name: str = "site"
    out: Source = "runs/site"

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if abs(self.days * 1440 / self.tick_minutes - round(self.days * 1440 / self.tick_minutes)) > 1e-6:
            raise ValueError(f"days {self.days:g}: expected a multiple of the tick, {self.tick_minutes} min")
        if self.shift is not None and getattr(self, self.shift.by) is None:
            raise ValueError(f"shift: expected {self.shift.by!r}, a series to shift by")
        if self.starts and self.cooling is None:
            raise ValueError("starts: expected a 'cooling' whose weather starts there")
        _ = self.case, self.rules
        return self

    @property
    def case(self) -> CoolingCase | None:
        """The hall, stepped once a tick. Raises InputError if it cannot be."""
        if self.cooling is None:
            return None
        fields = self.cooling.model_dump(include={"weather", "plant", "preset", "it_curve"})
        return validated(CoolingCase, fields | {"step_minutes": self.tick_minutes, "rate": self.carbon}, "cooling")

    @property
    def heat(self) -> Limits:
        """What inlets may be; where nothing cools, those of air."""
        return limits_of("fast") if self.cooling is None else limits_of(self.cooling.plant, self.cooling.limits)

    @property
    def rules(self) -> Any:
        """The discipline. Raises InputError if there is none like it."""
        given = {"base": self.discipline} if isinstance(self.discipline, str) else self.discipline
        return discipline_of(given, "discipline")

    def draw(self, k: int) -> SiteConfig:
        """Return the ``k``-th draw by itself: with the next seed, the next stretch of a log, the next start."""
        changes: dict[str, Any] = {"seed": self.seed + k, "draws": 1, "starts": ()}
        if self.jobs.trace is not None:
            changes["jobs"] = self.jobs.model_copy(update={"begin_days": self.jobs.begin_days + k * self.days})
        if self.cooling is not None and self.starts:
            start = self.starts[k % len(self.starts)]
            changes["cooling"] = self.cooling.model_copy(update={"start": start})
        return self.model_copy(update=changes)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data that gives this configuration again, less ``out``."""
        return self.model_dump(mode="json", exclude={"out"}, exclude_defaults=True)


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``changes``, mappings within mappings key by key; None leaves a part out."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = merged(old, value) if both and isinstance(old, Mapping) else value
    return result


def settings_of(pairs: Sequence[str]) -> dict[str, Any]:
    """Return what ``a.b=value`` pairs say, values as in YAML. Raises InputError for a pair that is none."""
    fields: dict[str, Any] = {}
    for pair in pairs:
        path, equals, text = pair.partition("=")
        if not (path and equals):
            raise InputError(f"--set: expected KEY=VALUE, found {pair!r}")
        try:
            value: Any = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"--set {path}: not YAML: {text!r}") from error
        for key in reversed(path.split(".")):
            value = {key: value}
        fields = merged(fields, value)
    return fields


def site_config(fields: Mapping[str, Any], where: str) -> SiteConfig:
    """Return the configuration that ``fields`` describe; InputError, one line that names ``where``, if it is wrong."""
    try:
        return validated(SiteConfig, fields, where)
    except InputError as error:
        raise error if str(error).startswith(where) else InputError(f"{where}: {error}") from error


def load_site_config(path: str | Path, given: Mapping[str, Any] | None = None) -> SiteConfig:
    """Return the configuration in a YAML file, ``given`` before what it says; InputError if it is wrong."""
    return site_config(merged(read_mapping(path), given or {}), str(path))


def load_other(path: str | Path, base: str | Path, given: Mapping[str, Any] | None = None) -> SiteConfig:
    """Return the configuration of ``base`` with what the file ``path`` says otherwise; InputError if it is wrong.

    Its name is that of the file unless it says one.
    """
    own = {"name": Path(path).stem} | read_mapping(path)
    return site_config(merged(read_mapping(base), merged(own, given or {})), str(path))
