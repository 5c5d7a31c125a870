"""A discipline as data: who is next, who yields to whom, what tenants may have, what stopping costs."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpcai.configuration import Weights

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Gpus = Annotated[float, Field(ge=0)]

ORDERS: Final = (
    "static",  # a formula over what is known at submission: fifo, sjf, saf, expr:...
    "srtf",  # shortest remaining time first
    "las",  # Tiresias: discretised two-dimensional attained service (GPU-seconds), then first come
    "themis",  # finish-time fairness: whoever is served worst against running alone on a fair share
    "multifactor",  # Slurm's priority/multifactor
    "drf",  # dominant resource fairness among tenants
    "fair-share",  # tenants by decayed use
    "round-robin",  # Gandiva's time slices: least recently served first
)
Preemption = Literal["none", "class", "order"]
Victims = Literal["lowest-priority", "latest-start", "least-lost", "by-node", "learned"]
Drain = Literal["at-once", "deadline", "staggered"]
Backfill = Literal["none", "easy", "conservative"]
PREEMPTIONS, VICTIMS, DRAINS = get_args(Preemption), get_args(Victims), get_args(Drain)
BACKFILLS = get_args(Backfill)
PLACE, PREEMPT = 1, 2
"""Bits of decisions that may be left to the caller: where a job that fits goes; who makes way for one that does not."""
VICTIM_FEATURES: Final = (
    "lost",  # work that would have to be done again, h of running
    "age",  # h since its latest start
    "gpus",  # GPUs it holds / GPUs of the node that has most
    "surplus",  # GPUs it holds beyond what is missing / GPUs it holds
    "nodes",  # nodes it is on / pods
    "left",  # h it is expected to run on
    "saves",  # 1 if it writes a checkpoint when told to stop
    "stops",  # how often it was stopped before
    "class",  # 0 preemptible, 1 normal
)


class Quota(BaseModel):
    """What a tenant may have: ``gpus`` guaranteed, ``borrow`` more while others of its cohort leave theirs unused.

    Either in all or by GPU kind. Of kinds that are not named none are guaranteed, and any number may be borrowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gpus: Gpus | dict[str, Gpus]
    borrow: Gpus | dict[str, Gpus] = float("inf")
    cohort: str = ""

    @property
    def by_kind(self) -> bool:
        """Whether it is one for each GPU kind."""
        return isinstance(self.gpus, dict) or isinstance(self.borrow, dict)

    @property
    def total(self) -> float:
        """GPUs guaranteed, of all kinds."""
        return sum(self.gpus.values()) if isinstance(self.gpus, dict) else self.gpus

    @property
    def kinds(self) -> set[str]:
        """The GPU kinds that it names."""
        return {kind for part in (self.gpus, self.borrow) if isinstance(part, dict) for kind in part}

    def of(self, kind: str) -> tuple[float, float]:
        """Return the GPUs of a kind that are guaranteed, and how many more may be borrowed."""
        gpus = self.gpus.get(kind, 0.0) if isinstance(self.gpus, dict) else self.gpus
        return gpus, self.borrow.get(kind, float("inf")) if isinstance(self.borrow, dict) else self.borrow


class Discipline(BaseModel):
    """Everything that decides a schedule on a GPU cluster once jobs and machine are given (docs/gpu-cluster.md)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order: str = "fifo"  # fifo, an ordering of hpcai.scheduling.orderings, expr:..., or one of ORDERS
    queueing: Literal["strict", "best-effort"] = "best-effort"  # whether who does not fit holds up who is behind
    patience: Annotated[float, Field(ge=0)] = float("inf")  # s of waiting after which it does so in any case
    backfill: Backfill = "none"  # for whom a place is kept who holds up others, so that they may start beside it
    placement: str = "pack"
    placement_weights: Weights = Field(default_factory=dict)  # of learned and learned-gang
    preemption: Preemption = "class"
    victims: Victims = "lowest-priority"
    victim_weights: Weights = Field(default_factory=dict)  # of VICTIM_FEATURES, for learned
    quantum: Seconds = 0.0  # s that a job runs before another may take its place by order
    margin: Seconds = 0.0  # by how much the order must differ for that, in its own unit
    tick: Seconds = 0.0  # s between looks at an order that changes with time; 0: at events only
    grace: Seconds = 30.0  # s from the signal to the kill
    restart: Seconds = 60.0  # s until a stopped job works again once it has been started
    storage_gbyte_s: Annotated[float, Field(gt=0)] = float("inf")  # GB/s into which all checkpoints are written
    saves: Literal["recorded", "all"] = "recorded"  # who writes a checkpoint when told to stop: as the log says, or all
    requeue: Literal["front", "back"] = "front"  # at its old place, or as if submitted anew
    checkpoint: Annotated[float, Field(gt=0)] = 3600.0  # s between checkpoints where the log does not say
    drain: Drain = "at-once"
    drain_bound: Seconds = 1800.0  # s from the submission of a grand challenge to the full machine
    elastic: bool = True  # jobs that can are shrunk before others are stopped, and grown into idle GPUs
    resize: Seconds = 30.0  # s that a change of size takes
    resize_interval: Seconds = 600.0  # s between growths of one job
    quotas: dict[str, Quota] = Field(default_factory=dict)  # by tenant; empty: none
    default_quota: Quota = Quota(gpus=0)  # of tenants that are not named, where there are quotas
    reclaim: bool = True  # whether a tenant within its quota takes back what others borrowed
    shares: dict[str, float] = Field(default_factory=dict)  # of tenants, for fair-share; 1 where not named
    half_life: Annotated[float, Field(gt=0)] = 7 * 86400.0  # s; of a tenant's use
    thresholds: tuple[float, ...] = (3600.0, 36000.0)  # GPU-s between the levels of las, ascending
    parameters: dict[str, float] = Field(default_factory=dict)  # weights of multifactor; constants of a formula
    share_gpus: bool = False  # Gandiva's packing: single-GPU jobs may share a GPU in twos
    shared_speed: Annotated[float, Field(gt=0, le=1)] = 0.85  # of each of two jobs on one GPU
    contention: bool = True  # whether jobs that share links slow each other down
    isolation: bool = False  # whether each has its part of every link to itself
    communication: bool = True  # whether the network counts at all

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        unknown = [name for name in self.victim_weights if name not in VICTIM_FEATURES]
        if unknown:
            raise ValueError(f"victim_weights: unknown {unknown[0]!r}; expected some of {', '.join(VICTIM_FEATURES)}")
        if list(self.thresholds) != sorted(self.thresholds):
            raise ValueError(f"thresholds: found {self.thresholds}, expected them ascending")
        if any(not share > 0 for share in self.shares.values()):
            raise ValueError("shares: expected numbers above 0")
        return self

    @model_validator(mode="after")
    def _quotas_are_alike(self) -> Self:
        given = [quota.gpus for quota in (*self.quotas.values(), self.default_quota)]
        if self.quotas_by_kind and any(not isinstance(gpus, dict) and gpus > 0 for gpus in given):
            raise ValueError("quotas: expected GPUs by kind of all tenants, or of none")
        return self

    @model_validator(mode="after")
    def _somebody_is_held_up(self) -> Self:
        if self.backfill != "none" and self.queueing != "strict" and np.isinf(self.patience):
            raise ValueError(f"backfill {self.backfill!r}: nobody is held up; expected queueing strict or a patience")
        if self.backfill != "none" and self.preemption == "order":
            raise ValueError(f"backfill: found {self.backfill!r}, expected none where an order pre-empts")
        return self

    @property
    def has_quotas(self) -> bool:
        """Whether tenants have quotas."""
        default = self.default_quota.gpus
        return bool(self.quotas) or isinstance(default, dict) or default > 0

    @property
    def quotas_by_kind(self) -> bool:
        """Whether quotas are by GPU kind."""
        return any(quota.by_kind for quota in (*self.quotas.values(), self.default_quota))


RULES = np.dtype(
    [
        ("order", "i8"),
        ("first_come", "b1"),  # a static order that is nothing but the time of submission
        ("strict", "b1"),
        ("patience", "f8"),
        ("backfill", "i8"),
        ("preemption", "i8"),
        ("victims", "i8"),
        ("quantum", "f8"),
        ("margin", "f8"),
        ("tick", "f8"),
        ("grace", "f8"),
        ("restart", "f8"),
        ("bandwidth", "f8"),  # B/s
        ("back", "b1"),
        ("drain", "i8"),
        ("drain_bound", "f8"),
        ("elastic", "b1"),
        ("resize", "f8"),
        ("resize_interval", "f8"),
        ("quotas", "b1"),
        ("reclaim", "b1"),
        ("half_life", "f8"),
        ("shared_speed", "f8"),
        ("contention", "b1"),
        ("isolation", "b1"),
        ("communication", "b1"),
        ("external", "i8"),  # PLACE, PREEMPT or both: what is left to the caller
    ],
    align=True,
)


def rules_of(discipline: Discipline, external: int = 0) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """Return a discipline's settings for compiled code, RULES (1,)."""
    d = discipline
    rules = np.zeros(1, dtype=RULES)
    values = {
        "order": ORDERS.index(d.order) if d.order in ORDERS else 0,
        "first_come": d.order in ("fifo", "fcfs"),
        "strict": d.queueing == "strict",
        "backfill": BACKFILLS.index(d.backfill),
        "preemption": PREEMPTIONS.index(d.preemption),
        "victims": VICTIMS.index(d.victims),
        "bandwidth": d.storage_gbyte_s * 1e9,
        "back": d.requeue == "back",
        "drain": DRAINS.index(d.drain),
        "quotas": d.has_quotas,
        "external": external,
    }
    for name in RULES.names or ():
        rules[0][name] = values[name] if name in values else getattr(d, name)
    return rules
