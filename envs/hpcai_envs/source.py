"""A log made ready to play: which jobs, on which machine, in which part of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import pandas as pd
from pydantic import BaseModel, ValidationError

from hpcai.cluster.spec import Machine, load_machine
from hpcai.errors import InputError
from hpcai.records import Trace, machine_of, read_trace
from hpcai.records.splitting import Part, part_bounds
from hpcai.scheduling.jobs import replayable

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Source:
    """``jobs`` are the replayable jobs of the part, sorted by submit; ``origin`` the Unix time of second 0."""

    name: str
    jobs: pd.DataFrame
    machine: Machine
    origin: float


def open_source(
    trace: str | Trace, *, format: str | None = None, machine: str | Machine | None = None, part: Part = "train"
) -> Source:
    """Read a log, unless it is read already. Raises InputError if it, or the machine, cannot be used."""
    trace = trace if isinstance(trace, Trace) else read_trace(trace, format=format)
    if machine is None:
        machine, _ = machine_of(trace)
    elif isinstance(machine, str):
        machine = load_machine(machine)
    jobs, _ = replayable(trace.jobs, machine)
    first, last = part_bounds(trace, jobs.reset_index(drop=True), part)
    return Source(trace.name, jobs.iloc[first:last].reset_index(drop=True), machine, trace.origin)


def as_model(model: type[Model], value: Model | Mapping[str, Any] | None, what: str) -> Model:
    """Return ``value`` as the model, checked. Raises InputError that names the key and what was expected."""
    if isinstance(value, model):
        return value
    try:
        return model.model_validate(dict(value or {}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{what}: {key}: {first['msg']}, found {first['input']!r}") from error
