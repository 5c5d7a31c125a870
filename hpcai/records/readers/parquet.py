"""hpcai's own canonical Parquet, as :func:`hpcai.records.writers.write_parquet` writes it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from hpcai.cluster.spec import Machine
from hpcai.errors import FormatError
from hpcai.records.readers._source import load
from hpcai.records.readers._table import finish
from hpcai.records.schema import JOB_COLUMNS, BadRows, Trace, empty_jobs

KEY: Final = b"hpcai.trace"  # of the file's metadata: all of the trace but its jobs, in JSON
VERSION: Final = 1


def matches(head: bytes) -> bool:
    """Whether it begins as Parquet does."""
    return head.startswith(b"PAR1")


def read(path: Path) -> Trace:
    """Return the trace just as it was written; FormatError if ``path`` is some other Parquet file."""
    source = load(path)
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(source.data))
    except (pa.ArrowException, OSError) as error:
        raise FormatError(f"{path}: not Parquet: {str(error).splitlines()[0]}") from error
    missing = [c.name for c in JOB_COLUMNS if not c.later and c.name not in table.column_names]
    about = (table.schema.metadata or {}).get(KEY)
    if about is None or missing:
        what = f"no column {missing[0]!r}" if missing else "no description of a trace"
        raise FormatError(f"{path}: found Parquet with {what}, expected a trace written by hpcai")
    try:
        trace = _described(json.loads(about))
        lines = np.arange(1, table.num_rows + 1)
        trace.jobs = finish(_columns(table), lines=lines, bad=trace.bad_rows, unique=False)
    except (ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise FormatError(f"{path}: found Parquet that hpcai did not write so: {reason}") from error
    return trace


def describe_trace(trace: Trace) -> bytes:
    """Return all of ``trace`` but its jobs, as JSON."""
    return json.dumps(
        {
            "version": VERSION,
            "name": trace.name,
            "format": trace.format,
            "origin": None if np.isnan(trace.origin) else trace.origin,
            "machine": None if trace.machine is None else trace.machine.model_dump(mode="json"),
            "sha256": trace.sha256,
            "bad_rows": {"count": trace.bad_rows.count, "first_lines": trace.bad_rows.first_lines},
            "notes": trace.notes,
        }
    ).encode()


def _columns(table: pa.Table) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for column in (column for column in JOB_COLUMNS if column.name in table.column_names):
        values = pa.concat_arrays(table[column.name].chunks) if table.num_rows else pa.array([])
        if column.dtype == "category":
            columns[column.name] = _categorical(values)
        elif column.dtype == "str":
            columns[column.name] = values.cast(pa.string()).fill_null("")
        else:
            columns[column.name] = values.to_numpy(zero_copy_only=False)
    return columns


def _categorical(values: pa.Array) -> Any:
    """Return the categories as they were written; text of another writer becomes categories anew."""
    if not pa.types.is_dictionary(values.type) or values.null_count or values.dictionary.null_count:
        return values.cast(pa.string()).fill_null("").to_numpy(zero_copy_only=False)
    names = pd.Index(values.dictionary.to_pylist(), dtype="str")
    return pd.Categorical.from_codes(values.indices.to_numpy(zero_copy_only=False), names)


def _described(about: dict[str, Any]) -> Trace:
    if about["version"] != VERSION:
        raise ValueError(f"its version is {about['version']}")
    return Trace(
        name=about["name"],
        jobs=empty_jobs(0),
        machine=None if about["machine"] is None else Machine.model_validate(about["machine"]),
        format=about["format"],
        origin=np.nan if about["origin"] is None else float(about["origin"]),
        sha256=dict(about["sha256"]),
        bad_rows=BadRows(dict(about["bad_rows"]["count"]), dict(about["bad_rows"]["first_lines"])),
        notes=list(about["notes"]),
    )
