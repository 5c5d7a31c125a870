"""Jobs, nodes and partitions from the JSON of ``squeue --json`` and of slurmrestd, be it new or of Slurm 22.05.

Older versions write a plain number, or null; newer ones ``{"set": true, "infinite": false, "number": 5}``. A state is
one word with flags apart, or a list of words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hpcai.errors import FormatError
from hpcai.live.slurm.amounts import amounts, gres_gpus, indices_by_node, known
from hpcai.live.slurm.client import Job, Node, PartitionSeen
from hpcai.live.slurm.words import HAS_NODES, first_known
from hpcai.records.readers import _slurm

_MIB: Final = 2**20
_NONE: Final = 2**32 - 2  # NO_VAL and INFINITE of slurm.h, and whatever lies above
_NICE_WRAPS: Final = 2**31


def jobs(document: Mapping[str, Any], source: str) -> tuple[Job, ...]:
    """Return the jobs that have not ended. Raises FormatError, naming ``source``, if there is no list of jobs."""
    return tuple(job for record in _records(document, "jobs", source) if (job := _job(record, source)) is not None)


def nodes(document: Mapping[str, Any], source: str) -> tuple[Node, ...]:
    """Return the nodes. Raises FormatError, naming ``source``, if there is no list of nodes."""
    return tuple(_node(record) for record in _records(document, "nodes", source))


def partitions(document: Mapping[str, Any], source: str) -> tuple[PartitionSeen, ...]:
    """Return the partitions. Raises FormatError, naming ``source``, if there is no list of partitions."""
    return tuple(_partition(record) for record in _records(document, "partitions", source))


def errors(document: Any) -> list[str]:
    """Return what went wrong, as the document itself says."""
    said = document.get("errors") if isinstance(document, Mapping) else None
    return [_error(error) for error in said or () if isinstance(error, Mapping)]


def _error(error: Mapping[str, Any]) -> str:
    return str(error.get("error") or error.get("description") or "failed without a word")


def number(value: Any) -> float | None:
    """Return a number in either notation; None if it is not set or infinite."""
    if isinstance(value, Mapping):
        return None if value.get("infinite") or not value.get("set", True) else number(value.get("number"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return None if value < 0 or value >= _NONE else value


def _records(document: Mapping[str, Any], key: str, source: str) -> list[Mapping[str, Any]]:
    records = document.get(key) if isinstance(document, Mapping) else None
    if not isinstance(records, list) or not all(isinstance(record, Mapping) for record in records):
        raise FormatError(f"{source}: found no list of {key}, expected Slurm's JSON")
    return records


def _words(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(word).upper() for word in values if word]


def _job(record: Mapping[str, Any], source: str) -> Job | None:
    state = first_known(_words(record.get("job_state")))
    if not state:
        return None
    at = int(record["job_id"])
    has_nodes = state in HAS_NODES
    n_nodes, tasks = _count(record.get("node_count")), _count(record.get("tasks"))
    asked = [
        (str(record.get(key) or ""), max(times, 1))
        for key, times in (("tres_per_job", 1), ("tres_per_node", n_nodes), ("tres_per_task", tasks))
    ]
    tres = str((record.get("tres_alloc_str") if has_nodes else "") or record.get("tres_req_str") or "")
    try:
        takes = amounts(tres, asked)
        names = tuple(_slurm.node_names(known(record.get("nodes")))) if has_nodes else ()
    except ValueError as error:
        raise FormatError(f"{source}: job {at}: found {error}, expected resources or nodes") from error
    limit = number(record.get("time_limit"))
    array, task = _array(record)
    return Job(
        id=f"{array}_{task}" if task.isdecimal() else str(at),
        number=at,
        user=str(record.get("user_name") or ""),
        account=str(record.get("account") or ""),
        partition=str(record.get("partition") or ""),
        qos=str(record.get("qos") or ""),
        state=state,
        reason=str(record.get("state_reason") or "None"),
        submit=number(record.get("submit_time")) or 0.0,
        eligible=number(record.get("eligible_time")) or None,
        start=(number(record.get("start_time")) or None) if has_nodes else None,
        time_limit=None if limit is None else limit * 60,
        cpus=takes.cpus or _count(record.get("cpus")),
        nodes=len(names) or takes.nodes or n_nodes,
        gpus=takes.gpus,
        gpu_kind=takes.gpu_kind,
        memory=takes.memory,
        exclusive="NONE" in _words(record.get("shared")),
        node_names=names,
        gpu_indices=_indices(names, record.get("gres_detail")),
        priority=_count(record.get("priority")),
        nice=_nice(record.get("nice")),
        site_factor=_site_factor(record.get("site_factor")),
        array_id=array,
        array_tasks=task,
    )


def _count(value: Any) -> int:
    return int(number(value) or 0)


def _array(record: Mapping[str, Any]) -> tuple[str, str]:
    """Return the id of the array that it belongs to, and which tasks it is; '' without."""
    array, task = _count(record.get("array_job_id")), number(record.get("array_task_id"))
    if not array:
        return "", ""
    return str(array), str(record.get("array_task_string") or "") if task is None else str(int(task))


def _indices(names: tuple[str, ...], detail: Any) -> tuple[tuple[int, ...], ...]:
    """Return which GPUs it has on each node; ``detail`` lists them in the order of the nodes."""
    if not isinstance(detail, list) or len(detail) != len(names):
        return ()
    return indices_by_node(names, dict(zip(names, map(str, detail), strict=True)))


def _nice(value: Any) -> int:
    """Return a nice value; 22.05 writes null for 0, and a negative one as if it had no sign."""
    if isinstance(value, Mapping):
        value = value.get("number")
    if not isinstance(value, int):
        return 0
    return value - 2**32 if value >= _NICE_WRAPS else value


def _site_factor(value: Any) -> int | None:
    if isinstance(value, Mapping):
        value = value.get("number") if value.get("set") else None
    return value if isinstance(value, int) and abs(value) < _NICE_WRAPS else None


def _node(record: Mapping[str, Any]) -> Node:
    gpus, kind = gres_gpus(str(record.get("gres") or ""))
    parts = record.get("partitions") or []
    return Node(
        name=str(record.get("name", "")),
        states=frozenset(_words(record.get("state")) + _words(record.get("state_flags") or [])),
        cpus=_count(record.get("effective_cpus")) or _count(record.get("cpus")),
        memory=float(_count(record.get("real_memory")) * _MIB),
        gpus=gpus,
        gpu_kind=kind,
        partitions=tuple(sorted(parts.split(",") if isinstance(parts, str) else parts)),
    )


def _partition(record: Mapping[str, Any]) -> PartitionSeen:
    listed, maximums, priority = record.get("nodes"), record.get("maximums"), record.get("priority")
    limit = number(maximums.get("time") if isinstance(maximums, Mapping) else record.get("max_time_limit"))
    factor = priority.get("job_factor") if isinstance(priority, Mapping) else record.get("priority_job_factor")
    return PartitionSeen(
        name=str(record.get("name", "")),
        nodes=str((listed.get("configured") if isinstance(listed, Mapping) else listed) or ""),
        max_time=None if limit is None else limit * 60,
        priority=_count(factor),
    )
