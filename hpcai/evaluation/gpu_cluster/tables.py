"""The report's tables, from the results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from hpcai.evaluation.gpu_cluster.metrics import METRICS
from hpcai.evaluation.humanise import duration, number, percent, quantity, ratio
from hpcai.evaluation.statistics import Ratio
from hpcai.evaluation.tables import MOST_GROUPS, Cell, Row, Table, log_scale, mark_on

Results = dict[str, Any]

MAIN: Final = ("mean_jct", "p95_jct", "mean_wait", "utilisation", "goodput", "preemptions", "time_to_full_machine")
_OF_JOBS: Final = (
    "mean_jct",
    "median_jct",
    "p95_jct",
    "p99_jct",
    "mean_wait",
    "p95_wait",
    "mean_bounded_slowdown",
    "max_finish_time_fairness",
)
_OF_MACHINE: Final = (
    "utilisation",
    "goodput",
    "goodput_of_held",
    "makespan",
    "preemptions",
    "lost_gpu_hours",
    "overhead_gpu_hours",
    "energy",
    "lost_energy",
    "resizes",
)
_SHARES: Final = ("utilisation", "goodput", "goodput_of_held")
_SHORT: Final = {
    "mean_jct": "mean JCT",
    "median_jct": "median JCT",
    "p95_jct": "95th percentile JCT",
    "p99_jct": "99th percentile JCT",
    "mean_wait": "mean wait",
    "p95_wait": "95th percentile wait",
    "max_finish_time_fairness": "worst finish-time fairness",
    "goodput": "goodput of capacity",
    "goodput_of_held": "goodput of GPUs held",
    "lost_gpu_hours": "GPU-hours lost",
    "overhead_gpu_hours": "GPU-hours of overhead",
    "lost_energy": "energy lost",
}


def heading(metric: str) -> str:
    """Return a metric's name as it stands over a column."""
    return _SHORT.get(metric, metric.replace("_", " "))


def number_of(value: float | None) -> float:
    """Return a number of the results, nan where there is none."""
    return np.nan if value is None else float(value)


def metric_text(metric: str, value: float) -> str:
    """Return a metric's value as people read it."""
    return percent(value) if metric in _SHARES else quantity(value, METRICS[metric].unit)


def value_of(row: Mapping[str, Any], metric: str) -> str:
    """Return a discipline's mean of a metric as people read it."""
    return metric_text(metric, number_of(row["metrics"][metric]["mean"]))


def ratio_of(row: Mapping[str, Any], metric: str) -> Ratio:
    """Return a discipline's ratio to the baseline."""
    own = row["metrics"][metric]
    return Ratio(number_of(own["ratio"]), number_of(own["low"]), number_of(own["high"]))


def ranked(results: Results, objective: str) -> list[str]:
    """Return the disciplines, best first."""
    sign = -1.0 if METRICS[objective].better == "higher" else 1.0

    def place(name: str) -> float:
        value = number_of(results["disciplines"][name]["metrics"][objective]["mean"])
        return sign * value if np.isfinite(value) else np.inf

    return sorted(results["disciplines"], key=place)


def ranking_table(results: Results, objective: str, baseline: str) -> Table:
    """Return the disciplines, best first, with ratios of the objective to the baseline's (drawn)."""
    names = ranked(results, objective)
    found = {name: ratio_of(results["disciplines"][name], objective) for name in names}
    scale = log_scale(list(found.values()))
    others = [name for name in MAIN if name not in (objective, "mean_wait")]  # which has its place in the next table
    headings = [
        ("discipline", ""),
        (heading(objective), METRICS[objective].definition),
        (f"ratio to {baseline}", "Ratio of means over the cases with its 95 % interval."),
        *((heading(name), METRICS[name].definition) for name in others if _known(results, name)),
    ]
    rows = []
    for name in names:
        row = results["disciplines"][name]
        own = "1" if name == baseline else ratio(found[name])
        cells = [Cell(name), _cell(row, objective), Cell(own, found[name].value, mark_on(found[name], scale))]
        cells += [_cell(row, other) for other in others if _known(results, other)]
        rows.append(Row(cells, _kind(name, names[0], baseline)))
    return Table("ranking", headings, rows)


def overview_table(results: Results, which: str, objective: str, baseline: str) -> Table:
    """Return the metrics of jobs or of the machine by discipline."""
    names = ranked(results, objective)
    shown = [name for name in (_OF_JOBS if which == "jobs" else _OF_MACHINE) if _known(results, name)]
    rows = [
        Row(
            [Cell(name), *(_cell(results["disciplines"][name], metric) for metric in shown)],
            _kind(name, names[0], baseline),
        )
        for name in names
    ]
    return Table(which, [("discipline", ""), *((heading(name), METRICS[name].definition) for name in shown)], rows)


def challenge_table(results: Results, objective: str, baseline: str) -> Table | None:
    """Return what a grand challenge costs under each discipline; None if there was none."""
    names = [name for name in ranked(results, objective) if results["disciplines"][name]["challenges"]]
    if not names:
        return None
    loss = "gpu_hours_per_challenge"
    headings = [
        ("discipline", ""),
        ("grand challenges", ""),
        ("mean time to full machine", METRICS["time_to_full_machine"].definition),
        ("longest", ""),
        ("victims each", ""),
        ("GPU-hours lost each", METRICS[loss].definition),
        ("of it work lost", "Running of victims since their last checkpoint."),
        ("GPUs idle", "GPUs that nobody held between submission and start."),
        ("stopping, restarting", "GPUs that victims held after the signal, and until they worked again."),
        ("node-hours lost each", METRICS["node_hours_per_challenge"].definition),
        (f"ratio to {baseline}", "Of GPU-hours lost; with its 95 % interval over the cases."),
    ]
    rows = []
    for name in names:
        row = results["disciplines"][name]
        each = row["challenges"]
        lost, idle, stopping, restarting = (
            float(np.mean([one[key] for one in each])) for key in ("lost", "idle", "stopping", "restarting")
        )
        own = ratio_of(row, loss)
        rows.append(
            Row(
                [
                    Cell(name),
                    Cell(number(len(each)), len(each)),
                    _cell(row, "time_to_full_machine"),
                    _cell(row, "max_time_to_full_machine"),
                    _cell(row, "victims_per_challenge"),
                    _cell(row, loss),
                    *(Cell(number(_tidy(value)), value) for value in (lost, idle, stopping + restarting)),
                    _cell(row, "node_hours_per_challenge"),
                    Cell("1" if name == baseline else ratio(own), own.value),
                ],
                _kind(name, names[0], baseline),
            )
        )
    return Table("challenges", headings, rows)


_GROUP: Final = {
    "jobs": ("jobs", number),
    "mean_wait": ("mean wait", duration),
    "mean_jct": ("mean JCT", duration),
    "p95_jct": ("95th percentile JCT", duration),
    "gpu_hours": ("GPU-hours held", number),
    "lost_gpu_hours": ("GPU-hours lost", number),
    "preemptions": ("preemptions", number),
}
_QUOTA: Final = {
    "guaranteed": ("GPUs guaranteed", number),
    "mean_gpus": ("GPUs held, mean", number),
    "max_gpus": ("most", number),
}


def class_table(results: Results, objective: str, baseline: str) -> Table:
    """Return how each class of jobs fared under each discipline."""
    names = ranked(results, objective)
    rows = [
        Row(
            [Cell(name), Cell(group), *_group_cells(values, _GROUP)],
            _kind(name, names[0], baseline),
        )
        for group in _groups(results, "classes")
        for name in names
        if (values := results["disciplines"][name]["classes"].get(group)) is not None
    ]
    return Table("classes", [("discipline", ""), ("class", ""), *((text, "") for text, _ in _GROUP.values())], rows)


def tenant_table(results: Results, discipline: str) -> Table | None:
    """Return how the tenants that held most fared under a discipline; None if there are fewer than two."""
    tenants = results["disciplines"][discipline]["tenants"]
    if len(tenants) < 2:
        return None
    shown = _GROUP | {key: value for key, value in _QUOTA.items() if key != "guaranteed" or _guaranteed(tenants)}
    most = sorted(tenants, key=lambda name: -tenants[name]["gpu_hours"])[:MOST_GROUPS]
    rows = [Row([Cell(name or "(none)"), *_group_cells(tenants[name], shown)]) for name in most]
    return Table("tenants", [("tenant", ""), *((text, "") for text, _ in shown.values())], rows)


def _guaranteed(tenants: Mapping[str, Any]) -> bool:
    return any(each["guaranteed"] is not None for each in tenants.values())


def _group_cells(values: Mapping[str, Any], shown: Mapping[str, Any]) -> list[Cell]:
    cells = []
    for key, (_, text) in shown.items():
        value = number_of(values[key])
        cells.append(Cell(text(_tidy(value)) if np.isfinite(value) else "–", value))
    return cells


def _tidy(value: float) -> float:
    """Return a number without the digits that nobody reads."""
    return round(value, 1) if np.isfinite(value) and abs(value) >= 1 else value


def _groups(results: Results, kind: str) -> list[str]:
    return list(dict.fromkeys(name for row in results["disciplines"].values() for name in row[kind]))


def _known(results: Results, metric: str) -> bool:
    return any(row["metrics"][metric]["mean"] is not None for row in results["disciplines"].values())


def _cell(row: Mapping[str, Any], metric: str) -> Cell:
    value = number_of(row["metrics"][metric]["mean"])
    return Cell(metric_text(metric, value), value)


def _kind(name: str, best: str, baseline: str) -> str:
    return "best" if name == best else "baseline" if name == baseline else ""
