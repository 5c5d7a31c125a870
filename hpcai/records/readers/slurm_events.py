"""Event list of the Slurm simulator: one submission a line, with the options of sbatch.

Source: https://github.com/ubccr-slurm-simulator/slurm_sim_tools
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.errors import FormatError
from hpcai.records.readers import _slurm
from hpcai.records.readers._delimited import first_line
from hpcai.records.readers._source import load, text_lines
from hpcai.records.readers._table import finish
from hpcai.records.schema import Trace

NOT_A_SUBMISSION: Final = "not a submission with -dt, -sim-walltime and -n"

_EVENT: Final = re.compile(r"-dt\s+([\d.]+)\s+-e\s+submit_batch_job\s*\|(.*)")
_OPTION: Final = re.compile(r"(?<!\S)(-[A-Za-z]|--?[A-Za-z][\w-]+)[=\s]+(\S+)")


def matches(head: bytes) -> bool:
    """Whether the first line is an event."""
    return _EVENT.match(first_line(head)[0].strip()) is not None


def read(path: Path) -> Trace:
    """Return the trace in an event list; submissions count from the start of the simulation."""
    source = load(path)
    trace = Trace.new(source.name, "slurm_events", source.sha256)
    jobs, numbers, wrong = [], [], []
    for number, line in enumerate(text_lines(source, trace.bad_rows).decode("utf-8").split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            jobs.append(_job(line))
            numbers.append(number)
        except (KeyError, TypeError, ValueError):
            wrong.append(number)
    if not jobs:
        raise FormatError(f"{path}: found no line '-dt ... -e submit_batch_job', expected an event list")
    trace.bad_rows.add(NOT_A_SUBMISSION, wrong)
    columns = {key: np.array([job[key] for job in jobs]) for key in jobs[0]}
    trace.jobs = finish(columns, lines=np.array(numbers, dtype=np.int64), bad=trace.bad_rows)
    return trace


def _job(line: str) -> dict[str, Any]:
    event = _EVENT.match(line.strip())
    if event is None:
        raise ValueError(line)
    options = dict(_OPTION.findall(event[2]))
    tasks, nodes = float(options["-n"]), float(options.get("-N", "0"))
    gpus = _gpus(options.get("--gres", "")) * max(nodes, 1.0)
    return {
        "job_id": options.get("-J", ""),
        "submit": float(event[1]),
        "run_time": float(options["-sim-walltime"]),
        "requested_time": _slurm.limit(options["-t"]) if "-t" in options else np.nan,
        "processors": tasks,
        "requested_processors": tasks,
        "nodes": nodes,
        "gpus": gpus,
        "memory": _slurm.memory(options["--mem"]) * max(nodes, 1.0) if "--mem" in options else np.nan,
        "user": options.get("--uid", ""),
        "tenant": options.get("--account", options.get("-A", "")),
        "partition": options.get("-p", ""),
        "qos": options.get("-q", ""),
    }


def _gpus(gres: str) -> float:
    """Return the GPUs on each node of '--gres=gpu:v100:2'."""
    found = re.search(r"gpu(?::[A-Za-z][\w.\-]*)?(?::(\d+))?", gres)
    return float(found[1] or 1) if found else 0.0
