"""Which entry is best, by how much, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcai.evaluation.config import Entry
from hpcai.evaluation.metrics import Metric
from hpcai.evaluation.statistics import Ratio, ratios, resample

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ranked:
    """An entry's place. Ratios are of means over the same units; ``to_recorded`` is None without a record."""

    rank: int | None  # None for what does not compete: the record, and bounds by perfect prediction
    entry: Entry
    value: float
    to_best: Ratio
    to_baseline: Ratio
    to_recorded: Ratio | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON; a bound that is not defined is None."""
        result: dict[str, Any] = {
            "rank": self.rank,
            "policy": self.entry.name,
            "backfill": self.entry.backfill,
            "value": self.value,
        }
        for name in ("to_best", "to_baseline", "to_recorded"):
            ratio = getattr(self, name)
            numbers = None if ratio is None else vars(ratio)
            result[name] = numbers and {k: v if np.isfinite(v) else None for k, v in numbers.items()}
        return result


@dataclass(frozen=True)
class Ranking:
    """All entries, best first, what was recorded in its place among them; ``method`` says how sure."""

    objective: Metric
    rows: tuple[Ranked, ...]
    baseline: Entry
    method: str

    @property
    def best(self) -> Ranked:
        """The row of the best policy."""
        return next(row for row in self.rows if row.rank == 1)

    @property
    def recorded(self) -> Ranked | None:
        """The row of what was recorded, if the log says."""
        return next((row for row in self.rows if row.entry.policy is None), None)

    @property
    def bounds(self) -> list[Ranked]:
        """The rows of policies that do not compete because they know what nobody can know."""
        return [row for row in self.rows if row.rank is None and row.entry.policy is not None]

    @property
    def level_with_best(self) -> list[Ranked]:
        """The policies that cannot be told from the best one."""
        rivals = [row for row in self.rows if row.rank is not None and row.rank > 1]
        return [row for row in rivals if not row.to_best.clear]

    def row(self, entry: Entry) -> Ranked:
        """Return the row of ``entry``."""
        return next(row for row in self.rows if row.entry == entry)


def rank(
    units: dict[Entry, Floats],
    objective: Metric,
    baseline: Entry,
    method: str,
    *,
    block: int = 1,
    resamples: int,
    seed: int,
) -> Ranking:
    """Return the ranking of entries by their mean over ``units`` (float64[units] each, paired).

    The same resamples serve every comparison. ``block`` neighbouring units are resampled together.
    """
    entries = list(units)
    values = np.column_stack(list(units.values()))
    means = values.mean(axis=0)
    sign = -1.0 if objective.better == "higher" else 1.0
    order = [int(i) for i in np.argsort(sign * means, kind="stable")]
    possible = [i for i in order if entries[i].policy is not None]
    competing = [i for i in possible if entries[i].competes] or possible
    weights = resample(len(values), block, resamples, np.random.default_rng(seed))

    def against(reference: int) -> list[Ratio]:
        return ratios(values, values[:, reference], weights, block)

    to_best, to_baseline = against(competing[0]), against(entries.index(baseline))
    record = next((i for i in order if entries[i].policy is None), None)
    to_recorded = [None] * len(entries) if record is None else against(record)
    rows = tuple(
        Ranked(
            competing.index(i) + 1 if i in competing else None,
            entries[i],
            float(means[i]),
            to_best[i],
            to_baseline[i],
            to_recorded[i],
        )
        for i in order
    )
    return Ranking(objective, rows, baseline, method)
