"""What every method is given: a graph on devices, how to time a placement, what a placement has to respect."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Floats, Ints, OperatorGraph
from hpcai.device_placement.simulator import StepSimulator
from hpcai.device_placement.work import Work, work_of
from hpcai.errors import InputError

WALL: Final = 1e6  # sums of all times: what a placement that is not feasible costs a search at least


@dataclass(frozen=True)
class Options:
    """What methods can be told. The same seed gives the same placement unless ``seconds`` end a search."""

    weight_copies: float | None = None  # of the simulator
    seed: int = 0
    evaluations: int = 20_000  # placements that a search times at most
    seconds: float = float("inf")  # that a search takes at most
    network: str | None = None  # a file, for methods that ask a network; None: the one that ships


DEFAULTS: Final = Options()


class Problem:
    """A graph of n operators in u units on d devices. Raises InputError if no device can run a unit."""

    def __init__(self, graph: OperatorGraph, devices: Devices, options: Options) -> None:
        self.graph, self.devices, self.options = graph, devices, options
        self.simulator = StepSimulator(graph, devices, weight_copies=options.weight_copies)
        self.work: Work = work_of(graph, self.simulator)
        self.seconds: Floats = self.work.unit_seconds  # (d, u)
        self.memory: Floats = self.work.unit_memory  # (u,)
        self.allowed = np.isfinite(self.seconds)
        for unit in np.flatnonzero(~self.allowed.any(axis=0)):
            names = [graph.operators[i] for i in np.flatnonzero(self.work.unit == unit)[:3]]
            raise InputError(f"graph {graph.name}: expected a device that can run {', '.join(names)}, found none")

    @property
    def units(self) -> int:
        """Units to place."""
        return len(self.memory)

    @property
    def accelerators(self) -> Ints:
        """Devices of the kind that runs all operators quickest, or nearly all: where rules that know no host place."""
        finite = np.where(np.isfinite(self.work.seconds), self.work.seconds, 0.0)
        slow = np.where(np.isfinite(self.work.seconds), 0.0, finite.max(axis=0) * len(self.graph))
        total = (finite + slow).sum(axis=1)
        kind = self.devices.kinds[int(total.argmin())]
        return np.flatnonzero([k == kind for k in self.devices.kinds])

    def spread(self, by_unit: Ints) -> Ints:
        """Return the placement (..., n) of operators that one of units (..., u) stands for."""
        placement: Ints = np.ascontiguousarray(by_unit[..., self.work.unit], np.int64)
        return placement

    def of_units(self, placement: Ints) -> Ints:
        """Return the placement (u,) of units that one of operators (n,) says: where most of a unit's time is."""
        votes = np.zeros((len(self.devices), self.units))
        weight = np.where(np.isfinite(self.work.seconds), self.work.seconds, 0.0).mean(axis=0) + 1e-12
        np.add.at(votes, (placement, self.work.unit), weight)
        chosen: Ints = np.where(self.allowed, votes, -1.0).argmax(axis=0)
        return chosen

    @cached_property
    def wall(self) -> float:
        """Seconds that a placement costs a search at least if it is not feasible: more than any that is."""
        return WALL * (float(np.where(self.allowed, self.seconds, 0.0).max(axis=0).sum()) or 1.0)

    @property
    def slope(self) -> float:
        """Seconds for each byte that lacks: if all of the model does, as much as the wall."""
        return self.wall / max(float(self.memory.sum()), 1.0)

    def cost(self, seconds: Floats, excess: Floats) -> Floats:
        """Return what a search minimises: seconds, or behind the wall the memory that lacks."""
        feasible = (excess == 0) & np.isfinite(seconds)
        cost: Floats = np.where(feasible, seconds, self.wall + excess * self.slope)
        return cost
