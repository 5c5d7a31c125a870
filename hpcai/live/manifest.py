"""What a bundle says of itself: what its policy reads, how good it is, where it came from, how far to trust it.

One form for every domain. What a policy reads are named tensors of named features, what it gives are named tensors;
who serves a domain knows what to do with them.
"""

from __future__ import annotations

from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

SCHEMA: Final = "hpcai bundle 1"
OPSET: Final = 18
"""Version of the operators in every policy.onnx."""

Domain = Literal["scheduling", "cooling", "checkpointing", "detection", "draining", "placement", "preemption"]
WITH_RULES: Final = ("cooling", "checkpointing", "detection", "draining")
"""Domains whose bundles may have no graph."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Feature(_Part):
    """A column of an input: its unit, how it is scaled, and what it was where the policy learned.

    ``low`` and ``high`` bound 98 of 100 values, ``least`` and ``most`` all; None where nothing was recorded.
    """

    name: str
    meaning: str
    unit: str = ""
    scaling: str = "none"
    least: float | None = None
    low: float | None = None
    high: float | None = None
    most: float | None = None


class Tensor(_Part):
    """An input or output of policy.onnx. ``shape`` names each axis, or gives its length."""

    name: str
    dtype: Literal["float32", "float64"]
    shape: tuple[str | int, ...]
    features: tuple[Feature, ...] = ()  # of the axis called 'feature', in order
    meaning: str = ""


class Source(_Part):
    """A log that the policy learned from, by the SHA-256 of each of its files."""

    name: str
    sha256: dict[str, str]
    part: str
    jobs: int | None = None  # of a log of jobs


class Metric(_Part):
    """A result on what the policy never saw: its value and a rival's, their ratio with an interval where it has one."""

    trace: str
    part: str
    windows: str
    metric: str
    value: float
    rival: str
    rival_value: float
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    intervals: str

    @property
    def told(self) -> str:
        """The ratio to the rival, and its interval if known."""
        if self.ratio is None:
            return "?"
        known = self.low is not None and self.high is not None
        return f"{self.ratio:.2f}" + (f" [{self.low:.2f}, {self.high:.2f}]" if known else "")


class Search(_Part):
    """How weights were found by a search on drawn cases, and what they reached on others, drawn for validation."""

    config: dict[str, Any]  # of the search: its generator, machine, seeds, settings
    objective: str  # lower is better
    rival: str  # what it was compared with
    ratio: float  # geometric mean over the cases of validation of the objective to the rival's
    training: str  # which cases it learned on
    validation: str  # which cases the ratio is of


class Range(_Part):
    """The least and the most of something where the policy learned."""

    least: float
    most: float
    unit: str = ""


class Manifest(_Part):
    """manifest.json of a bundle. Of the kind rules is what has no graph: ``policy`` says all of it."""

    schema_name: Literal["hpcai bundle 1"] = SCHEMA
    domain: Domain
    name: str
    kind: Literal["formula", "network", "rules"]
    created: str  # ISO 8601, UTC
    hpcai: str  # version that wrote it
    opset: int = OPSET
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    policy: dict[str, Any]  # scheduling: as hpcai.scheduling.policy.Policy, its files by their names in the bundle;
    # cooling: as hpcai.live.cooling.policy.Parameters; checkpointing, detection, draining: as hpcai.live.faults says
    network: dict[str, Any] | None = None  # how a network is asked: NetworkMeta of scheduling, PolicyMeta of cooling
    origin: float | None = None  # Unix time of second 0 where the policy learned; None if the log does not say
    training: tuple[Source, ...] = ()
    search: Search | None = None
    seed: int | None = None
    metrics: tuple[Metric, ...] = ()
    validity: dict[str, Range] = Field(default_factory=dict)
    fallback: str = "fcfs"
    checked: dict[str, float | int | str] = Field(default_factory=dict)  # what the export compared

    @model_validator(mode="after")
    def _has_a_graph_unless_it_may_lack_one(self) -> Self:
        if self.kind == "rules" and self.domain not in WITH_RULES:
            raise ValueError(f"expected formula or network in the domain {self.domain}, found 'rules'")
        return self
