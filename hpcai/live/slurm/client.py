"""What every way to talk to Slurm offers: to say how things stand, and to take an order of the waiting jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from hpcai.errors import HpcaiError

How = Literal["site_factor", "nice", "priority"]
"""What is written of a job.

A site factor or a nice value moves the priority that Slurm computes, which needs priority/multifactor with a weight
above 0 (nice also works under priority/basic). A priority replaces what Slurm computes until ``scontrol release``,
and takes the job's nice value away.
"""


class SchedulerGoneError(HpcaiError):
    """The scheduler did not answer, or not in time; it may when asked again."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as Slurm knows it; what is pending of an array is one job under the array's id."""

    id: str  # '12', or '9_3' for one task of an array
    number: int  # Slurm's own for it; that of a task may be another than the array's
    user: str
    account: str
    partition: str  # several, separated by ',', while it waits for any of them
    qos: str
    state: str  # as Slurm says: PENDING, RUNNING, COMPLETING
    reason: str  # why it waits: Priority, Resources, Dependency; 'None' if that was not looked at yet
    submit: float  # Unix time, as all times
    eligible: float | None  # None: not yet known
    start: float | None  # None: it has not started
    time_limit: float | None  # s; None: unlimited
    cpus: int  # over all nodes, as all amounts: allocated if it runs, else requested
    nodes: int
    gpus: float
    gpu_kind: str  # '' if any
    memory: float | None  # bytes; None: not counted
    exclusive: bool  # shares its nodes with nobody
    node_names: tuple[str, ...]  # where it runs
    gpu_indices: tuple[tuple[int, ...], ...]  # on each of these nodes; () if not known
    priority: int
    nice: int
    site_factor: int | None  # None: not visible
    array_id: str  # '' if it is not of an array
    array_tasks: str  # '3', or '4-10%2' for what is pending

    @property
    def waits_since(self) -> float:
        """When it became eligible, or was submitted if that is not known yet."""
        return self.submit if self.eligible is None else self.eligible


@dataclass(frozen=True, slots=True)
class Node:
    """A node as Slurm knows it."""

    name: str
    states: frozenset[str]  # IDLE, MIXED, ALLOCATED, DOWN, and DRAIN, MAINTENANCE, NOT_RESPONDING and so on
    cpus: int
    memory: float  # bytes
    gpus: int
    gpu_kind: str
    partitions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PartitionSeen:
    """A partition as Slurm knows it."""

    name: str
    nodes: str  # a node list such as n[1-4]
    max_time: float | None  # s; None: unlimited
    priority: int  # PriorityJobFactor


@dataclass(frozen=True)
class Poll:
    """Slurm at one moment."""

    at: float  # Unix time
    source: str  # who said so, for the log: 'text', 'json', 'rest v0.0.38'
    jobs: tuple[Job, ...]  # those that have not ended
    nodes: tuple[Node, ...]
    partitions: tuple[PartitionSeen, ...]


@dataclass(frozen=True)
class Written:
    """Which changes Slurm took, and why not the others (a job that ended meanwhile is no error)."""

    accepted: tuple[str, ...]
    failed: Mapping[str, str] = field(default_factory=dict)  # job id: reason


class Before(NamedTuple):
    """What a job had before it was changed: the value that was written over, its nice value; and what was written."""

    value: int
    nice: int
    written: int


class SlurmClient(Protocol):
    """A way to talk to Slurm."""

    @property
    def how(self) -> How:
        """What :meth:`write` changes."""
        ...

    def poll(self) -> Poll:
        """Return how things stand. Raises SchedulerGoneError if there is no answer."""
        ...

    def write(self, changes: Mapping[str, int]) -> Written:
        """Give each job (by its id) a value of ``how``. Raises SchedulerGoneError if there is no answer."""
        ...

    def put_back(self, before: Mapping[str, Before]) -> Written:
        """Give each job what it had before. Raises SchedulerGoneError if there is no answer."""
        ...


def present_value(job: Job, how: How) -> int:
    """Return what ``job`` has now of what would be written; writing it again takes a change back.

    A site factor that is not visible is taken for 0, as it is where no plug-in sets it.
    """
    return {"site_factor": job.site_factor or 0, "nice": job.nice, "priority": job.priority}[how]
