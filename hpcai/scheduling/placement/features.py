"""What a learned placement looks at: features of a pod on a node, as if it were there already.

The cost of a place is the sum of weights times features, lower is better; pods without a GPU, with a share of one
and with whole ones have weights of their own.
"""

from __future__ import annotations

from typing import Any, Final

from hpcai.jit import jit
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.placement.fragmentation import fragmentation
from hpcai.scheduling.placement.nodes import Nodes, free_gpu
from hpcai.scheduling.placement.pods import ANY

FEATURES: Final = (
    "gradient",  # growth of the node's fragmentation F_n(M), in GPUs: what FGD goes by
    "fragmentation",  # F_n(M) afterwards / most GPUs of a node
    "free_gpu",  # free GPUs of the node afterwards / most GPUs of a node
    "free_cpu",  # likewise of its CPUs
    "free_memory",  # likewise of its memory
    "short_of_cpu",  # by how much its free share of GPUs exceeds that of its CPUs, else 0
    "short_of_gpu",  # by how much its free share of CPUs exceeds that of its GPUs, else 0
    "whole",  # wholly free GPUs of the node afterwards / most GPUs of a node
    "opens_gpu",  # 1 if a share goes to a wholly free GPU
    "opens_node",  # 1 if the node was empty
    "remainder",  # what stays free of the GPU of a share, 0..1
    "node_gpus",  # GPUs of the node / most GPUs of a node
    "node_cpus",  # CPUs of the node / most CPUs of a node
    "wanted_kind",  # part of the workload that asks for the node's GPU kind by name / the kind's part of all GPUs
    "dot_product",  # of what the pod needs and what was free, as in Tetris
)
KINDS_OF_POD: Final = ("cpu", "share", "whole")
WEIGHTS: Final = tuple(f"{kind}.{feature}" for kind in KINDS_OF_POD for feature in FEATURES)


@jit
def kind_of(pod: Any) -> int:
    """Return the place in KINDS_OF_POD of what the pod takes."""
    if pod.gpu == 0:
        return 0
    return 1 if pod.gpu < MILLI else 2


@jit
def observe(nodes: Nodes, n: int, pod: Any, mask: int, target: Any, before: float, out: Any) -> None:
    """Write to ``out`` (FEATURES,) the features of ``pod`` on node ``n``, which already counts as holding it.

    ``before`` is the node's fragmentation without it.
    """
    after = fragmentation(nodes, n, target)
    free, whole, opens, remainder = 0, 0, 0.0, 0.0
    for g in range(nodes.gpus[n]):
        free += nodes.gpu[n, g]
        whole += nodes.gpu[n, g] == MILLI
        if (mask >> g) & 1 and pod.gpu < MILLI:
            remainder = nodes.gpu[n, g] / MILLI
            opens = 1.0 if nodes.gpu[n, g] + pod.gpu == MILLI else 0.0
    gpu_share = free / (MILLI * nodes.gpus[n]) if nodes.gpus[n] > 0 else 0.0
    cpu_share = nodes.cpu[n] / nodes.cpus[n]
    most_cpu, most_memory, most_gpu = nodes.most
    out[0] = after - before
    out[1] = after * MILLI / most_gpu
    out[2] = free / most_gpu
    out[3] = nodes.cpu[n] / most_cpu
    out[4] = nodes.memory[n] / most_memory
    out[5] = max(gpu_share - cpu_share, 0.0)
    out[6] = max(cpu_share - gpu_share, 0.0)
    out[7] = whole * MILLI / most_gpu
    out[8] = opens
    out[9] = 1.0 if is_empty(nodes, n) else 0.0
    out[10] = remainder
    out[11] = nodes.gpus[n] * MILLI / most_gpu
    out[12] = nodes.cpus[n] / most_cpu
    out[13] = asked_for(target, nodes.kind[n]) / nodes.kind_share[n] if nodes.gpus[n] > 0 else 0.0
    out[14] = dot_product(nodes, n, pod, 1)


@jit
def is_empty(nodes: Nodes, n: int) -> bool:
    """Return whether node ``n`` holds no pod."""
    pods = 0
    for c in range(nodes.holds.shape[1]):
        pods += nodes.holds[n, c]
    return pods == 0


@jit
def asked_for(target: Any, kind: int) -> float:
    """Return the part of the workload that may have GPUs of ``kind`` (a bit) and not of every kind."""
    total = 0.0
    for m in range(target.shape[0]):
        if target[m].kinds != ANY and target[m].gpu > 0 and target[m].kinds & kind != 0:
            total += target[m].weight
    return total


@jit
def dot_product(nodes: Nodes, n: int, pod: Any, held: int) -> float:
    """Return the dot product of what ``pod`` needs and what is free, CPUs and GPUs, relative to the largest node.

    ``held`` is 1 if the pod already counts as being on the node, whose room is that without it, else 0.
    """
    most_cpu, _, most_gpu = nodes.most
    cpu, gpu = nodes.cpu[n] + held * pod.cpu, free_gpu(nodes, n) + held * pod.gpu
    return float((cpu / most_cpu) * (pod.cpu / most_cpu) + (gpu / most_gpu) * (pod.gpu / most_gpu))
