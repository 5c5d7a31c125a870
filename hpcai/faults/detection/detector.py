"""A detector: what turns what is seen of nodes into risks, with the threshold at which it pays to act on them.

It is kept as one .npz file of plain arrays, of which ``meta`` is JSON; nothing in it is ever unpickled.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy.special import expit

from hpcai.arrays import read_arrays
from hpcai.errors import InputError
from hpcai.faults.detection.drains import DrainRule
from hpcai.faults.detection.features import features_seen
from hpcai.faults.detection.hazard import COVARIATES, Hazard
from hpcai.faults.detection.samples import Ahead
from hpcai.faults.detection.telemetry import telemetry_seen
from hpcai.faults.detection.trees import Trees

Floats = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[Any]]

SCHEMA: Final = "hpcai failure detector 1"
Kind = Literal["boosting", "weibull", "isolation", "count", "last", "base"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Costs(BaseModel):
    """What is weighed, in node-hours: a node that stands idle for an hour costs one.

    ``missed``: what a failure costs that strikes a node in use, above all the work of all nodes of the job.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    missed: Positive = 100.0
    idle: Positive = 1.0  # of an hour in which a node is kept free


class DetectorMeta(BaseModel):
    """What a detector says of itself; times in s."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_name: Literal["hpcai failure detector 1"] = SCHEMA
    hpcai: str  # version that wrote it
    kind: Kind
    templates: tuple[str, ...] = ()
    telemetry: tuple[str, ...] = ()  # metrics of the table of telemetry that it looks at
    failures: tuple[str, ...] = ("fatal",)  # severities that count as a failure
    lead: NotNegative
    horizon: Positive
    threshold: float | None = None  # of the risk, from which on a node is drained; None: never
    hold: Positive  # s for which a node is drained
    most: Annotated[float, Field(gt=0, le=1)] = 0.1  # of all nodes that may be drained at a time
    costs: Costs = Costs()

    @property
    def seen(self) -> tuple[str, ...]:
        """Names of the features in their order."""
        return tuple(f.name for f in (*features_seen(self.templates), *telemetry_seen(self.telemetry)))

    @property
    def ahead(self) -> Ahead:
        """What it foretells."""
        return Ahead(self.lead, self.horizon)

    @property
    def rule(self) -> DrainRule:
        """How its risks become drains."""
        return DrainRule(np.inf if self.threshold is None else self.threshold, self.hold, self.most)


class Risk(Protocol):
    """A model of risk."""

    def risk(self, x: Floats) -> Floats:
        """Return the risk of each row of features (rows, features), higher for who fails sooner."""
        ...

    def arrays(self) -> Arrays:
        """Return it as plain arrays."""
        ...


@dataclass(frozen=True)
class Boosted:
    """Boosted trees: the logit of the probability is ``baseline`` and the sum over the trees."""

    trees: Trees
    baseline: float

    def risk(self, x: Floats) -> Floats:
        """Return the probability of a failure ahead."""
        return np.asarray(expit(self.baseline + self.trees.sums(x)))

    def arrays(self) -> Arrays:
        """Return it as plain arrays."""
        return self.trees.arrays() | {"baseline": np.array(self.baseline)}


@dataclass(frozen=True)
class Isolation:
    """Random trees of which the leaves say how deep a row ended: what is strange ends early.

    Liu, Ting and Zhou, "Isolation forest", ICDM 2008: the score is 2^(-E(depth) / c); ``usual`` is c times the trees.
    Unknown features count as ``unknown`` says, float64[features].
    """

    trees: Trees
    usual: float
    unknown: Floats

    def risk(self, x: Floats) -> Floats:
        """Return how strange each row is, 0..1."""
        known = np.where(np.isnan(x), self.unknown, x)
        known = known.astype(np.float32).astype(np.float64)  # as the trees were grown
        return np.asarray(np.exp2(-self.trees.sums(known) / self.usual))

    def arrays(self) -> Arrays:
        """Return it as plain arrays."""
        return self.trees.arrays() | {"usual": np.array(self.usual), "unknown": self.unknown}


@dataclass(frozen=True)
class Weibull:
    """The survival model of :mod:`hpcai.faults.detection.hazard`."""

    hazard: Hazard
    names: tuple[str, ...]
    ahead: Ahead

    def risk(self, x: Floats) -> Floats:
        """Return the probability of a failure ahead."""
        return self.hazard.risk(x, self.names, self.ahead.lead, self.ahead.horizon)

    def arrays(self) -> Arrays:
        """Return it as plain arrays."""
        numbers = np.r_[self.hazard.shape, self.hazard.log_scale, self.hazard.coefficients]
        return {"weibull": numbers}


@dataclass(frozen=True)
class ByFeature:
    """A rule of thumb: the risk is a feature, or less the larger that is."""

    place: int | None  # of the feature; None: always the same
    sign: float = 1.0
    unknown: float = 0.0

    def risk(self, x: Floats) -> Floats:
        """Return the feature with its sign."""
        if self.place is None:
            return np.zeros(len(x))
        return np.asarray(self.sign * np.nan_to_num(x[:, self.place], nan=self.unknown))

    def arrays(self) -> Arrays:
        """Return nothing: its kind says all."""
        return {}


def rule_of_thumb(kind: Kind, names: tuple[str, ...]) -> ByFeature:
    """Return the rule ``count`` (failures of the last 30 days), ``last`` (time since the last) or ``base`` (none)."""
    if kind == "count":
        return ByFeature(names.index("failures_30d"))
    return ByFeature(names.index("since_last"), -1.0) if kind == "last" else ByFeature(None)


@dataclass(frozen=True)
class Detector:
    """A model of risk, and what is to be known of it."""

    meta: DetectorMeta
    model: Risk

    def risk(self, x: Floats) -> Floats:
        """Return the risk of each row of features, float64[rows]. Raises InputError if these are not its features."""
        if x.shape[1] != len(self.meta.seen):
            raise InputError(f"detector: expected {len(self.meta.seen)} features, found {x.shape[1]}")
        return self.model.risk(x)

    def packed(self) -> bytes:
        """Return the file that :func:`load_detector` reads."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {"meta": np.array(self.meta.model_dump_json()), **self.model.arrays()}
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()


def load_detector(path: str | Path) -> Detector:
    """Return the detector in a file. Raises InputError if it holds none of this version."""
    where = f"detector {path}"
    try:
        arrays = read_arrays(path)
        fields = json.loads(str(arrays["meta"]))
    except (ValueError, KeyError, RecursionError) as error:
        raise InputError(f"{where}: not a detector's .npz file of plain arrays") from error
    found = fields.get("schema_name") if isinstance(fields, dict) else None
    if found != SCHEMA:
        raise InputError(f"{where}: expected schema {SCHEMA!r}, found {found!r}; another version wrote it")
    try:
        meta = DetectorMeta.model_validate(fields)
        return Detector(meta, _model(meta, arrays))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{where}: damaged: {error}") from error


def _model(meta: DetectorMeta, arrays: Arrays) -> Risk:
    names = meta.seen
    if meta.kind == "boosting":
        return Boosted(Trees.of_arrays(arrays, len(names)), _number(arrays, "baseline"))
    if meta.kind == "isolation":
        unknown = arrays["unknown"].astype(np.float64)
        usual = _number(arrays, "usual")
        if unknown.shape != (len(names),) or not usual > 0:
            raise ValueError("usual or unknown is not what it has to be")
        return Isolation(Trees.of_arrays(arrays, len(names)), usual, unknown)
    if meta.kind == "weibull":
        numbers = arrays["weibull"].astype(np.float64)
        if numbers.shape != (2 + len(COVARIATES),) or not np.isfinite(numbers).all() or numbers[0] <= 0:
            raise ValueError("weibull is not what it has to be")
        return Weibull(Hazard(float(numbers[0]), float(numbers[1]), numbers[2:]), names, meta.ahead)
    return rule_of_thumb(meta.kind, names)


def _number(arrays: Arrays, name: str) -> float:
    value = float(arrays[name])
    if not np.isfinite(value):
        raise ValueError(f"{name} is not a number")
    return value
