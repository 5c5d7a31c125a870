"""How well scores tell rows that fail from those that do not, with intervals by a bootstrap over nodes.

Rows of one node are alike, so nodes are drawn, each with all of its rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hpcai.evaluation.statistics import Ratio, resample

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scored:
    """Rows with a score, higher for who fails sooner; ``node`` numbers the nodes in any way."""

    node: Ints
    label: Mask
    score: Floats

    @cached_property
    def _order(self) -> Ints:
        return np.asarray(np.argsort(-self.score, kind="stable"))

    @cached_property
    def _ends(self) -> Ints:
        """Last row, in order, of each score: rows of one score are taken together."""
        ordered = self.score[self._order]
        return np.append(np.flatnonzero(np.diff(ordered) != 0), len(ordered) - 1)

    @cached_property
    def _numbered(self) -> tuple[int, Ints]:
        names, number = np.unique(self.node, return_inverse=True)
        return len(names), number[self._order]

    @property
    def prevalence(self) -> float:
        """Share of rows that fail: the precision of guessing."""
        return float(self.label.mean())

    def curve(self) -> tuple[Floats, Floats, Floats]:
        """Return recall, precision and threshold by falling score."""
        hits, asked = self._counts(np.ones(len(self.label)))
        with np.errstate(invalid="ignore"):
            return hits / hits[-1], hits / asked, self.score[self._order][self._ends]

    def _counts(self, weight: Floats) -> tuple[Floats, Floats]:
        """Return the weight of rows that fail, and of all, from each score on; ``weight`` is of rows in order."""
        failing = self.label[self._order] * weight
        return np.cumsum(failing)[self._ends], np.cumsum(weight)[self._ends]

    def average_precision(self) -> float:
        """Return the area under the curve as a sum of steps, as scikit-learn has it; nan if nothing fails."""
        return _area(*self._counts(np.ones(len(self.label))))

    def intervals(self, resamples: int, seed: int) -> tuple[Ratio, Ratio]:
        """Return the average precision, and its ratio to the share of rows that fail, with 95 % intervals.

        Of resamples in which nothing fails nothing is said. Percentile intervals, nan for a single node.
        """
        value = self.average_precision()
        count, number = self._numbered
        draws, lifts = [], []
        for drawn in resample(count, 1, resamples, np.random.default_rng(seed)) if count > 1 else ():
            hits, asked = self._counts(drawn[number])
            if hits[-1] > 0:
                draws.append(_area(hits, asked))
                lifts.append(draws[-1] * asked[-1] / hits[-1])
        return _interval(value, draws), _interval(value / self.prevalence if self.label.any() else np.nan, lifts)

    def at(self, threshold: float) -> tuple[float, float]:
        """Return precision and recall of the rows from ``threshold`` on; the precision is nan if there is none."""
        chosen = self.score >= threshold
        hits = float((chosen & self.label).sum())
        precision = hits / chosen.sum() if chosen.any() else np.nan
        return precision, hits / self.label.sum() if self.label.any() else np.nan


def _area(hits: Floats, asked: Floats) -> float:
    if not hits[-1] > 0:
        return float("nan")
    precision = np.divide(hits, asked, out=np.ones(len(hits)), where=asked > 0)
    return float(np.sum(np.diff(hits, prepend=0.0) * precision) / hits[-1])


def _interval(value: float, draws: list[float]) -> Ratio:
    if not draws:
        return Ratio(value, np.nan, np.nan)
    low, high = np.quantile(draws, (0.025, 0.975))
    return Ratio(value, float(low), float(high))


def calibration(score: Floats, label: Mask, bins: int = 10) -> list[dict[str, float]]:
    """Return mean probability and share that failed in bins of probability, each with its number of rows.

    Bins hold like numbers of the rows that failed, so that each says something; an interval of the share is Wilson's.
    """
    order = np.argsort(score, kind="stable")
    failing = np.cumsum(label[order])
    if not len(score) or failing[-1] == 0:
        return []
    cuts = np.searchsorted(failing, np.linspace(0, failing[-1], bins + 1)[1:-1], "right")
    found = []
    for rows in np.split(order, np.unique(cuts)):
        if len(rows):
            low, high = wilson(float(label[rows].sum()), len(rows))
            found.append(
                {
                    "rows": len(rows),
                    "predicted": float(score[rows].mean()),
                    "failed": float(label[rows].mean()),
                    "low": low,
                    "high": high,
                }
            )
    return found


def wilson(hits: float, of: float) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, "Probable inference", 1927)."""
    z = 1.959963985
    share, scale = hits / of, 1 + z * z / of
    middle = (share + z * z / (2 * of)) / scale
    half = z / scale * np.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return float(middle - half), float(middle + half)
