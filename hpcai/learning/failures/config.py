"""A detector to be learned and judged, as data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hpcai.configuration import Source, one_or_many, read_mapping, seconds_in, validated
from hpcai.faults.detection.detector import Costs, Kind

KINDS: Final[tuple[Kind, ...]] = ("boosting", "weibull", "isolation", "count", "last", "base")
PROBABILITIES: Final = ("boosting", "weibull")
"""Kinds whose risk is a probability; of the others only the order counts."""
_SUFFIXES: Final = (".yaml", ".yml")


def _time(value: Any) -> Any:
    """Let '6h' or '2d' stand for seconds."""
    seconds = seconds_in(value) if isinstance(value, str) else None
    return value if seconds is None else seconds


def _text(value: Any) -> Any:
    return [str(each) for each in one_or_many(value)]


Seconds = Annotated[float, BeforeValidator(_time), Field(gt=0, allow_inf_nan=False)]
Names = Annotated[tuple[str, ...], BeforeValidator(_text)]
Share = Annotated[float, Field(gt=0, lt=1)]


class DetectionConfig(BaseModel):
    """What is foretold, from what, and how it is judged; times in s, or as 6h, 2d.

    At each ``step`` every node that is up is asked about: does it fail after ``lead``, within ``horizon``? Models
    learn on the first part of the time, thresholds are chosen on the second, results are of the third (``parts``). Of
    the nodes a share ``unseen`` is kept out of the first two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = ""
    log: Source
    format: str | None = None
    options: dict[str, Any] = {}  # of the format's reader
    only: Names = ()  # part of the log, as COLUMN=VALUE[,VALUE]; all of it by default
    since: str | None = None  # date, or time such as 90d after the log's begin, from which on it is looked at
    until: str | None = None
    telemetry: Source | None = None
    failures: tuple[Literal["fatal", "degraded", "info"], ...] = ("fatal",)
    lead: Annotated[float, BeforeValidator(_time), Field(ge=0, allow_inf_nan=False)] = 3600.0
    horizon: Seconds = 86400.0
    step: Seconds = 21600.0
    parts: tuple[Share, Share, Share] = (0.5, 0.2, 0.3)
    unseen: Share = 0.3
    templates: Annotated[int, Field(ge=0)] = 20  # of messages, the most frequent
    models: Annotated[tuple[Kind, ...], Field(min_length=1)] = KINDS
    chosen: Kind | Literal["best"] = "best"  # the one that is kept; best: by average precision on the second part
    rounds: Annotated[int, Field(ge=1)] = 200  # of boosting, at most
    costs: Costs = Costs()
    hold: Seconds | None = None  # of a drain; lead and horizon by default
    most: Annotated[float, Field(gt=0, le=1)] = 0.1  # of the nodes that may be drained at a time
    resamples: Annotated[int, Field(ge=100)] = 500
    seed: int = 0
    out: Source = "runs/detection"

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if abs(sum(self.parts) - 1) > 1e-9:
            raise ValueError(f"parts: expected shares that add up to 1, found {sum(self.parts):g}")
        if self.chosen not in ("best", *self.models):
            raise ValueError(f"chosen: expected one of {', '.join(self.models)}, found {self.chosen!r}")
        return self

    @property
    def reach(self) -> float:
        """How far it looks ahead, s."""
        return self.lead + self.horizon

    @property
    def holds(self) -> float:
        """How long a drain lasts, s."""
        return self.reach if self.hold is None else self.hold


def load_detection_config(source: str | Path, given: Mapping[str, Any]) -> DetectionConfig:
    """Return the configuration in a YAML file, or of a log alone, with ``given`` laid over it. Raises InputError."""
    fields = read_mapping(source) if str(source).endswith(_SUFFIXES) else {"log": str(source)}
    return validated(DetectionConfig, fields | dict(given), str(source))
