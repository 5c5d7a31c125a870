"""The report's tables, as text with what to sort by; the template only lays them out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hpcai.evaluation.config import Entry
from hpcai.evaluation.fairness import CLASSES
from hpcai.evaluation.humanise import duration, number, percent, quantity, ratio
from hpcai.evaluation.metrics import METRICS
from hpcai.evaluation.ranking import Ranked, Ranking
from hpcai.evaluation.statistics import Ratio

Means = dict[Entry, dict[str, float]]
"""Of each entry, the means of its metrics over the windows."""

MOST_GROUPS = 12

# The metrics of the overviews, with short headings; all others are in metrics.csv.
OF_JOBS = {
    "mean_wait": "mean wait",
    "median_wait": "median wait",
    "p95_wait": "95th percentile wait",
    "max_wait": "longest wait",
    "mean_bounded_slowdown": "mean bounded slowdown",
    "p95_bounded_slowdown": "95th percentile bounded slowdown",
    "not_started": "not started",
    "killed": "killed at limit",
}
OF_MACHINE = {
    "makespan": "makespan",
    "mean_queue_length": "mean queue length",
    "delayed_past_fair_start": "delayed past fair start",
    "jain_users": "Jain index, users",
    "jain_tenants": "Jain index, tenants",
}
OF_PROCESSORS = {
    "utilisation": "utilisation",
    "wasted_processor_hours": "processor-hours idle while jobs wait",
    "lost_processor_hours": "processor-hours lost",
}
OF_GPUS = {
    "gpu_utilisation": "GPU utilisation",
    "wasted_gpu_hours": "GPU-hours idle while jobs wait",
    "lost_gpu_hours": "GPU-hours lost",
}
_HEADINGS = OF_JOBS | OF_MACHINE | OF_PROCESSORS | OF_GPUS
_SHARES = {"utilisation", "gpu_utilisation", "delayed_past_fair_start"}
_ONLY_IF_ANY = {"not_started", "killed"}
_OF_ALL_JOBS = {
    "utilisation",
    "gpu_utilisation",
    "mean_queue_length",
    "wasted_processor_hours",
    "wasted_gpu_hours",
}
"""Metrics that say nothing of a record of which only some jobs are seen."""


@dataclass(frozen=True)
class Mark:
    """An interval to draw on a logarithmic scale, in percent of the width; ``one`` is where the ratio is 1."""

    low: float
    value: float
    high: float
    one: float


@dataclass(frozen=True)
class Cell:
    """What a table shows in one place. ``sort`` orders numbers; text sorts as it reads."""

    text: str
    sort: float | None = None
    mark: Mark | None = None


@dataclass(frozen=True)
class Row:
    """A line of a table; ``kind`` is 'best', 'baseline', 'recorded' or ''."""

    cells: list[Cell]
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A sortable table: headings, each with a definition or '', and rows; the first column heads its row."""

    name: str
    headings: list[tuple[str, str]]
    rows: list[Row]


def metric_text(name: str, value: float) -> str:
    """Return a metric's value as people read it."""
    return percent(value) if name in _SHARES else quantity(value, METRICS[name].unit)


def entry_kind(entry: Entry, ranking: Ranking) -> str:
    """Return the part that an entry plays in the comparison."""
    if entry.policy is None:
        return "recorded"
    if entry == ranking.best.entry:
        return "best"
    return "baseline" if entry == ranking.baseline else ""


def ranking_table(ranking: Ranking) -> Table:
    """Return the entries, best first, with ratios to the baseline (drawn), the best and the record."""
    objective = ranking.objective
    headings = [
        ("policy", ""),
        ("rank", ""),
        (objective.name.replace("_", " "), objective.definition),
        (f"ratio to {ranking.baseline.label}", "Ratio of means with its 95 % interval."),
        ("ratio to the best", "Ratio of means with its 95 % interval."),
    ]
    if ranking.recorded is not None:
        headings.append(("ratio to what was recorded", "Ratio of means with its 95 % interval."))
    scale = log_scale([row.to_baseline for row in ranking.rows])

    def row(ranked: Ranked) -> Row:
        cells = [
            Cell(ranked.entry.label),
            Cell("–" if ranked.rank is None else str(ranked.rank), ranked.rank or 0),
            Cell(metric_text(objective.name, ranked.value), ranked.value),
            Cell(
                "1" if ranked.entry == ranking.baseline else ratio(ranked.to_baseline),
                ranked.to_baseline.value,
                mark_on(ranked.to_baseline, scale),
            ),
            Cell("1" if ranked.rank == 1 else ratio(ranked.to_best), ranked.to_best.value),
        ]
        if ranked.to_recorded is not None:
            text = "1" if ranked.entry.policy is None else ratio(ranked.to_recorded)
            cells.append(Cell(text, ranked.to_recorded.value))
        return Row(cells, entry_kind(ranked.entry, ranking))

    return Table("ranking", headings, [row(ranked) for ranked in ranking.rows])


def log_scale(shown: list[Ratio]) -> tuple[float, float]:
    """Return the logarithmic range that holds all ratios, their intervals and 1, with a little room."""
    numbers = np.array([[r.low, r.value, r.high] for r in shown]).ravel()
    numbers = np.append(numbers[np.isfinite(numbers) & (numbers > 0)], 1.0)
    low, high = np.log(numbers.min()), np.log(numbers.max())
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


def mark_on(shown: Ratio, scale: tuple[float, float]) -> Mark | None:
    """Return a ratio with its interval as drawn on a range of :func:`log_scale`; None if it cannot be."""
    if not (np.isfinite(shown.value) and shown.value > 0):
        return None
    low, high = (bound if np.isfinite(bound) and bound > 0 else shown.value for bound in (shown.low, shown.high))

    def place(value: float) -> float:
        return round(100 * float((np.log(value) - scale[0]) / (scale[1] - scale[0])), 2)

    return Mark(place(low), place(shown.value), place(high), place(1.0))


def overview_table(name: str, chosen: Iterable[str], means: Means, ranking: Ranking, whole_log: bool) -> Table:
    """Return the means over windows of the ``chosen`` metrics, as far as they are defined.

    Unless the ``whole_log`` was replayed, what would need all jobs on the machine is not shown of the record.
    """
    shown = [
        name
        for name in chosen
        if any(name in of_entry for of_entry in means.values())
        and (name not in _ONLY_IF_ANY or any(of_entry[name] for of_entry in means.values()))
    ]
    rows = []
    for ranked in ranking.rows:
        unseen = _OF_ALL_JOBS if ranked.entry.policy is None and not whole_log else set()
        values = [(name, np.nan if name in unseen else means[ranked.entry].get(name, np.nan)) for name in shown]
        cells = [Cell(metric_text(name, value), value) for name, value in values]
        rows.append(Row([Cell(ranked.entry.label), *cells], entry_kind(ranked.entry, ranking)))
    return Table(name, [("policy", ""), *((_HEADINGS[n], METRICS[n].definition) for n in shown)], rows)


def class_table(groups: pd.DataFrame, ranking: Ranking) -> Table:
    """Return the mean bounded slowdown by class; ``groups`` is one trace's part of the groups table."""
    of_class = groups[groups["kind"] == "class"]
    keys = zip(of_class["policy"], of_class["backfill"], of_class["group"], strict=True)
    found = dict(zip(keys, of_class["mean_bounded_slowdown"].astype(float), strict=True))
    shown = [name for name in CLASSES if (of_class["group"] == name).any()]
    rows = []
    for ranked in ranking.rows:
        values = [found.get((ranked.entry.name, ranked.entry.backfill, name), np.nan) for name in shown]
        cells = [Cell(number(value), value) for value in values]
        rows.append(Row([Cell(ranked.entry.label), *cells], entry_kind(ranked.entry, ranking)))
    return Table("classes", [("policy", ""), *((name.replace("_", ", "), "") for name in shown)], rows)


def group_table(groups: pd.DataFrame, kind: str, shown: list[Entry]) -> Table | None:
    """Return the largest users or tenants with their mean bounded slowdown under the entries shown.

    None if the log knows of fewer than two.
    """
    of_kind = groups[groups["kind"] == kind]
    columns = {
        entry: of_kind[(of_kind["policy"] == entry.name) & (of_kind["backfill"] == entry.backfill)].set_index("group")
        for entry in shown
    }
    resource = "gpu" if of_kind["gpu_hours"].any() else "processor"
    first = columns[shown[0]].sort_values(f"{resource}_hours", ascending=False, kind="stable")
    if len(first) < 2:
        return None
    hours_heading = "GPU-hours" if resource == "gpu" else "processor-hours"
    headings = [(kind, ""), ("jobs", ""), (hours_heading, ""), *((e.label, "") for e in shown)]
    rows = []
    for name, jobs, hours in zip(first.index, first["jobs"], first[f"{resource}_hours"], strict=True):
        values = [columns[entry]["mean_bounded_slowdown"].get(name, np.nan) for entry in shown]
        cells = [Cell(number(value), value) for value in values]
        rows.append(Row([Cell(str(name)), Cell(number(jobs), jobs), Cell(number(hours), hours), *cells]))
    return Table(kind, headings, rows[:MOST_GROUPS])


def tiles(means: Means, ranking: Ranking, whole_log: bool) -> list[tuple[str, str, list[str]]]:
    """Return the headline figures of the best policy: what, how much, and how much it is elsewhere."""
    best = ranking.best.entry
    others = [ranking.baseline] if best != ranking.baseline else []
    others += [ranking.recorded.entry] if ranking.recorded else []
    result = []
    use = "gpu_utilisation" if "gpu_utilisation" in means[best] else "utilisation"
    for name in ("mean_wait", "p95_wait", use, "delayed_past_fair_start"):
        if name in means[best]:
            compared = [
                f"{entry.label}: {metric_text(name, means[entry][name])}"
                for entry in others
                if name in means[entry] and (entry.policy is not None or whole_log or name not in _OF_ALL_JOBS)
            ]
            result.append((_HEADINGS[name], metric_text(name, means[best][name]), compared))
    return result


def time_or_dash(seconds: float | None) -> str:
    """Return a duration, or a dash where it is unknown."""
    return "–" if seconds is None else duration(seconds)
