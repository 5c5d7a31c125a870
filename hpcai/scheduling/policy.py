"""A scheduling policy as data: an ordering, a backfilling and what the scheduler believes of run times."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Backfill = Literal["none", "easy", "conservative"]
Estimate = Literal["requested", "actual", "predicted"]


class Policy(BaseModel):
    """Everything that decides a schedule once the jobs and the machine are given (docs/semantics.md).

    ``ordering`` is the name of an ordering (:mod:`hpcai.scheduling.orderings`) or ``expr:`` followed by a
    formula. ``headroom`` is a formula for the share of the machine (0..1) that must stay free beside a job when it
    starts. ``parameters`` are the formulas' named constants, such as multifactor's weights. ``predictor`` is
    ``none``, ``tsafrir``, ``actual`` (a perfect one) or the path of a file that ``hpcai train runtime`` wrote.
    ``network`` is the path of a file that ``hpcai train scheduling`` wrote: it then decides who is next, and the
    ordering says which jobs it is asked about.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ordering: str = "fcfs"
    backfill: Backfill = "easy"
    headroom: Annotated[str, Field(min_length=1)] | None = None
    predictor: Annotated[str, Field(min_length=1)] = "none"
    estimate: Estimate = "requested"
    estimate_multiplier: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    kill_at_limit: bool = False
    dependencies: bool = False
    backfill_depth: Annotated[int, Field(ge=1)] | None = None
    parameters: dict[str, float] = Field(default_factory=dict)
    fairshare_by: Literal["user", "group", "tenant"] = "user"  # whose use is counted
    usage_half_life: Annotated[float, Field(gt=0)] = 7 * 86400.0  # s; Slurm's PriorityDecayHalfLife
    qos_priority: dict[str, float] = Field(default_factory=dict)  # 0..1 by name; 0 for others
    network: Annotated[str, Field(min_length=1)] | None = None

    @property
    def learns(self) -> bool:
        """Whether its predictor learns of run times as jobs end, so that predictions change while a job waits."""
        return self.predictor not in ("none", "actual")

    @property
    def predictor_is_file(self) -> bool:
        """Whether its predictor is a trained one."""
        return self.predictor not in ("none", "actual", "tsafrir")
