"""The policy of a bundle of the domain checkpointing: how long a job should compute until its next checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpcai.configuration import validated
from hpcai.errors import InputError
from hpcai.faults.checkpoints.by_age import Hazard, Lazy, Renewal
from hpcai.faults.checkpoints.constant import ConstantRate, Fixed, TwoLevel
from hpcai.faults.checkpoints.cost import Storage
from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.observation import fresh_observation, note_fault, pass_time
from hpcai.faults.checkpoints.recent import Recent
from hpcai.faults.checkpoints.rule import CheckpointPolicy, rule_of
from hpcai.faults.lifetimes import Lifetime
from hpcai.live.bundle import Bundle
from hpcai.records.failures import FailureLog

Floats = NDArray[np.float64]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Kind = Literal["fixed", "young", "daly-first", "daly", "best", "two-level", "lazy", "hazard", "renewal", "recent"]

OWN_CHOICE: Final = "the interval that the job has of its own"
"""The fallback of every bundle of checkpointing."""


class JobCosts(BaseModel):
    """What checkpoints cost a job: fixed times (s), or bytes for each GPU over the bandwidth of the storage (B/s).

    ``writers`` jobs are taken to write at the same time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    write: NotNegative | None = None
    restart: NotNegative | None = None  # as long as writing by default
    down: NotNegative = 300.0  # from a fault to the restart
    bytes_of_gpu: Positive | None = None  # of a node where it has no GPUs
    shared: Positive | None = None
    node_link: Positive | None = None
    local: Positive | None = None
    writers: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.write is None) == (self.bytes_of_gpu is None):
            raise ValueError("costs: expected either write or bytes_of_gpu")
        if (self.bytes_of_gpu is None) != (self.shared is None):
            raise ValueError("costs: expected bytes_of_gpu and shared together")
        return self

    def job(self, nodes: int, gpus: float, others: int) -> CheckpointedJob:
        """Return the costs of a job on so many nodes and GPUs, beside ``others`` nodes of its machine."""
        write, local = self.write or 0.0, 0.0
        if self.bytes_of_gpu is not None and self.shared is not None:
            size = self.bytes_of_gpu * (gpus or nodes)
            storage = Storage(self.shared, self.node_link or np.inf, self.local or np.inf)
            write = storage.write_time(size, nodes, self.writers)
            local = storage.local_write_time(size, nodes) if self.local is not None else 0.0
        restart = write if self.restart is None else self.restart
        return CheckpointedJob(write, restart, self.down, nodes, local_write=local, local_restart=local, others=others)


class CheckpointParameters(BaseModel):
    """``policy`` of a manifest: the kind, and the numbers that it has; all of one node, times in s, rates in 1/s."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    costs: JobCosts
    interval: Positive | None = None
    every: Annotated[int, Field(ge=1)] | None = None
    mtbf: Positive | None = None
    shape: Positive | None = None
    local_mtbf: Positive | None = None
    global_mtbf: Positive | None = None
    lifetime: dict[str, Any] | None = None
    mean: Positive | None = None
    constant: Positive | None = None
    own: tuple[float, ...] | None = None
    other: tuple[float, ...] | None = None
    bends: tuple[float, ...] | None = None
    failures: tuple[Literal["fatal", "degraded", "info"], ...] = ("fatal",)

    def make(self) -> CheckpointPolicy:
        """Return the policy. Raises InputError if a number is missing, or one that the kind has no use for is given."""
        names = _NUMBERS[self.kind]
        for name in _ALL:
            if (getattr(self, name) is None) and name in names:
                raise InputError(f"{name}: required for the kind {self.kind}, not given")
            if (getattr(self, name) is not None) and name not in (*names, *_CHOICES.get(self.kind, ())):
                raise InputError(f"{name}: not one of the kind {self.kind}, which has {', '.join(names)}")
        given = {name: getattr(self, name) for name in _ALL if getattr(self, name) is not None}
        if "lifetime" in given:
            given["lifetime"] = Lifetime.from_data(given["lifetime"])
        try:
            return _MADE[self.kind](**given)
        except TypeError as error:
            raise InputError(str(error)) from error

    @property
    def node_mtbf(self) -> float:
        """The mean time between failures of a node that it goes by on average, s; inf where it knows of none."""
        if self.lifetime is not None:
            return Lifetime.from_data(self.lifetime).mean
        if self.mean is not None:
            return 1.0 / self.mean
        if self.local_mtbf is not None and self.global_mtbf is not None:
            return 1.0 / (1.0 / self.local_mtbf + 1.0 / self.global_mtbf)
        return float("inf") if self.mtbf is None else self.mtbf


_NUMBERS: Final[dict[str, tuple[str, ...]]] = {
    "fixed": ("interval",),
    **dict.fromkeys(("young", "daly-first", "daly", "best"), ("mtbf",)),
    "two-level": ("local_mtbf", "global_mtbf"),
    "lazy": ("mtbf", "shape"),
    "hazard": ("lifetime",),
    "renewal": ("lifetime",),
    "recent": ("mean", "constant", "own", "other"),
}
_CHOICES: Final = {"fixed": ("every",), "recent": ("bends",)}
_ALL: Final = tuple(dict.fromkeys(name for names in (*_NUMBERS.values(), *_CHOICES.values()) for name in names))
_MADE: Final[dict[str, Callable[..., CheckpointPolicy]]] = {
    "fixed": Fixed,
    "young": lambda mtbf: ConstantRate(mtbf, "young"),
    "daly-first": lambda mtbf: ConstantRate(mtbf, "daly-first"),
    "daly": lambda mtbf: ConstantRate(mtbf, "daly"),
    "best": lambda mtbf: ConstantRate(mtbf, "best"),
    "two-level": TwoLevel,
    "lazy": Lazy,
    "hazard": Hazard,
    "renewal": Renewal,
    "recent": Recent,
}


class Advisor:
    """A bundle's policy."""

    def __init__(self, bundle: Bundle) -> None:
        """Raises InputError if the bundle is of another domain or another version."""
        manifest, where = bundle.manifest, f"bundle {bundle.where}"
        if manifest.domain != "checkpointing":
            raise InputError(f"{where}: expected the domain checkpointing, found {manifest.domain}")
        self.bundle = bundle
        self.parameters = validated(CheckpointParameters, manifest.policy, f"{where}: policy")
        try:
            self.policy = self.parameters.make()
        except InputError as error:
            raise InputError(f"{where}: policy: {error}") from error

    def advise(self, log: FailureLog, nodes: tuple[str, ...], gpus: float, now: float) -> dict[str, Any]:
        """Return what a job on ``nodes`` of the log should do at ``now`` (s), as plain data.

        ``interval`` is the work (s) until its next checkpoint, None for never; ``every`` so many checkpoints one goes
        to the shared file system, the others to local disks.
        """
        job = self.parameters.costs.job(len(nodes), gpus, max(len(log.nodes) - len(nodes), 0))
        seen = observed(log, nodes, now, 1.0 / self.parameters.node_mtbf, self.parameters.failures)
        interval = self.policy.checkpoint_interval(job, seen)
        return {
            "interval": interval if np.isfinite(interval) else None,
            "every": rule_of(self.policy, job).every,
            "write": job.write,
            "mtbf": self.parameters.node_mtbf / len(nodes) if np.isfinite(self.parameters.node_mtbf) else None,
            "since_own_fault": float(seen[0]),
        }


def observed(
    log: FailureLog, nodes: tuple[str, ...], now: float, rate: float, failures: tuple[str, ...] = ("fatal",)
) -> Floats:
    """Return what is seen at ``now`` of the faults of a job's nodes and of the others, float64[OBSERVED].

    ``rate`` (1/s) is what is expected of a node before anything is seen.
    """
    others = max(len(log.nodes) - len(nodes), 0)
    seen = fresh_observation(rate * len(nodes), rate * others)
    events = log.events[log.events["severity"].isin(list(failures)) & (log.events["start"] <= now)]
    at = log.observed[0]
    for time, own in zip(events["start"].to_numpy(np.float64), events["node"].isin(nodes).to_numpy(), strict=True):
        pass_time(seen, max(float(time) - at, 0.0))
        note_fault(seen, bool(own))
        at = max(float(time), at)
    pass_time(seen, now - at)
    return seen
