"""Faults of a cluster's nodes as they will strike: replayed from a log, or drawn from fitted models, seeded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcai.errors import InputError
from hpcai.faults.lifetimes import Lifetime
from hpcai.faults.outages import outages
from hpcai.records.failures import FailureLog

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Outage:
    """Nodes (indices) that go down together at ``time`` (s) and need ``repair`` s of a crew's work."""

    time: float
    nodes: tuple[int, ...]
    repair: float
    component: str = "unknown"


def replayed(
    log: FailureLog, chosen: Whole, begin: float, duration: float, *, repair_if_unknown: float = 3600.0
) -> list[Outage]:
    """Return the outages of a log from ``begin`` (s) for ``duration`` s, whose node ``chosen[i]`` stands for node i.

    A repair of unknown length takes ``repair_if_unknown`` s. Only fatal failures count; a log may have none.
    """
    if not (log.events["severity"] == "fatal").any():
        return []
    of = outages(log)
    place = np.full(len(log.nodes), -1)
    place[chosen] = np.arange(len(chosen))
    here = (place[of.node] >= 0) & (of.start >= begin) & (of.start < begin + duration)
    repair = np.where(np.isfinite(of.end), of.end - of.start, repair_if_unknown)
    rows = zip(of.start[here], place[of.node[here]], repair[here], of.component[here], strict=True)
    found = [Outage(float(t) - begin, (int(node),), float(length), str(part)) for t, node, length, part in rows]
    return sorted(found, key=lambda outage: (outage.time, outage.nodes))


@dataclass(frozen=True)
class Domain:
    """Nodes that fail together: every ``size`` neighbours hang on one switch, or one power supply."""

    component: str
    size: int
    lifetime: Lifetime
    repair: Lifetime

    def draw(self, nodes: int, duration: float, rng: np.random.Generator) -> list[Outage]:
        """Return the outages of the domains of a cluster of ``nodes`` nodes within ``duration`` s."""
        found = []
        for first in range(0, nodes, self.size):
            members = tuple(range(first, min(first + self.size, nodes)))
            time = float(self.lifetime.residual(1, rng)[0])
            while time < duration:
                repair = float(self.repair.sample(1, rng)[0])
                found.append(Outage(time, members, repair, self.component))
                time += repair + float(self.lifetime.sample(1, rng)[0])
        return found


def merged(parts: Sequence[Sequence[Outage]]) -> list[Outage]:
    """Return all outages in order of time."""
    return sorted((outage for part in parts for outage in part), key=lambda outage: (outage.time, outage.nodes))


def check_outages(found: Sequence[Outage], nodes: int) -> None:
    """Raise InputError if an outage is of a node that the cluster has not."""
    for outage in found:
        if not all(0 <= node < nodes for node in outage.nodes):
            raise InputError(f"outage at {outage.time:g} s: found nodes {outage.nodes}, expected 0 to {nodes - 1}")
