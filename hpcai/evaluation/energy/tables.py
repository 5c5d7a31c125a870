"""The report's tables of energy: by policy with intervals, by tenant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from hpcai.evaluation.config import Entry
from hpcai.evaluation.humanise import number, ratio
from hpcai.evaluation.metrics import METRICS
from hpcai.evaluation.ranking import Floats, Ranking, rank
from hpcai.evaluation.tables import MOST_GROUPS, Cell, Means, Row, Table, entry_kind, metric_text

HEADINGS: Final = {
    "it_energy": "machines",
    "job_energy": "of it jobs",
    "energy_per_job": "per job",
    "peak_power": "peak of machines",
    "hvac_energy": "cooling",
    "site_energy": "site",
    "site_peak": "peak of site",
    "pue": "PUE",
    "cost_usd": "cost",
    "cost_eur": "cost",
    "job_cost_usd": "of it jobs",
    "job_cost_eur": "of it jobs",
    "carbon": "carbon",
    "job_carbon": "of it jobs",
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


@dataclass(frozen=True)
class Compared:
    """How the ratios to the baseline came about: as in the ranking by the objective."""

    units: dict[str, dict[Entry, Floats]]  # by metric: values of each window, by entry
    ranking: Ranking
    block: int
    resamples: int
    seed: int

    def of(self, metric: str) -> Ranking:
        """Return the entries' ratios to the baseline by ``metric``, paired over windows."""
        return rank(
            self.units[metric],
            METRICS[metric],
            self.ranking.baseline,
            self.ranking.method,
            block=self.block,
            resamples=self.resamples,
            seed=self.seed,
        )


def energy_table(means: Means, ranking: Ranking) -> Table:
    """Return the means over windows of every metric of energy, by entry in the order of the ranking."""
    shown = [name for name in HEADINGS if any(name in of_entry for of_entry in means.values())]
    rows = []
    for ranked in ranking.rows:
        values = [(name, means[ranked.entry].get(name, np.nan)) for name in shown]
        cells = [Cell(metric_text(name, value), value) for name, value in values]
        rows.append(Row([Cell(ranked.entry.label), *cells], entry_kind(ranked.entry, ranking)))
    return Table("energy", [("policy", ""), *((HEADINGS[n], METRICS[n].definition) for n in shown)], rows)


def ratio_table(compared: Compared) -> Table:
    """Return ratios to the baseline with their intervals, metric by metric, by entry in the order of the ranking."""
    shown = [name for name in COMPARED if name in compared.units]
    by_metric = {name: {row.entry: row.to_baseline for row in compared.of(name).rows} for name in shown}
    ranking = compared.ranking
    rows = []
    for ranked in ranking.rows:
        cells = [Cell(ranked.entry.label)]
        for name in shown:
            to_baseline = by_metric[name][ranked.entry]
            text = "1" if ranked.entry == ranking.baseline else ratio(to_baseline)
            cells.append(Cell(text, to_baseline.value))
        rows.append(Row(cells, entry_kind(ranked.entry, ranking)))
    headings = [("policy", ""), *((COMPARED[name], METRICS[name].definition) for name in shown)]
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
