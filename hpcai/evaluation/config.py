"""What an evaluation is asked to do, as data; the command line, a YAML file and Python give one object."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hpcai.cluster.power.response import Response
from hpcai.configuration import Source, one_or_many, read_mapping, validated
from hpcai.errors import InputError
from hpcai.evaluation.cooling.controllers import ControllerConfig, controller_config
from hpcai.evaluation.energy.definitions import ENERGY_NAMES
from hpcai.evaluation.energy.policies import responding_policy
from hpcai.evaluation.metrics import METRICS
from hpcai.evaluation.runs import learned_policy
from hpcai.records.splitting import Part
from hpcai.scheduling.policy import Backfill, Estimate, Policy
from hpcai.simulation.cooling.case import CoolingCase, PlantKind

RECORDED = "recorded"
"""Name of the pseudo-policy that stands for what the log says happened."""

_COOLING = ("cooling_controller", "cooling_preset", "cooling_model")
_LEFT_OUT = ("load", "jobs", "power", "cooling", *_COOLING, "weather", "price", "carbon")  # where not set
_SETTINGS = ("predictor", "estimate", "estimate_multiplier", "kill_at_limit", "dependencies", "backfill_depth")


def split_outside_parentheses(text: str) -> list[str]:
    """Split at commas that stand outside parentheses, so that ``expr:max(a,b)`` stays whole."""
    parts, depth, last = [], 0, 0
    for i, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            parts.append(text[last:i])
            last = i + 1
    parts.append(text[last:])
    return [part.strip() for part in parts if part.strip()]


def _comma_separated(value: Any) -> Any:
    return split_outside_parentheses(value) if isinstance(value, str) else one_or_many(value)


def _policies(value: Any) -> Any:
    """Split a list of policies, and put those that were learned, or respond to power, in place of their names."""
    policies = []
    for item in _comma_separated(value):
        meant = (learned_policy(item) or responding_policy(item)) if isinstance(item, str) else None
        policies.append(item if meant is None else {"name": item} | meant)
    return policies


class NamedPolicy(Policy, Response):
    """A policy with a name of its own, and what it does about power.

    What it leaves unset of a policy comes from the evaluation's settings.
    """

    name: Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class Entry:
    """One line of the comparison: a named policy, or what was recorded (``policy`` None).

    Name and backfilling identify it.
    """

    name: str
    backfill: str
    policy: Policy | None = field(compare=False)
    response: Response = field(default=Response(), compare=False)

    @property
    def label(self) -> str:
        """How people call it, such as 'SAF with EASY'."""
        if self.policy is None:
            return "what was recorded"
        return f"{display_name(self.name)} {BACKFILL_PHRASES[self.backfill]}"

    @property
    def competes(self) -> bool:
        """Whether it could be had: not the record, nor a bound by a predictor that knows what nobody knows."""
        return self.policy is not None and self.policy.predictor != "actual"


BACKFILL_PHRASES = {
    "none": "without backfilling",
    "easy": "with EASY",
    "conservative": "with conservative backfilling",
}


def display_name(name: str) -> str:
    """Return a policy's name as it is printed: acronyms in capitals, everything else as given."""
    return name.upper() if re.fullmatch(r"[a-z]{2,4}\d?|f\d|unicep", name) else name


class EvaluationConfig(BaseModel):
    """An evaluation: which logs, which policies, which windows, how to judge.

    ``windows`` is ``all`` or ``NxM``: N windows of M consecutive submissions. ``part`` is the share of the
    log that they come from; by default the test part for windows and the whole log for ``all``. The first
    ``warmup`` jobs of each window are replayed but not measured. With another ``load`` than 1 jobs come that
    many times as fast as recorded. With ``power`` the energy of the machines is measured, with ``cooling`` (a plant,
    run by ``cooling_controller``) and ``weather`` that of the site, with ``price`` and ``carbon`` what it costs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trace: Annotated[tuple[Source, ...], BeforeValidator(one_or_many), Field(min_length=1)]
    format: str | None = None
    machine: Source | None = None
    policies: Annotated[tuple[NamedPolicy | str, ...], BeforeValidator(_policies), Field(min_length=1)] = (
        "fcfs",
        "sjf",
        "saf",
        "wfp3",
        "unicep",
        "f1",
    )
    backfill: Annotated[tuple[Backfill, ...], BeforeValidator(_comma_separated), Field(min_length=1)] = ("easy",)
    windows: Annotated[str, Field(pattern=r"^(all|[1-9]\d*x[1-9]\d*)$")] = "50x1024"
    part: Part | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    predictor: Annotated[Source, Field(min_length=1)] = "none"
    estimate: Estimate = "requested"
    estimate_multiplier: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    kill_at_limit: bool = False
    dependencies: bool = False
    backfill_depth: Annotated[int, Field(ge=1)] | None = None
    warmup: Annotated[int, Field(ge=0)] = 0
    load: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    jobs: Literal["all", "gpu"] = "all"
    size: Literal["allocated", "requested"] = "allocated"
    fair_start: bool = True
    power: bool = False
    cooling: PlantKind | None = None
    cooling_controller: dict[str, Any] | Source = "default"
    cooling_preset: Source | None = None
    cooling_model: Source | None = None
    weather: Source | None = None
    price: Source | None = None
    carbon: Source | None = None
    objective: str = "mean_bounded_slowdown"
    baseline: str | None = None
    resamples: Annotated[int, Field(ge=2000)] = 10_000
    title: str = ""
    out: Source = "runs/evaluation"

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        metric = METRICS.get(self.objective)
        if metric is None or not metric.better:
            raise ValueError(f"objective {self.objective!r}: expected a metric that has a better side")
        length = self.window_shape[1] if self.window_shape else None
        if length is not None and self.warmup >= length:
            raise ValueError(f"warmup {self.warmup} leaves nothing to measure in windows of {length} jobs")
        seen: set[tuple[str, str]] = set()
        for entry in self.entries:
            if entry.name == RECORDED:
                raise ValueError(f"policies: the name {RECORDED!r} stands for what the log recorded")
            if (entry.name, entry.backfill) in seen:
                raise ValueError(f"policies: {entry.name!r} with backfill {entry.backfill!r} is given twice")
            seen.add((entry.name, entry.backfill))
        if (self.cooling is None) != (self.weather is None):
            given, missing = ("cooling", "weather") if self.weather is None else ("weather", "cooling")
            raise ValueError(f"{given}: expected {missing} with it, found none")
        unset = {key for key in _COOLING if getattr(self, key) == type(self).model_fields[key].default}
        if self.cooling is None and len(unset) < len(_COOLING):
            raise ValueError(
                f"{next(key for key in _COOLING if key not in unset)}: expected cooling with it, found none"
            )
        for entry in self.entries:
            if entry.response.shift is not None and getattr(self, entry.response.shift) is None:
                raise ValueError(f"policies: {entry.name!r} waits by {entry.response.shift}, of which no file is given")
        if metric.name in ENERGY_NAMES and not self.measures_power:
            raise ValueError(f"objective {self.objective!r}: expected power: true with it, found false")
        if self.baseline is not None and self.baseline not in {entry.name for entry in self.entries}:
            raise ValueError(f"baseline {self.baseline!r}: expected the name of one of the policies")
        return self

    @property
    def window_shape(self) -> tuple[int, int] | None:
        """Number of windows and jobs in each; None for the whole part as one window."""
        if self.windows == "all":
            return None
        count, length = self.windows.split("x")
        return int(count), int(length)

    @property
    def part_used(self) -> Part:
        """The part of the log that is replayed."""
        return self.part or ("all" if self.windows == "all" else "test")

    @property
    def measures_power(self) -> bool:
        """Whether energy is measured: if it is asked for, or the site is described, or a policy responds to power."""
        return self.power or bool(self.site_files) or any(not entry.response.idle for entry in self.entries)

    @property
    def site_files(self) -> tuple[str, ...]:
        """Files that say where the machine stands, and of what cools it: weather, price, carbon intensity, network."""
        network = self.controller.network if self.cooling else None
        files = [file for file in (self.weather, self.price, self.carbon, self.cooling_model, network) if file]
        preset = [self.cooling_preset] if self.cooling_preset and Path(self.cooling_preset).is_file() else []
        return tuple(files + preset)

    @property
    def cooling_case(self) -> CoolingCase | None:
        """The plant that cools, if one does; raises InputError if there is none such."""
        if self.cooling is None:
            return None
        fields = {"plant": self.cooling, "weather": self.weather, "preset": self.cooling_preset}
        return validated(CoolingCase, fields | {"model": self.cooling_model}, "cooling")

    @property
    def controller(self) -> ControllerConfig:
        """The controller of the plant; raises InputError if it cannot be had."""
        return controller_config(self.cooling_controller, "cooling_controller")

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every policy with every backfilling; a named policy that sets its own keeps to that."""
        settings = {key: getattr(self, key) for key in _SETTINGS}
        result = []
        for item in self.policies:
            own: dict[str, Any] = {"ordering": item}
            response = Response()
            if not isinstance(item, str):
                own = item.model_dump(include=item.model_fields_set & Policy.model_fields.keys())
                response = Response(**item.model_dump(include=item.model_fields_set & Response.model_fields.keys()))
            name = item if isinstance(item, str) else item.name
            for backfill in [own["backfill"]] if "backfill" in own else self.backfill:
                policy = Policy.model_validate(settings | {"backfill": backfill} | own)
                result.append(Entry(name, backfill, policy, response))
        return tuple(result)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data that gives this configuration again, less ``out``, on which no result depends.

        Named policies keep to what they set themselves, since the rest comes from the other keys.
        """
        given = [item if isinstance(item, str) else item.model_dump(exclude_unset=True) for item in self.policies]
        unset = {key for key in _LEFT_OUT if getattr(self, key) == type(self).model_fields[key].default}
        return self.model_dump(mode="json", exclude={"out"} | unset) | {"policies": given}

    @property
    def predictor_files(self) -> tuple[str, ...]:
        """Files of the trained predictors that its policies use."""
        policies = (entry.policy for entry in self.entries if entry.policy is not None)
        return tuple(sorted({policy.predictor for policy in policies if policy.predictor_is_file}))

    @property
    def network_files(self) -> tuple[str, ...]:
        """Files of the learned networks that its policies use."""
        return tuple(sorted({e.policy.network for e in self.entries if e.policy is not None and e.policy.network}))

    @property
    def baseline_entry(self) -> Entry:
        """What the answer compares with: the named baseline, else FCFS, else the first policy listed."""
        name = self.baseline or "fcfs"
        named = [entry for entry in self.entries if entry.name == name]
        return next((entry for entry in named if entry.backfill == "easy"), (*named, self.entries[0])[0])


def make_config(fields: Mapping[str, Any], where: str = "evaluation") -> EvaluationConfig:
    """Return the configuration that ``fields`` describe; ``where`` names their origin in errors.

    Raises InputError, one line with the key, what was found and what was expected.
    """
    config = validated(EvaluationConfig, fields, where, {"windows": "'all' or NxM such as '50x1024'"})
    check_orderings(config.entries, where)
    if config.cooling:
        controller_config(config.cooling_controller, f"{where}: cooling_controller")
    return config


def load_config(path: str | Path, overrides: Mapping[str, Any] | None = None) -> EvaluationConfig:
    """Return the configuration in a YAML file, with ``overrides`` laid over it.

    Raises InputError if the file cannot be read, is not YAML, or says something that is not understood.
    """
    return make_config(read_mapping(path) | dict(overrides or {}), str(path))


def check_orderings(entries: Sequence[Entry], where: str) -> None:
    """Raise InputError if an entry's ordering is neither known nor a formula, or its predictor cannot be used."""
    from hpcai.scheduling.network import load_network
    from hpcai.scheduling.orderings import formulas_of
    from hpcai.scheduling.predictor import model_of

    for entry in entries:
        if entry.policy is not None:
            try:
                formulas_of(entry.policy)
                model_of(entry.policy)
                if entry.policy.network:
                    load_network(entry.policy.network)
            except InputError as error:
                raise InputError(f"{where}: policies: {error}") from error
