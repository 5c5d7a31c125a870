"""Jobs, nodes, partitions and site factors from what Slurm's commands print, with times as Unix times."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from hpcai.errors import FormatError
from hpcai.live.slurm.amounts import amounts, gres_gpus, indices_by_node, known
from hpcai.live.slurm.client import Job, Node, PartitionSeen
from hpcai.live.slurm.words import HAS_NODES, first_known
from hpcai.records.readers import _slurm

SEPARATOR: Final = "|"
SQUEUE_FIELDS: Final = (
    *("JobID", "ArrayJobID", "ArrayTaskID", "UserName", "Account", "Partition", "QOS", "State", "Reason"),
    *("SubmitTime", "EligibleTime", "StartTime", "TimeLimit", "NumCPUs", "NumNodes", "NumTasks"),
    *("tres-alloc", "tres-per-job", "tres-per-node", "tres-per-task", "NodeList", "PriorityLong", "Nice"),
    "OverSubscribe",
)
SQUEUE_FORMAT: Final = ",".join(f"{field}:{SEPARATOR}" for field in SQUEUE_FIELDS)
SPRIO_FORMAT: Final = "%i|%S"

_MIB: Final = 2**20
_JOB_LINE: Final = re.compile(r"JobId=(\d+) ")
_DETAIL: Final = re.compile(r" Nodes=(\S+) CPU_IDs=\S* Mem=\d+ GRES=(\S*)")


def jobs(text: str) -> tuple[Job, ...]:
    """Return the jobs that ``squeue --array-unique -O SQUEUE_FORMAT`` printed. Raises FormatError."""
    return tuple(job for line in text.splitlines() if (job := _job(line)) is not None)


def with_indices(listed: tuple[Job, ...], text: str) -> tuple[Job, ...]:
    """Return the jobs with the GPUs that ``scontrol --details --oneliner show job`` says they have."""
    gres: dict[int, dict[str, str]] = {}
    for line in text.splitlines():
        if found := _JOB_LINE.match(line):
            details = _DETAIL.findall(line)
            gres[int(found[1])] = {name: said for names, said in details for name in _slurm.node_names(names)}
    return tuple(
        replace(job, gpu_indices=indices_by_node(job.node_names, gres[job.number])) if job.number in gres else job
        for job in listed
    )


def with_site_factors(listed: tuple[Job, ...], text: str) -> tuple[Job, ...]:
    """Return the jobs with the site factors that ``sprio --format=SPRIO_FORMAT`` printed, of waiting jobs alone."""
    pairs = (line.strip().split(SEPARATOR) for line in text.splitlines())
    factors = {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].lstrip("-").isdecimal()}
    return tuple(
        replace(job, site_factor=factors[str(job.number)]) if str(job.number) in factors else job for job in listed
    )


def nodes(text: str) -> tuple[Node, ...]:
    """Return the nodes that ``scontrol --oneliner show node`` printed. Raises FormatError."""
    return tuple(_node(line) for line in text.splitlines() if line.startswith("NodeName="))


def partitions(text: str) -> tuple[PartitionSeen, ...]:
    """Return the partitions that ``scontrol --oneliner show partition`` printed. Raises FormatError."""
    return tuple(_partition(line) for line in text.splitlines() if line.startswith("PartitionName="))


def _job(line: str) -> Job | None:
    values = line.split(SEPARATOR)
    if len(values) != len(SQUEUE_FIELDS) + 1:  # each field ends with the separator
        raise FormatError(f"squeue: found {line!r}, expected {len(SQUEUE_FIELDS)} fields: {', '.join(SQUEUE_FIELDS)}")
    said = dict(zip(SQUEUE_FIELDS, (known(value) for value in values), strict=False))
    state = first_known([said["State"]])
    if not state:
        return None
    try:
        return _read_job(said, state)
    except ValueError as error:
        raise FormatError(f"squeue: job {said['JobID']}: found {error} in {line!r}") from error


def _read_job(said: Mapping[str, str], state: str) -> Job:
    has_nodes = state in HAS_NODES
    n_nodes, tasks = int(said["NumNodes"] or 0), int(said["NumTasks"] or 0)
    asked = [
        (said[f"tres-per-{what}"], max(times, 1)) for what, times in (("job", 1), ("node", n_nodes), ("task", tasks))
    ]
    takes = amounts(said["tres-alloc"], asked)
    names = tuple(_slurm.node_names(said["NodeList"])) if has_nodes else ()
    limit = _slurm.limit(said["TimeLimit"]) if said["TimeLimit"] else float("nan")
    task = said["ArrayTaskID"]
    array = said["ArrayJobID"] if task else ""
    return Job(
        id=f"{array}_{task}" if task.isdecimal() else said["JobID"],
        number=int(said["JobID"]),
        user=said["UserName"],
        account=said["Account"],
        partition=said["Partition"],
        qos=said["QOS"],
        state=state,
        reason=said["Reason"] or "None",
        submit=_time(said["SubmitTime"]) or 0.0,
        eligible=_time(said["EligibleTime"]),
        start=_time(said["StartTime"]) if has_nodes else None,
        time_limit=limit if limit == limit else None,
        cpus=takes.cpus or int(said["NumCPUs"]),
        nodes=len(names) or takes.nodes or n_nodes,
        gpus=takes.gpus,
        gpu_kind=takes.gpu_kind,
        memory=takes.memory,
        exclusive=said["OverSubscribe"] == "NO",
        node_names=names,
        gpu_indices=(),
        priority=int(said["PriorityLong"]),
        nice=int(said["Nice"] or 0),
        site_factor=None,
        array_id=array,
        array_tasks=task,
    )


def _time(text: str) -> float | None:
    return float(text) or None if text else None


def _value(line: str, key: str) -> str:
    """Return the first value of ``key``: further ones may stand in free text, which comes last."""
    found = re.search(rf"(?:^| ){key}=(\S*)", line)
    return known(found[1]) if found else ""


def _node(line: str) -> Node:
    name = _value(line, "NodeName")
    gpus, kind = gres_gpus(_value(line, "Gres"))
    try:
        cpus, memory = int(_value(line, "CPUEfctv") or _value(line, "CPUTot")), int(_value(line, "RealMemory"))
    except ValueError as error:
        raise FormatError(f"scontrol show node: {name}: no CPUTot or RealMemory, expected both: {error}") from error
    return Node(
        name=name,
        states=_states(_value(line, "State")),
        cpus=cpus,
        memory=float(memory * _MIB),
        gpus=gpus,
        gpu_kind=kind,
        partitions=tuple(sorted(filter(None, _value(line, "Partitions").split(",")))),
    )


def _states(text: str) -> frozenset[str]:
    """Return the words of 'DOWN*+DRAIN'; a star says that the node does not respond."""
    words = {word.rstrip("*~#!%$@^-") for word in text.upper().split("+")}
    return frozenset(words | ({"NOT_RESPONDING"} if "*" in text else set()))


def _partition(line: str) -> PartitionSeen:
    name = _value(line, "PartitionName")
    try:
        limit = _slurm.limit(_value(line, "MaxTime") or "UNLIMITED")
    except ValueError as error:
        raise FormatError(f"scontrol show partition: {name}: MaxTime {error}, expected a time") from error
    return PartitionSeen(
        name=name,
        nodes=_value(line, "Nodes"),
        max_time=limit if limit == limit else None,
        priority=int(_value(line, "PriorityJobFactor") or 1),
    )
