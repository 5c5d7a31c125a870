"""A site on one SimPy clock: jobs draw power, power heats the hall, faults stop jobs, limits and prices slow them.

Jobs come, start, stop and end at events; nodes fall and are repaired at events; at every tick the account of power is
closed, the plant goes a step on under the mean load of the tick, and whoever rules power, cooling and admission may
say otherwise for the next. Who would rather rule by himself calls :meth:`Site.advance` and sets what he likes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import simpy
from numpy.typing import NDArray
from simpy.events import Event

from hpcai.cooling.interface import READING_INDEX, READINGS, SETPOINTS, SIDES
from hpcai.errors import InputError
from hpcai.records.calendar import DAY
from hpcai.records.grid_signal import GridSignal
from hpcai.scheduling.gpu_cluster.state import Cluster, make_cluster
from hpcai.scheduling.gpu_cluster.work import Workload, make_workload
from hpcai.scheduling.jobs import MILLI
from hpcai.simulation.energy.it_power import KWH
from hpcai.simulation.gpu_cluster.replay import outcome_of
from hpcai.simulation.simpy_clock import call_at
from hpcai.simulation.site.faults import NodeFaults
from hpcai.simulation.site.flow import SiteFlow
from hpcai.simulation.site.hall import TickedHall, stretch
from hpcai.simulation.site.power import LEVELS, MachinePower, sides_of
from hpcai.simulation.site.rules.flow import bring_all_up_to_date
from hpcai.simulation.site.setting import PowerRule, SiteSetting, flexible
from hpcai.simulation.site.timeline import COLUMNS, INDEX, Timeline

Floats = NDArray[np.float64]

JOBS, TICK, OVER = "jobs", "tick", "over"
"""Why a site stands: somebody waits and a pass is due; a tick has ended; its time is over."""
_PLANT: Final = INDEX[f"plant_{READINGS[0].name}"]
_SET: Final = INDEX[f"set_{SETPOINTS[0].name}"]
_HVAC, _IT, _SITE = (READING_INDEX[name] for name in ("hvac", "it", "site"))


@dataclass
class Totals:
    """What has been used by now: J of the machines, of cooling and of all, kg of CO2, and money."""

    it: float = 0.0
    hvac: float = 0.0
    site: float = 0.0
    carbon: float = 0.0
    cost: float = 0.0


class Site:
    """Jobs, faults, power and cooling of a GPU cluster."""

    def __init__(
        self,
        jobs: pd.DataFrame,
        setting: SiteSetting,
        *,
        asks_jobs: bool = False,
        asks_ticks: bool = False,
        sink: Callable[[Floats], object] | None = None,
    ) -> None:
        """Take jobs of the canonical table, runnable on the machine, by submission, none before second 0.

        With ``asks_jobs`` :meth:`advance` stands before each pass in which somebody waits, with ``asks_ticks`` at each
        tick. ``sink`` is given the timeline a chunk at a time, which is then not kept. Raises InputError if the setting
        is not consistent.
        """
        check(setting, jobs)
        self.setting, self.jobs = setting, jobs
        self.workload: Workload = make_workload(jobs, setting.machine, setting.discipline)
        self.cluster: Cluster = make_cluster(self.workload, setting.machine, setting.discipline, seed=setting.seed)
        self.env = simpy.Environment(initial_time=0.0)
        self.power = self._machine_power()
        self.flow = SiteFlow(self.env, self.cluster, self._changed, asks=asks_jobs)
        self.faults = NodeFaults(self.env, self.flow, setting.outages, setting.crews)
        self.timeline, self.totals = Timeline(sink), Totals()
        self.energy, self.carbon, self.cost = (np.zeros(len(jobs)) for _ in range(3))  # of each job: J, kg, money
        self.hall = self._hall()
        rule = PowerRule() if setting.power is None else setting.power
        self.limit, self.long_limit = rule.limit, rule.long_limit  # before throttling and easing
        self._long = self.workload.work["estimate"] >= rule.long_from
        self._long_limit = 1.0  # that now holds on their GPUs
        self.asks_ticks = asks_ticks
        self._stands = False
        self._flexible = flexible(self.workload.work, 0.0 if setting.shift is None else setting.shift.least)
        self._signals = {name: self._at_ticks(getattr(setting, name)) for name in ("carbon", "price")}
        self._low = self._low_hours()
        self._row = np.full(len(COLUMNS), np.nan)
        self.tick = 0
        if self.power is not None:
            self.flow.speed = self.power.speed
            self._begin()

    # Building.

    def _machine_power(self) -> MachinePower | None:
        s = self.setting
        if s.power is None:
            return None
        return MachinePower(self.jobs, s.machine, self.cluster, sides_of(s.machine, s.sides), 0.0, s.seed)

    def _hall(self) -> TickedHall | None:
        s = self.setting
        if s.cooling is None or self.power is None:
            return None
        case = s.cooling.model_copy(update={"step_minutes": round(s.tick / 60.0)})
        weather = stretch(case.read_weather(), s.weather_begin, s.duration + DAY)
        return TickedHall(case, weather, s.controller, s.ticks, s.control_every)

    def _at_ticks(self, signal: GridSignal | None) -> Floats:
        """Return a signal over each tick and a day more, (ticks + a day,); nan where there is none."""
        s = self.setting
        count = s.ticks + round(DAY / s.tick)
        if signal is None:
            return np.full(count, np.nan)
        return signal.at(s.origin + s.tick * (np.arange(count, dtype=np.float64) + 0.5))

    def _low_hours(self) -> NDArray[np.bool_]:
        """Return in which ticks the signal that load is shifted by is low, (ticks,)."""
        s = self.setting
        if s.shift is None:
            return np.ones(s.ticks, dtype=np.bool_)
        values = self._signals[s.shift.by]
        day = np.lib.stride_tricks.sliding_window_view(values, round(DAY / s.tick))[: s.ticks]
        found: NDArray[np.bool_] = values[: s.ticks] <= np.quantile(day, s.shift.quantile, axis=1) * (1 + 1e-9)
        return found

    def _begin(self) -> None:
        assert self.power is not None
        if self.hall is not None:
            self.hall.begin(self._load(0, self.power.watts))
            self.hall.control()
        self._shift()
        self.set_limit(self.limit)
        call_at(self.env, self.setting.tick, self._on_tick)

    # Running.

    def advance(self) -> str:
        """Go on to the next moment at which it stands; return why."""
        if self._stands and self.flow.asked:  # of both at one moment the tick came first
            self._stands = False
            return JOBS
        if self.flow.asked:
            self.flow.answer()
        self._stands = False
        while self.env.peek() <= self.setting.duration:
            self.env.step()
            if self._stands:
                return TICK
            if self.flow.asked:
                return JOBS
        return OVER

    def run(self) -> None:
        """Go on to the end."""
        while self.advance() != OVER:
            pass
        self.finish()

    def finish(self) -> None:
        """Count what jobs have done up to the end, and pass on the rest of the timeline."""
        bring_all_up_to_date(self.cluster, self.env.now if self.power is None else self.setting.duration)
        self.timeline.flush()

    def _changed(self, jobs: NDArray[np.int64]) -> None:
        if self.power is not None:
            self.power.change(jobs, self.env.now)

    # Ticks.

    def _on_tick(self, event: Event) -> None:
        """A tick ends: close its account, let the plant go a step on, and rule the next."""
        self._close()
        self.tick += 1
        if self.tick < self.setting.ticks:
            call_at(self.env, self.setting.tick * (self.tick + 1), self._on_tick)
            self._rule()
        self._stands = self.asks_ticks

    def _load(self, tick: int, watts: Floats) -> Floats:
        """Return the load of each side, 0..1, that ``watts`` (sides,) or whoever says otherwise makes."""
        assert self.power is not None
        if self.setting.load is not None:
            return np.asarray(self.setting.load[tick], dtype=np.float64)
        most = self.power.most_sides
        return np.clip(np.divide(watts, most, out=np.zeros_like(watts), where=most > 0), 0.0, 1.0)

    def _close(self) -> None:
        """Count what was used in the tick that ends now."""
        assert self.power is not None
        s, k = self.setting, self.tick
        sides, rows, _, answered = self.power.settle(self.env.now)
        it = float(sides.sum())
        hvac, others = self._cool(k, sides / s.tick)
        whole = it + hvac + others
        carbon, price = (float(self._signals[name][k]) for name in ("carbon", "price"))
        self.totals.it += it
        self.totals.hvac += hvac
        self.totals.site += whole
        self.totals.carbon += whole * carbon / KWH / 1e3
        self.totals.cost += whole * price / KWH / 1e3
        share = answered * (whole / it if it > 0 else 1.0)
        self.energy[rows] += share
        self.carbon[rows] += share * carbon / KWH / 1e3
        self.cost[rows] += share * price / KWH / 1e3
        self._note(sides / s.tick, float(answered.sum()) / s.tick, hvac / s.tick, whole / s.tick, carbon, price)

    def _cool(self, k: int, watts: Floats) -> tuple[float, float]:
        """Let the plant go a step on; return what cools and what else the building uses in the tick (J)."""
        if self.hall is None:
            return 0.0, 0.0
        assert self.power is not None
        readings = self.hall.step(self._load(k, watts))
        self._row[_PLANT : _PLANT + len(READINGS)] = readings
        scale = self.setting.tick * float(self.power.most_sides.sum()) / self.hall.plant.design_power
        hvac, own, whole = (float(readings[i]) for i in (_HVAC, _IT, _SITE))
        return hvac * scale, (whole - own - hvac) * scale

    def _note(self, it: Floats, of_jobs: float, hvac: float, whole: float, carbon: float, price: float) -> None:
        assert self.power is not None
        at, row = self.cluster.at[0], self._row
        limits = [float(self.power.limits[share > 0].min(initial=self._long_limit)) for share in self.power.sides.T]
        total = self.setting.machine.total_gpus
        down = self.faults.down
        on_books = total - float(self.cluster.nodes.gpus[down].sum()) - float(at["free"]) / MILLI
        lost = float(self.cluster.run["lost"].sum())
        row[:_PLANT] = (
            *(self.env.now, *it, of_jobs, hvac, whole, carbon, price, *limits),
            *(at["queued"], self.flow.held[-1], at["running"], on_books, down.sum()),
            *(self.flow.ended, self.flow.preemptions, self.flow.killed, lost),
        )
        if self.hall is not None:
            row[_SET:] = self.hall.setpoints
        self.timeline.add(row)

    # Ruling.

    def _rule(self) -> None:
        """Let those who rule say what holds in the next tick; what is left to the caller he says afterwards."""
        if self.hall is not None and self.hall.due:
            self.hall.control()
        self._shift()
        self.set_limit(self.limit)
        if self.setting.ruler is not None and self.tick % self.setting.control_every == 0:
            self.setting.ruler.rule(self)

    def set_limit(self, limit: float) -> None:
        """Limit all GPUs, as a share of the most they can draw, as far as budget, inlets and long jobs do not more."""
        rule = self.setting.power
        if self.power is None or rule is None:
            return
        self.limit = limit
        long_limit = _at_most(self._eased(rule))
        if rule.budget is not None:
            most = rule.budget * float(self.power.most_sides.sum())
            while limit > LEVELS[0] and self.power.under(_at_most(limit)) > most:
                limit = _below(limit)
        limits = np.array([_at_most(min(limit, self._throttled(g))) for g in range(len(self.power.limits))])
        if (limits != self.power.limits).any() or long_limit != self._long_limit:
            self._long_limit = long_limit
            self.power.limit(limits, np.where(self._long, long_limit, 1.0), self.env.now)
            self.flow.slow()

    def _eased(self, rule: PowerRule) -> float:
        """Return what is left of the limit on long jobs while others wait for their GPUs."""
        if rule.ease is None or self.long_limit >= 1.0:
            return self.long_limit
        return self.long_limit + (1.0 - self.long_limit) * min(self.pressure / rule.ease, 1.0)

    @property
    def pressure(self) -> float:
        """GPUs that the jobs of the queue wait for, over those of the machine."""
        queue = self.cluster.queue[: self.cluster.at[0]["queued"]]
        return self.wanted(queue) / self.setting.machine.total_gpus

    def wanted(self, jobs: NDArray[np.int64]) -> float:
        """Return how many GPUs ``jobs`` (rows) ask for, of all together."""
        work = self.cluster.work[jobs]
        return float((work["tasks"] * work["gpu"]).sum()) / MILLI

    def _throttled(self, g: int) -> float:
        """Return the limit that the warmth of its inlets leaves the GPUs of group ``g``."""
        rule = self.setting.power
        if self.hall is None or self.power is None or rule is None or rule.throttle_from is None:
            return 1.0
        inlet = float(self.hall.inlets[self.power.sides[g] > 0].max())
        return float(np.interp(inlet, (rule.throttle_from, rule.throttle_to), (1.0, LEVELS[0])))

    def _shift(self) -> None:
        """Hold newcomers back while the signal is high, none beyond its deadline."""
        rule = self.setting.shift
        if rule is not None:
            self.hold(not self._low[self.tick], rule.deadline, self._flexible)

    def hold(self, holding: bool, deadline: float, who: NDArray[np.bool_]) -> None:
        """Hold back newcomers of ``who`` (J,), ``deadline`` s from submission at most; or let in who were held."""
        flow = self.flow
        flow.may_wait[:] = who
        late = flow.held_back[self.workload.work["submit"][flow.held_back] + deadline <= self.env.now]
        flow.may_wait[late] = False
        waits = len(flow.held_back) > 0
        flow.holding = holding
        if (waits and not holding) or len(late):
            flow.refresh()

    def outlook(self, name: str) -> tuple[float, float]:
        """Return carbon or price now and in 6 h, each over its mean of the coming day, less 1; 0 where not known."""
        values, day = self._signals[name], round(DAY / self.setting.tick)
        k = min(self.tick, self.setting.ticks - 1)
        mean = float(values[k : k + day].mean())
        if not np.isfinite(mean) or mean == 0:
            return 0.0, 0.0
        return float(values[k]) / mean - 1.0, float(values[k + day // 4]) / mean - 1.0

    # Results.

    def outcome(self) -> pd.DataFrame:
        """Return what became of each job, as of a replay, and its energy (J), CO2 (kg) and cost, cooling included."""
        known = outcome_of(self.cluster)
        run = self.cluster.run
        return known.assign(
            energy=self.energy, carbon=self.carbon, cost=self.cost, executed=run["executed"], undone=run["undone"]
        )


def _at_most(limit: float) -> float:
    """Return the highest of LEVELS that is not above ``limit``."""
    return float(LEVELS[max(int(np.searchsorted(LEVELS, limit + 1e-9)) - 1, 0)])


def _below(limit: float) -> float:
    """Return the next of LEVELS below ``limit``."""
    return float(LEVELS[max(int(np.searchsorted(LEVELS, limit - 1e-9)) - 1, 0)])


def check(setting: SiteSetting, jobs: pd.DataFrame) -> None:
    """Raise InputError if a setting contradicts itself or the jobs."""
    ticks = setting.duration / setting.tick
    if not setting.tick > 0 or abs(ticks - round(ticks)) > 1e-9 or setting.ticks < 1:
        raise InputError(f"duration {setting.duration:g} s: expected a multiple of the tick, {setting.tick:g} s")
    if jobs.empty:
        raise InputError("a site: expected at least one job")
    if float(jobs["submit"].iloc[0]) < 0:
        raise InputError(f"jobs: found one submitted at {jobs['submit'].iloc[0]:g} s, expected none before second 0")
    if setting.cooling is not None and setting.power is None:
        raise InputError("cooling: expected power, too, whose heat it takes away")
    if setting.cooling is not None and (setting.tick % 60 or setting.tick > 3600):
        raise InputError(f"tick {setting.tick:g} s: expected whole minutes, at most 60, where a plant cools")
    if setting.load is not None and setting.load.shape != (setting.ticks, len(SIDES)):
        raise InputError(f"load: expected shape {(setting.ticks, len(SIDES))}, found {setting.load.shape}")
    if setting.shift is not None and (setting.power is None or getattr(setting, setting.shift.by) is None):
        raise InputError(f"shift by {setting.shift.by}: expected power and a series of it, found none")
