"""What a detector is worth on rows that it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hpcai.evaluation.detection.metrics import Scored, calibration
from hpcai.evaluation.detection.walk import Walked, first_alarms, walk
from hpcai.evaluation.statistics import Ratio
from hpcai.faults.detection.detector import Costs, Detector
from hpcai.learning.failures.config import PROBABILITIES, DetectionConfig
from hpcai.learning.failures.rows import Rows

Floats = npt.NDArray[np.float64]

TESTS: Final = {"unseen": ("unseen",), "later": ("later",), "all": ("later", "unseen")}
"""Sets of rows that results are of, by the parts that they are made of."""
THRESHOLDS: Final = 30
RATIOS: Final = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Costs of a missed failure over those of an idle node-hour, over which the choice of threshold is shown."""
_CURVE: Final = 200  # points of a curve at most
_SHUFFLED: Final = 10_000  # rows, of an importance at most
_SHUFFLES: Final = 3


class Judge:
    """Judges detectors on the same rows."""

    def __init__(self, rows: Rows, config: DetectionConfig) -> None:
        self.rows, self.config = rows, config

    def judged(self, detector: Detector) -> tuple[float, dict[str, Any]]:
        """Return the threshold at which it pays most on the part for validation, and the results on the tests."""
        rows, costs = self.rows, self.config.costs
        score = np.full(len(rows.samples), np.nan)
        asked = rows.rows_of("validation", *TESTS["all"])
        score[asked] = detector.risk(rows.x[asked])
        thresholds = _candidates(score[rows.parts["validation"]])
        before = self._walk(detector, score, ("validation",), thresholds)
        best = before.best(costs)
        where = rows.parts["validation"]
        area = Scored(rows.samples.node[where], rows.samples.label[where], score[where]).average_precision()
        found = {name: self._on(detector, score, parts, best, before, thresholds) for name, parts in TESTS.items()}
        return best, found | {"validation": {"average_precision": number(area)}}

    def _walk(
        self, detector: Detector, score: Floats, parts: tuple[str, ...], thresholds: Sequence[float] | Floats
    ) -> Walked:
        rows = self.rows.rows_of(*parts)
        failures = self.rows.failures_of(*parts)
        return walk(
            self.rows.samples.take(rows), score[rows], failures, detector.meta.rule, list(thresholds), self.config.lead
        )

    def _on(
        self, detector: Detector, score: Floats, parts: tuple[str, ...], best: float, before: Walked, thresholds: Floats
    ) -> dict[str, Any]:
        config, where = self.config, self.rows.rows_of(*parts)
        samples = self.rows.samples.take(where)
        own = Scored(samples.node, samples.label, score[where])
        area, lift = own.intervals(config.resamples, config.seed)
        walked = self._walk(detector, score, parts, [best, *thresholds])
        precision, recall = own.at(best)
        failures = self.rows.failures_of(*parts)
        leads = first_alarms(failures, samples, score[where], best, detector.meta.ahead)
        found: dict[str, Any] = {
            "average_precision": told(area),
            "lift": told(lift),
            "precision": number(precision),
            "recall": number(recall),
            "drains": int(walked.drains[:, 0].sum()),
            "caught": int(walked.caught[:, 0].sum()),
            "missed": int(walked.missed[:, 0].sum()),
            "idle_hours": number(walked.idle[:, 0].sum()),
            "saved": told(walked.saved(config.costs, 0, config.resamples, config.seed)),
            "lead_hours": [number(q) for q in np.nanquantile(leads, (0.1, 0.5, 0.9)) / 3600.0]
            if np.isfinite(leads).any()
            else [],
            "leads": [round(float(lead) / 3600.0, 3) for lead in np.sort(leads[np.isfinite(leads)])],
            "curve": _thinned(own),
            "by_cost": [self._at_cost(before, walked, thresholds, ratio) for ratio in RATIOS],
        }
        if detector.meta.kind in PROBABILITIES:
            found["calibration"] = calibration(own.score, own.label)
            found["brier"] = number(float(np.mean((own.score - own.label) ** 2)))
        return found

    def _at_cost(self, before: Walked, after: Walked, thresholds: Floats, ratio: float) -> dict[str, Any]:
        """Return what is saved if a missed failure costs ``ratio`` idle node-hours, with the threshold for that."""
        costs = Costs(missed=ratio, idle=1.0)
        best = before.best(costs)
        if not np.isfinite(best):
            return {"missed": ratio, "saved": told(Ratio(0.0, 0.0, 0.0)), "drains": 0}
        column = 1 + int(np.flatnonzero(thresholds == best)[0])
        saved = after.saved(costs, column, self.config.resamples, self.config.seed)
        return {"missed": ratio, "saved": told(saved), "drains": int(after.drains[:, column].sum())}

    def by_system(self, detector: Detector) -> dict[str, Any]:
        """Return the rows, failures, average precision and lift on each system, of all rows of the tests."""
        where = self.rows.rows_of(*TESTS["all"])
        samples = self.rows.samples.take(where)
        score = detector.risk(self.rows.x[where])
        systems = np.array(self.rows.systems)[samples.node]
        found = {}
        for system in dict.fromkeys(self.rows.systems):
            own = systems == system
            if not samples.label[own].any():
                continue
            scored = Scored(samples.node[own], samples.label[own], score[own])
            area, lift = scored.intervals(self.config.resamples, self.config.seed)
            found[system] = {
                "rows": int(own.sum()),
                "failing": int(samples.label[own].sum()),
                "average_precision": told(area),
                "lift": told(lift),
            }
        return found

    def importance(self, detector: Detector) -> dict[str, float]:
        """Return by how much the average precision falls when a feature's values are dealt out anew, most first."""
        rng = np.random.default_rng(self.config.seed)
        where = np.flatnonzero(self.rows.rows_of(*TESTS["all"]))
        if len(where) > _SHUFFLED:
            where = np.sort(rng.choice(where, _SHUFFLED, replace=False))
        x, label, node = self.rows.x[where], self.rows.samples.label[where], self.rows.samples.node[where]
        whole = Scored(node, label, detector.risk(x)).average_precision()
        falls = {}
        for place, name in enumerate(self.rows.names):
            if np.ptp(np.nan_to_num(x[:, place], nan=-1.0)) == 0:
                continue
            areas = []
            for _ in range(_SHUFFLES):
                dealt = x.copy()
                dealt[:, place] = rng.permutation(x[:, place])
                areas.append(Scored(node, label, detector.risk(dealt)).average_precision())
            falls[name] = float(f"{whole - np.mean(areas):.4g}")
        return dict(sorted(falls.items(), key=lambda item: -item[1]))


def _candidates(score: Floats) -> Floats:
    """Return thresholds from which on ever more rows are alarms, highest first."""
    shares = 1 - np.geomspace(max(1.0 / len(score), 1e-5), 0.5, THRESHOLDS)
    return np.unique(np.quantile(score, shares, method="higher"))[::-1]


def _thinned(scored: Scored) -> dict[str, list[float]]:
    recall, precision, _ = scored.curve()
    places = np.unique(np.searchsorted(recall, np.linspace(0, recall[-1], _CURVE)).clip(0, len(recall) - 1))
    return {
        "recall": [round(float(v), 4) for v in recall[places]],
        "precision": [round(float(v), 4) for v in precision[places]],
    }


def number(value: float) -> float | None:
    """Return a number to four digits, None if it is none."""
    return float(f"{value:.4g}") if np.isfinite(value) else None


def told(ratio: Ratio) -> dict[str, float | None]:
    """Return a value with its interval as plain data."""
    return {"value": number(ratio.value), "low": number(ratio.low), "high": number(ratio.high)}
