"""The machine of a log: from a list of its nodes, or as its jobs show it by naming their nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from hpcai.cluster.spec import Machine, NodeGroup
from hpcai.records.readers._table import Floats

_GIB = 2.0**30
_ABSURD = 2.0**53  # such rows are bad, and say nothing about the machine


def machine_listed(name: str, cpus: Floats, memory: Floats, gpus: Floats, kind: Sequence[str]) -> Machine | None:
    """Return the machine of the nodes listed, like ones grouped; None if none has a CPU.

    Args:
        name: of the machine.
        cpus: of each node; a part of one is not used.
        memory: of each node, in bytes.
        gpus: of each node.
        kind: GPU model of each node, '' without.
    """
    nodes = pd.DataFrame({"cpus": np.floor(cpus), "memory": memory, "gpus": np.floor(gpus), "kind": list(kind)})
    nodes = nodes[(nodes["cpus"] > 0) & (nodes["memory"] > 0) & (nodes["gpus"] >= 0)]
    counts = nodes.groupby(["kind", "gpus", "cpus", "memory"], sort=True).size()
    groups: list[NodeGroup] = []
    for (model, n_gpus, n_cpus, size), count in zip(counts.index, counts, strict=True):
        groups.append(
            NodeGroup(
                name=f"{model or 'cpu'}-{len(groups) + 1}",
                count=int(count),
                cpus=int(n_cpus),
                memory_gib=size / _GIB,
                gpus=int(n_gpus),
                gpu_kind=model if n_gpus else "",
            )
        )
    return Machine(name=name, groups=tuple(groups)) if groups else None


def machine_seen(
    name: str,
    nodes: Sequence[Sequence[str]],
    start: Floats,
    end: Floats,
    amounts: dict[str, Floats],
    gpu_kind: Sequence[str],
) -> Machine | None:
    """Return the machine of the nodes seen, each with the most that jobs occupied on it at one time.

    Args:
        name: of the machine.
        nodes: names of the nodes of each job; a job's share is the same on each of them.
        start: of each job, in seconds.
        end: of each job, in seconds.
        amounts: what each job occupies in all: 'processors', 'gpus' and 'memory' (bytes).
        gpu_kind: GPU model that each job was given, '' if the log does not say.
    """
    counts = np.array([len(names) for names in nodes], dtype=np.int64)
    job = np.repeat(np.arange(len(nodes)), counts)
    node, names = pd.factorize(np.array([name for names in nodes for name in names], dtype=object))
    if len(names) == 0:
        return None
    sane = np.all([~(np.abs(amount) > _ABSURD) for amount in amounts.values()], axis=0)
    known = (sane & np.isfinite(start) & np.isfinite(end))[job]
    job, node = job[known], node[known]
    instants = np.concatenate([end[job], start[job]])
    order = np.lexsort((instants, np.concatenate([node, node])))  # stable: an end comes before a start
    peaks = {
        kind: _peaks(node, np.nan_to_num(amount[job] / counts[job]), order, len(names))
        for kind, amount in amounts.items()
    }
    seen = pd.DataFrame({kind: np.ceil(peak - 1e-6) for kind, peak in peaks.items()})
    pairs = sorted({(row, gpu_kind[j]) for row, j in zip(node.tolist(), job.tolist(), strict=True)})
    model = {row: kinds.split("|")[0] for row, kinds in pairs if kinds}
    seen["gpu_kind"] = [model.get(row, "") for row in range(len(names))]
    return Machine(name=name, groups=tuple(_groups(seen)))


def _peaks(node: np.ndarray, share: Floats, order: np.ndarray, n: int) -> Floats:
    """Return the most of ``share`` at one time on each node, by a running sum that ends at 0 on each."""
    use = np.cumsum(np.concatenate([-share, share])[order])
    peaks = np.zeros(n)
    np.maximum.at(peaks, np.concatenate([node, node])[order], use)
    return peaks


def _groups(seen: pd.DataFrame) -> list[NodeGroup]:
    """Return groups of like nodes: those of as many GPUs of one model, with the CPUs of the fullest of them."""
    groups = []
    for gpus, model in sorted({(int(n), model) for n, model in zip(seen["gpus"], seen["gpu_kind"], strict=True)}):
        like = seen[(seen["gpus"] == gpus) & (seen["gpu_kind"] == model)]
        name = "-".join(filter(None, [model, f"gpu{gpus}" if gpus else "cpu"]))
        memory = max(1, math.ceil(like["memory"].max() / _GIB))
        cpus = max(1, int(like["processors"].max()))
        groups.append(NodeGroup(name=name, count=len(like), cpus=cpus, memory_gib=memory, gpus=gpus, gpu_kind=model))
    return groups
