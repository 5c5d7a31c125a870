"""What an adapter that drains nodes of Slurm is asked to do, as data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hpcai.configuration import Source, read_mapping, validated
from hpcai.live.slurm.client import Node
from hpcai.live.slurm.config import Names, Positive, Seconds, Share


class DrainConfig(BaseModel):
    """An adapter that drains nodes. ``mode`` shadow writes nothing and says what it would drain.

    ``events``: ``accounting``, or files: system logs with Xid lines, or any failure log that hpcai reads. ``budget``:
    most nodes that it holds at a time; by default the bundle's share of the nodes in scope. ``strange``: share of the
    nodes beyond the range of the training from which on nothing is drained.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: Source
    digest: str | None = None
    mode: Literal["shadow", "act"] = "shadow"
    events: Names = ("accounting",)
    telemetry: Source | None = None  # table that somebody keeps writing, for a detector that looks at it
    history: Seconds = 180 * 86400.0  # how far events are looked back on
    interval: Seconds = 600.0
    budget: Annotated[int, Field(ge=0)] | None = None
    hold: Seconds | None = None  # of a drain; by default as the bundle says
    partitions: Names = ()  # whose nodes may be drained; all by default
    exclude: Names = ()  # nodes that never are
    strange: Share = 0.25
    timeout: Seconds = 30.0  # of each answer of Slurm
    state: Source = "hpcai-drain"  # folder of the ledger, the decision log and STOP
    log_bytes: Positive = 50_000_000
    log_files: Positive = 14

    def holds(self, node: Node) -> bool:
        """Whether a node may be drained at all."""
        here = not self.partitions or bool(set(node.partitions) & set(self.partitions))
        return here and node.name not in self.exclude

    @property
    def log_path(self) -> Path:
        """The decision log."""
        return Path(self.state) / "decisions.jsonl"

    @property
    def ledger_path(self) -> Path:
        """The drains that stand."""
        return Path(self.state) / "drains.json"

    @property
    def kill_switch(self) -> Path:
        """The file at which every node is given back and none is drained, while it is there."""
        return Path(self.state) / "STOP"


def load_drain_config(path: str | None, overrides: Mapping[str, Any]) -> DrainConfig:
    """Return the configuration in a YAML file, or none, with ``overrides`` laid over it. Raises InputError."""
    fields = read_mapping(path) if path is not None else {}
    return validated(DrainConfig, fields | dict(overrides), path or "live slurm drain")
