"""Slurm accounting as printed by ``sacct -P`` (``--parsable2``): fields in any order, separated by '|'.

Source: sacct(1), https://slurm.schedmd.com/sacct.html
"""

from __future__ import annotations

import re
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from hpcai.errors import FormatError
from hpcai.records.readers import _slurm
from hpcai.records.readers._delimited import (
    Delimited,
    Repair,
    first_line,
    is_unknown,
    read_table,
    split_line,
)
from hpcai.records.readers._nodes import machine_seen
from hpcai.records.readers._source import load, text_lines
from hpcai.records.readers._table import NOT_A_NUMBER, Floats, Mask, finish, rebase
from hpcai.records.schema import Trace

REQUEUED: Final = "an earlier run of a job that was requeued"

_DATES: Final = ("submit", "eligible", "start", "end")
_FREE_TEXT: Final = ("admincomment", "comment", "constraints", "jobname", "systemcomment", "workdir", "wckey")
_COUNTS: Final = (
    "alloccpus",
    "allocnodes",
    "ncpus",
    "nnodes",
    "reqcpus",
    "elapsedraw",
    "uid",
    "gid",
    "consumedenergyraw",
)
_MOST_ENERGY: Final = 1e15  # J; Slurm writes numbers of 64 bits for what it does not know
_RESOURCES: Final = ("alloctres", "reqtres")
_READ: Final = (
    *_DATES,
    *_COUNTS,
    *_RESOURCES,
    "jobid",
    "state",
    "user",
    "account",
    "group",
    "partition",
    "qos",
)
_JOB_ID: Final = re.compile(r"\d+([_+]\d+|_\[[\d,%\-]+\])?(\.\w+)*")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*|\d{9,11}")
_TASKS: Final = re.compile(r"(\d+)_\[([\d,\-]+)(?:%\d+)?\]")
_CANDIDATES: Final = 1000  # ways to repair one row that are looked at


def matches(head: bytes) -> bool:
    """Whether the header has '|' between fields, among them JobID and Submit or Start."""
    names = _header(head)
    return "jobid" in names and ("submit" in names or "start" in names)


def read(path: Path) -> Trace:
    """Return the trace in the output of ``sacct -P``; steps are left to their jobs.

    The machine is inferred from the nodes named. FormatError if there is no JobID or no time of submission.
    """
    source = load(path)
    trace = Trace.new(source.name, "sacct", source.sha256)
    data = text_lines(source, trace.bad_rows)
    names = _header(data)
    required = ("jobid", "submit" if "submit" in names else "start")
    table = read_table(path, data, trace.bad_rows, required=required, delimiter="|", repair=_repair_for(names))
    if len(table) == 0:
        raise FormatError(f"{path}: found a header but no job, expected the output of sacct -P")
    if table.repaired:
        trace.notes.append(f"{table.repaired} rows with '|' inside a field were put together again")
    _drop_steps(trace, table)
    fill(trace, table)
    return trace


def _header(data: bytes) -> list[str]:
    line = first_line(data)[0]
    return [name.strip().lower() for name in split_line(line, "|")] if "|" in line else []


def _drop_steps(trace: Trace, table: Delimited) -> None:
    step = np.array(table.each("jobid", lambda job_id: "." in job_id), dtype=bool)
    if step.any():
        trace.notes.append(f"{int(step.sum())} steps belong to their jobs and were not counted as jobs")
        table.keep(~step)


def fill(trace: Trace, table: Delimited) -> None:
    """Put jobs, machine and origin into ``trace``; ``table`` has sacct's columns, one row per job."""
    nodes = table.each("nodelist", _nodes)
    table.wrong |= np.array([names is None for names in nodes], dtype=bool)
    trace.origin, times = _times(table, nodes)
    columns, lines, wrong, nodes = _expand_arrays(_columns(table, times), table.lines, table.wrong, nodes)
    columns["kind"] = np.array([_slurm.kind(job_id) for job_id in columns["job_id"]], dtype=object)
    _infer_machine(trace, columns, [names or [] for names in nodes])
    if running := int(np.sum(columns["status"] == "running")):
        trace.notes.append(f"{running} jobs were still running: their run time is that so far")
    trace.notes.append("times have no zone and were taken as UTC")
    trace.jobs = finish(
        columns,
        lines=lines,
        bad=trace.bad_rows,
        problems={NOT_A_NUMBER: wrong, REQUEUED: _repeated_later(columns["job_id"])},
        unique=False,
    )


def _times(table: Delimited, nodes: list[list[str] | None]) -> tuple[float, dict[str, Floats]]:
    """Return the origin, and submit, start, end and run time; a job that never had a node never ran."""
    submit, eligible, start, end = (table.date(name) for name in ("submit", "eligible", "start", "end"))
    elapsed = table.number("elapsedraw") if "elapsedraw" in table else table.convert("elapsed", _slurm.duration)
    never_ran = np.isnan(start)
    if "nodelist" in table:  # older Slurm gives a job cancelled in the queue a start, but never a node
        never_ran |= np.array([names == [] for names in nodes], dtype=bool) & ~(elapsed > 0)
    run_time = np.where(np.isnan(end), elapsed, end - start)
    submit = np.where(np.isnan(submit), eligible, submit)
    submit = np.where(np.isnan(submit), start, submit)
    # a job may become eligible after it was cancelled, or again when it is requeued
    submit = np.where((eligible > submit) & ~(eligible > start) & ~(eligible > end), eligible, submit)
    origin, submit, (start, end) = rebase(submit, start, end)
    return origin, {
        "submit": submit,
        "start": np.where(never_ran, np.nan, start),
        "end": end,
        "run_time": np.where(never_ran, np.nan, run_time),
    }


def _power(table: Delimited, run_time: Floats) -> Floats:
    """Return each job's mean power (W) by the energy (J) that the nodes measured; 0 J stands for no measurement."""
    energy = table.number("consumedenergyraw")
    measured = (energy > 0) & (energy < _MOST_ENERGY) & (run_time > 0)
    power: Floats = np.divide(energy, run_time, out=np.full(len(energy), np.nan), where=measured)
    return power


def _columns(table: Delimited, times: dict[str, Floats]) -> dict[str, Any]:
    counts = _Counts(table)
    return {
        **times,
        "job_id": table.text("jobid"),
        "requested_time": table.convert("timelimitraw" if "timelimitraw" in table else "timelimit", _slurm.limit),
        "processors": counts.processors,
        "requested_processors": counts.requested_processors,
        "nodes": counts.nodes,
        "gpus": counts.gpus,
        "gpu_kind": counts.gpu_kind,
        "memory": counts.memory,
        "power": _power(table, times["run_time"]),
        "user": table.known("user"),
        "group": table.known("group" if "group" in table else "account"),
        "tenant": table.known("account"),
        "partition": table.known("partition"),
        "qos": table.known("qos"),
        "status": np.array(table.each("state", _slurm.status), dtype=object),
    }


def _infer_machine(trace: Trace, columns: dict[str, Any], nodes: list[list[str]]) -> None:
    used = {name: columns[name] for name in ("processors", "gpus", "memory")}
    end = columns["start"] + columns["run_time"]
    name = f"{trace.name} (nodes seen)"
    trace.machine = machine_seen(name, nodes, columns["start"], end, used, columns["gpu_kind"].tolist())
    if trace.machine is not None:
        trace.notes.append("the machine is inferred from the nodes that jobs ran on and what they took there")


def _nodes(text: str) -> list[str] | None:
    """Return the nodes that a NodeList names; None if it cannot be read."""
    if is_unknown(text):
        return []
    try:
        return _slurm.node_names(text)
    except ValueError:
        return None


class _Tracked(NamedTuple):
    """What a TRES string counts; nan: not said."""

    cpus: float = np.nan
    nodes: float = np.nan
    gpus: float = 0.0
    gpu_kind: str = ""
    memory: str = ""
    wrong: bool = False


def _tracked(text: str) -> _Tracked:
    if is_unknown(text):
        return _Tracked()
    try:
        counts = _slurm.resources(text)
        gpus, kind = _slurm.gpus(counts)
        cpus, nodes = (float(counts.get(name, "nan")) for name in ("cpu", "node"))
    except ValueError:
        return _Tracked(wrong=True)
    return _Tracked(cpus, nodes, gpus, kind, counts.get("mem", ""))


class _Counts:
    """What each job took: allocated where it ran, else requested."""

    def __init__(self, table: Delimited) -> None:
        requested = table.each("reqtres", _tracked)
        nothing = _Tracked()
        both = [
            asked if given == nothing else given
            for given, asked in zip(table.each("alloctres", _tracked), requested, strict=True)
        ]
        table.wrong |= np.array([tracked.wrong for tracked in both], dtype=bool)
        asked_cpus = np.array([tracked.cpus for tracked in requested], dtype=np.float64)
        cpus = np.array([tracked.cpus for tracked in both], dtype=np.float64)
        nodes = np.array([tracked.nodes for tracked in both], dtype=np.float64)
        self.requested_processors = _first(table.number("reqcpus"), asked_cpus)
        self.processors = _first(table.number("alloccpus"), table.number("ncpus"), cpus, self.requested_processors)
        self.nodes = _first(table.number("allocnodes"), table.number("nnodes"), nodes, table.number("reqnodes"))
        self.gpus = np.array([tracked.gpus for tracked in both], dtype=np.float64)
        self.gpu_kind = np.array([tracked.gpu_kind for tracked in both], dtype=object)
        self.memory = _memory(table, both, self.nodes, self.requested_processors)


def _first(*choices: Floats) -> Floats:
    """Return, job by job, the first count that is above 0; else 0."""
    result = np.zeros(len(choices[0]))
    for choice in reversed(choices):
        result = np.where(choice > 0, choice, result)
    return result


def _memory(table: Delimited, tracked: list[_Tracked], nodes: Floats, processors: Floats) -> Floats:
    """Return the memory of each job in bytes: as asked for, else as tracked."""
    values = np.full(len(table), np.nan)
    asked = table.each("reqmem", lambda text: "" if is_unknown(text) else text)
    rows = zip(asked, tracked, nodes.tolist(), processors.tolist(), strict=True)
    for i, (text, counts, n, cpus) in enumerate(rows):
        if text or counts.memory:
            try:
                values[i] = _slurm.memory(text or counts.memory, n, cpus)
            except ValueError:
                table.wrong[i] = True
    return np.where(values > 0, values, np.nan)


def _expand_arrays(
    columns: dict[str, Any], lines: Any, wrong: Mask, nodes: list[Any]
) -> tuple[dict[str, Any], Any, Mask, list[Any]]:
    """Return the columns with one row for each task of an array that waits as one line, as 519_[3-7]."""
    job_ids = np.asarray(columns["job_id"], dtype=object)
    arrays = {i: _task_ids(job_id) for i, job_id in enumerate(job_ids) if "[" in job_id}
    if not arrays:
        return columns, lines, wrong, nodes
    counts = np.ones(len(job_ids), dtype=np.int64)
    counts[list(arrays)] = [len(tasks) for tasks in arrays.values()]
    rows = np.repeat(np.arange(len(job_ids)), counts)
    columns = {name: values[rows] for name, values in columns.items()}
    ids = [task for i, job_id in enumerate(job_ids) for task in arrays.get(i, [job_id])]
    columns["job_id"] = np.array(ids, dtype=object)
    return columns, lines[rows], wrong[rows], [nodes[i] for i in rows]


def _task_ids(job_id: str) -> list[str]:
    found = _TASKS.fullmatch(job_id)
    if not found:
        return [job_id]
    try:
        return [f"{found[1]}_{task}" for task in _slurm.node_names(f"[{found[2]}]")]
    except ValueError:
        return [job_id]


def _repeated_later(job_ids: Any) -> Mask:
    """Return which rows a later run of the same job follows, as sacct --duplicates lists them."""
    _, first_from_the_end = np.unique(np.asarray(job_ids, dtype=str)[::-1], return_index=True)
    earlier = np.ones(len(job_ids), dtype=bool)
    earlier[len(job_ids) - 1 - first_from_the_end] = False
    return earlier


def _repair_for(names: list[str]) -> Repair:
    """Return a function that puts together fields of free text that hold '|' themselves.

    A row is repaired only if all ways to do so that leave dates, counts, state and job id where they belong
    agree on every field that is read.
    """
    free = [i for i, name in enumerate(names) if name in _FREE_TEXT]
    used = [i for i, name in enumerate(names) if name in _READ]

    def repair(fields: list[str]) -> list[str] | None:
        extra = len(fields) - len(names)
        if extra <= 0 or not free:
            return None
        found: dict[tuple[str, ...], list[str]] = {}
        for n, places in enumerate(combinations_with_replacement(free, extra)):
            if n == _CANDIDATES:
                return None
            row = _joined(fields, places)
            if _makes_sense(dict(zip(names, row, strict=True))):
                found[tuple(row[i] for i in used)] = row
        return next(iter(found.values())) if len(found) == 1 else None

    return repair


def _joined(fields: list[str], places: tuple[int, ...]) -> list[str]:
    """Return ``fields`` where each of ``places`` has taken in one field more per mention."""
    row = list(fields)
    for place in places:
        row[place : place + 2] = [f"{row[place]}|{row[place + 1]}"]
    return row


def _makes_sense(row: dict[str, str]) -> bool:
    dates = [row[name] for name in _DATES if name in row]
    return bool(
        all(is_unknown(date) or _DATE.fullmatch(date) for date in dates)
        and _slurm.status(row.get("state", "COMPLETED")) != "unknown"
        and _JOB_ID.fullmatch(row["jobid"])
        and all(not row.get(name) or row[name].isdecimal() for name in _COUNTS)
        and all(not row.get(name) or "=" in row[name] for name in _RESOURCES)
    )
