"""The power of the machines of a site as jobs come and go, by side of the hall, and the energy of each job.

A job draws what hpcai.cluster.power says of its pods where they are, for as long as it holds its GPUs; the machine
draws its idle power at all times. Powers change at events alone, so energies are exact.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.cluster.power.limit import LOWEST
from hpcai.cluster.power.model import PowerModel
from hpcai.cluster.spec import Machine
from hpcai.cooling.interface import SIDES
from hpcai.errors import InputError
from hpcai.scheduling.gpu_cluster.state import Cluster
from hpcai.simulation.energy.it_power import Draw, draw
from hpcai.simulation.site.rules.power import Account, draw_all_as_told, look_at, sum_up

Floats = NDArray[np.float64]

LEVELS: Final = np.round(np.arange(LOWEST, 1.0 + 1e-9, 0.05), 2)
"""Limits that GPUs can be told, as a share of the most that they can draw, ascending; the last limits nothing."""


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
        self.sides = sides
        self._pods = np.maximum(cluster.work["tasks"], 1)
        self._known: set[int] = set()  # the levels that there are figures of
        drawn = [self._wholly(g, None) for g in range(groups)]
        self.model: PowerModel = drawn[0].model
        self.idle_sides: Floats = np.array([group.idle for group in self.model.groups]) @ sides
        self.most_sides: Floats = np.array([group.maximum for group in self.model.groups]) @ sides
        self.limits = np.ones(groups)  # on the GPUs of each group
        self.own = np.ones(n)  # on those of each job
        of_node = np.repeat(np.arange(groups), [group.count for group in machine.groups])
        answers = np.column_stack([each.power.idle for each in drawn]) / self._pods[:, None]
        self.account = _account(of_node, answers, begin)
        self._of_groups = np.zeros(groups)
        self._now_sides = np.zeros(len(SIDES))  # W, dynamic
        self._energy_sides = np.zeros(len(SIDES))
        self._sides_since = begin
        self._know(len(LEVELS) - 1)

    def _wholly(self, g: int, limit: float | None) -> Draw:
        """Return what jobs draw as if each were on group ``g`` alone."""
        n = len(self._jobs)
        where = np.zeros((n, len(self._machine.groups)))
        where[:, g] = 1.0
        given = None if limit is None else np.full(n, limit)
        return draw(self._jobs, self._machine, where, limit=given, seed=self._seed)

    def _know(self, level: int) -> None:
        """Have figures of what jobs draw under one of LEVELS."""
        if level in self._known:
            return
        self._known.add(level)
        limit = None if LEVELS[level] >= 1 else float(LEVELS[level])
        for g in range(len(self.limits)):
            drawn = self._wholly(g, limit)
            self.account.dynamic_of[level, :, g] = drawn.power.dynamic / self._pods
            self.account.speed_of[level, :, g] = drawn.speed

    @property
    def watts(self) -> Floats:
        """What the machines of each side draw now, (sides,)."""
        return self.idle_sides + self._now_sides

    @property
    def speed(self) -> Floats:
        """How fast each job is under its limits, as a share of that without, (jobs,)."""
        return self.account.speed

    def speed_under(self, limit: float) -> Floats:
        """Return how fast each job would be under a limit, (jobs, groups), as if it were on one group."""
        self._know(_level(limit))
        found: Floats = self.account.speed_of[_level(limit)]
        return found

    def under(self, limit: float) -> float:
        """Return what the machines would draw now under a limit on all GPUs, W."""
        rows = np.flatnonzero(self.account.active)
        levels = np.minimum(self.account.own[rows], _level(limit))
        for level in np.unique(levels).tolist():
            self._know(level)
        return float(self.idle_sides.sum() + (self.account.dynamic_of[levels, rows] * self.account.pods[rows]).sum())

    def change(self, jobs: NDArray[np.int64], now: float) -> None:
        """Something happened to ``jobs`` (rows) by ``now``: look where they are, and what they draw there."""
        self._count_sides(now)
        look_at(self._cluster, self.account, jobs, now)
        self._sum_sides()

    def limit(self, limits: Floats, own: Floats, now: float) -> None:
        """Limit the GPUs of each group, (groups,), and those of each job, (jobs,), from ``now`` on; each of LEVELS."""
        self._count_sides(now)
        self.limits, self.own = limits.copy(), own.copy()
        self.account.limits[:], self.account.own[:] = _level(limits), _level(own)
        for level in np.unique(np.minimum.outer(np.unique(self.account.own), self.account.limits)).tolist():
            self._know(level)
        draw_all_as_told(self._cluster, self.account, now)
        self._sum_sides()

    def settle(self, now: float) -> tuple[Floats, NDArray[np.int64], Floats, Floats]:
        """Close the account at ``now`` and open the next.

        Return the energy of each side (sides,), who drew, what each of them added to the idle machine, and what it
        answers for with idle power (J).
        """
        self._count_sides(now)
        ac = self.account
        rows = np.flatnonzero(ac.touched | ac.active)
        held = now - ac.since[rows]
        ac.added[rows] += held * ac.dynamic[rows]
        ac.answered[rows] += held * (ac.dynamic[rows] + ac.idle[rows])
        ac.since[rows] = now
        found = self._energy_sides.copy(), rows, ac.added[rows], ac.answered[rows]
        self._energy_sides[:] = 0.0
        ac.added[rows] = ac.answered[rows] = 0.0
        ac.touched[rows] = False
        return found

    def _count_sides(self, now: float) -> None:
        self._energy_sides += (now - self._sides_since) * (self.idle_sides + self._now_sides)
        self._sides_since = now

    def _sum_sides(self) -> None:
        sum_up(self._cluster, self.account, self._of_groups)
        self._now_sides = self._of_groups @ self.sides


def _level(limit: float | Floats) -> Any:
    """Return the place among LEVELS of limits that are of them."""
    return np.searchsorted(LEVELS, np.asarray(limit) - 1e-9)


def _account(of_node: NDArray[np.int64], idle_of_pod: Floats, begin: float) -> Account:
    """Return an account in which nobody has drawn anything by ``begin`` (s)."""
    n, groups = idle_of_pod.shape
    most = len(LEVELS) - 1
    return Account(
        of_node=of_node,
        idle_of_pod=idle_of_pod,
        dynamic_of=np.zeros((len(LEVELS), n, groups)),
        speed_of=np.ones((len(LEVELS), n, groups)),
        limits=np.full(groups, most),
        own=np.full(n, most),
        pods=np.zeros((n, groups)),
        drawn=np.zeros((groups, n)),
        dynamic=np.zeros(n),
        idle=np.zeros(n),
        speed=np.ones(n),
        since=np.full(n, begin),
        added=np.zeros(n),
        answered=np.zeros(n),
        active=np.zeros(n, dtype=np.bool_),
        touched=np.zeros(n, dtype=np.bool_),
    )
