"""The power of the machines of a site as jobs come and go, by side of the hall, and the energy of each job.

A job draws what hpcai.cluster.power says of its pods where they are, for as long as it holds its GPUs; the machine
draws its idle power at all times. Powers change at events alone, so energies are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.cluster.power.limit import LOWEST
from hpcai.cluster.power.model import PowerModel
from hpcai.cluster.spec import Machine
from hpcai.cooling.interface import SIDES
from hpcai.errors import InputError
from hpcai.scheduling.gpu_cluster.state import RUNNING, STOPPING, Cluster
from hpcai.simulation.energy.it_power import draw

Floats = NDArray[np.float64]

LEVELS: Final = np.round(np.arange(LOWEST, 1.0 + 1e-9, 0.05), 2)
"""Limits that GPUs can be told, as a share of the most that they can draw, ascending; the last limits nothing."""


@dataclass(frozen=True)
class Level:
    """What jobs draw, and how fast they are, under one limit; all (jobs, groups), as if a job were on one group."""

    dynamic: Floats  # W
    speed: Floats  # of that without a limit


def sides_of(machine: Machine, given: dict[str, str] | None = None) -> Floats:
    """Return the share of each node group in each side of the hall, (groups, sides).

    Without ``given``, the side of each group by name, a machine of one group fills both sides alike; of several, those
    before half of the machine's power stand in the east. Raises InputError for an unknown group or side.
    """
    names = [group.name for group in machine.groups]
    shares = np.zeros((len(names), len(SIDES)))
    if given is not None:
        for name in names:
            if given.get(name) not in SIDES:
                raise InputError(f"sides: node group {name!r}: found {given.get(name)!r}, expected east or west")
        if unknown := sorted(set(given) - set(names)):
            raise InputError(f"sides: found node group {unknown[0]!r}, expected {', '.join(names)}")
        shares[range(len(names)), [SIDES.index(given[name]) for name in names]] = 1.0
        return shares
    if len(names) == 1:
        return np.full((1, len(SIDES)), 1.0 / len(SIDES))
    gpus = np.array([group.count * max(group.gpus, 1) for group in machine.groups], dtype=float)
    west = np.cumsum(gpus) - gpus >= gpus.sum() / 2
    west[-1], west[0] = True, False
    shares[range(len(names)), west.astype(int)] = 1.0
    return shares


class MachinePower:
    """Who draws what now, and what has been drawn; ``begin`` is when the account is opened (s)."""

    def __init__(
        self, jobs: pd.DataFrame, machine: Machine, cluster: Cluster, sides: Floats, begin: float, seed: int = 0
    ) -> None:
        """Take the rows of the canonical table that ``cluster`` was made of."""
        groups, n = len(machine.groups), len(jobs)
        self._cluster, self._jobs, self._machine, self._seed = cluster, jobs, machine, seed
        self._of_node = np.repeat(np.arange(groups), [group.count for group in machine.groups])
        self.sides = sides
        self._pods = np.maximum(cluster.work["tasks"], 1)
        self._levels: dict[float, Level] = {}
        drawn = [draw(jobs, machine, self._wholly(g), seed=seed) for g in range(groups)]
        self.model: PowerModel = drawn[0].model
        self._answers = np.column_stack([each.power.idle for each in drawn]) / self._pods[:, None]
        self.idle_sides: Floats = np.array([group.idle for group in self.model.groups]) @ sides
        self.most_sides: Floats = np.array([group.maximum for group in self.model.groups]) @ sides
        self.limits = np.ones(groups)  # on the GPUs of each group
        self.own = np.ones(n)  # on those of each job
        self.active: set[int] = set()  # who draws now
        self._pods_on = np.zeros((n, groups))
        self._drawn = np.zeros((groups, n))  # W that each job adds now on each group
        self.dynamic = np.zeros(n)  # W that each job adds now
        self._idle = np.zeros(n)  # W of idle power that it answers for now
        self._since = np.full(n, begin)
        self.added = np.zeros(n)  # J since the account was last settled, by job
        self.answered = np.zeros(n)
        self._touched: set[int] = set()
        self._now_sides = np.zeros(len(SIDES))  # W, dynamic
        self._energy_sides = np.zeros(len(SIDES))
        self._sides_since = begin
        self.speed = np.ones(n)

    def _wholly(self, g: int) -> Floats:
        where = np.zeros((len(self._jobs), len(self._machine.groups)))
        where[:, g] = 1.0
        return where

    def level(self, limit: float) -> Level:
        """Return what jobs draw under a limit, one of LEVELS."""
        if limit not in self._levels:
            n, groups = len(self._jobs), len(self._machine.groups)
            given = None if limit >= 1 else np.full(n, limit)
            drawn = [
                draw(self._jobs, self._machine, self._wholly(g), limit=given, seed=self._seed) for g in range(groups)
            ]
            dynamic = np.column_stack([each.power.dynamic for each in drawn]) / self._pods[:, None]
            self._levels[limit] = Level(dynamic, np.column_stack([each.speed for each in drawn]))
        return self._levels[limit]

    @property
    def watts(self) -> Floats:
        """What the machines of each side draw now, (sides,)."""
        return self.idle_sides + self._now_sides

    def under(self, limit: float) -> float:
        """Return what the machines would draw now under a limit on all GPUs, W."""
        rows = np.fromiter(self.active, dtype=np.int64, count=len(self.active))
        drawn = 0.0
        for own in np.unique(self.own[rows]).tolist():
            like = rows[self.own[rows] == own]
            drawn += float((self.level(min(limit, own)).dynamic[like] * self._pods_on[like]).sum())
        return float(self.idle_sides.sum()) + drawn

    def change(self, jobs: list[int], now: float) -> None:
        """Something happened to ``jobs`` (rows) by ``now``: look where they are, and what they draw there."""
        self._count_sides(now)
        cluster = self._cluster
        for j in jobs:
            self._count(j, now)
            run, work = cluster.run[j], cluster.work[j]
            if run["status"] in (RUNNING, STOPPING):
                nodes = cluster.places["node"][work["entries"] : work["entries"] + run["tasks"]]
                self._pods_on[j] = np.bincount(self._of_node[nodes], minlength=len(self.limits))
                self.active.add(j)
            else:
                self._pods_on[j] = 0.0
                self.active.discard(j)
            self._draw(j)
        self._sum_sides()

    def limit(self, limits: Floats, own: Floats, now: float) -> None:
        """Limit the GPUs of each group, (groups,), and those of each job, (jobs,), from ``now`` on; each of LEVELS."""
        self._count_sides(now)
        self.limits, self.own = limits.copy(), own.copy()
        for j in sorted(self.active):
            self._count(j, now)
            self._draw(j)
        self._sum_sides()

    def settle(self, now: float) -> tuple[Floats, NDArray[np.int64], Floats, Floats]:
        """Close the account at ``now`` and open the next.

        Return the energy of each side (sides,), who drew, what each of them added to the idle machine, and what it
        answers for with idle power (J).
        """
        self._count_sides(now)
        rows = np.array(sorted(self._touched | self.active), dtype=np.int64)
        held = now - self._since[rows]
        self.added[rows] += held * self.dynamic[rows]
        self.answered[rows] += held * (self.dynamic[rows] + self._idle[rows])
        self._since[rows] = now
        found = self._energy_sides.copy(), rows, self.added[rows], self.answered[rows]
        self._energy_sides[:] = 0.0
        self.added[rows] = self.answered[rows] = 0.0
        self._touched.clear()
        return found

    def _draw(self, j: int) -> None:
        """Say what job ``j`` draws, and how fast it is, as it stands; a gang is as fast as the slowest of its pods."""
        pods = self._pods_on[j]
        self._idle[j] = self._answers[j] @ pods
        speed = 1.0
        self._drawn[:, j] = 0.0
        for g in np.flatnonzero(pods).tolist():
            level = self.level(min(float(self.limits[g]), float(self.own[j])))
            self._drawn[g, j] = level.dynamic[j, g] * pods[g]
            speed = min(speed, float(level.speed[j, g]))
        self.dynamic[j], self.speed[j] = self._drawn[:, j].sum(), speed

    def _count(self, j: int, now: float) -> None:
        held = now - self._since[j]
        if held > 0 and j in self.active:
            self.added[j] += held * self.dynamic[j]
            self.answered[j] += held * (self.dynamic[j] + self._idle[j])
            self._touched.add(j)
        self._since[j] = now

    def _count_sides(self, now: float) -> None:
        self._energy_sides += (now - self._sides_since) * (self.idle_sides + self._now_sides)
        self._sides_since = now

    def _sum_sides(self) -> None:
        """Add up what is drawn on each side; anew, so that nothing is left over of sums and differences."""
        rows = np.fromiter(self.active, dtype=np.int64, count=len(self.active))
        self._now_sides = np.array([of_group[rows].sum() for of_group in self._drawn]) @ self.sides
