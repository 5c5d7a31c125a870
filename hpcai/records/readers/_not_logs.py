"""Tables that are published with job logs and taken for one, but list no jobs."""

from __future__ import annotations

from typing import Final

from hpcai.records.readers._delimited import has_columns

_TABLES: Final = (
    (("time", "running_job_num", "pending_job_num"), "counts of jobs and GPUs by the minute (Helios)"),
    (("time", "active", "total"), "counts of nodes by the minute (Philly)"),
    (("model1", "model2", "speed1", "speed2"), "slow-downs of pairs of models that share a GPU (Lucid)"),
    (("date", "total"), "GPUs of virtual clusters by the day (Helios)"),
    (("id", "job_num", "gpu_job_num"), "sums over whole clusters (Acme)"),
    (("sn", "cpu_milli", "memory_mib", "gpu", "model"), "nodes (openb): they go with the list of pods, as nodes="),
    (("node_name", "gpu_model", "gpu_capacity_num"), "nodes (Alibaba 2026)"),
)


def what_it_is(head: bytes) -> str:
    """Return what a table holds instead of jobs; '' if it is none of those known."""
    return next((what for columns, what in _TABLES if has_columns(head, columns)), "")
