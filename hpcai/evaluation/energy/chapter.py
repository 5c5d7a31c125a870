"""What the report says about the energy of one log."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import pandas as pd

from hpcai.evaluation.config import Entry, EvaluationConfig
from hpcai.evaluation.energy import figures, tables
from hpcai.evaluation.energy.measures import power_of_machines, powers
from hpcai.evaluation.energy.plant import described, in_words
from hpcai.evaluation.figures import MOST_DRAWN, Figure
from hpcai.evaluation.humanise import percent
from hpcai.evaluation.inputs import Input
from hpcai.evaluation.ranking import Ranking
from hpcai.evaluation.tables import Means, Table
from hpcai.evaluation.windows import Window
from hpcai.simulation.energy.it_power import KWH, ItPower, energy_by
from hpcai.simulation.energy.site import Site, SitePower

Schedules = Callable[[Entry, Window], pd.DataFrame]


class EnergyChapter:
    """Tables and figures; ``entries`` are in the order in which they are drawn, ``compared`` those told apart."""

    def __init__(
        self,
        source: Input,
        site: Site,
        config: EvaluationConfig,
        ranking: Ranking,
        metrics: pd.DataFrame,
        means: Means,
        entries: list[Entry],
        compared: list[Entry],
        typical: Window,
        schedules: Schedules,
    ) -> None:
        """Gather the results of one log; ``metrics`` are its rows only, ``schedules`` reads a finished replay."""
        self._source, self._site, self._config, self._ranking = source, site, config, ranking
        self._metrics, self._means, self._entries, self._compared = metrics, means, entries, compared
        self._typical, self._schedules = typical, schedules

    @property
    def power(self) -> Table | None:
        """Energy and power, means over the windows."""
        return tables.energy_table("energy", tables.OF_POWER, self._means, self._ranking)

    @property
    def cost(self) -> Table | None:
        """Money and carbon, means over the windows; None if neither is known."""
        return tables.energy_table("energy-cost", tables.OF_COST, self._means, self._ranking)

    @property
    def ratios(self) -> Table | None:
        """Ratios to the baseline with intervals; None for one window, which gives none."""
        if len(self._source.windows) < 2:
            return None
        found = tables.to_baseline(self._metrics, self._source, self._ranking, self._config)
        return tables.ratio_table(found, self._ranking)

    @cached_property
    def tenants(self) -> Table | None:
        """The tenants that used most energy: under the compared policies and those that change what jobs draw."""
        limiting = [e for e in self._entries if e.response.power_limit < 1 or e.response.power_budget is not None]
        shown = list(dict.fromkeys([*self._compared, *limiting]))
        return tables.tenant_table({entry: self._by_tenant(entry) for entry in shown})

    def _by_tenant(self, entry: Entry) -> pd.Series[float]:
        """Return the energy (kWh) of each tenant over all windows."""
        parts = []
        for window in self._source.windows:
            jobs, schedule = self._source.window_jobs(window), self._schedules(entry, window)
            machines = power_of_machines(schedule, jobs, self._source.machine, self._config.seed, self._config.warmup)
            parts.append(energy_by(jobs, machines.job_energy / KWH, "tenant"))
        return pd.concat(parts).groupby(level=0).sum()

    def _powers(self, entry: Entry, window: Window) -> tuple[ItPower, SitePower]:
        schedule, jobs = self._schedules(entry, window), self._source.window_jobs(window)
        return powers(schedule, jobs, self._source.machine, self._site, self._config.seed, self._config.warmup)

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The figures by name."""
        drawn = {entry: self._powers(entry, self._typical) for entry in self._entries[:MOST_DRAWN]}
        return {
            "power": figures.power_over_time(drawn, self._site),
            "energy": figures.by_policy(self._means, [row.entry for row in self._ranking.rows]),
        }

    @property
    def made_of(self) -> str:
        """What the site is made of, in words."""
        site = self._site
        parts = []
        if site.cooling is not None:
            weather = site.cooling.weather
            place = f", {weather.location}" if weather.location else ""
            found = described(self._source, site.cooling, self._config)
            parts += [f"weather {weather.name}{place}", in_words(found, self._config)]
        signals = [signal for signal in (site.price, site.carbon) if signal is not None]
        parts += [f"{signal.kind} {signal.name} in {signal.unit}" for signal in signals]
        recorded = float(self._source.jobs["power"].notna().mean())
        parts.append(
            f"power of jobs as recorded for {percent(recorded)} of them" if recorded else "power of jobs drawn"
        )
        return "; ".join(parts)
