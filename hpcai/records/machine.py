"""The machine of a trace whose log does not say what it ran on."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.cluster.spec import Machine, NodeGroup
from hpcai.errors import InputError
from hpcai.records.schema import Trace

ASSUMED_UTILISATION: Final = 0.8  # mean use of the machine of a log without start times
ASSUMED_GPUS_PER_NODE: Final = 8
_GIB: Final = 2.0**30


def machine_of(trace: Trace) -> tuple[Machine, bool]:
    """Return the machine that the log names, else the inferred one, and whether it is inferred."""
    return (trace.machine, False) if trace.machine is not None else (infer_machine(trace), True)


def infer_machine(trace: Trace) -> Machine:
    """Return a machine on which the recorded jobs could have run.

    Its size is the peak of recorded concurrent use. Where the log has no start times it is the size that the
    work would use to 80 % from the first submission to the last. Either way it holds the largest job. With
    GPUs the machine is counted by node, a node being as large as the largest share of a job on one node;
    where node counts are unknown it has 8 GPUs. Jobs that name GPU models get nodes with the first of these.
    All are lower bounds: what stood idle leaves no mark.

    Raises InputError if no job has a size.
    """
    jobs = trace.jobs
    name = f"{trace.name} (inferred)"
    if not (jobs["gpus"] > 0).any():
        processors = needed(jobs, "processors")
        if processors == 0:
            raise InputError(f"{trace.name}: no job has a size, so the machine cannot be inferred: name one")
        return Machine.by_processors(processors, name=name)
    kind = jobs["gpu_kind"].astype("str").str.split("|").str[0]
    return Machine(name=name, groups=tuple(_like_nodes(jobs[kind == k], k) for k in sorted(set(kind))))


def needed(jobs: pd.DataFrame, resource: str) -> int:
    """Return how much of a column of the table the machine must have (see :func:`infer_machine`)."""
    amount = jobs[resource].to_numpy(dtype=np.float64)
    largest = int(np.ceil(amount.max(initial=0.0)))
    peak = peak_use(jobs, amount) if jobs["start"].notna().any() else _mean_use(jobs, amount)
    return max(largest, math.ceil(peak - 1e-6))


def peak_use(jobs: pd.DataFrame, amount: npt.NDArray[np.float64]) -> float:
    """Return the most of ``amount`` that recorded jobs occupied at one time; ends come before starts."""
    start, run_time = jobs["start"].to_numpy(), jobs["run_time"].to_numpy()
    ran = ~np.isnan(start) & ~np.isnan(run_time)
    instants = np.concatenate([start[ran] + run_time[ran], start[ran]])
    changes = np.concatenate([-amount[ran], amount[ran]])
    order = np.argsort(instants, kind="stable")
    return float(np.cumsum(changes[order]).max(initial=0.0))


def _mean_use(jobs: pd.DataFrame, amount: npt.NDArray[np.float64]) -> float:
    submit = jobs["submit"].to_numpy()
    span = float(submit[-1] - submit[0]) if len(submit) else 0.0
    work = float(np.nansum(amount * jobs["run_time"].to_numpy()))
    return work / span / ASSUMED_UTILISATION if span > 0 else 0.0


def _like_nodes(jobs: pd.DataFrame, kind: str) -> NodeGroup:
    """Return nodes on which every job fits as it is spread: over its nodes, or as few as have its GPUs."""
    gpus, processors, memory = (
        np.nan_to_num(jobs[column].to_numpy(dtype=np.float64)) for column in ("gpus", "processors", "memory")
    )
    nodes = jobs["nodes"].to_numpy(dtype=np.float64)
    per_node = ASSUMED_GPUS_PER_NODE if (gpus > 0).any() else 0
    if (gpus[nodes > 0] > 0).any():
        per_node = int(np.ceil((gpus / np.maximum(nodes, 1.0))[nodes > 0].max()))
    nodes = np.where(nodes > 0, nodes, np.maximum(np.ceil(gpus / max(per_node, 1)), 1.0))
    cpus = max(int(np.ceil((processors / nodes).max())), 1)
    return NodeGroup(
        name=f"node-{kind}" if kind else "node",
        count=max(
            math.ceil(needed(jobs, "gpus") / max(per_node, 1)),
            math.ceil(needed(jobs, "processors") / cpus),
            int(nodes.max()),
        ),
        cpus=cpus,
        memory_gib=max(math.ceil((memory / nodes).max() / _GIB), 1),
        gpus=per_node,
        gpu_kind=kind if per_node else "",
    )
