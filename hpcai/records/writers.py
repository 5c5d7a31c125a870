"""Writing traces: the Standard Workload Format for other tools, Parquet for all that a trace holds."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from hpcai.errors import InputError
from hpcai.records.readers.parquet import KEY, describe_trace
from hpcai.records.schema import JOB_COLUMNS, Trace

SWF_STATUS: Final = {
    "completed": 1,
    "failed": 0,
    "timeout": 0,
    "node_fail": 0,
    "out_of_memory": 0,
    "cancelled": 5,
}
_NOT_IN_SWF: Final = (
    *("nodes", "gpus", "gpu_kind", "tenant", "qos"),
    *(column.name for column in JOB_COLUMNS if column.later),
)
_SWF_SUFFIXES: Final = (".swf", ".swf.gz")


def write_trace(trace: Trace, path: Path | str) -> None:
    """Write ``trace`` in the format that the suffix names: .parquet, .swf or .swf.gz."""
    name = str(path)
    if name.endswith(".parquet"):
        write_parquet(trace, path)
    elif name.endswith(_SWF_SUFFIXES):
        write_swf(trace, path)
    else:
        raise InputError(f"{name}: expected a file name that ends in .parquet, .swf or .swf.gz")


def write_parquet(trace: Trace, path: Path | str) -> None:
    """Write all that ``trace`` holds; :func:`hpcai.records.read_trace` gives an equal trace back."""
    table = pa.Table.from_pandas(trace.jobs, preserve_index=False)
    table = table.replace_schema_metadata({KEY: describe_trace(trace)})
    with atomic(path) as file:
        pyarrow.parquet.write_table(table, file, compression="zstd")


def write_swf(trace: Trace, path: Path | str) -> None:
    """Write the fields of ``trace`` that the Standard Workload Format can carry.

    GPUs, nodes, tenants, qualities of service, kinds of jobs with what goes with them, and statuses beyond
    completed, failed and cancelled cannot be carried; a note in the header says which of them the trace had.
    Users, groups, queues and partitions that are not numbers are numbered, and listed in the header. Job ids that
    are not numbers become 1, 2, ... Where no job has processors, as in logs of GPUs alone, GPUs are written as
    processors.
    """
    jobs, machine = trace.jobs, trace.machine
    by_gpu = bool((jobs["gpus"] > 0).any()) and not (jobs["processors"] > 0).any()
    if by_gpu:
        jobs = jobs.assign(processors=np.ceil(jobs["gpus"]).astype(np.int64))
    header = [
        "Version: 2.2",
        f"Computer: {trace.name}",
        "Conversion: hpcai",
        f"MaxJobs: {len(jobs)}",
        f"MaxRecords: {len(jobs)}",
    ]
    if np.isfinite(trace.origin):
        header.append(f"UnixStartTime: {_plain(trace.origin)}")
    if machine is not None:
        processors = machine.total_gpus if by_gpu else machine.total_cpus
        header += [f"Installation: {machine.name}", f"MaxProcs: {processors}"]
        if machine.total_nodes:
            header.append(f"MaxNodes: {machine.total_nodes}")
    if by_gpu:
        header.append("Note: processors are GPUs")
    fields, names = _swf_fields(jobs)
    header += names
    if lost := [name for name in _NOT_IN_SWF if _says_something(jobs[name])]:
        header.append(f"Note: SWF cannot carry the columns {', '.join(lost)} of the original")
    text = "".join(f"; {' '.join(line.split())}\n" for line in header).encode() + _lines(fields)
    with atomic(path) as file:
        file.write(_gzip(text) if str(path).endswith(".gz") else text)


def _says_something(values: pd.Series[Any]) -> bool:
    return bool((values > 0).any()) if values.dtype.kind in "if" else bool((values != "").any())


def _swf_fields(jobs: pd.DataFrame) -> tuple[list[Any], list[str]]:
    """Return the 18 columns of an SWF file, and the header lines that name the numbered parties."""
    ids = jobs["job_id"]
    numbered = ids.is_unique and all(map(_is_number, ids))
    number = ids.astype("int64") if numbered else pd.Series(np.arange(1, len(jobs) + 1))
    unknown = np.full(len(jobs), -1)
    left_queue = jobs["start"].where(jobs["run_time"].notna(), jobs["end"])
    processors = jobs["processors"].where(jobs["processors"] > 0, -1)
    per_processor = jobs["memory"] / 1024.0 / processors.where(processors > 0)
    parties, names = {}, []
    for column, title in (("user", "User"), ("group", "Group"), ("queue", "Queue"), ("partition", "Partition")):
        parties[column], listed = _numbers(jobs[column])
        names += [f"{title}: {i} {name}" for i, name in listed.items()]
    preceding = dict(zip(ids, number, strict=True))
    before = jobs["preceding_job"].map(lambda job: preceding.get(job, -1))
    fields = [
        number,
        jobs["submit"],
        left_queue - jobs["submit"],
        jobs["run_time"],
        processors,
        unknown,
        unknown,
        jobs["requested_processors"].where(jobs["requested_processors"] > 0, -1),
        jobs["requested_time"],
        per_processor,
        jobs["status"].astype("str").map(SWF_STATUS).fillna(-1),
        parties["user"],
        parties["group"],
        unknown,
        parties["queue"],
        parties["partition"],
        before,
        jobs["think_time"],
    ]
    return fields, names


def _numbers(values: pd.Series[Any]) -> tuple[Any, dict[int, str]]:
    """Return a number for each value, -1 for '', and the names of those numbered here."""
    names = [str(name) for name in values.cat.categories]
    if all(not name or _is_number(name) for name in names):
        numbers, listed = [int(name) if name else -1 for name in names], {}
    else:
        numbers = [i if name else -1 for i, name in enumerate(names, start=1)]
        listed = {i: name for i, name in enumerate(names, start=1) if name}
    return np.array([*numbers, -1])[values.cat.codes], listed


def _is_number(name: str) -> bool:
    """Whether ``name`` is a number that SWF carries as it is: exact in float64, without leading zeros."""
    return name.isascii() and name.isdecimal() and len(name) <= 15 and str(int(name)) == name


def _lines(fields: list[Any]) -> bytes:
    """Return the lines, unknown as -1, whole numbers without a point."""
    columns = [_texts(np.asarray(field, dtype=np.float64)) for field in fields]
    table = pa.table({str(i): column for i, column in enumerate(columns)})
    buffer = io.BytesIO()
    options = pyarrow.csv.WriteOptions(include_header=False, delimiter=" ", quoting_style="none")
    pyarrow.csv.write_csv(table, buffer, options)
    return buffer.getvalue()


def _texts(values: np.ndarray[Any, np.dtype[np.float64]]) -> pa.Array:
    values = np.where(np.isfinite(values), values, -1.0)
    if np.all(values == np.floor(values)):
        return pa.array(values.astype(np.int64)).cast(pa.string())
    return pa.array([_plain(value) for value in values.tolist()])


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=6, mtime=0)  # no date: the same trace gives the same bytes


@contextmanager
def atomic(path: Path | str) -> Iterator[IO[bytes]]:
    """Open a file that takes its name only when it is complete; InputError if it cannot be written."""
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror or error}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise InputError(f"{target}: cannot be written: {error.strerror or error}") from error
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
