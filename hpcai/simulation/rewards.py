"""What an agent is rewarded for: a cost of each job that grows with its wait, and a cost of idle capacity.

The cost of an episode of n jobs with tenant weights u_j (1 by default) is

    C = sum_j u_j (a S_j + b W_j / 1 h + c T_j / 1 h) / sum_j u_j  +  d * integral (1 - used / total) dt / span

with S the bounded slowdown (floor 10 s), W the wait, T the turnaround, and span the time from the first to the last
submission. The integral runs from the first submission to the last end. Every term but that is linear in the wait
(S from the moment on at which it exceeds 1), so the cost accrues continuously while jobs wait: A(t) is what has
accrued by t. With H(t) the same under the policy's own ordering, the heuristic, and s = H(end) if ``relative``, else 1,

    dense, relative     r = [H(t') - H(t) - A(t') + A(t)] / s    from one decision t to the next t'
    dense               r = -[A(t') - A(t)]
    terminal, relative  r = [H(end) - A(end)] / s                at the end, 0 before
    terminal            r = -A(end)                              at the end, 0 before

The rewards of an episode add up to the same in the dense and the terminal form: 1 - C_agent / C_heuristic, or -C.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpcai.scheduling.jobs import SLOWDOWN_FLOOR

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]

# Of a job: what it costs without a wait; what a second of wait costs; of that, what counts only after the grace (s).
COST = np.dtype([("fixed", "f8"), ("slope", "f8"), ("graced", "f8"), ("grace", "f8")], align=True)


class Reward(BaseModel):
    """The weights of the cost (a, b, c, d above), of tenants, and how the reward is paid out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bounded_slowdown: Weight = 1.0
    wait: Weight = 0.0
    turnaround: Weight = 0.0
    utilisation: Weight = 0.0
    tenants: dict[str, Weight] = Field(default_factory=dict)  # 1 for who is not named
    tenant_by: Literal["tenant", "group", "user", "queue", "qos"] = "tenant"
    timing: Literal["dense", "terminal"] = "dense"
    relative: bool = True

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.bounded_slowdown or self.wait or self.turnaround or self.utilisation):
            raise ValueError("reward: expected at least one weight above 0")
        return self


def costs(run: NDArray[np.float64], weight: NDArray[np.float64], reward: Reward) -> NDArray[np.void]:
    """Return what each job costs as COST records, not yet divided by the sum of weights.

    ``run`` are run times in s, ``weight`` those of the jobs' tenants; both (jobs,).
    """
    floor = np.maximum(run, SLOWDOWN_FLOOR)
    cost = np.zeros(len(run), dtype=COST)
    cost["fixed"] = weight * (reward.bounded_slowdown + reward.turnaround * run / 3600.0)
    cost["graced"] = weight * reward.bounded_slowdown / floor
    cost["grace"] = floor - run
    cost["slope"] = cost["graced"] + weight * (reward.wait + reward.turnaround) / 3600.0
    return cost


def tenant_weights(jobs: pd.DataFrame, reward: Reward) -> NDArray[np.float64]:
    """Return the weight of each job's tenant, (jobs,)."""
    return jobs[reward.tenant_by].astype(str).map(lambda name: reward.tenants.get(name, 1.0)).to_numpy(np.float64)
