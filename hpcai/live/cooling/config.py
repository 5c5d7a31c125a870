"""What an adapter to a plant is asked to do, as data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from hpcai.configuration import Source, read_mapping, seconds_in, validated


def _time(value: Any) -> Any:
    """Let '10s', '5m' or '2h' stand for seconds."""
    seconds = seconds_in(value) if isinstance(value, str) else None
    return value if seconds is None else seconds


Seconds = Annotated[float, BeforeValidator(_time), Field(gt=0, allow_inf_nan=False)]
Positive = Annotated[int, Field(ge=1)]


class CoolingAdapterConfig(BaseModel):
    """An adapter to a plant. ``mode`` shadow writes nothing and says what it would have done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: Source
    digest: str | None = None
    points: Source  # the point map
    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 502
    mode: Literal["shadow", "act"] = "shadow"
    poll: Seconds = 5.0  # from one cycle to the next: reading, checks, heartbeat, setpoints under way
    interval: Seconds | None = None  # from one decision to the next; None: as the bundle says, or 15 min
    calm: Positive = 12  # good cycles before setpoints are written, at the start and after each fallback
    frozen: Positive = 240  # cycles after which a sensor that does not move is not believed, while others do
    strange: Annotated[float, Field(ge=0, le=1)] = (
        0.25  # share of features unlike the training from which on to fall back
    )
    timeout: Seconds = 2.0  # of each answer of the plant
    answer: Seconds = 5.0  # of the policy
    stall: Seconds | None = None  # standstill of our own after which the plant is handed back; None: 4 polls
    farthest: Seconds = 60.0  # from one attempt to reconnect to the next, at most
    forecast: Source | None = None  # weather to come; None: it stays
    rate: Source | None = None  # price or carbon intensity, for a controller that learned with one
    shield: Source | None = None  # a preset or file of the fast plant that is like the site; None: no shield
    shield_limit: Annotated[float, Field(gt=10, lt=50)] = 27.0  # °C at the inlets
    utc_offset: float | None = None  # h, of local standard time; None: the system's
    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = None  # of Prometheus metrics; None: none
    metrics_host: str = "127.0.0.1"
    state: Source = "hpcai-cooling"  # folder of the decision log, the mark of who is in control, and STOP
    log_bytes: Positive = 50_000_000
    log_files: Positive = 14

    @property
    def log_path(self) -> Path:
        """The decision log."""
        return Path(self.state) / "decisions.jsonl"

    @property
    def mark(self) -> Path:
        """The file that is there while the plant has not got its setpoints back."""
        return Path(self.state) / "in-control"

    @property
    def kill_switch(self) -> Path:
        """The file that ends all acting while it is there."""
        return Path(self.state) / "STOP"


def load_cooling_config(path: str | None, overrides: Mapping[str, Any]) -> CoolingAdapterConfig:
    """Return the configuration in a YAML file, or none, with ``overrides`` laid over it. Raises InputError."""
    fields = read_mapping(path) if path is not None else {}
    return validated(CoolingAdapterConfig, fields | dict(overrides), path or "live cooling")
