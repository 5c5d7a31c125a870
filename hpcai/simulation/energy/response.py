"""What a site can do about its power beside ordering the queue: wait, limit its GPUs, keep to a budget.

All of it composes with any policy. Waiting comes before the replay: a job joins the queue later, and its wait counts
from its submission. A fixed limit comes before it too: jobs take longer, and their limits of time grow with them. A
budget is decided in the replay, at the start of each job.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.cluster.power.response import Response
from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.records.grid_signal import GridSignal
from hpcai.scheduling.policy import Policy
from hpcai.simulation.energy.budget import replay_within
from hpcai.simulation.energy.it_power import draw, placement
from hpcai.simulation.energy.shifting import eligible_from
from hpcai.simulation.energy.site import Site
from hpcai.simulation.replay import replay

Floats = npt.NDArray[np.float64]


def replay_with(
    response: Response,
    jobs: pd.DataFrame,
    machine: Machine,
    policy: Policy,
    site: Site,
    *,
    seed: int = 0,
    past: pd.DataFrame | None = None,
    progress: Callable[[int], object] | None = None,
) -> pd.DataFrame:
    """Return the schedule of ``jobs`` under ``policy`` and ``response``, see :func:`hpcai.simulation.replay.replay`.

    It has a column more, ``power_limit``: that on each job's GPUs, as a share of the most they can draw. ``seed`` draws
    how hard jobs work. Raises InputError if the response needs a price or carbon intensity that the site lacks.
    """
    changed = jobs
    if response.shift is not None:
        changed = changed.assign(submit=_shifted(jobs, response, site))
    if response.power_limit < 1:
        speed = draw(jobs, machine, placement(jobs, machine), limit=np.full(len(jobs), response.power_limit), seed=seed)
        changed = _slower(changed, speed.speed)
    if response.power_budget is not None:
        schedule = replay_within(
            response.power_budget, changed, machine, policy, most=response.power_limit, seed=seed, past=past
        )
    else:
        schedule = replay(changed, machine, policy, past=past, origin=site.origin, progress=progress).table
        schedule = schedule.assign(power_limit=response.power_limit)
    late = schedule["submit"] - changed["submit"].to_numpy()  # of a job that follows another
    return schedule.assign(submit=jobs["submit"].to_numpy() + late)


def _shifted(jobs: pd.DataFrame, response: Response, site: Site) -> Floats:
    signal: GridSignal | None = site.price if response.shift == "price" else site.carbon
    if signal is None:
        raise InputError(f"shift {response.shift!r}: expected a series of it, found none")
    expected = jobs["requested_time"].fillna(jobs["run_time"]).to_numpy(np.float64)
    flexible = (expected >= response.shift_least) & (jobs["kind"] != "service").to_numpy()
    submit = site.origin + jobs["submit"].to_numpy(np.float64)
    held = eligible_from(submit, flexible, signal, response.shift_quantile, response.shift_deadline) - submit
    later: Floats = jobs["submit"].to_numpy(np.float64) + held
    return later


def _slower(jobs: pd.DataFrame, speed: Floats) -> pd.DataFrame:
    return jobs.assign(run_time=jobs["run_time"] / speed, requested_time=jobs["requested_time"] / speed)
