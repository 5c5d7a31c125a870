"""hpcai's own failure tables in Parquet, as :func:`hpcai.records.failure_writers.write_failures` writes them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from hpcai.errors import FormatError
from hpcai.records.failure_readers._canonical import KEY, described, event_columns, nonsense
from hpcai.records.failures import EVENT_COLUMNS, FailureLog
from hpcai.records.readers._source import load


def matches(head: bytes) -> bool:
    """Whether it begins as Parquet does."""
    return head.startswith(b"PAR1")


def read(path: Path) -> FailureLog:
    """Return the log just as it was written; FormatError if ``path`` is some other Parquet file."""
    source = load(path)
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(source.data))
    except (pa.ArrowException, OSError) as error:
        raise FormatError(f"{path}: not Parquet: {str(error).splitlines()[0]}") from error
    about = (table.schema.metadata or {}).get(KEY)
    if about is None:
        raise FormatError(f"{path}: found Parquet with no description of failures, expected what hpcai wrote")
    try:
        log = described(json.loads(about))
        log.events = event_columns({column.name: table[column.name].to_pandas() for column in EVENT_COLUMNS})
    except (ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise FormatError(f"{path}: found Parquet that hpcai did not write so: {reason}") from error
    wrong = nonsense(log.events)
    if not wrong and not set(log.events["node"]) <= set(log.nodes["node"]):
        wrong = "a node that is not in its table of nodes"
    if wrong:
        raise FormatError(f"{path}: found {wrong}, expected failures as hpcai writes them")
    return log
