"""A power budget kept by the scheduler: a job that starts when power is scarce gets a limit on its GPUs.

Every GPU has its share of what the budget leaves above idle. A job that starts may have the shares of its own GPUs and
what the running jobs leave of theirs, but not those of the free GPUs: these are kept for whoever takes them. It gets
the highest limit within that, none below the least that drivers accept, and keeps it to its end. So the budget holds as
long as jobs draw their shares. It can be exceeded when frugal jobs, whose shares others had taken, make room for hungry
ones, by processors, which are not limited, and where the least limit is too high for it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import simpy

from hpcai.cluster.power.limit import LOWEST, speed_under
from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.state import State, make_state
from hpcai.simulation.energy.it_power import Draw, draw, placement
from hpcai.simulation.replay import schedule_table
from hpcai.simulation.simpy_clock import JobFlow

Floats = npt.NDArray[np.float64]


def replay_within(
    budget: float,
    jobs: pd.DataFrame,
    machine: Machine,
    policy: Policy,
    *,
    most: float = 1.0,
    seed: int = 0,
    past: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the schedule of ``jobs`` with the machines held to ``budget``, a share of the most they can draw.

    It has the columns of a replay and ``power_limit``, (0..1], of each job's GPUs, at most ``most``; the run times of
    ``jobs`` are those under ``most``. Raises InputError for a policy with a network, which this clock does not run.
    """
    if policy.network is not None:
        raise InputError("power_budget: expected an ordering, found a network, which runs on the compiled clock alone")
    by_submit = np.argsort(jobs["submit"].to_numpy(), kind="stable")
    ordered = jobs.iloc[by_submit]
    drawn = draw(ordered, machine, placement(ordered, machine), limit=np.full(len(jobs), most), seed=seed)
    state = make_state(ordered, machine, policy, past=past)
    limits = np.full(len(jobs), most)
    if len(jobs):
        env = simpy.Environment(initial_time=min(0.0, float(state.jobs["submit"][0])))
        _Budgeted(env, state, ordered, machine, drawn, budget, limits)
        env.run()
    back = np.empty_like(by_submit)
    back[by_submit] = np.arange(len(by_submit))
    return schedule_table(jobs, machine, policy, state, back).assign(power_limit=limits[back])


class _Budgeted(JobFlow):
    """The flow of jobs with a hand on the power of those that start."""

    def __init__(
        self,
        env: simpy.Environment,
        state: State,
        jobs: pd.DataFrame,
        machine: Machine,
        drawn: Draw,
        budget: float,
        limits: Floats,
    ) -> None:
        where = placement(jobs, machine)
        gpus = jobs["gpus"].to_numpy(np.float64)
        self._power = drawn.model.idle
        self._budget = budget * drawn.model.maximum
        self._gpus, self._free = gpus, float(sum(group.gpus for group in drawn.model.groups))
        self._fair = max(self._budget - self._power, 0.0) / max(self._free, 1.0)  # W of each GPU
        self._gpu, self._cpu = drawn.power.gpu_dynamic.copy(), drawn.power.cpu_dynamic.copy()
        self._full = gpus * (where @ np.array([group.gpu_dynamic for group in drawn.model.groups]))
        self._floor = where @ np.array([group.gpu_floor for group in drawn.model.groups])
        self._kind = [drawn.model.groups[g].gpu_kind for g in np.argmax(where, axis=1)]
        self._limits = limits
        super().__init__(env, state, on_start=self._start, on_end=self._finish)

    def _start(self, j: int) -> None:
        """Give job ``j``, which starts now, the highest limit that is within what it may have."""
        self._free -= self._gpus[j]
        share = self._share(j)
        if share < 1:
            speed = float(speed_under(np.array([share]), self._kind[j])[0])
            self._run[j] /= speed
            self.state.jobs["run"][j] = self._run[j]
            self._gpu[j] *= share
            self._cpu[j] *= speed
            in_use = self._gpu[j] / self._full[j]
            self._limits[j] = min(self._floor[j] + (1 - self._floor[j]) * in_use, self._limits[j])
        self._power += self._gpu[j] + self._cpu[j]

    def _share(self, j: int) -> float:
        """Return the share of its GPUs' dynamic power that job ``j`` may have."""
        if self._gpu[j] <= 0:
            return 1.0
        kept = self._fair * max(self._free, 0.0)
        room = (self._budget - self._power - kept - self._cpu[j]) / self._gpu[j]
        least = self._full[j] * max(LOWEST - self._floor[j], 0.0) / (1 - self._floor[j]) / self._gpu[j]
        return float(min(max(room, least, 1e-3), 1.0))

    def _finish(self, j: int) -> None:
        self._free += self._gpus[j]
        self._power -= self._gpu[j] + self._cpu[j]
