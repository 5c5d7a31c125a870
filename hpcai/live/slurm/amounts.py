"""What a job takes and what a node has, in Slurm's notations of trackable and generic resources."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from hpcai.records.readers import _slurm

_OUTSIDE_PARENTHESES: Final = re.compile(r",(?![^()]*\))")
_INDICES: Final = re.compile(r"\(IDX:([\d,\-]+)\)")
_UNKNOWN: Final = frozenset({"", "N/A", "n/a", "(null)", "NULL", "none", "None", "Unknown"})


class Amounts(NamedTuple):
    """What a job takes over all its nodes; 0 and None: not said. Memory in bytes."""

    cpus: int
    nodes: int
    gpus: float
    gpu_kind: str
    memory: float | None


def known(text: str | None) -> str:
    """Return ``text``, '' if it only says that there is nothing to say."""
    return "" if text is None or text in _UNKNOWN else text


def amounts(tres: str, asked: Iterable[tuple[str, int]] = ()) -> Amounts:
    """Return what 'cpu=8,mem=4G,node=2,gres/gpu=16' counts; ValueError if it is not of that form.

    ``asked`` are further requests, such as 'gres:gpu:8', and how often each holds. They say which GPUs, and how many
    where Slurm does not track them (AccountingStorageTRES).
    """
    counts = _slurm.resources(known(tres))
    gpus, kind = _slurm.gpus(counts)
    requests = [(gres_gpus(text), times) for text, times in asked]
    if not gpus:
        gpus = float(sum(count * times for (count, _), times in requests))
    if not kind and gpus:
        kind = "|".join(sorted({kind for (count, kind), _ in requests if count and kind}))
    memory = _slurm.memory(counts["mem"]) if "mem" in counts else 0.0
    return Amounts(int(counts.get("cpu", 0)), int(counts.get("node", 0)), gpus, kind, memory or None)


def gres_gpus(text: str) -> tuple[int, str]:
    """Return the number of GPUs in 'gpu:a100:4(S:0-1),shard:16' or 'gres:gpu:2', and their most frequent model."""
    models: dict[str, int] = {}
    for item in _OUTSIDE_PARENTHESES.split(known(text)):
        parts = re.split(r"[:/=]", item.partition("(")[0].strip())
        if parts[0] == "gres":
            parts = parts[1:]
        if not parts or parts[0] != "gpu":
            continue
        counted = len(parts) > 1 and parts[-1].isdecimal()
        model = ":".join(parts[1:-1] if counted else parts[1:])
        models[model] = models.get(model, 0) + (int(parts[-1]) if counted else 1)
    return sum(models.values()), max(models, key=models.__getitem__, default="")


def gpu_indices(text: str) -> tuple[int, ...] | None:
    """Return which GPUs of its node 'gpu:2(IDX:0-1)' names; None if it does not say so of all of them."""
    items = [item for item in _OUTSIDE_PARENTHESES.split(known(text)) if gres_gpus(item)[0]]
    found = [_INDICES.search(item) for item in items]
    indices = tuple(sorted(int(i) for match in found if match for i in _slurm.node_names(f"[{match[1]}]")))
    return indices if len(indices) == sum(gres_gpus(item)[0] for item in items) else None


def indices_by_node(names: tuple[str, ...], gres: dict[str, str]) -> tuple[tuple[int, ...], ...]:
    """Return the GPUs of each of the nodes of a job; () if they are not known of all that ``gres`` says anything of."""
    indices = [gpu_indices(gres.get(name, "")) for name in names]
    every = tuple(known_ for known_ in indices if known_ is not None)
    return every if len(every) == len(names) and any(every) else ()
