"""openb, the GPU-sharing pods of Alibaba's cluster trace 2023, with its list of nodes.

Source: https://github.com/alibaba/clusterdata, cluster-trace-gpu-v2023
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from hpcai.cluster.spec import Machine
from hpcai.errors import FormatError
from hpcai.records.readers._delimited import has_columns, read_table
from hpcai.records.readers._nodes import machine_listed
from hpcai.records.readers._source import companion, load, text_lines
from hpcai.records.readers._table import NOT_A_NUMBER, finish, statuses
from hpcai.records.schema import BadRows, Trace

_SIZES: Final = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli")
_TIMES: Final = ("creation_time", "scheduled_time", "deletion_time")
_NODES: Final = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
_STATUS: Final = {
    "Succeeded": "completed",
    "Failed": "failed",
    "Running": "running",
    "Pending": "cancelled",  # deleted before a node was found
}
_MIB: Final = 2.0**20


def matches(head: bytes) -> bool:
    """Whether it is a CSV with openb's columns of sizes, with or without those of times."""
    return has_columns(head, _SIZES)


def read(path: Path, *, nodes: Path | str | None = None) -> Trace:
    """Return the trace in an openb pod list.

    Args:
        path: the pod list.
        nodes: the node list; by default ``openb_node_list_all_node.csv`` beside ``path``, if it is there.

    Raises:
        FormatError: the list has no times, as the variants that only vary sizes, or is of another format.
    """
    source = load(path)
    trace = Trace.new(source.name, "openb", source.sha256)
    data = text_lines(source, trace.bad_rows)
    if has_columns(data, _SIZES) and not has_columns(data, _TIMES):
        raise FormatError(f"{path}: found a pod list without times, which cannot be replayed; expected {_TIMES[0]}")
    table = read_table(path, data, trace.bad_rows, required=(*_SIZES, *_TIMES))
    submit, start, end = (table.number(name) for name in _TIMES)
    gpus = table.number("num_gpu") * table.number("gpu_milli") / 1000.0
    if (node_list := companion(path, nodes, "openb_node_list_all_node.csv")) is not None:
        trace.machine = _machine(trace, node_list)
    trace.notes.append("times count from the start of the trace; CPUs are rounded up to whole ones")
    trace.notes.append("pods last seen running ran until they were deleted or the trace ended")
    trace.jobs = finish(
        {
            "job_id": table.text("name"),
            "submit": submit,
            "start": start,
            "end": end,
            "run_time": end - start,
            "processors": np.ceil(table.number("cpu_milli") / 1000.0),
            "requested_processors": np.ceil(table.number("cpu_milli") / 1000.0),
            "nodes": np.ones(len(table)),
            "pods": np.ones(len(table)),
            "gpus": gpus,
            "gpu_kind": table.text("gpu_spec"),
            "memory": table.number("memory_mib") * _MIB,
            "qos": table.text("qos"),
            "status": statuses(table.text("pod_phase"), _STATUS),
        },
        lines=table.lines,
        bad=trace.bad_rows,
        problems={NOT_A_NUMBER: table.wrong | np.isnan(gpus)},
        machine=trace.machine,
    )
    return trace


def _machine(trace: Trace, path: Path) -> Machine | None:
    source, bad = load(path), BadRows()
    table = read_table(path, text_lines(source, bad), bad, required=_NODES)
    trace.sha256 |= source.sha256
    if bad.total or table.wrong.any():
        trace.notes.append(f"{path.name}: {bad.total + int(table.wrong.sum())} lines could not be read")
    return machine_listed(
        path.name.split(".")[0],
        table.number("cpu_milli") / 1000.0,
        table.number("memory_mib") * _MIB,
        table.number("gpu"),
        table.known("model"),
    )
