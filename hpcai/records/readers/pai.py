"""Alibaba PAI, machine-learning jobs of 2020: tables of jobs, of their tasks, and of machines, without header.

Source: https://github.com/alibaba/clusterdata, cluster-trace-gpu-v2020
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from hpcai.cluster.spec import Machine
from hpcai.errors import FormatError, InputError
from hpcai.records.readers._delimited import Delimited, first_line, read_table, split_line
from hpcai.records.readers._nodes import machine_listed
from hpcai.records.readers._source import companion, load, text_lines
from hpcai.records.readers._table import NOT_A_NUMBER, finish, statuses
from hpcai.records.schema import BadRows, Trace

NO_TASK: Final = "no task in the task table, so no size"

_JOB: Final = ("job_name", "inst_id", "user", "status", "start_time", "end_time")
_TASK: Final = (
    *("job_name", "task_name", "inst_num", "status", "start_time", "end_time"),
    *("plan_cpu", "plan_mem", "plan_gpu", "gpu_type"),
)
_MACHINE: Final = ("machine", "gpu_type", "cap_cpu", "cap_mem", "cap_gpu")
_STATUS: Final = {
    "Terminated": "completed",
    "Failed": "failed",
    "Running": "running",
    "Waiting": "pending",
    "Interrupted": "preempted",
}
_JOB_NAME: Final = re.compile(r"[0-9a-f]{8,}")
_GB: Final = 2.0**30  # the trace's GB are binary: it has 29.296875 of them for 30000 MB


def matches(head: bytes) -> bool:
    """Whether the first line is a job's: six fields, a hashed name first, a known status fourth."""
    fields = split_line(first_line(head)[0])
    named = tuple(fields) == _JOB
    hashed = len(fields) == len(_JOB) and fields[3] in _STATUS and _JOB_NAME.fullmatch(fields[0])
    return named or bool(hashed)


def read(path: Path, *, tasks: Path | str | None = None, nodes: Path | str | None = None) -> Trace:
    """Return the trace in ``pai_job_table.csv`` and its companions.

    Args:
        path: the job table.
        tasks: the task table, which holds the sizes; by default ``pai_task_table.csv`` beside ``path``.
        nodes: the machine table; by default ``pai_machine_spec.csv`` beside ``path``, if it is there.

    Raises:
        InputError: there is no task table.
    """
    task_path = companion(path, tasks, "pai_task_table.csv")
    if task_path is None:
        raise InputError(f"{path}: the sizes of its jobs are in pai_task_table.csv, which is not beside it (tasks=)")
    trace, jobs = _open(path, _JOB)
    if len(jobs) == 0:
        raise FormatError(f"{path}: found no row of {len(_JOB)} fields, expected pai_job_table")
    needs = _per_job(trace, task_path).reindex(jobs.text("job_name"))
    if (machine_path := companion(path, nodes, "pai_machine_spec.csv")) is not None:
        trace.machine = _machine(trace, machine_path)
    submit, end = jobs.number("start_time"), jobs.number("end_time")
    start = needs["start"].to_numpy()
    never_ran = np.isnan(start) | np.isnan(end)
    trace.notes += [
        "times are from a hidden day on; the hour of the day and the day of the week are right in UTC+8",
        "nodes counts the instances of a job; CPUs are rounded up to whole ones",
    ]
    trace.jobs = finish(
        {
            "job_id": jobs.text("job_name"),
            "submit": submit,
            "start": np.where(never_ran, np.nan, start),
            "end": end,
            "run_time": np.where(never_ran, np.nan, end - start),
            "processors": np.ceil(needs["cpu"].to_numpy() - 1e-9),
            "requested_processors": np.ceil(needs["cpu"].to_numpy() - 1e-9),
            "nodes": needs["instances"].to_numpy(),
            "gpus": np.nan_to_num(needs["gpu"].to_numpy(), nan=0.0),
            "gpu_kind": needs["gpu_kind"].fillna("").to_numpy(dtype=object),
            "memory": needs["memory"].to_numpy(),
            "user": jobs.text("user"),
            "status": statuses(jobs.text("status"), _STATUS),
        },
        lines=jobs.lines,
        bad=trace.bad_rows,
        problems={NOT_A_NUMBER: jobs.wrong, NO_TASK: needs["instances"].isna().to_numpy()},
        machine=trace.machine,
    )
    return trace


def _open(path: Path, names: tuple[str, ...]) -> tuple[Trace, Delimited]:
    """Return a table of the release with a trace that took its bad rows; its header line, if any, is left out."""
    source = load(path)
    trace = Trace.new(source.name, "pai", source.sha256)
    data = text_lines(source, trace.bad_rows)
    given = names if tuple(split_line(first_line(data)[0])) != names else None
    return trace, read_table(path, data, trace.bad_rows, required=names, names=given)


def _companion_table(trace: Trace, path: Path, names: tuple[str, ...]) -> Delimited:
    other, table = _open(path, names)
    trace.sha256 |= other.sha256
    _note(trace, path, other.bad_rows)
    return table


def _note(trace: Trace, path: Path, bad: BadRows) -> None:
    if bad.total:
        trace.notes.append(f"{path.name}: {bad.total} lines could not be read")


def _per_job(trace: Trace, path: Path) -> pd.DataFrame:
    """Return what the tasks of each job need together, and when the first of them started."""
    table = _companion_table(trace, path, _TASK)
    instances = table.number("inst_num")
    gpu = instances * table.number("plan_gpu") / 100.0
    columns: dict[str, Any] = {
        "job": table.text("job_name"),
        "instances": instances,
        "cpu": instances * table.number("plan_cpu") / 100.0,
        "memory": instances * table.number("plan_mem") * _GB,
        "gpu": gpu,
        "start": table.number("start_time"),
        "gpu_kind": np.where(gpu > 0, np.asarray(table.known("gpu_type"), dtype=object), ""),
    }
    if table.wrong.any():
        trace.notes.append(f"{path.name}: {int(table.wrong.sum())} tasks with a field that is not a number")
    tasks = pd.DataFrame(columns)[~table.wrong].groupby("job", sort=False)
    needs = tasks[["instances", "cpu", "memory", "gpu"]].sum(min_count=1)
    return needs.assign(start=tasks["start"].min(), gpu_kind=tasks["gpu_kind"].max())


def _machine(trace: Trace, path: Path) -> Machine | None:
    table = _companion_table(trace, path, _MACHINE)
    kinds = [kind if kind != "CPU" else "" for kind in table.known("gpu_type")]
    return machine_listed(
        path.name.split(".")[0],
        table.number("cap_cpu"),
        table.number("cap_mem") * _GB,
        table.number("cap_gpu"),
        kinds,
    )
