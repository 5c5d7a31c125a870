"""What a pod needs of its node, and the task classes of a workload that fragmentation is measured against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.jit import jit
from hpcai.scheduling.jobs import MILLI

MOST_GPUS: Final = 62  # of a node: they are bits of an integer
MOST_SOCKETS: Final = 8  # of a node
ANY: Final = -1  # as a mask: every GPU kind

POD = np.dtype(
    [
        ("cpu", "i8"),  # thousandths of a CPU
        ("memory", "i8"),  # bytes
        ("gpu", "i8"),  # thousandths of a GPU: a multiple of 1000, or below 1000 a share of one
        ("kinds", "i8"),  # bit k: may have GPUs of kind k (nodes.gpu_kinds)
        ("weight", "f8"),  # of a task class: its share of the workload
        ("barred", "i8"),  # bit g: may not be on nodes of group g
    ],
    align=True,
)
PLACE = np.dtype(
    [
        ("node", "i8"),  # -1: nowhere
        ("gpus", "i8"),  # bit mask of its GPUs on the node
        ("cpu", "i8", (MOST_SOCKETS,)),  # thousandths from each socket
    ],
    align=True,
)


class Pods(NamedTuple):
    """Pods by what they need: like ones are of one type."""

    types: NDArray[np.void]  # POD (T,), most frequent first; weight is the share of the pods
    type: NDArray[np.int64]  # (P,) of each pod


def make_pods(jobs: pd.DataFrame, kinds: Sequence[str]) -> Pods:
    """Return the pods in ``jobs`` with columns cpu (thousandths), memory (bytes), gpu (thousandths) and gpu_kind.

    ``gpu_kind`` names the kinds allowed, separated by '|', '' for any; ``kinds`` are those of the machine. A pod of
    none of them fits nowhere. A column ``barred`` gives bits of the node groups where a pod may not be.
    """
    masks = {text: _mask(text, kinds) for text in jobs["gpu_kind"].unique()}
    needs = jobs[["cpu", "memory", "gpu"]].astype(np.int64).assign(kinds=jobs["gpu_kind"].map(masks).astype(np.int64))
    needs["barred"] = jobs["barred"].to_numpy(dtype=np.int64) if "barred" in jobs else 0
    return Pods(*_types(needs))


def make_target(pods: Pods, coverage: float = 0.95) -> NDArray[np.void]:
    """Return the task classes M of a workload, POD (M,), with their popularity as weight (sum 1).

    As in FGD's own program, a class is told by CPUs, GPUs and GPU kinds (memory 0: not looked at), and the most
    frequent classes that make up ``coverage`` of the pods stand for all.
    """
    of_pods = pods.types[pods.type]
    needs = pd.DataFrame({name: of_pods[name] for name in ("cpu", "memory", "gpu", "kinds", "barred")}).assign(memory=0)
    types, _ = _types(needs)
    enough = int(np.searchsorted(np.cumsum(types["weight"]), coverage - 1e-12)) + 1
    target = types[:enough].copy()
    target["weight"] /= target["weight"].sum()
    return target


def _types(needs: pd.DataFrame) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    rows, inverse, counts = np.unique(needs.to_numpy(), axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    types = np.zeros(len(rows), dtype=POD)
    for column, name in enumerate(needs.columns):
        types[name] = rows[order, column]
    types["weight"] = counts[order] / counts.sum()
    return types, np.argsort(order)[inverse.reshape(-1)]


def _mask(text: Any, kinds: Sequence[str]) -> int:
    wanted = [kind for kind in str(text).split("|") if kind]
    return sum(1 << k for k, kind in enumerate(kinds) if kind in wanted) if wanted else ANY


@jit
def sort_of(pod: Any) -> int:
    """Return 0 for a pod without GPU, 1 for a share, 1 + k for k whole GPUs."""
    if pod.gpu == 0:
        return 0
    return 1 if pod.gpu < MILLI else int(1 + pod.gpu // MILLI)
