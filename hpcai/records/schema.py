"""The canonical tables: which columns a record has, their units, dtypes and meaning.

Every reader returns these tables and every consumer takes them, so a log's own dialect ends here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from hpcai.cluster.spec import Machine

JOB_STATUSES: Final = (
    "completed",
    "failed",
    "cancelled",
    "timeout",
    "node_fail",
    "out_of_memory",
    "preempted",
    "running",
    "pending",
    "unknown",
)

JOB_KINDS: Final = ("batch", "gang", "elastic", "service", "array")
PRIORITY_CLASSES: Final = ("preemptible", "normal", "grand-challenge")  # in the column qos, lowest first


@dataclass(frozen=True)
class Column:
    """One column of a canonical table."""

    name: str
    dtype: str  # "float64" (nan: unknown), "int64" (0: unknown), "str" ("": unknown), "category" ("": unknown)
    unit: str
    meaning: str
    later: bool = False  # Parquet files and records of before it was added lack it


JOB_COLUMNS: Final = (
    Column("job_id", "str", "", "the log's own name for the job; array tasks keep their index, as in 519_2"),
    Column("submit", "float64", "s", "when it became eligible for the queue, counted from the trace's origin"),
    Column("start", "float64", "s", "when the recorded scheduler started it; nan if the log does not say"),
    Column("end", "float64", "s", "when it ended as recorded; nan if the log does not say"),
    Column("run_time", "float64", "s", "end - start as recorded; nan for a job that never ran"),
    Column("requested_time", "float64", "s", "the limit its user asked for; nan if none or unknown"),
    Column("processors", "int64", "", "processors (CPU cores) it occupies: allocated where known, else requested"),
    Column("requested_processors", "int64", "", "processors its user asked for"),
    Column("nodes", "int64", "", "nodes it spans: allocated where known, else requested"),
    Column("gpus", "float64", "", "GPUs it occupies over all its nodes; 0.46 is a share of one GPU; 0 none"),
    Column("gpu_kind", "category", "", "GPU models it may run on, separated by '|'; empty means any"),
    Column("memory", "float64", "B", "main memory it asked for over all its nodes; nan if unknown"),
    Column("user", "category", "", "who submitted it"),
    Column("group", "category", "", "the user's group or account"),
    Column("tenant", "category", "", "who shares the machine: virtual cluster, namespace or account"),
    Column("queue", "category", "", "queue it was submitted to"),
    Column("partition", "category", "", "partition it ran in"),
    Column("qos", "category", "", "quality of service or priority class, as PRIORITY_CLASSES"),
    Column("status", "category", "", "how it ended, one of JOB_STATUSES"),
    Column("preceding_job", "str", "", "job_id that had to end before this one was submitted (SWF field 17)"),
    Column("think_time", "float64", "s", "from that job's end to this one's submission (SWF field 18)"),
    Column("kind", "category", "", "one of JOB_KINDS; empty is taken for batch", later=True),
    Column("pods", "int64", "", "number of like pods it consists of; those of a gang start together", later=True),
    Column("min_gpus", "float64", "", "fewest GPUs with which an elastic job runs; nan: not elastic", later=True),
    Column("max_gpus", "float64", "", "most GPUs that an elastic job can use; nan: not elastic", later=True),
    Column("scaling", "float64", "", "parallel part p of Amdahl's law for its speed-up with GPUs", later=True),
    Column("model", "category", "", "network that it trains, as resnet50: how much it communicates", later=True),
    Column("checkpoint_interval", "float64", "s", "running time between its checkpoints; inf: never", later=True),
    Column("checkpoint_bytes", "float64", "B", "size of one of its checkpoints", later=True),
    Column("on_signal", "int64", "", "1 if it writes a checkpoint when told to stop, within the grace", later=True),
    Column("busy", "float64", "", "part of its time in which its GPUs are in use; nan is taken for 1", later=True),
    Column("power", "float64", "W", "mean power that it drew over all its nodes; nan if not measured", later=True),
)


def unknown(column: Column, n: int) -> Any:
    """Return ``n`` times the 'unknown' value of ``column``, in its canonical dtype."""
    if column.dtype == "float64":
        return np.full(n, 0.0 if column.name == "gpus" else np.nan)
    if column.dtype == "int64":
        return np.zeros(n, dtype=np.int64)
    if column.dtype == "str":
        return pd.array(pa.repeat("", n), dtype="str")
    names = ["unknown" if column.name == "status" else ""] if n else []
    return pd.Categorical.from_codes(np.zeros(n, dtype=np.int8), pd.Index(names, dtype="str"))


def empty_jobs(n: int) -> pd.DataFrame:
    """Return a jobs table of ``n`` rows with every column at its 'unknown' value and canonical dtype."""
    return pd.DataFrame({column.name: unknown(column, n) for column in JOB_COLUMNS})


@dataclass
class BadRows:
    """Rows that a reader kept out, by reason: how many, and the first line numbers (1-based)."""

    FIRST: ClassVar[int] = 5
    count: dict[str, int] = field(default_factory=dict)
    first_lines: dict[str, list[int]] = field(default_factory=dict)

    def add(self, reason: str, lines: Sequence[int] | np.ndarray[Any, np.dtype[np.int64]]) -> None:
        """Count ``lines`` (1-based line or record numbers, ascending) as bad for ``reason``."""
        if len(lines) == 0:
            return
        self.count[reason] = self.count.get(reason, 0) + len(lines)
        first = self.first_lines.setdefault(reason, [])
        first.extend(int(line) for line in lines[: max(0, self.FIRST - len(first))])

    @property
    def total(self) -> int:
        """Number of rows kept out, whatever the reason."""
        return sum(self.count.values())


@dataclass
class Trace:
    """A recorded log: its jobs, the machine it ran on, and what the reader has to say about it.

    ``jobs`` holds the columns of :data:`JOB_COLUMNS`, sorted by submit (ties keep the log's order), with a
    fresh integer index. Times are seconds from ``origin`` (Unix time of second 0, nan if unknown).
    """

    name: str
    jobs: pd.DataFrame
    machine: Machine | None = None
    format: str = ""
    origin: float = float("nan")
    sha256: dict[str, str] = field(default_factory=dict)  # file name -> hash of its bytes as read
    bad_rows: BadRows = field(default_factory=BadRows)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def new(cls, name: str, format: str, sha256: dict[str, str]) -> Trace:
        """Return a trace without jobs, for a reader to fill."""
        return cls(name, empty_jobs(0), format=format, sha256=sha256)

    def equals(self, other: Trace) -> bool:
        """Whether both say the same in every field, value for value (unknown equals unknown)."""
        return (
            self.jobs.equals(other.jobs)
            and np.array_equal(self.origin, other.origin, equal_nan=True)
            and (self.name, self.machine, self.format) == (other.name, other.machine, other.format)
            and (self.sha256, self.bad_rows, self.notes) == (other.sha256, other.bad_rows, other.notes)
        )
