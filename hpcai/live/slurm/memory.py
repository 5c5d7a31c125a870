"""What a decision log remembers: Slurm as it was at each look, and what was decided then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import pandas as pd

from hpcai.errors import InputError
from hpcai.live.decision_log import DecisionLog, Record
from hpcai.live.slurm.client import Before, Job, Node, PartitionSeen, Poll
from hpcai.live.slurm.cycle import Cycle
from hpcai.records.readers._table import canonical
from hpcai.records.schema import JOB_COLUMNS, Column

REMEMBERED: Final = 5_000
"""Jobs that have ended, of which a predictor is told."""


def recent(jobs: pd.DataFrame) -> pd.DataFrame:
    """Return the jobs that ended last, in the order of their ends."""
    return jobs.sort_values(["end", "job_id"], kind="stable").tail(REMEMBERED).reset_index(drop=True)


def note_poll(log: DecisionLog, poll: Poll) -> None:
    """Write what is known into the log, as far as it is new."""
    for node in poll.nodes:
        log.write_changed("node", node.name, _fields(node) | {"states": sorted(node.states)})
    for partition in poll.partitions:
        log.write_changed("partition", partition.name, _fields(partition))
    for job in poll.jobs:
        log.write_changed("job", job.id, _fields(job))
    log.forget("job", {job.id for job in poll.jobs})
    log.write("poll", at=poll.at, source=poll.source, jobs=[job.id for job in poll.jobs])


def note_past(log: DecisionLog, past: pd.DataFrame) -> None:
    """Write the jobs that have ended into the log, as far as they are new."""
    for row in past.to_dict("records"):
        log.write_changed("ended", row["job_id"], {str(k): None if v != v else v for k, v in row.items()})


def note_cycle(log: DecisionLog, cycle: Cycle, mode: str, digest: str, before: Mapping[str, Before]) -> None:
    """Write a cycle into the log; ``before`` is what the ledger knows after it."""
    fields = {key: value for key, value in vars(cycle).items() if key != "plan"}
    fields["seconds"] = {name: round(value, 6) for name, value in cycle.seconds.items()}
    if cycle.plan is not None:
        fields |= {
            "site": cycle.plan.site,
            "wanted": cycle.plan.wanted,
            "order": cycle.plan.order,
            "changes": cycle.plan.changes,
            "held_back": cycle.plan.held_back,
        }
    log.write("cycle", mode=mode, digest=digest, **fields)


def _fields(thing: Job | Node | PartitionSeen) -> dict[str, Any]:
    return {field.name: getattr(thing, field.name) for field in fields(thing)}


@dataclass(frozen=True)
class Moment:
    """One look: what was known, and the record of what was decided. ``config`` is the adapter's."""

    poll: Poll
    cycle: Record
    config: Mapping[str, Any]
    past: pd.DataFrame | None


def moments(records: Iterable[Record]) -> Iterator[Moment]:
    """Yield every look of a log. Raises InputError if a record is not as this version writes it."""
    memory = _Memory()
    for number, record in enumerate(records, 1):
        try:
            moment = memory.take(dict(record))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"decision log, record {number}: {type(error).__name__}: {error}") from error
        if moment is not None:
            yield moment


class _Memory:
    """Things as they were when last written."""

    def __init__(self) -> None:
        self._things: dict[str, dict[str, Record]] = {"job": {}, "node": {}, "partition": {}, "ended": {}}
        self._poll: Poll | None = None
        self._config: Mapping[str, Any] = {}

    def take(self, record: Record) -> Moment | None:
        """Take in a record; return a look if this one ends it."""
        kind = record.pop("kind")
        if kind in self._things:
            key = record.pop("key")
            self._things[kind][key] = self._things[kind].get(key, {}) | record
        elif kind == "start":
            self._config = record["config"]
        elif kind == "poll":
            self._poll = self._as_polled(record)
        elif kind == "cycle" and self._poll is not None:
            poll, self._poll = self._poll, None
            return Moment(poll, record, self._config, self._past())
        return None

    def _as_polled(self, record: Record) -> Poll:
        jobs, nodes, partitions = (self._things[kind] for kind in ("job", "node", "partition"))
        self._things["job"] = {name: jobs[name] for name in record["jobs"]}
        return Poll(
            at=record["at"],
            source=record["source"],
            jobs=tuple(_job(jobs[name]) for name in record["jobs"]),
            nodes=tuple(Node(**{**node, "states": frozenset(node["states"]), "partitions": tuple(node["partitions"])})
                        for node in nodes.values()),
            partitions=tuple(PartitionSeen(**partition) for partition in partitions.values()),
        )  # fmt: skip

    def _past(self) -> pd.DataFrame | None:
        ended = self._things["ended"]
        if not ended:
            return None
        return recent(
            canonical({column.name: _column(column, ended.values()) for column in JOB_COLUMNS}, np.arange(len(ended)))
        )


def _column(column: Column, rows: Iterable[Record]) -> Any:
    """Return a column of the ended jobs, unknown numbers as nan."""
    values = [row[column.name] for row in rows]
    return np.array(values, dtype=object if column.dtype in ("str", "category") else column.dtype)


def _job(record: Record) -> Job:
    places = {"node_names": tuple(record["node_names"]), "gpu_indices": tuple(map(tuple, record["gpu_indices"]))}
    return Job(**{**record, **places})
