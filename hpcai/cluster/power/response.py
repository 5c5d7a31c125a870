"""What a site can do about its power beside ordering the queue, as settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from hpcai.cluster.power.limit import LOWEST


class Response(BaseModel):
    """What is done about power.

    ``shift`` holds jobs that are expected to take ``shift_least`` or longer, services apart, until price or carbon
    intensity is at most its ``shift_quantile`` of the coming day, for ``shift_deadline`` at most. ``power_limit`` is on
    every GPU, as a share of the most that it can draw; ``power_budget`` on all machines together, as a share of the
    most that they can draw, kept by limiting the GPUs of jobs as they start.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shift: Literal["price", "carbon"] | None = None
    shift_quantile: Annotated[float, Field(ge=0, le=1)] = 0.25
    shift_deadline: Annotated[float, Field(ge=0, le=7 * 86400)] = 12 * 3600.0  # s
    shift_least: Annotated[float, Field(ge=0)] = 3600.0  # s
    power_limit: Annotated[float, Field(ge=LOWEST, le=1)] = 1.0
    power_budget: Annotated[float, Field(gt=0, le=1)] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is done."""
        return self.shift is None and self.power_limit == 1 and self.power_budget is None
