"""What whoever rules a site sees of it, the same in learning and in use: numbers that say little of its size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from hpcai.cooling.observation import OBSERVED, OBSERVED_INDEX
from hpcai.records.calendar import DAY
from hpcai.scheduling.gpu_cluster.work import CHALLENGE, NORMAL
from hpcai.scheduling.jobs import MILLI

if TYPE_CHECKING:
    from hpcai.simulation.site.site import Site

SITE_FEATURES: Final = {
    "asked_jobs": "1 if a pass is due that the agent is asked about, 0 if a control step has ended",
    "day_sin": "sine of the time of day",
    "day_cos": "cosine of the time of day",
    "done": "time that is over / length of the episode",
    "waiting": "q / (q + 100), q the jobs in the queue",
    "held": "q / (q + 100), q the jobs that are held back",
    "running": "r / (r + 100), r the jobs that hold places",
    "free": "free GPUs / GPUs",
    "down": "nodes that are down / nodes",
    "power": "power of the machines now / most that they can draw",
    "limit": "the limit on GPUs that rules, 0..1",
    "carbon": "carbon intensity now / its mean over the coming day, less 1",
    "carbon_6h": "the same in 6 h",
    "price": "price now / its mean over the coming day, less 1",
    "price_6h": "the same in 6 h",
    "pressure": "GPUs that the jobs of the queue wait for / GPUs",
    "pressure_normal": "the same of jobs of class normal alone",
    "short_waiting": "q / (q + 20), q the jobs in the queue that are estimated to take less than an hour",
    "challenge": "1 while a grand challenge waits or runs, else 0",
    "outdoors": "(outdoor air, °C - 20) / 20; 0 where no plant cools",
}
BOUND: Final = 3.0
"""Features are cut off at this, and at minus this."""
_DRY_BULB: Final = OBSERVED_INDEX["dry_bulb"]


def seen_names(cooled: bool) -> tuple[str, ...]:
    """Return the names of what :func:`seen` returns of a site whose hall is cooled by a plant, or of another."""
    return (*SITE_FEATURES, *(f"hall_{point.name}" for point in OBSERVED if cooled))


def seen(site: Site) -> NDArray[np.float32]:
    """Return what a policy sees at a control step: SITE_FEATURES and, where a plant cools, its hall's, scaled."""
    own = site_features(site)
    return own if site.hall is None else np.concatenate([own, site.hall.scaled])


def site_features(site: Site, asked_jobs: bool = False) -> NDArray[np.float32]:
    """Return SITE_FEATURES of a site with power, (len(SITE_FEATURES),), cut off at BOUND."""
    assert site.power is not None
    at, gpus, now = site.cluster.at[0], site.setting.machine.total_gpus, site.env.now
    work = site.cluster.work
    queue, running = site.cluster.queue[: at["queued"]], site.cluster.running[: at["running"]]
    day = 2 * np.pi * (site.setting.time_of_day + now) / DAY
    short = int((work["estimate"][queue] < 3600.0).sum())
    numbers = [
        asked_jobs,
        *(np.sin(day), np.cos(day), now / site.setting.duration),
        *(n / (n + 100.0) for n in (len(queue), int(site.flow.held[-1]), len(running))),
        at["free"] / MILLI / gpus,
        site.faults.down.mean(),
        float(site.power.watts.sum() / site.power.most_sides.sum()),
        site.limit,
        *site.outlook("carbon"),
        *site.outlook("price"),
        site.wanted(queue) / gpus,
        site.wanted(queue[work["rank"][queue] == NORMAL]) / gpus,
        short / (short + 20.0),
        bool((work["rank"][queue] == CHALLENGE).any() or (work["rank"][running] == CHALLENGE).any()),
        0.0 if site.hall is None else (float(site.hall.observation[_DRY_BULB]) - 20.0) / 20.0,
    ]
    return np.clip(np.array(numbers, dtype=np.float32), -BOUND, BOUND)
