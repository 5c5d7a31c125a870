"""Microsoft Philly, deep-learning jobs of 2017: the original JSON log, or its CSV form of one row per job.

Source: https://github.com/msr-fiddle/philly-traces (cluster_job_log, cluster_machine_list)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.cluster.spec import Machine
from hpcai.errors import FormatError
from hpcai.records.readers._delimited import has_columns, read_table, unix_seconds
from hpcai.records.readers._json import load_json
from hpcai.records.readers._nodes import machine_listed
from hpcai.records.readers._source import Source, companion, load, text_lines
from hpcai.records.readers._table import NOT_A_NUMBER, finish, rebase, statuses
from hpcai.records.schema import BadRows, Trace

NOT_A_JOB: Final = "not a job as Philly records one"

_COLUMNS: Final = ("timestamp", "duration", "num_gpus", "cluster")
_STATUS: Final = {"Pass": "completed", "Failed": "failed", "Killed": "cancelled"}
_MACHINE_COLUMNS: Final = ("machine", "gpus", "gpu_memory")


def matches(head: bytes) -> bool:
    """Whether it is the CSV by its columns, or JSON that lists jobs with their attempts."""
    if head.lstrip()[:1] == b"[":
        return b'"attempts"' in head and b'"vc"' in head
    return has_columns(head, _COLUMNS)


def read(path: Path, *, nodes: Path | str | None = None) -> Trace:
    """Return the trace in a Philly log, JSON or CSV.

    Args:
        path: the log.
        nodes: the machine list; by default ``cluster_machine_list`` beside ``path``, if it is there.
    """
    source = load(path)
    trace = Trace.new(source.name, "philly", source.sha256)
    trace.notes.append("times are wall-clock times of the US Pacific coast, taken as UTC")
    if (machine_list := companion(path, nodes, "cluster_machine_list", "cluster_machine_list.csv")) is not None:
        trace.machine = _machine(trace, machine_list)
    else:
        trace.notes.append("the log does not say what machine it ran on: about 2490 GPUs in 552 servers")
    if source.data.lstrip()[:1] in (b"[", b"{"):
        _fill_from_json(trace, source)
    else:
        _fill_from_csv(trace, source)
    return trace


def _fill_from_csv(trace: Trace, source: Source) -> None:
    data = text_lines(source, trace.bad_rows)
    table = read_table(source.path, data, trace.bad_rows, required=_COLUMNS)
    submit, gpus, run_time = table.date("timestamp"), table.number("num_gpus"), table.number("duration")
    trace.origin, submit, _ = rebase(submit)
    trace.notes.append("the CSV holds neither start nor status nor user, and no job ids: rows are numbered")
    trace.jobs = finish(
        {
            "job_id": np.arange(1.0, len(table) + 1),
            "submit": submit,
            "run_time": run_time,
            "gpus": gpus,
            "tenant": table.text("cluster"),
        },
        lines=table.lines,
        bad=trace.bad_rows,
        problems={NOT_A_NUMBER: table.wrong | np.isnan(gpus) | np.isnan(run_time)},
        machine=trace.machine,
    )


def _fill_from_json(trace: Trace, source: Source) -> None:
    entries = load_json(source)
    if not isinstance(entries, list):
        raise FormatError(f"{source.path}: found JSON that is not a list, expected a list of Philly jobs")
    jobs, records = [], []
    for number, entry in enumerate(entries, start=1):
        try:
            jobs.append(_job(entry))
            records.append(number)
        except (AttributeError, KeyError, TypeError):
            trace.bad_rows.add(NOT_A_JOB, [number])
    if not jobs:
        raise FormatError(f"{source.path}: found no job, expected a list of Philly jobs")
    columns = {key: np.array([job[key] for job in jobs], dtype=object) for key in jobs[0]}
    dates = {key: unix_seconds(columns.pop(key)) for key in ("submit", "start", "end")}
    wrong = np.logical_or.reduce([mask for _, mask in dates.values()])
    trace.origin, submit, (start, end) = rebase(*(seconds for seconds, _ in dates.values()))
    trace.jobs = finish(
        {
            **columns,
            "submit": submit,
            "start": start,
            "end": end,
            "run_time": end - start,
            "status": statuses(columns["status"], _STATUS),
        },
        lines=np.array(records, dtype=np.int64),
        bad=trace.bad_rows,
        problems={NOT_A_NUMBER: wrong},
        machine=trace.machine,
    )


def _job(entry: Any) -> dict[str, Any]:
    """Return the fields of one job: from the start of its first attempt to the end of its last."""
    attempts = entry["attempts"]
    first, last = (attempts[0], attempts[-1]) if attempts else ({}, {})
    detail = first.get("detail") or []
    return {
        "job_id": str(entry["jobid"]),
        "submit": str(entry["submitted_time"]),
        "start": str(first.get("start_time")),
        "end": str(last.get("end_time")),
        "gpus": float(sum(len(server["gpus"]) for server in detail)),
        "nodes": float(len(detail)),
        "user": str(entry["user"]),
        "tenant": str(entry["vc"]),
        "status": str(entry["status"]),
    }


def _machine(trace: Trace, path: Path) -> Machine | None:
    source, bad = load(path), BadRows()
    table = read_table(path, text_lines(source, bad), bad, required=(), names=_MACHINE_COLUMNS)
    trace.sha256 |= source.sha256
    trace.notes.append("CPUs and main memory of the servers are not listed: 1 CPU and 1 GiB per GPU stand in")
    gpus = table.convert("gpus", float)  # not a number on the header line, if there is one
    gpus = np.where(np.isfinite(gpus), gpus, 0.0)
    kinds = [kind.strip() for kind in table.text("gpu_memory")]
    return machine_listed(path.name.split(".")[0], gpus, gpus * 2.0**30, gpus, kinds)
