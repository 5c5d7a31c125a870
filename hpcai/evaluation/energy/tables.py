"""The report's tables of energy: by policy with intervals, by tenant."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from hpcai.evaluation.config import Entry, EvaluationConfig
from hpcai.evaluation.humanise import number
from hpcai.evaluation.humanise import ratio as ratio_text
from hpcai.evaluation.inputs import Input
from hpcai.evaluation.metrics import METRICS
from hpcai.evaluation.ranking import Floats, Ranking, rank
from hpcai.evaluation.statistics import Ratio
from hpcai.evaluation.tables import MOST_GROUPS, Cell, Means, Row, Table, entry_kind, metric_text
from hpcai.evaluation.windows import overlap

OF_POWER: Final = {
    "it_energy": "machines",
    "job_energy": "of it jobs",
    "energy_per_job": "per job",
    "peak_power": "peak of machines",
    "hvac_energy": "cooling",
    "site_energy": "site",
    "site_peak": "peak of site",
    "pue": "PUE",
    "hot_hours": "too warm",
}
OF_COST: Final = {
    "cost_usd": "cost",
    "cost_eur": "cost",
    "job_cost_usd": "cost of jobs",
    "job_cost_eur": "cost of jobs",
    "carbon": "carbon",
    "job_carbon": "carbon of jobs",
}
COMPARED: Final = {
    "energy_per_job": "energy per job",
    "peak_power": "peak of machines",
    "site_energy": "site energy",
    "pue": "PUE",
    "job_cost_usd": "cost of jobs",
    "job_cost_eur": "cost of jobs",
    "job_carbon": "carbon of jobs",
}


def to_baseline(
    metrics: pd.DataFrame, source: Input, ranking: Ranking, config: EvaluationConfig
) -> dict[str, dict[Entry, Ratio]]:
    """Return each entry's ratio to the baseline by each metric of COMPARED, paired over windows as in the ranking.

    ``metrics`` are the rows of one log. A metric that some entry lacks in some window is left out; one window gives no
    interval.
    """
    result = {}
    for metric in COMPARED:
        units = {entry: _over_windows(metrics, entry, metric) for entry in source.entries}
        if all(len(values) == len(source.windows) for values in units.values()):
            ranked = rank(
                units,
                METRICS[metric],
                ranking.baseline,
                ranking.method,
                block=overlap(source.windows) if len(source.windows) > 1 else 1,
                resamples=config.resamples,
                seed=config.seed,
            )
            result[metric] = {row.entry: row.to_baseline for row in ranked.rows}
    return result


def _over_windows(metrics: pd.DataFrame, entry: Entry, metric: str) -> Floats:
    chosen = (metrics["policy"] == entry.name) & (metrics["backfill"] == entry.backfill) & (metrics["metric"] == metric)
    values: Floats = metrics.loc[chosen, "value"].to_numpy(np.float64)
    return values


def as_rows(ratios: dict[str, dict[Entry, Ratio]]) -> list[dict[str, Any]]:
    """Return the ratios as plain data; a bound that is not defined is None."""
    return [
        {"metric": metric, "policy": entry.name, "backfill": entry.backfill}
        | {key: value if np.isfinite(value) else None for key, value in vars(ratio).items()}
        for metric, of_entries in ratios.items()
        for entry, ratio in of_entries.items()
    ]


def energy_table(name: str, chosen: dict[str, str], means: Means, ranking: Ranking) -> Table | None:
    """Return means over windows of the ``chosen`` metrics, by entry in the order of the ranking; None if none is known.

    ``chosen`` gives the heading of each.
    """
    shown = {metric: text for metric, text in chosen.items() if any(metric in of_entry for of_entry in means.values())}
    rows = []
    for ranked in ranking.rows:
        values = [(metric, means[ranked.entry].get(metric, np.nan)) for metric in shown]
        cells = [Cell(metric_text(metric, value), value) for metric, value in values]
        rows.append(Row([Cell(ranked.entry.label), *cells], entry_kind(ranked.entry, ranking)))
    headings = [("policy", ""), *((text, METRICS[metric].definition) for metric, text in shown.items())]
    return Table(name, headings, rows) if shown else None


def ratio_table(ratios: dict[str, dict[Entry, Ratio]], ranking: Ranking) -> Table:
    """Return the ratios of :func:`to_baseline`, by entry in the order of the ranking."""
    rows = []
    for ranked in ranking.rows:
        cells = [Cell(ranked.entry.label)]
        for of_entries in ratios.values():
            of_entry = of_entries[ranked.entry]
            cells.append(Cell("1" if ranked.entry == ranking.baseline else ratio_text(of_entry), of_entry.value))
        rows.append(Row(cells, entry_kind(ranked.entry, ranking)))
    headings = [("policy", ""), *((COMPARED[name], METRICS[name].definition) for name in ratios)]
    return Table("energy-ratios", headings, rows)


def tenant_table(by_tenant: dict[Entry, pd.Series[float]]) -> Table | None:
    """Return the energy (kWh) of the tenants that used most, under the entries given; None of fewer than two."""
    first = next(iter(by_tenant.values()))
    if len(first) < 2:
        return None
    names = first.sort_values(ascending=False, kind="stable").index[:MOST_GROUPS]
    rows = []
    for name in names:
        values = [float(of_entry.get(name, np.nan)) for of_entry in by_tenant.values()]
        rows.append(Row([Cell(str(name)), *(Cell(f"{number(value)} kWh", value) for value in values)]))
    return Table("energy-tenant", [("tenant", ""), *((entry.label, "") for entry in by_tenant)], rows)
