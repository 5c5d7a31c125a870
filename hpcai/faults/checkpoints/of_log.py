"""The faults that jobs on nodes of a failure log would have met."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.errors import InputError
from hpcai.faults.checkpoints.faults import ELSEWHERE, GLOBAL, LOCAL, Faults
from hpcai.faults.outages import Outages
from hpcai.records.failures import FailureLog

Whole = NDArray[np.int64]

LEAVE_DISKS: Final = ("software", "human")
"""Parts at fault that leave a node's disks, and so its local checkpoints, as they were."""
_FEW: Final = 0.05


def job_faults(of: Outages, own: Whole, machine: Whole) -> Faults:
    """Return the faults of a job on the nodes ``own`` of a ``machine`` (indices of the log's nodes)."""
    here = np.isin(of.node, machine)
    order = np.argsort(of.start[here], kind="stable")
    node, component = of.node[here][order], of.component[here][order]
    effect = np.where(np.isin(component.astype(str), LEAVE_DISKS), LOCAL, GLOBAL)
    return Faults(of.start[here][order], np.where(np.isin(node, own), effect, ELSEWHERE).astype(np.int8))


def machine_nodes(log: FailureLog, systems: Sequence[str] = ()) -> Whole:
    """Return the indices of the nodes of ``systems``, or of all; InputError names a system that is not there."""
    system = log.nodes["system"].to_numpy(dtype=object)
    for name in systems:
        if name not in system:
            raise InputError(f"{log.name}: found no system {name!r}, expected one of {', '.join(sorted(set(system)))}")
    return np.flatnonzero(np.isin(system.astype(str), list(systems)) if systems else np.ones(len(system), bool))


def in_full_service(log: FailureLog, machine: Whole) -> tuple[float, float]:
    """Return from when to when (s) all but a twentieth of a machine's nodes were in service and watched.

    Where nodes were replaced in between there is no such time, and it is that of the whole log.
    """
    low, high = (times[machine] for times in log.service)
    begin, end = float(np.quantile(low, 1 - _FEW)), float(np.quantile(high, _FEW))
    return (begin, end) if begin < end else log.observed


def placements(machine: Whole, nodes: int, most: int, rng: np.random.Generator) -> list[Whole]:
    """Return up to ``most`` choices of ``nodes`` of a machine's nodes, no node in two of them."""
    drawn = rng.permutation(machine)
    return [np.sort(drawn[i * nodes : (i + 1) * nodes]) for i in range(min(most, len(machine) // nodes))]
