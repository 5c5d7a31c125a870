"""``hpcai/Operations-v0``: a whole site, of which the agent rules any part: queue, GPU power, cooling, admission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, get_args

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from hpcai.cooling.action import Actions, Scheme
from hpcai.cooling.observation import OBSERVED
from hpcai.errors import InputError
from hpcai.evaluation.site.config import SiteConfig, load_site_config, merged, site_config
from hpcai.evaluation.site.inputs import prepare
from hpcai.records import read_trace
from hpcai.records.calendar import DAY
from hpcai.records.splitting import Part, part_bounds
from hpcai.scheduling.gpu_cluster.discipline import ORDERS
from hpcai.scheduling.gpu_cluster.work import CHALLENGE, NORMAL
from hpcai.scheduling.jobs import MILLI
from hpcai.simulation.site.action import POWER, apply
from hpcai.simulation.site.costs import COSTS, CostSoFar
from hpcai.simulation.site.observation import BOUND, SITE_FEATURES, site_features
from hpcai.simulation.site.site import JOBS, OVER, Site

Decision = Literal["ordering", "job", "power", "cooling", "admission"]
Observation = dict[str, Any]

JOB_FEATURES: Final = {
    "waited": "w / (w + 1 h), w the wait since it joined the queue",
    "size": "its GPUs / GPUs of the machine",
    "estimate": "log(1 + t) / log(1 + 30 d), t its estimated run time",
    "normal": "1 if it is of class normal, else 0",
    "challenge": "1 if it is a grand challenge, else 0",
    "stops": "s / (s + 3), s how often it was stopped",
    "service": "1 if it is a service, else 0",
    "present": "1; 0 in a slot without a job, where all else is 0 too",
}
ORDERED_BY: Final = ("waited", "size", "estimate", "normal", "stops")
_ESTIMATE: Final = np.log1p(30 * DAY)
_DEFAULT: Final[dict[str, Any]] = {"jobs": {"trace": "mn-1-day.parquet"}, "machine": "mn-1", "days": 0.25}
_WEIGHTS: Final = {"energy": 1.0, "carbon": 0.0, "waiting": 0.01, "hot": 1.0, "lost": 0.01, "slowdown": 0.0}


class OperationsEnv(gym.Env[Observation, dict[str, Any]]):
    """A site for some hours or days; what the agent does not rule, the policies of the configuration do.

    ## Action space
    ``Dict`` of the parts in ``decides``, any of:

    * ``ordering``, ``Box(-1, 1, (5,))``: weights of ORDERED_BY; jobs that wait are served by their weighted sum,
      highest first, within their class. The discipline's order must be one settled at submission, as ``fifo``.
    * ``job``, ``Discrete(window + 1)``: which of the first ``window`` jobs of the queue is served first of its class
      from now on; the last action leaves the order as it is. Not beside ``ordering``.
    * ``power``, ``Box(-1, 1, (2,))``: the limit on all GPUs, and that on those of long jobs (``power.long_from``),
      from LOWEST to 1 of the most they can draw.
    * ``cooling``, ``Box(-1, 1, (n,))``: setpoints, the numbers of an :class:`hpcai.cooling.action.Actions` scheme.
    * ``admission``, ``Discrete(2)``: 1 holds back newcomers that may wait (hpcai.simulation.site.setting.flexible),
      for 12 h at most; 0 lets all in.

    A decision is asked for every ``cooling.every_minutes`` and, with ``ordering`` or ``job``, before each pass of the
    scheduler in which two jobs or more wait. In the latter only these two count.

    ## Observation space
    ``Dict``: ``site`` float32 (features,), SITE_FEATURES; ``queue`` float32 (window, features), JOB_FEATURES of the
    first jobs of the queue; and where a plant cools ``hall`` float32 (len(OBSERVED),), as in Cooling-v0.

    ## Rewards
    Minus the weighted sum of what has accrued since the latest decision of
    :data:`hpcai.simulation.site.costs.COSTS`: energy, carbon, waiting, hot, lost, slowdown. ``info["reward_vector"]``
    holds minus the parts, ``info["reward_names"]`` their names. With ``vector`` a step returns that vector, of
    ``reward_space``, as MO-Gymnasium has it.

    ## Starting state, episode end
    An empty machine at a moment of the log's part, or on a new draw of the generator and the faults; the plant as it
    settles, on a day drawn of the weather's unless the configuration says which. Truncated after ``days``.

    ## Options of reset
    ``seed`` (of jobs and faults), ``begin_days`` (of a log), ``start`` (of the weather, MM-DD).

    ## Version history
    v0: first.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 10}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        config: str | Path | Mapping[str, Any] | SiteConfig | None = None,
        *,
        decides: Sequence[Decision] = ("ordering", "power", "admission"),
        days: float | None = None,
        part: Part = "train",
        window: int = 16,
        actions: Scheme = "simple",
        weights: Mapping[str, float] | None = None,
        vector: bool = False,
        render_mode: Literal["ansi"] | None = None,
    ) -> None:
        """Take a site's configuration (hpcai.evaluation.site.config), a file or a mapping; hours of mn-1 by default.

        Raises InputError if it, or a setting, cannot be used.
        """
        self.config = _configured(config, days)
        self.decides = tuple(decides)
        self.weights = _weighted(weights)
        self.vector, self.render_mode = vector, render_mode
        self._window, self._actions = window, Actions(actions)
        self._check()
        self._begin_range = self._bounds(part)
        self.site: Site | None = None
        self.action_space = spaces.Dict({name: self._space(name) for name in self.decides})
        self.observation_space = spaces.Dict(self._seen())
        self.reward_space = spaces.Box(-np.inf, 0.0, (len(COSTS),), np.float32)
        self.reward_dim = len(COSTS)

    # Setting up.

    def _check(self) -> None:
        expected = get_args(Decision)
        for name in self.decides:
            if name not in expected:
                raise InputError(f"decides: found {name!r}, expected some of {', '.join(expected)}")
        if not self.decides or len(set(self.decides)) < len(self.decides):
            raise InputError(f"decides: expected each of one or more of {', '.join(expected)} once")
        if {"ordering", "job"} <= set(self.decides):
            raise InputError("decides: found both 'ordering' and 'job', expected one of them")
        if "cooling" in self.decides and self.config.cooling is None:
            raise InputError("decides: found 'cooling', expected a 'cooling' in the configuration")
        order = self.config.rules.order
        if self._of_jobs and order in ORDERS[1:]:
            raise InputError(f"decides: {self._of_jobs[0]!r} expects an order settled at submission, found {order!r}")
        if self._window < 1:
            raise InputError(f"window {self._window}: expected at least 1 job")

    @property
    def _of_jobs(self) -> list[str]:
        return [name for name in self.decides if name in ("ordering", "job")]

    def _bounds(self, part: Part) -> tuple[float, float]:
        """Return between which days of the log an episode may begin."""
        source = self.config.jobs
        if source.trace is None:
            return 0.0, 0.0
        trace = read_trace(source.trace, format=source.format)
        submit = np.sort(trace.jobs["submit"].to_numpy(np.float64))
        first, last = part_bounds(trace, trace.jobs, part)
        begin, end = ((float(submit[row]) - submit[0]) / DAY for row in (first, max(last - 1, first)))
        return begin, max(end - self.config.days, begin)

    def _space(self, name: str) -> spaces.Space[Any]:
        sizes = {"ordering": len(ORDERED_BY), "power": len(POWER), "cooling": self._actions.size}
        if name in sizes:
            return spaces.Box(-1.0, 1.0, (sizes[name],), np.float32)
        return spaces.Discrete(2 if name == "admission" else self._window + 1)

    def _seen(self) -> dict[str, spaces.Space[Any]]:
        seen: dict[str, spaces.Space[Any]] = {
            "site": spaces.Box(-BOUND, BOUND, (len(SITE_FEATURES),), np.float32),
            "queue": spaces.Box(0.0, 1.0, (self._window, len(JOB_FEATURES)), np.float32),
        }
        if self.config.cooling is not None:
            seen["hall"] = spaces.Box(-BOUND, BOUND, (len(OBSERVED),), np.float32)
        return seen

    # Playing.

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; see the class for ``options``. Raises InputError for an option that cannot be used."""
        super().reset(seed=seed)
        options = dict(options or {})
        drawn = int(self.np_random.integers(2**31)), float(self.np_random.uniform(*self._begin_range))
        day = datetime(2023, 1, 1) + timedelta(days=int(self.np_random.integers(365)))
        changes: dict[str, Any] = {"seed": options.pop("seed", drawn[0])}
        if self.config.jobs.trace is not None:
            changes["jobs"] = {"begin_days": options.pop("begin_days", drawn[1])}
        if self.config.cooling is not None:
            begun = options.pop("start", self.config.cooling.start or day.strftime("%m-%d"))
            changes["cooling"] = {"start": begun}
        if options:
            raise InputError(f"reset option {next(iter(options))!r}: expected seed, begin_days of a log, or start")
        config = site_config(merged(self.config.model_dump(exclude_defaults=True), changes), "Operations-v0")
        prepared = prepare(config)
        setting = prepared.setting
        if "admission" in self.decides:
            setting = replace(setting, shift=None)
        self.site = Site(prepared.jobs, setting, asks_jobs=bool(self._of_jobs), asks_ticks=True, sink=_forget)
        self._costs, self._paid = CostSoFar(self.site, self.config.heat.high), np.zeros(len(COSTS))
        self._why = self._go_on()
        return self._observation(), self._info(np.zeros(len(COSTS)))

    def step(self, action: dict[str, Any]) -> tuple[Observation, Any, bool, bool, dict[str, Any]]:
        """Rule as ``action`` says, and go on to the next decision."""
        assert self.site is not None, "reset before step"
        if self._why == JOBS:
            self._order(action)
        elif self._why != OVER:
            apply(self.site, {name: action[name] for name in self.decides}, self._actions)
        self._why = self._go_on()
        now = self._costs.by_now()
        vector, self._paid = self._paid - now, now
        worth = float(vector @ self.weights)
        reward = vector.astype(np.float32) if self.vector else worth
        return self._observation(), reward, False, self._why == OVER, self._info(vector)

    def _go_on(self) -> str:
        """Go on to the next decision that there is something to decide about; return why it stands."""
        assert self.site is not None
        while (why := self.site.advance()) != OVER:
            if why == JOBS and self.site.cluster.at[0]["queued"] > 1:
                return JOBS
            if why != JOBS:
                self._costs.see_tick()
                if self.site.tick % self.site.setting.control_every == 0 and self.site.tick < self.site.setting.ticks:
                    return why
        self.site.finish()
        return OVER

    def _info(self, vector: NDArray[np.float64]) -> dict[str, Any]:
        return {"reward_vector": vector.astype(np.float32), "reward_names": tuple(COSTS), "epoch": self._why}

    # Acting.

    def _order(self, action: dict[str, Any]) -> None:
        """Give the jobs that wait their places in the order."""
        site = self.site
        assert site is not None
        queue = self._queue()
        if "ordering" in self.decides:
            weights = np.asarray(action["ordering"], dtype=np.float64)
            columns = [list(JOB_FEATURES).index(name) for name in ORDERED_BY]
            site.cluster.work["order"][queue] = -(self._features(queue)[:, columns] @ weights)
        elif int(action["job"]) < min(len(queue), self._window):
            first = queue[int(action["job"])]
            site.cluster.work["order"][first] = site.cluster.work["order"][queue].min() - 1.0

    # Seeing.

    def _queue(self) -> NDArray[np.int64]:
        assert self.site is not None
        cluster = self.site.cluster
        return cluster.queue[: cluster.at[0]["queued"]].copy()

    def _features(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return JOB_FEATURES of jobs, (jobs, features)."""
        assert self.site is not None
        cluster, gpus = self.site.cluster, self.site.setting.machine.total_gpus
        work, run = cluster.work[rows], cluster.run[rows]
        waited = np.maximum(self.site.env.now - run["queued"], 0.0)
        return np.column_stack(
            [
                waited / (waited + 3600.0),
                np.minimum(run["tasks"] * work["gpu"] / MILLI / gpus, 1.0),
                np.minimum(np.log1p(work["estimate"]) / _ESTIMATE, 1.0),
                work["rank"] == NORMAL,
                work["rank"] == CHALLENGE,
                run["stops"] / (run["stops"] + 3.0),
                work["service"],
                np.ones(len(rows)),
            ]
        )

    def _observation(self) -> Observation:
        site = self.site
        assert site is not None
        queue = np.zeros((self._window, len(JOB_FEATURES)), np.float32)
        shown = self._queue()[: self._window]
        queue[: len(shown)] = self._features(shown)
        seen: Observation = {"site": self._site_features(), "queue": queue}
        if site.hall is not None:
            seen["hall"] = site.hall.scaled
        return seen

    def _site_features(self) -> NDArray[np.float32]:
        assert self.site is not None
        return site_features(self.site, asked_jobs=self._why == JOBS)

    def render(self) -> Any:
        """Return the state as text."""
        if self.render_mode != "ansi" or self.site is None:
            return None
        values = zip(SITE_FEATURES, self._site_features().tolist(), strict=True)
        lines = [f"{self.site.env.now:.0f} s of {self.site.setting.duration:.0f} s, at {self._why}"]
        return "\n".join([*lines, *(f"{name} {value:.3f}" for name, value in values)])


def _configured(config: str | Path | Mapping[str, Any] | SiteConfig | None, days: float | None) -> SiteConfig:
    given = {} if days is None else {"days": days}
    if isinstance(config, (str, Path)):
        return load_site_config(config, given)
    fields = config.model_dump(exclude_defaults=True) if isinstance(config, SiteConfig) else config or _DEFAULT
    return site_config(merged(fields, given), "Operations-v0")


def _weighted(weights: Mapping[str, float] | None) -> NDArray[np.float64]:
    given = dict(_WEIGHTS if weights is None else weights)
    if unknown := sorted(set(given) - set(COSTS)):
        raise InputError(f"weights: found {unknown[0]!r}, expected some of {', '.join(COSTS)}")
    return np.array([float(given.get(name, 0.0)) for name in COSTS])


def _forget(rows: NDArray[np.float64]) -> None:
    """Keep nothing of the timeline."""
