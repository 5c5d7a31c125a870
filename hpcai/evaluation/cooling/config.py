"""A comparison of cooling controllers, as data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpcai.configuration import Source, read_mapping, validated
from hpcai.errors import InputError
from hpcai.evaluation.cooling.controllers import ControllerConfig, controller_config
from hpcai.simulation.cooling.case import CoolingCase
from hpcai.simulation.cooling.limits import Limits, LimitsName, limits_of


class CoolingConfig(BaseModel):
    """Every controller plays every case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = ""
    cases: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]  # of CoolingCase, and price, carbon, words
    common: dict[str, Any] = {}  # settings of all cases
    controllers: Annotated[dict[str, dict[str, Any] | str], Field(min_length=1)]  # {case} in a path is its name
    baseline: str = "default"
    limits: LimitsName = "recommended"
    days: Annotated[int, Field(ge=1)] | None = None  # of each case from its start; None: all
    every_weeks: Annotated[int, Field(ge=1)] = 1  # play one week of so many, each begun anew
    out: Source = "runs/cooling-report"

    @model_validator(mode="after")
    def _baseline_is_there(self) -> Self:
        if self.baseline not in self.controllers:
            raise ValueError(f"baseline: expected one of {', '.join(self.controllers)}, found {self.baseline!r}")
        return self

    def of_inlets(self, case: str) -> Limits:
        """Return the limits of the machines' inlets in a case."""
        return limits_of(self.halls[case][0].plant, self.limits)

    def plays(self, case: str) -> dict[str, ControllerConfig]:
        """Return the controllers of a case; raises InputError for one that cannot be had."""
        return {
            name: controller_config(_in_words(given, self._words(case)), f"controller {name}")
            for name, given in self.controllers.items()
        }

    def _words(self, case: str) -> dict[str, str]:
        """Return what stands in the paths of controllers for {case}, and for other words of a case's own."""
        own = self.cases[case].get("words", {})
        if not isinstance(own, dict):
            raise InputError(f"case {case}: words: expected texts by name, found {own!r}")
        return {"case": case} | {name: str(text) for name, text in own.items()}

    def stretches(self, steps: int, step_length: float) -> list[tuple[int, int]]:
        """Return first step and length of each stretch that is played, of ``steps`` in all."""
        if self.days is not None:
            steps = min(steps, round(self.days * 86400.0 / step_length))
        if self.every_weeks == 1:
            return [(0, steps)]
        week = round(7 * 86400.0 / step_length)
        return [(start, week) for start in range(0, steps - week + 1, self.every_weeks * week)]

    @cached_property
    def halls(self) -> dict[str, tuple[CoolingCase, str | None, str | None]]:
        """The cases with the files of their prices and carbon intensities; raises InputError for a wrong setting."""
        made = {}
        for name, given in self.cases.items():
            fields = self.common | given
            price, carbon, _ = (fields.pop(key, None) for key in ("price", "carbon", "words"))
            made[name] = (validated(CoolingCase, fields, f"case {name}"), price, carbon)
        return made


def _in_words(given: dict[str, Any] | str, words: Mapping[str, str]) -> dict[str, Any] | str:
    if isinstance(given, dict):
        return {key: _in_words(value, words) if isinstance(value, str) else value for key, value in given.items()}
    for name, text in words.items():
        given = given.replace(f"{{{name}}}", text)
    return given


def load_cooling_config(path: str | Path, given: Mapping[str, Any] | None = None) -> CoolingConfig:
    """Return the configuration in a YAML file, ``given`` before what it says; InputError if it is wrong."""
    config = validated(CoolingConfig, read_mapping(path) | dict(given or {}), str(path))
    for case in config.halls:
        config.plays(case)
    if config.every_weeks > 1 and config.days is not None and config.days < 7:
        raise InputError(f"{path}: every_weeks {config.every_weeks}: expected 7 days or more, found {config.days}")
    return config
