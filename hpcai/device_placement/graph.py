"""The canonical graph of a model: operators with their costs, and which needs the output of which."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FORWARD: Final = 0
BACKWARD: Final = 1
NO_GROUP: Final = -1


@dataclass(frozen=True)
class OperatorGraph:
    """Operators of a model and their edges; arrays are not to be written to.

    A graph of a training either has ``backward`` times, and is expanded before it is timed, or has operators of the
    backward pass of its own, whose ``phase`` is BACKWARD.
    """

    name: str
    operators: tuple[str, ...]  # n names, unique
    kinds: tuple[str, ...]  # n classes: conv, matmul, elementwise, ...; "unknown" where a source has none
    device_kinds: tuple[str, ...]  # m kinds of device that there are costs for, such as V100 or CPU
    forward: Floats  # (m, n) seconds of the operator itself; inf where it cannot run on that kind
    backward: Floats  # (m, n) seconds of its backward pass; 0 in graphs of inference and in expanded ones
    weights: Floats  # (n,) bytes of parameters
    activations: Floats  # (n,) bytes kept on its device from the operator until its backward pass is done
    output: Floats  # (n,) bytes sent, once, to each other device that needs the output
    group: Ints  # (n,) operators of one group share a device; NO_GROUP: of none
    phase: Ints  # (n,) FORWARD or BACKWARD
    edges: Ints  # (e, 2) source and target, unique

    def __post_init__(self) -> None:
        n, m = len(self.operators), len(self.device_kinds)
        for field, shape in (
            ("forward", (m, n)), ("backward", (m, n)), ("weights", (n,)), ("activations", (n,)), ("output", (n,)),
            ("group", (n,)), ("phase", (n,)), ("edges", (len(self.edges), 2)),
        ):  # fmt: skip
            found = getattr(self, field).shape
            if found != shape:
                raise ValueError(f"{field}: expected the shape {shape}, found {found}")

    def __len__(self) -> int:
        return len(self.operators)

    @property
    def trains(self) -> bool:
        """Whether a step has a backward pass."""
        return bool(self.backward.any() or (self.phase == BACKWARD).any())

    @cached_property
    def order(self) -> Ints:
        """(n,) The operators in a topological order, ties by number; raises InputError naming a cycle's operators."""
        n = len(self)
        waits = np.bincount(self.edges[:, 1], minlength=n)
        starts, targets = self.successors
        found = [int(operator) for operator in np.flatnonzero(waits == 0)]
        for operator in found:  # grows while it is walked
            for target in targets[starts[operator] : starts[operator + 1]]:
                waits[target] -= 1
                if waits[target] == 0:
                    found.append(int(target))
        if len(found) < n:
            stuck = [self.operators[operator] for operator in np.flatnonzero(waits > 0)[:3]]
            raise InputError(f"graph {self.name}: expected no cycle, found one around {', '.join(stuck)}")
        return np.array(found, np.int64)

    @cached_property
    def successors(self) -> tuple[Ints, Ints]:
        """Starts (n + 1,) and targets (e,): the successors of i are targets[starts[i] : starts[i + 1]]."""
        return _by(self.edges[:, 0], self.edges[:, 1], len(self))

    @cached_property
    def predecessors(self) -> tuple[Ints, Ints]:
        """Starts (n + 1,) and sources (e,), as of ``successors``."""
        return _by(self.edges[:, 1], self.edges[:, 0], len(self))


def _by(key: Ints, value: Ints, n: int) -> tuple[Ints, Ints]:
    order = np.lexsort((value, key))
    starts = np.concatenate([[0], np.cumsum(np.bincount(key, minlength=n))])
    return starts.astype(np.int64), value[order].astype(np.int64)
