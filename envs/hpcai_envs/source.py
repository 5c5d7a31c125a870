"""A log made ready to play: which jobs, on which machine, in which part of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ValidationError

from hpcai.cluster.spec import Machine, load_machine
from hpcai.errors import InputError
from hpcai.evaluation.inputs import hastened
from hpcai.records import Trace, machine_of, read_trace
from hpcai.records.splitting import Part, part_bounds
from hpcai.scheduling.jobs import replayable
from hpcai.simulation.episode import Episodes, Setting, window_beginnings

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Source:
    """``jobs`` are the replayable jobs of the log, sorted by submit; rows ``first`` to ``last - 1`` are the part's.

    ``origin`` is the Unix time of second 0.
    """

    name: str
    jobs: pd.DataFrame
    machine: Machine
    origin: float
    first: int
    last: int

    def episodes(self, setting: Setting, length: int, row: int | None = None) -> Episodes:
        """Return the windows of ``length`` jobs in the part, or the one that begins at ``row``.

        Raises InputError if the part is shorter than that, or the row is not in it.
        """
        self.check(length, row)
        if row is None:
            firsts = window_beginnings(self.first, self.last, length, setting.policy, seed=0)
        else:
            firsts = np.array([row])
        return Episodes(self.jobs, self.machine, setting, length=length, firsts=firsts, origin=self.origin)

    def check(self, length: int, row: int | None = None) -> None:
        """Raise InputError if the part has no window of ``length`` jobs, or none that begins at ``row``."""
        latest = self.last - length
        if length < 1 or latest < self.first:
            raise InputError(f"window of {length} jobs: expected 1 to {self.last - self.first}, the jobs there are")
        if row is not None and not self.first <= row <= latest:
            raise InputError(f"reset option window {row!r}: expected {self.first} to {latest}")


def open_source(
    trace: str | Trace,
    *,
    format: str | None = None,
    machine: str | Machine | None = None,
    part: Part = "train",
    load: float = 1.0,
) -> Source:
    """Read a log, unless it is read already; jobs are submitted ``load`` times as fast as recorded.

    Raises InputError if it, or the machine, cannot be used.
    """
    if not load > 0:
        raise InputError(f"load {load!r}: expected a number above 0")
    trace = trace if isinstance(trace, Trace) else read_trace(trace, format=format)
    trace = replace(trace, jobs=hastened(trace.jobs, load))
    if machine is None:
        machine, _ = machine_of(trace)
    elif isinstance(machine, str):
        machine = load_machine(machine)
    jobs, _ = replayable(trace.jobs, machine)
    jobs = jobs.reset_index(drop=True)
    return Source(trace.name, jobs, machine, trace.origin, *part_bounds(trace, jobs, part))


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
