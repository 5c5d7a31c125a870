"""An episode on a GPU cluster: a window of a log replayed until somebody has to decide."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.jit import announce_compilation
from hpcai.scheduling.gpu_cluster.discipline import Discipline
from hpcai.scheduling.gpu_cluster.state import Cluster, make_cluster
from hpcai.scheduling.gpu_cluster.work import make_workload
from hpcai.simulation.gpu_cluster.clock import ASKS, FULL, run_until
from hpcai.simulation.gpu_cluster.rewards import ClusterReward, Costs, Course, follow

REMEMBERED = 64  # windows whose beginning, and course under the discipline, are kept


class Episode:
    """One window being played: the cluster, and what it has cost."""

    def __init__(self, cluster: Cluster, costs: Costs, course: Course, reward: ClusterReward) -> None:
        self.cluster, self.course = cluster, course
        self.steps = 0
        self._costs, self._reward, self._lead = costs, reward, 0.0

    def go_on(self) -> bool:
        """Let everything happen up to the next decision that is asked for; return False at the end."""
        while (why := run_until(self.cluster, np.inf)) == FULL:
            self.cluster.at[0]["logged"] = 0
        return bool(why == ASKS)

    @property
    def cost(self) -> float:
        """What has accrued by now."""
        return self._costs.so_far(self.cluster)

    def reward_since(self, ended: bool) -> float:
        """Return the reward of what has happened since the latest decision, or since the beginning."""
        relative, dense = self._reward.relative, self._reward.timing == "dense"
        if not dense and not ended:
            return 0.0
        lead = -self.cost
        if relative:
            lead += self.course.end if ended else self.course.at(float(self.cluster.at[0]["now"]))
        reward = (lead - self._lead) / (max(self.course.end, 1e-12) if relative else 1.0)
        self._lead = lead
        return reward


class ClusterEpisodes:
    """Windows of ``length`` jobs of one log on one machine; ``external`` decisions are asked for."""

    def __init__(
        self,
        jobs: pd.DataFrame,
        machine: Machine,
        discipline: Discipline,
        reward: ClusterReward,
        *,
        length: int,
        external: int,
    ) -> None:
        """``jobs`` are replayable on ``machine`` and sorted by submit. Raises InputError if it has no GPUs."""
        if not machine.by_node or machine.total_gpus == 0:
            raise InputError(f"machine {machine.name}: expected nodes with GPUs, such as the preset mn-1")
        unknown = int(jobs["requested_time"].isna().sum())
        if unknown:
            raise InputError(
                f"{unknown} of {len(jobs)} jobs have no requested time, and an agent must not see their run time"
            )
        self.machine, self.discipline, self.length = machine, discipline, length
        self._jobs, self._reward, self._external = jobs, reward, external
        self._begun = lru_cache(maxsize=REMEMBERED)(self._begin)
        announce_compilation(run_until)

    def play(self, row: int) -> Episode:
        """Begin the window whose first job is ``row``."""
        pristine, costs, course = self._begun(row)
        return Episode(_copy(pristine), costs, course, self._reward)

    def _begin(self, row: int) -> tuple[Cluster, Costs, Course]:
        jobs = self._jobs.iloc[row : row + self.length].reset_index(drop=True)
        workload = make_workload(jobs, self.machine, self.discipline)
        pristine = make_cluster(workload, self.machine, self.discipline, external=self._external)
        costs = Costs(workload.work, self._reward)
        own = _copy(pristine)
        own.rules[0]["external"] = 0
        return pristine, costs, follow(own, costs)


def _copy(cluster: Cluster) -> Cluster:
    """Return a cluster of its own; the log is empty."""

    def copied(part: Any) -> Any:
        if isinstance(part, tuple):
            return type(part)(*map(copied, part))
        return part.copy() if isinstance(part, np.ndarray) else part

    log = np.empty_like(cluster.log)
    copy: Cluster = copied(cluster._replace(log=log[:0]))
    return copy._replace(log=log)
