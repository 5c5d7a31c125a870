"""What an agent that decides on a GPU cluster is rewarded for: a cost that accrues as time goes on.

The cost of an episode of n jobs is

    C = 1/n * sum_j (a T_j / 1 h + b S_j + c L_j + w_j G_j W_j / 1 h)

with T the time from submission to end (JCT), S = T / max(work, 10 s) the slowdown, communication included, L the GPU-h
that were lost to repeated work, restarts, changes of size and stopping, G the GPUs asked for, at least 1, and W the
time in the queue, weighted by class: a GPU-h lost and a GPU-h waited for are worth the same where w is c.
How the reward is paid out, ``timing`` and ``relative``, is as in hpcai.simulation.rewards: A(t) is what has accrued by
t, H(t) the same where the discipline decides everything.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpcai.errors import InputError
from hpcai.scheduling.gpu_cluster.state import CLAIMED, QUEUED, Cluster
from hpcai.scheduling.gpu_cluster.work import CLASSES
from hpcai.scheduling.jobs import MILLI, SLOWDOWN_FLOOR
from hpcai.simulation.gpu_cluster.clock import next_time, run_until
from hpcai.simulation.rewards import Weight

HOUR = 3600.0
PATIENCE = 1000  # instants per job after which there is no hope


class ClusterReward(BaseModel):
    """The weights of the cost (a, b, c, w above), and how the reward is paid out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    turnaround: Weight = 0.0
    slowdown: Weight = 0.0
    lost: Weight = 0.0
    waiting: dict[Literal["preemptible", "normal", "grand-challenge"], Weight] = Field(default_factory=dict)
    timing: Literal["dense", "terminal"] = "dense"
    relative: bool = True

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.turnaround or self.slowdown or self.lost or any(self.waiting.values())):
            raise ValueError("reward: expected at least one weight above 0")
        return self


class Costs:
    """The cost of the jobs of one cluster by now, and what it grows by per second."""

    def __init__(self, work: NDArray[np.void], reward: ClusterReward) -> None:
        n = len(work)
        floor = np.maximum(work["work"], SLOWDOWN_FLOOR)
        of_class = np.array([reward.waiting.get(name, 0.0) for name in CLASSES])
        self._submit = work["submit"].copy()
        self._unfinished = (reward.turnaround / HOUR + reward.slowdown / floor) / n  # per s
        gpus = np.maximum(work["tasks"] * work["gpu"] / MILLI, 1.0)
        self._queued = of_class[work["rank"]] * gpus / HOUR / n
        self._lost = reward.lost / HOUR / n

    def so_far(self, cluster: Cluster) -> float:
        """Return what has accrued by now."""
        at, run = cluster.at[0], cluster.run
        n, now = at["submitted"], at["now"]
        run = run[:n]
        ended = run["ended"]
        cost = self._unfinished[:n] @ (np.where(np.isnan(ended), now, ended) - self._submit[:n])
        if self._lost:
            cost += self._lost * (run["lost"].sum() + run["overhead"].sum())
        waiting = self._waiting(run)
        return float(cost + self._queued[:n] @ (run["waited"] + np.where(waiting, now - run["since"], 0.0)))

    def rate(self, cluster: Cluster) -> float:
        """Return what a second costs now, beside what is lost at once."""
        run = cluster.run[: cluster.at[0]["submitted"]]
        n = len(run)
        return float(self._unfinished[:n] @ np.isnan(run["ended"]) + self._queued[:n] @ self._waiting(run))

    @staticmethod
    def _waiting(run: NDArray[np.void]) -> NDArray[np.bool_]:
        return np.asarray((run["status"] == QUEUED) | (run["status"] == CLAIMED))


class Course(NamedTuple):
    """A cost over time, straight between knots."""

    time: NDArray[np.float64]
    cost: NDArray[np.float64]
    rate: NDArray[np.float64]

    def at(self, time: float) -> float:
        """Return the cost by ``time``."""
        k = max(int(np.searchsorted(self.time, time, side="right")) - 1, 0)
        return float(self.cost[k] + self.rate[k] * max(time - self.time[k], 0.0))

    @property
    def end(self) -> float:
        """The cost of the whole."""
        return float(self.cost[-1])


def follow(cluster: Cluster, costs: Costs) -> Course:
    """Let the discipline decide everything to the end; return what that costs over time.

    Raises InputError if jobs are left that never start, or stop each other for ever.
    """
    knots: list[tuple[float, float, float]] = []
    while (time := next_time(cluster)) < np.inf and len(knots) < PATIENCE * len(cluster.work):
        run_until(cluster, time)
        cluster.at[0]["logged"] = 0
        knots.append((time, costs.so_far(cluster), costs.rate(cluster)))
    unfinished = int(np.isnan(cluster.run["ended"]).sum())
    if unfinished:
        raise InputError(f"{unfinished} jobs of the window never end under this discipline")
    return Course(*(np.array(column) for column in zip(*knots, strict=True)))
