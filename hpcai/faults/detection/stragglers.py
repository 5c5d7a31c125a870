"""Ranks of a job that are slower than the others, for longer than chance would have it.

Ranks that work in lockstep do the same work, so without a straggler nothing tells them apart: at each sample each of n
ranks is among the slowest quarter with one probability, whatever the times are distributed like. How often a rank is
among them in a window of samples is then binomial, which gives a number of times that is exceeded by chance as
rarely as is wished. That a rank is slower for sure does not make it matter: it must also be slower by some share, and
far from the others in scaled median absolute deviations, as no noise of theirs would take it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binom

from hpcai.errors import InputError
from hpcai.faults.detection.telemetry import DAY, OF_NORMAL

Floats = npt.NDArray[np.float64]

FEWEST: Final = 4  # ranks that can be compared
_SLOWEST: Final = 0.25  # share of the ranks that count as the slowest


@dataclass(frozen=True)
class StragglerRule:
    """When a rank is told to be slow.

    ``window``: samples that are looked at together. ``false_alarms``: of a job in a day, at most, where all ranks are
    alike. ``slower``: least share by which its time is above the median of the ranks. ``apart``: least distance from
    them in scaled median absolute deviations.
    """

    window: int = 12
    false_alarms: float = 0.01
    slower: float = 0.03
    apart: float = 4.0

    def __post_init__(self) -> None:
        if self.window < 2 or not self.false_alarms > 0 or self.slower < 0 or self.apart < 0:
            raise InputError(f"{self}: expected a window of 2 samples or more, and numbers above 0")

    def times_needed(self, ranks: int, length: float) -> int:
        """Return how often in a window of ``length`` s a rank has to be among the slowest; window + 1: never enough."""
        chance = self.false_alarms * length / DAY / ranks
        quarter = max(int(_SLOWEST * ranks), 1) / ranks
        counts = np.arange(self.window + 2)
        return int(np.flatnonzero(binom.sf(counts - 1, self.window, quarter) <= chance)[0])


class Straggler(NamedTuple):
    """A rank that was slow from ``begin`` to ``end`` (s), on average by the share ``slower``."""

    job: str
    node: str
    begin: float
    end: float
    slower: float
    apart: float


def find_stragglers(table: pd.DataFrame, rule: StragglerRule | None = None) -> list[Straggler]:
    """Return the slow ranks of every job of a table of telemetry, by job and time.

    Raises InputError if it has no compute_time of any job.
    """
    rule = rule or StragglerRule()
    known = table[(table["job"] != "") & table["compute_time"].notna()]
    if known.empty:
        raise InputError("stragglers: found no compute_time of a job, expected columns node, time, job, compute_time")
    return [found for job, rows in known.groupby("job", sort=True) for found in _of_job(str(job), rows, rule)]


def against_planted(found: Sequence[Straggler], planted: pd.DataFrame) -> tuple[int, int, int]:
    """Return how many of the slow nodes that were planted were found, how many there were, and the false alarms.

    ``planted`` has the columns kind, node, begin and end (s); those of the kind slow count. What is found is of a
    planted one if it is of its node and overlaps it.
    """
    slow = planted[planted["kind"] == "slow"]
    hits = [
        [one.node == node and one.begin < end and one.end > begin for one in found]
        for node, begin, end in zip(slow["node"], slow["begin"], slow["end"], strict=True)
    ]
    table = np.array(hits, dtype=np.bool_).reshape(len(slow), len(found))
    return int(table.any(axis=1).sum()), len(slow), int((~table.any(axis=0)).sum())


def _of_job(job: str, rows: pd.DataFrame, rule: StragglerRule) -> Iterator[Straggler]:
    times, at = np.unique(rows["time"].to_numpy(np.float64), return_inverse=True)
    nodes, of = np.unique(rows["node"].to_numpy(object), return_inverse=True)
    taken = np.full((len(times), len(nodes)), np.nan)
    taken[at, of] = rows["compute_time"].to_numpy(np.float64)
    whole = ~np.isnan(taken).any(axis=1)  # a sample at which a rank is missing compares nothing
    times, taken = times[whole], taken[whole]
    if taken.shape[1] < FEWEST or len(times) < rule.window:
        return
    step = float(np.median(np.diff(times)))
    needed = rule.times_needed(taken.shape[1], step * rule.window)
    opened: dict[int, list[Any]] = {}
    for first in range(0, len(times) - rule.window + 1, rule.window):
        window = slice(first, first + rule.window)
        slow = _slow(taken[window], needed, rule)
        for rank in [rank for rank in opened if rank not in slow]:
            yield _closed(job, str(nodes[rank]), opened.pop(rank))
        for rank, (share, apart) in slow.items():
            span = opened.setdefault(rank, [float(times[first]) - step, 0.0, [], []])
            span[1] = float(times[first + rule.window - 1])
            span[2].append(share)
            span[3].append(apart)
    for rank, span in sorted(opened.items()):
        yield _closed(job, str(nodes[rank]), span)


def _slow(taken: Floats, needed: int, rule: StragglerRule) -> dict[int, tuple[float, float]]:
    """Return the ranks that are slow in a window (samples, ranks), with share and distance by which they are."""
    ranks = taken.shape[1]
    faster = (taken[:, :, None] > taken[:, None, :]).sum(axis=2)  # of the others, at each sample; ties count for nobody
    among = (faster >= ranks - max(int(_SLOWEST * ranks), 1)).sum(axis=0)
    excess = np.median(taken / np.median(taken, axis=1, keepdims=True) - 1.0, axis=0)
    spread = OF_NORMAL * np.median(np.abs(excess - np.median(excess)))
    apart = (excess - np.median(excess)) / max(float(spread), 1e-6)
    chosen = np.flatnonzero((among >= needed) & (excess >= rule.slower) & (apart >= rule.apart))
    return {int(rank): (float(excess[rank]), float(apart[rank])) for rank in chosen}


def _closed(job: str, node: str, span: list[Any]) -> Straggler:
    begin, end, shares, distances = span
    return Straggler(job, node, begin, end, float(np.mean(shares)), float(np.mean(distances)))
