"""What a decision log remembers: Slurm as it was at each look, and what was decided then.

Records of kind ``node``, ``partition``, ``job`` and ``ended`` say what has changed of one thing; ``poll`` and ``cycle``
begin and end a look. What lasts (:meth:`hpcai.live.decision_log.DecisionLog.write_lasting`) are the names of what the
poll told, the orders, the changes, and the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from hpcai.errors import InputError
from hpcai.live.decision_log import LASTING, DecisionLog, Record
from hpcai.live.slurm.client import Before, Job, Node, PartitionSeen, Poll
from hpcai.live.slurm.cycle import Cycle
from hpcai.live.state import REMEMBERED
from hpcai.records.readers._table import canonical
from hpcai.records.schema import JOB_COLUMNS, Column

_SELDOM_NEW: Final = ("strange", "immovable")
_PLAN: Final = ("site", "wanted", "order", "changes")
"""Fields of a cycle, and of its plan, that last."""


def recent(jobs: pd.DataFrame) -> pd.DataFrame:
    """Return the jobs that ended last, in the order of their ends."""
    return jobs.sort_values(["end", "job_id"], kind="stable").tail(REMEMBERED).reset_index(drop=True)


def note_poll(log: DecisionLog, poll: Poll) -> None:
    """Write what is known into the log, as far as it is new."""
    things: dict[str, Sequence[Job | Node | PartitionSeen]] = {
        "node": poll.nodes,
        "partition": poll.partitions,
        "job": poll.jobs,
    }
    for node in poll.nodes:
        log.write_changed("node", node.name, _fields(node) | {"states": sorted(node.states)})
    for partition in poll.partitions:
        log.write_changed("partition", partition.name, _fields(partition))
    for job in poll.jobs:
        log.write_changed("job", job.id, _fields(job))
    names = {kind: [_name(thing) for thing in each] for kind, each in things.items()}
    for kind, present in names.items():
        log.forget(kind, set(present))
    lasting = {f"{kind}s": present for kind, present in names.items()}
    log.write_lasting("poll", lasting, at=poll.at, source=poll.source)


def note_past(log: DecisionLog, past: pd.DataFrame) -> None:
    """Write the jobs that have ended into the log, as far as they are new."""
    for row in past.to_dict("records"):
        log.write_changed("ended", row["job_id"], {str(k): None if v != v else v for k, v in row.items()})


def note_ledger(log: DecisionLog, before: Mapping[str, Before]) -> None:
    """Write what the ledger knows before a plan is made, if that is not what it knew after the last cycle."""
    log.write_lasting("ledger", _ledger(before))


def note_cycle(log: DecisionLog, cycle: Cycle, mode: str, digest: str, before: Mapping[str, Before]) -> None:
    """Write a cycle into the log; ``before`` is what the ledger knows after it."""
    fields = {key: value for key, value in vars(cycle).items() if key not in ("plan", *_SELDOM_NEW)}
    fields["seconds"] = {name: round(value, 6) for name, value in cycle.seconds.items()}
    lasting = {key: value for key, value in vars(cycle).items() if key in _SELDOM_NEW} | _ledger(before)
    if cycle.plan is not None:
        fields["held_back"] = cycle.plan.held_back
        lasting |= {name: getattr(cycle.plan, name) for name in _PLAN}
    log.write_lasting("cycle", lasting, mode=mode, digest=digest, **fields)


def _ledger(before: Mapping[str, Before]) -> dict[str, Any]:
    return {"ledger": {job: list(earlier) for job, earlier in before.items()}}


def _fields(thing: Job | Node | PartitionSeen) -> dict[str, Any]:
    return {field.name: getattr(thing, field.name) for field in fields(thing)}


def _name(thing: Job | Node | PartitionSeen) -> str:
    return thing.id if isinstance(thing, Job) else thing.name


class Decision(BaseModel):
    """What was decided at a look, as :class:`hpcai.live.slurm.cycle.Cycle` and its plan.

    ``held_back`` is None if there was no plan; the orders are then empty.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    at: float
    mode: str
    digest: str  # of the bundle
    origin: float | None
    waiting: int
    scope: int
    fallback: str
    written: tuple[str, ...]
    failed: dict[str, str]
    restored: tuple[str, ...]
    seconds: dict[str, float]
    strange: dict[str, float]
    immovable: tuple[str, ...] = ()  # jobs of the scope that the plan left alone
    held_back: int | None = None
    site: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    changes: dict[str, int] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _orders_of_the_same_jobs(self) -> Decision:
        if not sorted(self.site) == sorted(self.wanted) == sorted(self.order):
            raise ValueError("site, wanted and order: expected orders of the same jobs")
        return self

    @property
    def planned(self) -> bool:
        """Whether the policy gave an order."""
        return self.held_back is not None


@dataclass(frozen=True)
class Moment:
    """One look: what was known, and what was decided.

    ``config`` is the adapter's, ``before`` what its ledger knew when the plan was made.
    """

    poll: Poll
    cycle: Decision
    config: Mapping[str, Any]
    past: pd.DataFrame | None
    before: Mapping[str, Before]


def moments(records: Iterable[Record]) -> Iterator[Moment]:
    """Yield every look of a log. Raises InputError if a record is not as this version writes it."""
    memory = _Memory()
    for number, record in enumerate(records, 1):
        try:
            moment = memory.take(dict(record))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"]))
            raise InputError(f"decision log, record {number}, {record['kind']}: {key}: {first['msg']}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"decision log, record {number}: {type(error).__name__}: {error}") from error
        if moment is not None:
            yield moment


_NAMES: Final = TypeAdapter(tuple[str, ...])
_CONFIG: Final = TypeAdapter(dict[str, Any])
_LEDGER: Final = TypeAdapter(dict[str, Before])
_KINDS: Final[Mapping[str, TypeAdapter[Any]]] = {
    "job": TypeAdapter(Job),
    "node": TypeAdapter(Node),
    "partition": TypeAdapter(PartitionSeen),
    "ended": TypeAdapter(dict[str, Any]),
}


class _Memory:
    """Things as they were when last written."""

    def __init__(self) -> None:
        self._told: dict[str, dict[str, Record]] = {kind: {} for kind in _KINDS}
        self._things: dict[str, dict[str, Any]] = {kind: {} for kind in _KINDS}
        self._lasting: Record = {}
        self._poll: Poll | None = None
        self._config: Mapping[str, Any] = {}
        self._before: dict[str, Before] = {}
        self._put_back: set[str] = set()  # since the last cycle

    def take(self, record: Record) -> Moment | None:
        """Take in a record; return a look if this one ends it."""
        kind = record.pop("kind")
        if kind in _KINDS:
            key = record.pop("key")
            self._told[kind][key] = self._told[kind].get(key, {}) | record
            self._things[kind][key] = _KINDS[kind].validate_python(self._told[kind][key])
        elif kind == "start":
            self._config = _CONFIG.validate_python(record["config"])
        elif kind == "restored":
            self._put_back |= set(_NAMES.validate_python(record["jobs"]))
        elif kind == "poll":
            self._lasting |= record
            self._poll = self._as_polled(record)
            known = self._ledger()
            self._before = {job: known[job] for job in known.keys() - self._put_back}
        elif kind == "ledger":
            self._lasting |= record
            self._before = self._ledger()
        elif kind == LASTING:
            self._lasting |= record
        elif kind == "cycle":
            return self._end(record)
        return None

    def _ledger(self) -> dict[str, Before]:
        return _LEDGER.validate_python(self._lasting.get("ledger", {}))

    def _end(self, record: Record) -> Moment | None:
        self._lasting |= record
        self._put_back = set()
        known = [name for name in _SELDOM_NEW if name in self._lasting]
        lasting = {name: self._lasting[name] for name in (*known, *(_PLAN if "held_back" in record else ()))}
        cycle = Decision.model_validate(record | lasting)
        poll, self._poll = self._poll, None
        return Moment(poll, cycle, self._config, self._past(), self._before) if poll is not None else None

    def _as_polled(self, record: Record) -> Poll:
        present: dict[str, dict[str, Any]] = {}
        for kind in ("job", "node", "partition"):
            names = _NAMES.validate_python(self._lasting[f"{kind}s"])
            present[kind] = {name: self._things[kind][name] for name in names}
            self._things[kind] = present[kind]
            self._told[kind] = {name: self._told[kind][name] for name in present[kind]}
        jobs, nodes, partitions = (tuple(each.values()) for each in present.values())
        return Poll(float(record["at"]), str(record["source"]), jobs, nodes, partitions)

    def _past(self) -> pd.DataFrame | None:
        ended = self._things["ended"]
        if not ended:
            return None
        rows = list(ended.values())
        known = [column for column in JOB_COLUMNS if not column.later or all(column.name in row for row in rows)]
        return recent(canonical({column.name: _column(column, rows) for column in known}, np.arange(len(rows))))


def _column(column: Column, rows: Iterable[Record]) -> Any:
    """Return a column of the ended jobs, unknown numbers as nan."""
    values = [row[column.name] for row in rows]
    return np.array(values, dtype=object if column.dtype in ("str", "category") else column.dtype)
