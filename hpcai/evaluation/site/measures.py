"""What a simulated site amounts to: energy, carbon, waiting, goodput, heat; in all and by tenant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from hpcai.scheduling.gpu_cluster.work import CHALLENGE, CLASSES
from hpcai.scheduling.jobs import SLOWDOWN_FLOOR
from hpcai.simulation.cooling.limits import Limits
from hpcai.simulation.energy.it_power import KWH
from hpcai.simulation.site.site import Site
from hpcai.simulation.site.timeline import INDEX

HOUR: Final = 3600.0


@dataclass(frozen=True)
class Measure:
    """A metric: heading, unit, whether less (-1) or more (1) of it is better, 0 if neither, and what it means."""

    heading: str
    unit: str
    better: int
    meaning: str


MEASURES: Final = {
    "ended": Measure("jobs ended", "", 1, "Jobs that ended within the time."),
    "wait": Measure("mean wait", "s", -1, "From submission to the first start, or to the end of the time."),
    "p95_wait": Measure("95 % wait", "s", -1, "95th percentile of that."),
    "slowdown": Measure(
        "slowdown", "", -1, "Mean bounded slowdown; of jobs that have not ended as if the rest were done at once."
    ),
    "challenge_wait": Measure("grand challenge", "s", -1, "Mean wait of grand challenges."),
    "utilisation": Measure("GPUs held", "%", 0, "GPU-seconds held over those there are."),
    "goodput": Measure(
        "goodput", "%", 1, "GPU-seconds held, less those lost and spent on overhead, over those there are."
    ),
    "lost": Measure("lost, GPU h", "", -1, "GPU-hours of running that had to be repeated."),
    "overhead": Measure("overhead, GPU h", "", -1, "GPU-hours of restarting, changing size and stopping."),
    "preemptions": Measure("preemptions", "", -1, "Stops of jobs for others."),
    "killed": Measure("killed", "", -1, "Stops of jobs by faults."),
    "availability": Measure("nodes up", "%", 1, "Node time in which nodes were not down."),
    "it": Measure("IT, MWh", "", -1, "Energy of the machines."),
    "hvac": Measure("HVAC, MWh", "", -1, "Energy of all that cools."),
    "site": Measure("site, MWh", "", -1, "Energy of everything."),
    "pue": Measure("PUE", "", -1, "Energy of the site over that of the machines."),
    "peak": Measure("peak IT, kW", "", -1, "Highest mean power of the machines over a tick."),
    "work": Measure("work, GPU h", "", 1, "GPU-hours at full speed of the work done that stayed done."),
    "per_work": Measure("kWh per GPU h", "", -1, "Energy of the site over that work."),
    "carbon": Measure("CO2, t", "", -1, "Of the energy of the site."),
    "cost": Measure("cost", "", -1, "Of the energy of the site, in the currency of the price."),
    "hot_minutes": Measure("hot, min", "", -1, "Time in which the warmer side's inlets were above the limit."),
    "hot_kelvin_hours": Measure("K h hot", "", -1, "Integral over time of the excess."),
    "inlet_max": Measure("warmest inlet, °C", "", -1, "Highest inlet temperature at the end of a tick."),
    "limited_minutes": Measure("GPUs limited, min", "", 0, "Time in which a limit below 1 was on the GPUs of a side."),
}


class Watch:
    """What is measured of a timeline as it comes, a chunk (rows, columns) at a time."""

    def __init__(self, limits: Limits, tick: float) -> None:
        self._limits, self._tick = limits, tick
        self.peak, self.hot, self.degrees, self.limited, self.inlet = 0.0, 0.0, 0.0, 0.0, -np.inf

    def see(self, rows: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        """Take a chunk in."""
        it = rows[:, INDEX["it_east"]] + rows[:, INDEX["it_west"]]
        inlets = rows[:, [INDEX["plant_east_inlet"], INDEX["plant_west_inlet"]]].max(axis=1)
        beyond = np.maximum(np.nan_to_num(inlets, nan=-np.inf) - self._limits.high, 0.0)
        limit = rows[:, [INDEX["limit_east"], INDEX["limit_west"]]].min(axis=1)
        self.peak = max(self.peak, float(it.max()))
        self.hot += float((beyond > 0).sum()) * self._tick / 60.0
        self.degrees += float(beyond.sum()) * self._tick / HOUR
        self.limited += float((limit < 1).sum()) * self._tick / 60.0
        self.inlet = max(self.inlet, float(np.nan_to_num(inlets, nan=-np.inf).max()))


def measure(site: Site, watch: Watch) -> dict[str, float]:
    """Return the metrics of MEASURES of a site that has come to its end; nan where there is no such thing."""
    duration, gpus = site.setting.duration, site.setting.machine.total_gpus
    out, totals = site.outcome(), site.totals
    wait = waits(out, duration)
    done = (out["executed"] - out["undone"]).clip(lower=0.0)
    work = float((done * out["gpus"]).sum()) / HOUR
    held, lost, overhead = (float(out[name].sum()) for name in ("attained", "lost", "overhead"))
    useful = held - lost - overhead
    cooled = site.hall is not None
    return {
        "ended": float(out["end"].notna().sum()),
        "wait": float(wait.mean()),
        "p95_wait": float(np.quantile(wait, 0.95)),
        "slowdown": float(slowdowns(out, done, duration).mean()),
        "challenge_wait": float(wait[out["rank"] == CHALLENGE].mean()) if (out["rank"] == CHALLENGE).any() else np.nan,
        "utilisation": held / (gpus * duration),
        "goodput": useful / (gpus * duration),
        "lost": lost / HOUR,
        "overhead": overhead / HOUR,
        "preemptions": float(site.flow.preemptions),
        "killed": float(site.flow.killed),
        "availability": 1.0 - site.faults.down_seconds() / (site.setting.machine.total_nodes * duration),
        "it": totals.it / KWH / 1e3,
        "hvac": totals.hvac / KWH / 1e3 if cooled else np.nan,
        "site": totals.site / KWH / 1e3,
        "pue": totals.site / totals.it if cooled else np.nan,
        "peak": watch.peak / 1e3,
        "work": work,
        "per_work": totals.site / KWH / work if work > 0 else np.nan,
        "carbon": totals.carbon / 1e3,
        "cost": totals.cost,
        "hot_minutes": watch.hot if cooled else np.nan,
        "hot_kelvin_hours": watch.degrees if cooled else np.nan,
        "inlet_max": watch.inlet if cooled else np.nan,
        "limited_minutes": watch.limited,
    }


def slowdowns(out: pd.DataFrame, done: pd.Series[float], duration: float) -> pd.Series[float]:
    """Return the bounded slowdown of each job; who has not ended does what is left at full speed from the end on.

    ``done`` is the work that each job has done (s). So nobody looks better for leaving jobs undone.
    """
    end = out["end"].fillna(duration + (out["work"] - done).clip(lower=0.0))
    result: pd.Series[float] = ((end - out["submit"]) / out["work"].clip(lower=SLOWDOWN_FLOOR)).clip(lower=1.0)
    return result


def waits(out: pd.DataFrame, duration: float) -> pd.Series[float]:
    """Return how long each job waited for its first start, or has by the end of the time (s)."""
    return out["start"].fillna(duration) - out["submit"]


def by_tenant(site: Site) -> dict[str, dict[str, float]]:
    """Return jobs, GPU-hours held, energy with cooling (MWh), CO2 (kg), cost and mean wait (s) of each tenant."""
    out = site.outcome()
    out = out.assign(wait=waits(out, site.setting.duration), jobs=1.0)
    names = np.array(site.workload.tenants, dtype=object)[out["tenant"].to_numpy()]
    sums = out.groupby(names)[["jobs", "attained", "energy", "carbon", "cost"]].sum()
    sums["wait"] = out.groupby(names)["wait"].mean()
    return {
        str(name): {
            "jobs": row["jobs"],
            "gpu_hours": row["attained"] / HOUR,
            "energy": row["energy"] / KWH / 1e3,
            "carbon_kg": row["carbon"],
            "cost": row["cost"],
            "wait": row["wait"],
        }
        for name, row in sums.sort_values("energy", ascending=False).iterrows()
    }


def job_table(site: Site) -> pd.DataFrame:
    """Return a row for each job: who, class, times (s), GPUs, GPU-seconds, stops, energy (kWh), CO2 (kg), cost."""
    out = site.outcome()
    known = site.jobs[["job_id", "kind", "tenant"]].reset_index(drop=True)
    columns = ["submit", "start", "end", "gpus", "work", "attained", "lost", "overhead", "stops"]
    return known.assign(
        **{"class": np.array(CLASSES)[out["rank"]]},
        **{name: out[name] for name in columns},
        energy_kwh=out["energy"] / KWH,
        carbon_kg=out["carbon"],
        cost=out["cost"],
    )
