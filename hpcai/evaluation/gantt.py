"""Where each job is drawn in a Gantt chart: rectangles over time and processors (or GPUs of nodes)."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.cluster.spec import Machine

Floats = npt.NDArray[np.float64]

_LEAST = 1e-9


@dataclass(frozen=True)
class Rectangles:
    """Pieces of jobs: ``row`` int64[pieces] into the schedule, ``low`` and ``high`` float64[pieces]."""

    row: npt.NDArray[np.int64]
    low: Floats
    high: Floats


class _Shelf:
    """Room from ``low`` to ``high`` of which jobs take ranges, the first hole that is large enough first."""

    def __init__(self, low: float, high: float) -> None:
        self._free = [(low, high)]

    def take(self, amount: float) -> list[tuple[float, float]]:
        """Take one range if there is a hole for it, else several; less than ``amount`` if room runs out."""
        whole = next((i for i, (low, high) in enumerate(self._free) if high - low >= amount - _LEAST), None)
        taken = []
        index = 0 if whole is None else whole
        while amount > _LEAST and index < len(self._free):
            low, high = self._free[index]
            middle = min(high, low + amount)
            taken.append((low, middle))
            amount -= middle - low
            if high - middle > _LEAST:
                self._free[index] = (middle, high)
            else:
                del self._free[index]
        return taken

    def give(self, ranges: list[tuple[float, float]]) -> None:
        """Give ranges back and join what touches."""
        joined: list[tuple[float, float]] = []
        for low, high in sorted(self._free + ranges):
            if joined and low - joined[-1][1] <= _LEAST:
                joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
            else:
                joined.append((low, high))
        self._free = joined


def rectangles(schedule: pd.DataFrame, machine: Machine) -> Rectangles:
    """Return where to draw the jobs of ``schedule`` that ran.

    On a machine counted by processor each job gets the lowest range of processors that is free when it
    starts, or several where none is long enough: the log does not say which it had. On one counted by node
    it gets room on its own nodes, one unit per GPU (per CPU where there are no GPUs; jobs without GPUs are
    then not drawn).
    """
    shelves, units = _shelves(machine)
    start, end = (schedule[name].to_numpy(np.float64) for name in ("start", "end"))
    drawn = np.flatnonzero(end > start)
    running: list[tuple[float, int, list[tuple[int, list[tuple[float, float]]]]]] = []
    pieces: list[tuple[int, float, float]] = []
    amounts, nodes = schedule[units].to_numpy(np.float64), schedule["nodes"].to_numpy()
    for row in drawn[np.argsort(start[drawn], kind="stable")].tolist():
        while running and running[0][0] <= start[row]:
            for shelf, ranges in heapq.heappop(running)[2]:
                shelves[shelf].give(ranges)
        where = [int(node) for node in nodes[row].split(",")] if machine.by_node and nodes[row] else [0]
        if machine.by_node and not nodes[row]:
            continue
        taken = [(shelf, shelves[shelf].take(amounts[row] / len(where))) for shelf in where]
        heapq.heappush(running, (end[row], row, taken))
        pieces += [(row, low, high) for _, ranges in taken for low, high in ranges]
    columns = np.array(pieces, dtype=np.float64).reshape(-1, 3).T
    return Rectangles(columns[0].astype(np.int64), columns[1], columns[2])


def _shelves(machine: Machine) -> tuple[list[_Shelf], str]:
    """Return the room there is, by node, and the column of a schedule that says how much a job takes."""
    if not machine.by_node:
        return [_Shelf(0, machine.total_cpus)], "processors"
    units = "gpus" if machine.total_gpus else "processors"
    sizes = [group.gpus if machine.total_gpus else group.cpus for group in machine.groups for _ in range(group.count)]
    edges = np.concatenate([[0.0], np.cumsum(sizes)])
    return [_Shelf(low, high) for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)], units
