"""What was learned from a failure log, to be saved and to draw failures from.

It says by class of node how long one stays up, how long its repair takes and which part is at fault. A node
alternates between up and down, each time anew (an alternating renewal process); nodes fail independently of one
another. ``hpcai failures report`` shows how far a log is from that: bursts, neighbours, repeated offenders.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, field_serializer

from hpcai.configuration import read_mapping, validated
from hpcai.errors import InputError
from hpcai.faults.lifetimes import Lifetime
from hpcai.records.failures import EVENT_COLUMNS, NODE_COLUMNS, FailureLog, strings

Floats = npt.NDArray[np.float64]
Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ClassModel(BaseModel):
    """How nodes of one class fail."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    nodes: int = Field(ge=1, description="nodes that were watched")
    failures: int = Field(ge=1, description="failures that they had")
    mtbf: float = Field(gt=0, description="s of a node in service for each failure")
    uptime: Lifetime = Field(description="from a node's entry or return into service to its next failure")
    settled: Lifetime | None = Field(default=None, description="the same scaled to the log's rate; None: uptime as is")
    repair: Lifetime | None = Field(default=None, description="from failure to return; None: the log says no ends")
    components: dict[str, Share] = Field(default_factory=dict, description="share of failures by part at fault")

    @field_serializer("uptime", "settled", "repair")
    def _plain(self, value: Lifetime | None) -> dict[str, Any] | None:
        return None if value is None else value.as_data()


class FittedFailures(BaseModel):
    """The models of a log by class of node; ``source`` has the SHA-256 of the files that it was fitted to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    classes: dict[str, ClassModel] = Field(min_length=1)
    source: dict[str, str] = Field(default_factory=dict)

    def save(self, path: str | Path) -> None:
        """Write as YAML, or as JSON where the name ends so. Raises InputError if it cannot be written."""
        data = self.model_dump(mode="json")
        is_json = str(path).endswith(".json")
        text = json.dumps(data, indent=2) + "\n" if is_json else yaml.safe_dump(data, sort_keys=False)
        try:
            Path(path).write_text(text, "utf-8")
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error

    @classmethod
    def load(cls, path: str | Path) -> FittedFailures:
        """Return what :meth:`save` wrote. Raises InputError, one line, if it is not that."""
        data = read_mapping(path)  # JSON is YAML too
        try:
            return validated(cls, data, str(path))
        except InputError as error:  # of a Lifetime, which does not know where it stands
            raise error if str(error).startswith(str(path)) else InputError(f"{path}: {error}") from error

    def of_class(self, name: str) -> ClassModel:
        """Return the model of a class of node. Raises InputError if there is none of that name."""
        if name not in self.classes:
            raise InputError(f"failures {self.name}: found class {name!r}, expected one of {', '.join(self.classes)}")
        return self.classes[name]

    def sample(self, nodes: Mapping[str, str], duration: float, *, seed: int, settled: bool = True) -> FailureLog:
        """Return a log of ``duration`` s drawn from the models.

        Args:
            nodes: class of each node by its name.
            duration: s from the log's origin, which has no date.
            seed: the same seed gives the same log.
            settled: whether the machine has long been up when the log begins, and fails as often as the log that was
                fitted; else all nodes are new, and go the way that the fitted distribution has them go.

        Raises InputError if there is no model of a class or the duration is not positive.
        """
        if not 0 < duration < np.inf:
            raise InputError(f"failures {self.name}: found duration {duration!r}, expected positive seconds")
        rng = np.random.default_rng(seed)
        names = np.array(list(nodes), dtype=object)
        classes = np.array(list(nodes.values()), dtype=object)
        parts = [
            _outages(self.of_class(name), names[classes == name], duration, rng, settled)
            for name in dict.fromkeys(nodes.values())
        ]
        events = pd.concat(parts, ignore_index=True) if parts else FailureLog("").events
        events = events.sort_values(["start", "node"], kind="stable", ignore_index=True)
        order = np.argsort(names.astype(str), kind="stable")
        table = {column.name: strings([""] * len(names)) for column in NODE_COLUMNS if column.dtype == "str"}
        table |= {"node": strings(names[order]), "node_class": strings(classes[order])}
        unknown = np.full(len(names), np.nan)
        frame = pd.DataFrame({c.name: table.get(c.name, unknown) for c in NODE_COLUMNS}).assign(in_service=0.0)
        return FailureLog(self.name, events, frame, observed=(0.0, duration), format="sampled")


def _outages(
    model: ClassModel, names: npt.NDArray[np.object_], duration: float, rng: np.random.Generator, settled: bool
) -> pd.DataFrame:
    """Return the events of the nodes of one class, node by node in rounds of one failure each."""
    up = (model.settled or model.uptime) if settled else model.uptime
    failing = np.arange(len(names))
    start = up.residual(len(names), rng) if settled else up.sample(len(names), rng)
    rounds: list[tuple[npt.NDArray[np.int64], Floats, Floats]] = []
    while len(failing := failing[within := start < duration]):
        start = start[within]
        down = np.zeros(len(failing)) if model.repair is None else model.repair.sample(len(failing), rng)
        rounds.append((failing, start, start + down))
        start = start + down + up.sample(len(failing), rng)
    if not rounds:
        return FailureLog("").events
    node, begin, end = (np.concatenate(column) for column in zip(*rounds, strict=True))
    known = model.repair is not None
    columns = {
        "node": strings(names[node]),
        "component": strings(_components(model.components, len(node), rng)),
        "start": begin,
        "end": np.where((end <= duration) & known, end, np.nan),
        "cause": strings(["sampled"] * len(node)),
        "severity": strings(["fatal"] * len(node)),
    }
    return pd.DataFrame({column.name: columns[column.name] for column in EVENT_COLUMNS})


def _components(shares: Mapping[str, float], n: int, rng: np.random.Generator) -> list[str]:
    if not any(shares.values()):
        return ["unknown"] * n
    weights = np.array(list(shares.values()), dtype=np.float64)
    drawn = rng.choice(len(weights), size=n, p=weights / weights.sum())
    names = list(shares)
    return [names[i] for i in drawn]
