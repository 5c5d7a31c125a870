"""Measuring the power under a schedule."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from hpcai.cluster.spec import Machine
from hpcai.evaluation.energy.definitions import ENERGY_NAMES
from hpcai.simulation.energy.it_power import KWH, ItPower, it_power
from hpcai.simulation.energy.site import Site, SitePower

HOUR: Final = 3600.0  # s


def powers(
    schedule: pd.DataFrame, jobs: pd.DataFrame, machine: Machine, site: Site, seed: int, warmup: int = 0
) -> tuple[ItPower, SitePower]:
    """Return the power of the machines and of the site under a schedule; see :func:`power_of_machines`."""
    machines = power_of_machines(schedule, jobs, machine, seed, warmup)
    return machines, site.power(machines)


def power_of_machines(
    schedule: pd.DataFrame, jobs: pd.DataFrame, machine: Machine, seed: int, warmup: int = 0
) -> ItPower:
    """Return the power of the machines under a schedule, from the first submission that is measured.

    ``schedule`` and ``jobs`` are aligned row by row. ``seed`` draws how hard jobs work.
    """
    limit = schedule["power_limit"].to_numpy(np.float64) if "power_limit" in schedule else None
    since = float(schedule["submit"].iloc[warmup])
    return it_power(schedule, jobs, machine, limit=limit, seed=seed, since=since)


def energy_metrics(
    schedule: pd.DataFrame, jobs: pd.DataFrame, machine: Machine, site: Site, seed: int, warmup: int = 0
) -> dict[str, float]:
    """Return the metrics of ENERGY_NAMES that are defined; see :func:`powers`."""
    machines, power = powers(schedule, jobs, machine, site, seed, warmup)
    it, whole = machines.energy / KWH, power.energy("site")
    of_jobs = float(machines.job_energy.sum()) / KWH
    ran = int(np.isfinite(schedule["start"].to_numpy(np.float64)[warmup:]).sum())
    values = {
        "it_energy": it,
        "job_energy": of_jobs,
        "idle_energy": machines.idle_energy / KWH,
        "energy_per_job": of_jobs / ran if ran else np.nan,
        "peak_power": machines.peak / 1000,
        "site_energy": whole,
        "site_peak": float(power.site.max(initial=0.0)) / 1000,
        "carbon": power.bill(power.site, power.carbon),
        "job_carbon": power.bill(power.site_of_jobs, power.carbon),
    }
    if site.cooling is not None:
        hot = float(np.diff(power.edges)[power.inlet > site.cooling.limits.high].sum()) / HOUR
        values |= {"hvac_energy": power.energy("hvac"), "pue": whole / it if it else np.nan, "hot_hours": hot}
    if site.price is not None:
        currency = site.price.unit[:3].lower()
        values[f"cost_{currency}"] = power.bill(power.site, power.price)
        values[f"job_cost_{currency}"] = power.bill(power.site_of_jobs, power.price)
    return {name: float(values[name]) for name in ENERGY_NAMES if np.isfinite(values.get(name, np.nan))}
