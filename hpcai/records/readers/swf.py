"""Standard Workload Format of the Parallel Workloads Archive.

Source: Feitelson, "The Standard Workload Format", https://www.cs.huji.ac.il/labs/parallel/workload/swf.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from hpcai.cluster.spec import Machine
from hpcai.errors import FormatError, InputError
from hpcai.records.readers._numbers import NUMBER, NumberLines, parse
from hpcai.records.readers._source import load, whole_lines
from hpcai.records.readers._table import NOT_A_NUMBER, Floats, Mask, finish, statuses
from hpcai.records.schema import Trace

FIELDS: Final = 18
TOO_FEW_FIELDS: Final = f"fewer than {FIELDS} fields"
PARTIAL: Final = "part of a job that the log also lists whole"

# 2, 3 and 4 are parts of a job that was checkpointed or swapped out: to be continued, last, last and failed.
_STATUS: Final = {0: "failed", 1: "completed", 2: "unknown", 3: "completed", 4: "failed", 5: "cancelled"}
_MEMORY_KB_MAX: Final = 2**30  # per processor: some logs state bytes
_UNIX: Final = 1e8  # a submit time from here on is a date (after March 1973), not seconds since the log began
_NAMED: Final = re.compile(r"^; (User|Group|Queue|Partition): (\d{1,9}) (.*)$")
_HEADER: Final = re.compile(r"^;\s*(\w+)\s*:\s*(.*?)\s*$")


def matches(head: bytes) -> bool:
    """Whether the first line that is not a comment has at least 18 fields, the first 18 of them numbers."""
    for line in head.split(b"\n"):
        if line.strip() and not line.lstrip().startswith(b";"):
            fields = line.split()
            return len(fields) >= FIELDS and all(NUMBER.fullmatch(field) for field in fields[:FIELDS])
    return False


def read(
    path: Path,
    *,
    size: Literal["allocated", "requested"] = "allocated",
    requested_time_field: Literal[6, 9] | None = None,
) -> Trace:
    """Return the trace in an SWF file, plain or compressed.

    Args:
        path: the file.
        size: which of fields 5 and 8 is preferred for ``processors``; the other serves where it is missing.
        requested_time_field: 9 as in the standard; 6 for logs that misuse it. By default 6 is taken only on
            clear evidence, with a note.

    Raises:
        FormatError: no line of the file holds 18 numbers.
    """
    if size not in ("allocated", "requested"):
        raise InputError(f"size {size!r}: expected 'allocated' or 'requested'")
    if requested_time_field not in (None, 6, 9):
        raise InputError(f"requested_time_field {requested_time_field!r}: expected 6 or 9")
    source = load(path)
    trace = Trace.new(source.name, "swf", source.sha256)
    data = whole_lines(source, trace.bad_rows)
    table = parse(data, FIELDS, b";")
    whole = (table.fields >= FIELDS) & ~np.isnan(table.values).any(axis=0)
    if not whole.any():
        raise FormatError(f"{path}: {_what_is_there(table)}, expected SWF: {FIELDS} numbers on a line")
    short = table.fields < FIELDS
    trace.bad_rows.add(TOO_FEW_FIELDS, table.lines[short])
    trace.bad_rows.add(NOT_A_NUMBER, table.lines[~short & ~whole])
    if np.any(table.fields > FIELDS):
        trace.notes.append(f"columns beyond the standard {FIELDS} were not used")
    fill(trace, table.values[:, whole], table.lines[whole], read_header(data), size, requested_time_field)
    return trace


@dataclass(frozen=True)
class Header:
    """The comments at the top: fields such as ``; MaxProcs: 338``, and names of numbered parties by column."""

    fields: dict[str, str]
    names: dict[str, dict[int, str]]

    def named(self, column: str, numbers: Floats) -> Any:
        """Return the parties of a column: their names where the header gives them, else their numbers."""
        names = self.names.get(column)
        if not names:
            return numbers
        codes, distinct = pd.factorize(numbers)
        texts = [names.get(int(n), str(int(n))) if n >= 0 else "" for n in distinct]
        return np.array([*texts, ""], dtype=object)[codes]


def read_header(data: bytes) -> Header:
    """Return the header; of a field that repeats, the first.

    Only files that hpcai wrote have their parties' names put back, so that what is written is read the same;
    in the archive's logs the names of queues are remarks, and the numbers are what papers refer to.
    """
    fields: dict[str, str] = {}
    names: dict[str, dict[int, str]] = {}
    start = 0
    while data[start : start + 1] == b";":
        end = data.find(b"\n", start)
        end = end if end >= 0 else len(data)
        line = data[start:end].decode("utf-8", "replace")
        if named := _NAMED.match(line):
            names.setdefault(named[1].lower(), {})[int(named[2])] = named[3]
        elif found := _HEADER.match(line):
            fields.setdefault(found[1], found[2])
        start = end + 1
    return Header(fields, names if fields.get("Conversion") == "hpcai" else {})


def fill(
    trace: Trace,
    values: Floats,
    lines: np.ndarray[tuple[int], np.dtype[np.int64]],
    header: Header,
    size: str,
    requested_time_field: int | None,
) -> None:
    """Put jobs, machine and origin into ``trace``; ``values`` holds one row per SWF field."""
    number, submit, wait, run_time, allocated, cpu_time, _, requested, requested_time, memory = values[:10]
    status, user, group, _, queue, partition, preceding, think_time = values[10:]
    if requested_time_field is None:
        requested_time_field = 6 if _cpu_time_is_request(values) else 9
    if requested_time_field == 6:
        requested_time = cpu_time
        trace.notes.append(
            "requested time read from field 6, which holds whole minutes and covers run times;"
            " fields 8 and 9 are empty (requested_time_field=9 turns this off)"
        )
    first, second = (requested, allocated) if size == "requested" else (allocated, requested)
    processors = np.where(first > 0, first, second)
    submit = _rebase(trace, submit, header.fields)
    machine = _machine(trace, header.fields, processors)
    never_ran = run_time == -1
    run_time = np.where(never_ran, np.nan, run_time)
    left_queue = np.where(wait >= 0, submit + wait, np.nan)
    _note_growth(trace, allocated, requested)
    trace.machine = machine
    trace.jobs = finish(
        {
            "job_id": number,
            "submit": submit,
            "start": np.where(never_ran, np.nan, left_queue),
            "end": left_queue + np.where(never_ran, 0.0, run_time),
            "run_time": run_time,
            "requested_time": np.where(requested_time > 0, requested_time, np.nan),
            "processors": processors,
            "requested_processors": requested,
            "memory": _memory(trace, memory, processors),
            "user": header.named("user", user),
            "group": header.named("group", group),
            "queue": header.named("queue", queue),
            "partition": header.named("partition", partition),
            "status": statuses(status, _STATUS),
            "preceding_job": np.where(preceding > 0, preceding, -1.0),
            "think_time": np.where((preceding > 0) & (think_time >= 0), think_time, np.nan),
        },
        lines=lines,
        bad=trace.bad_rows,
        problems={PARTIAL: _partial(number, status)},
        machine=machine,
    )


def _what_is_there(table: NumberLines) -> str:
    if len(table.lines) == 0:
        return "found no line that is not a comment"
    most = int(table.fields.max())
    return f"found no line of {FIELDS} numbers (the longest has {most} fields)"


def _rebase(trace: Trace, submit: Floats, header: dict[str, str]) -> Floats:
    """Set the origin; return submit times from it. Times since the log began keep their zero."""
    origin = _leading_number(header.get("UnixStartTime", ""))
    trace.origin = np.nan if origin is None or origin < 0 else float(origin)
    first = float(submit.min())
    if first < _UNIX:
        return submit
    trace.origin = first
    trace.notes.append("submit times were Unix times; they now count from the first submission")
    return submit - first


def _machine(trace: Trace, header: dict[str, str], processors: Floats) -> Machine | None:
    """Return the machine of the header: MaxProcs, else MaxNodes if every job fits."""
    count = _leading_number(header.get("MaxProcs", ""))
    if count is None or count <= 0:
        count = _leading_number(header.get("MaxNodes", ""))
        if count is None or count < processors.max():
            trace.notes.append("the header does not say how many processors the machine has")
            return None
        trace.notes.append(f"the header has no MaxProcs; MaxNodes {count} taken, as no job is larger")
    return Machine.by_processors(count, name=header.get("Installation") or trace.name) if count > 0 else None


def _leading_number(text: str) -> int | None:
    found = re.match(r"-?\d{1,15}", text)  # as in "338 (batch partition; 512 total)"
    return int(found[0]) if found else None


def _cpu_time_is_request(values: Floats) -> bool:
    """Whether field 6 is plainly a requested time: whole minutes, few jobs outlast it, 8 and 9 are empty."""
    run_time, cpu_time, requested, requested_time = values[3], values[5], values[7], values[8]
    if np.any(requested > 0) or np.any(requested_time > 0) or np.any(cpu_time <= 0):
        return False
    return bool(np.mean(cpu_time % 60 == 0) > 0.99 and np.mean(run_time <= cpu_time) > 0.75)


def _note_growth(trace: Trace, allocated: Floats, requested: Floats) -> None:
    both = (allocated > 0) & (requested > 0)
    grown = both & (allocated > requested)
    if grown.any():
        factor = float((allocated[grown] / requested[grown]).max())
        trace.notes.append(
            f"{int(grown.sum())} jobs were allocated more processors than requested, up to {factor:.3g} times"
            " (size='requested' takes the request)"
        )


def _memory(trace: Trace, per_processor: Floats, processors: Floats) -> Floats:
    """Return the memory of all processors in bytes, from kilobytes per processor."""
    stated = per_processor > 0
    if np.any(per_processor > _MEMORY_KB_MAX):
        trace.notes.append(
            "requested memory not read: field 10 would mean over 1 TiB per processor, so its unit is unknown"
        )
        return np.full(len(per_processor), np.nan)
    return np.where(stated, per_processor * 1024.0 * processors, np.nan)


def _partial(number: Floats, status: Floats) -> Mask:
    part = (status >= 2) & (status <= 4)
    return part & np.isin(number, number[~part])
