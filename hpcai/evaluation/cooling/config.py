"""A comparison of cooling controllers, as data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpcai.configuration import Source, read_mapping, validated
from hpcai.errors import InputError
from hpcai.evaluation.cooling.controllers import ControllerConfig, controller_config
from hpcai.evaluation.cooling.metrics import CLASSES, Limits
from hpcai.simulation.cooling.case import CoolingCase

Named = Literal["recommended", "A1", "A2"]


class CoolingConfig(BaseModel):
    """Every controller plays every case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = ""
    cases: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]  # settings of CoolingCase, and prices, carbon
    common: dict[str, Any] = {}  # settings of all cases
    controllers: Annotated[dict[str, dict[str, Any] | str], Field(min_length=1)]
    baseline: str = "default"
    limits: Named = "recommended"
    days: Annotated[int, Field(ge=1)] | None = None  # of each case from its start; None: all
    out: Source = "runs/cooling-report"

    @model_validator(mode="after")
    def _baseline_is_there(self) -> Self:
        if self.baseline not in self.controllers:
            raise ValueError(f"baseline: expected one of {', '.join(self.controllers)}, found {self.baseline!r}")
        return self

    @property
    def of_inlets(self) -> Limits:
        """The limits of the machines' inlets."""
        return CLASSES[self.limits]

    @cached_property
    def plays(self) -> dict[str, ControllerConfig]:
        """The controllers; raises InputError for one that cannot be had."""
        return {name: controller_config(given, f"controller {name}") for name, given in self.controllers.items()}

    @cached_property
    def halls(self) -> dict[str, tuple[CoolingCase, str | None, str | None]]:
        """The cases with the files of their prices and carbon intensities; raises InputError for a wrong setting."""
        made = {}
        for name, given in self.cases.items():
            fields = self.common | given
            price, carbon = fields.pop("price", None), fields.pop("carbon", None)
            made[name] = (validated(CoolingCase, fields, f"case {name}"), price, carbon)
        return made


def load_cooling_config(path: str | Path, given: Mapping[str, Any] | None = None) -> CoolingConfig:
    """Return the configuration in a YAML file, ``given`` before what it says; InputError if it is wrong."""
    config = validated(CoolingConfig, read_mapping(path) | dict(given or {}), str(path))
    if not (config.halls and config.plays):
        raise InputError(f"{path}: expected cases and controllers")
    return config
