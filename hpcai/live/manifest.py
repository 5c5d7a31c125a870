"""What a bundle says of itself: what its policy reads, how good it is, where it came from, how far to trust it.

One form for every domain. What a policy reads are named tensors of named features, what it gives are named tensors;
who serves a domain knows what to do with them.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA: Final = "hpcai bundle 1"
OPSET: Final = 18
"""Version of the operators in every policy.onnx."""

Domain = Literal["scheduling", "cooling", "checkpointing", "detection", "placement", "preemption"]


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
    jobs: int


class Metric(_Part):
    """A result on jobs that the policy never saw: a mean over windows, and its ratio to a rival with an interval."""

    trace: str
    part: str
    windows: str
    metric: str
    value: float
    rival: str
    rival_value: float
    ratio: float
    low: float
    high: float
    intervals: str


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
    """manifest.json of a bundle."""

    schema_name: Literal["hpcai bundle 1"] = SCHEMA
    domain: Domain
    name: str
    kind: Literal["formula", "network"]
    created: str  # ISO 8601, UTC
    hpcai: str  # version that wrote it
    opset: int = OPSET
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    policy: dict[str, Any]  # scheduling: as hpcai.scheduling.policy.Policy, its files by their names in the bundle
    network: dict[str, Any] | None = None  # how a network is asked, as hpcai.scheduling.network.NetworkMeta
    origin: float | None = None  # Unix time of second 0 where the policy learned; None if the log does not say
    training: tuple[Source, ...] = ()
    search: Search | None = None
    seed: int | None = None
    metrics: tuple[Metric, ...] = ()
    validity: dict[str, Range] = Field(default_factory=dict)
    fallback: str = "fcfs"
    checked: dict[str, float | int | str] = Field(default_factory=dict)  # what the export compared
