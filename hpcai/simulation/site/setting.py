"""What a site is, and which of its parts act on which: everything that Site is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpcai.cluster.power.limit import LOWEST
from hpcai.cluster.spec import Machine
from hpcai.cooling.controllers.controller import Controller, Fixed
from hpcai.cooling.interface import Floats
from hpcai.records.grid_signal import GridSignal
from hpcai.scheduling.gpu_cluster.discipline import Discipline
from hpcai.simulation.cooling.case import CoolingCase
from hpcai.simulation.faults.outages import Outage

if TYPE_CHECKING:
    from hpcai.simulation.site.site import Site


class PowerRule(BaseModel):
    """How hard GPUs may be driven.

    ``limit`` on every GPU, as a share of the most that it can draw, ``long_limit`` on those of jobs that are expected
    to take ``long_from`` s or longer, which hold most of the energy and few of the slowdowns. With ``ease`` the latter
    is the weaker the more GPUs jobs wait for, and gone where these are that share of the machine. Below ``limit``, at
    every tick, the highest of LEVELS with which the machines draw at most ``budget`` (a share of the most that they can
    draw). Where an inlet is warmer than ``throttle_from``, the GPUs of its side are limited the more the warmer it is,
    to LOWEST at ``throttle_to``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: Annotated[float, Field(ge=LOWEST, le=1)] = 1.0
    long_limit: Annotated[float, Field(ge=LOWEST, le=1)] = 1.0
    long_from: Annotated[float, Field(ge=0)] = 3600.0  # s
    ease: Annotated[float, Field(gt=0)] | None = None
    budget: Annotated[float, Field(gt=0, le=1)] | None = None
    throttle_from: float | None = None  # °C; None: never
    throttle_to: float = 45.0  # °C

    @model_validator(mode="after")
    def _throttles_upwards(self) -> PowerRule:
        if self.throttle_from is not None and not self.throttle_from < self.throttle_to:
            raise ValueError(f"throttle_to: expected more than {self.throttle_from:g}, found {self.throttle_to:g}")
        return self


class ShiftRule(BaseModel):
    """Who waits for clean or cheap hours, and for how long.

    Preemptible jobs that are expected to take ``least`` or longer, services apart, are held back while price or carbon
    intensity is above its ``quantile`` of the coming day, for ``deadline`` at most (Wiesner et al., "Let's Wait
    Awhile", Middleware 2021).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Literal["carbon", "price"]
    quantile: Annotated[float, Field(ge=0, le=1)] = 0.25
    deadline: Annotated[float, Field(ge=0, le=7 * 86400)] = 12 * 3600.0  # s
    least: Annotated[float, Field(ge=0)] = 3600.0  # s


class Ruler(Protocol):
    """Who rules a site beside its rules: asked at each control step but the first, after them."""

    def rule(self, site: Site) -> None:
        """Say what holds until the next control step."""


@dataclass(frozen=True)
class SiteSetting:
    """A site for ``duration`` s; what is None or empty is left out. Second 0 is that of the jobs.

    Without ``power`` nothing is counted but jobs, and there are no ticks. With ``load`` (ticks, sides), 0..1, the hall
    carries that instead of what the jobs draw.
    """

    machine: Machine
    discipline: Discipline
    duration: float  # s, a multiple of tick
    seed: int = 0
    tick: float = 60.0  # s
    outages: Sequence[Outage] = ()
    crews: int | None = None
    power: PowerRule | None = field(default_factory=PowerRule)
    sides: dict[str, str] | None = None  # of node groups; see sides_of
    cooling: CoolingCase | None = None
    controller: Controller = field(default_factory=Fixed)
    control_every: int = 15  # ticks
    weather_begin: float = 0.0  # s from the start of the weather to second 0
    load: Floats | None = None
    carbon: GridSignal | None = None
    price: GridSignal | None = None
    origin: float = 0.0  # Unix time of second 0
    time_of_day: float = 0.0  # local, of second 0, s
    shift: ShiftRule | None = None
    ruler: Ruler | None = None

    @property
    def ticks(self) -> int:
        """How many ticks there are."""
        return round(self.duration / self.tick)


def flexible(work: NDArray[np.void], least: float) -> NDArray[np.bool_]:
    """Return which jobs may be held back, (J,): preemptible ones of ``least`` s or longer that are no services."""
    may: NDArray[np.bool_] = (work["rank"] == 0) & (work["estimate"] >= least) & ~work["service"]
    return may
