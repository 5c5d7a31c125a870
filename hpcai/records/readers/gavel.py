"""Job lists of the Gavel simulator: type of training, steps, GPUs, arrival; how fast each type runs is another file.

Source: https://github.com/stanford-futuredata/gavel (scheduler/traces, scheduler/oracle_throughputs.json)
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.errors import FormatError, InputError
from hpcai.records.readers._delimited import first_line, read_table
from hpcai.records.readers._json import load_json
from hpcai.records.readers._source import companion, load, text_lines
from hpcai.records.readers._table import NOT_A_NUMBER, Floats, finish
from hpcai.records.schema import Trace

NOT_MEASURED: Final = "no throughput of its type on as many GPUs"

_FIRST: Final = ("type", "command", "steps_argument", "needs_data", "steps")
_COLUMNS: Final = {  # by their number: the list has no header, and grew
    7: (*_FIRST, "arrival", "gpus"),
    9: (*_FIRST, "gpus", "weight", "slo", "arrival"),
}
_TYPE: Final = re.compile(r"\('(.*)', (\d+)\)")  # as the throughputs name one: type and GPUs
_TABLES: Final = ("oracle_throughputs.json", "simulation_throughputs.json")


def matches(head: bytes) -> bool:
    """Whether the first line has the fields of a job between tabs: the fourth a flag, the fifth a number of steps."""
    fields = first_line(head)[0].split("\t")
    return len(fields) in _COLUMNS and fields[3] in ("0", "1") and fields[4].isdecimal()


def read(path: Path, *, throughputs: Path | str | None = None, gpu: str = "v100") -> Trace:
    """Return the trace in a Gavel job list: a job runs for its steps over the steps per second measured for its type.

    Args:
        path: the job list.
        throughputs: the table of steps per second; by default ``oracle_throughputs.json`` beside ``path``.
        gpu: the GPU model, as the table names it, on which the run times are taken.

    Raises:
        InputError: there is no table of throughputs, or it does not have ``gpu``.
    """
    table_path = companion(path, throughputs, *_TABLES)
    if table_path is None:
        raise InputError(
            f"{path}: its jobs are given in steps, not in time: how long a step takes is in {_TABLES[0]}, "
            "which is not beside it (throughputs=)"
        )
    source = load(path)
    trace = Trace.new(source.name, "gavel", source.sha256)
    data = text_lines(source, trace.bad_rows)
    names = _COLUMNS.get(len(first_line(data)[0].split("\t")))
    if names is None:
        raise FormatError(f"{path}: expected {' or '.join(map(str, _COLUMNS))} fields separated by tabs")
    table = read_table(path, data, trace.bad_rows, required=(), delimiter="\t", names=names)
    steps, gpus, submit = table.number("steps"), table.number("gpus"), table.number("arrival")
    types = table.text("type")
    per_second = _per_second(trace, table_path, str(gpu))
    speed = np.array([per_second.get(key, np.nan) for key in zip(types, gpus, strict=True)], dtype=np.float64)
    run_time: Floats = steps / speed
    together = gpus > 1
    trace.notes.append(
        f"run times are the steps of a job over the steps per second that its type was measured with on {gpu}"
    )
    trace.notes.append("job ids are line numbers; the type of training is given as the queue; each GPU has a worker")
    trace.jobs = finish(
        {
            "job_id": table.lines.astype(np.float64),
            "submit": submit,
            "run_time": run_time,
            "gpus": gpus,
            "queue": types,
            "kind": np.where(together, "gang", "batch").astype(object),
            "pods": gpus,
            "model": np.array(table.each("type", model_name), dtype=object),
        },
        lines=table.lines,
        bad=trace.bad_rows,
        problems={NOT_A_NUMBER: table.wrong | np.isnan(gpus) | np.isnan(steps), NOT_MEASURED: np.isnan(run_time)},
    )
    return trace


def model_name(type: str) -> str:
    """Return the network in a type such as 'ResNet-50 (batch size 128)', as the other readers name one: resnet50."""
    name = type.partition(" (")[0].strip().lower()
    return re.sub(r"^resnet-", "resnet", name)


def _per_second(trace: Trace, path: Path, gpu: str) -> dict[tuple[str, float], float]:
    """Return steps per second by type and GPUs, of a job that shares its GPUs with no other."""
    source = load(path)
    trace.sha256 |= source.sha256
    tables: Any = load_json(source)
    if not isinstance(tables, dict) or not isinstance(tables.get(gpu), dict):
        known = ", ".join(tables) if isinstance(tables, dict) else type(tables).__name__
        raise InputError(f"{path}: gpu {gpu!r}: expected one of the tables that it has ({known[:80]})")
    speeds = {}
    for name, beside in tables[gpu].items():
        found = _TYPE.fullmatch(name)
        alone = beside.get("null") if isinstance(beside, dict) else None
        if found and isinstance(alone, int | float) and alone > 0:  # 0: it did not fit
            speeds[found[1], float(found[2])] = float(alone)
    return speeds
