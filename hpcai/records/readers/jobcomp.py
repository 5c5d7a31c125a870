"""Slurm job completion log of the plug-in jobcomp/filetxt: one job a line, as Key=Value pairs.

Source: slurm.conf(5), JobCompType, https://slurm.schedmd.com/slurm.conf.html
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from hpcai.errors import FormatError
from hpcai.records.readers._delimited import Delimited, first_line, is_unknown
from hpcai.records.readers._source import load, text_lines
from hpcai.records.readers.sacct import fill
from hpcai.records.schema import Trace

NOT_A_JOB: Final = "not a line of Key=Value pairs with JobId, SubmitTime and JobState"

_KEYS: Final = (
    *("JobId", "UserId", "GroupId", "Name", "JobState", "Partition", "TimeLimit", "StartTime", "EndTime"),
    *("NodeList", "NodeCnt", "ProcCnt", "WorkDir", "ReservationName", "Tres", "Account", "QOS", "WcKey"),
    *("Cluster", "SubmitTime", "EligibleTime", "ArrayJobId", "ArrayTaskId", "HetJobId", "HetJobOffset"),
    *("DerivedExitCode", "ExitCode"),
)
_PAIR: Final = re.compile(rf"(?:^| )({'|'.join(_KEYS)})=")  # a value may hold blanks, but hardly a key
_NEEDED: Final = frozenset({"JobId", "SubmitTime", "JobState"})
_SAME: Final = {
    "TimeLimit": "timelimit",
    "StartTime": "start",
    "EndTime": "end",
    "SubmitTime": "submit",
    "EligibleTime": "eligible",
    "NodeList": "nodelist",
    "NodeCnt": "allocnodes",
    "ProcCnt": "alloccpus",
    "Account": "account",
    "QOS": "qos",
    "Partition": "partition",
    "JobState": "state",
}


def matches(head: bytes) -> bool:
    """Whether the first line has the pairs that every job has."""
    return _pairs(first_line(head)[0]).keys() >= _NEEDED


def read(path: Path) -> Trace:
    """Return the trace in a jobcomp/filetxt log; its columns mean what those of sacct do."""
    source = load(path)
    trace = Trace.new(source.name, "jobcomp", source.sha256)
    jobs, numbers, wrong = [], [], []
    for number, line in enumerate(text_lines(source, trace.bad_rows).decode("utf-8").split("\n"), start=1):
        pairs = _pairs(line.rstrip("\r"))
        if pairs.keys() >= _NEEDED:
            jobs.append(_as_sacct(pairs))
            numbers.append(number)
        elif line.strip() and not line.startswith("#"):
            wrong.append(number)
    if not jobs:
        raise FormatError(f"{path}: found no line with JobId=, SubmitTime= and JobState=, expected jobcomp/filetxt")
    trace.bad_rows.add(NOT_A_JOB, wrong)
    columns = {name: pa.array([job[name] for job in jobs], type=pa.string()) for name in jobs[0]}
    fill(trace, Delimited(columns, np.array(numbers, dtype=np.int64)))
    return trace


def _pairs(line: str) -> dict[str, str]:
    parts = _PAIR.split(line)
    return dict(zip(parts[1::2], (value.strip() for value in parts[2::2]), strict=True))


def _as_sacct(pairs: dict[str, str]) -> dict[str, str]:
    """Return the fields under sacct's names; Tres is what was allocated, or requested if it never ran."""
    job = {name: pairs.get(key, "") for key, name in _SAME.items()}
    array, task = pairs.get("ArrayJobId", ""), pairs.get("ArrayTaskId", "")
    job["jobid"] = f"{array}_{task}" if array and task.isdecimal() else pairs["JobId"]
    job["user"] = pairs.get("UserId", "").partition("(")[0]
    job["group"] = pairs.get("GroupId", "").partition("(")[0]
    ran = not is_unknown(job["nodelist"])
    job["alloctres"] = pairs.get("Tres", "") if ran else ""
    job["reqtres"] = pairs.get("Tres", "")
    return job
