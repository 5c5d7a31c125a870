"""What happened at one look of the adapter."""

from __future__ import annotations

from dataclasses import dataclass, field

from hpcai.live.slurm.plan import Plan


@dataclass
class Cycle:
    """What happened in one cycle. ``fallback`` is why the policy was not followed, '' if it was."""

    at: float
    origin: float | None = None  # Unix time of second 0
    waiting: int = 0
    scope: int = 0
    plan: Plan | None = None
    fallback: str = ""
    written: tuple[str, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    restored: tuple[str, ...] = ()
    immovable: tuple[str, ...] = ()  # jobs whose priority does not move by what is written, such as one set by hand
    strange: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
