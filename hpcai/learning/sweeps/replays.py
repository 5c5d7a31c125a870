"""Replays of one policy on fixed windows of a part of every log, in an order that does not follow time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hpcai.evaluation.config import Entry, EvaluationConfig
from hpcai.evaluation.energy.definitions import ENERGY_NAMES
from hpcai.evaluation.fairness import fair_start
from hpcai.evaluation.inputs import Input, prepare
from hpcai.evaluation.metrics import JOB_MEANS, job_values, measure
from hpcai.evaluation.replays import scheduled
from hpcai.evaluation.windows import Window, overlap
from hpcai.learning.sweeps.config import SweepConfig, some_point
from hpcai.learning.sweeps.space import Point
from hpcai.learning.sweeps.template import names
from hpcai.records.splitting import Part
from hpcai.scheduling.policy import Policy

Floats = npt.NDArray[np.float64]

_FAIR: Final = ("delayed_past_fair_start", "mean_fair_start_miss")
_LAID_OUT_BY: Final = {
    *("trace", "format", "machine", "size", "load", "jobs", "windows", "part", "seed", "warmup"),
    *("power", "cooling", "cooling_controller", "cooling_preset", "cooling_model", "weather", "price", "carbon"),
}
"""Keys of an evaluation that say which jobs are replayed on what and where; the others are the policy's."""
_KEPT: Final = 4  # layouts whose logs stay in memory; a what-if of the load makes others


class Replays:
    """The logs of a sweep with their windows.

    ``inputs`` are their hashes. Windows come in one random order, the same for every policy, so that a few of them are
    a fair sample already and two policies can be compared window by window.
    """

    def __init__(self, config: SweepConfig, part: Part, windows: str | None = None) -> None:
        """Raises InputError if a log cannot be used."""
        self._config = config
        self._fixed: dict[str, Any] = {"part": part} | ({"windows": windows} if windows else {})
        self._kept: dict[str, _Prepared] = {}
        self.inputs = {source.name: source.hashes for source in self._prepared(self._evaluation(start(config))).sources}

    def play(self, point: Point, metrics: list[str]) -> Iterator[list[float]]:
        """Give the metrics of a point's policy, window after window."""
        evaluation = self._evaluation(point)
        yield from self._play(self._prepared(evaluation), evaluation.entries[0], metrics)

    def rivals(self, metrics: list[str]) -> dict[str, dict[str, list[float]]]:
        """Return the metrics of each rival, by its name and by metric, window after window.

        There are none where the settings are swept as well, for then no two trials need have the same windows.
        """
        if not self._config.rivals or not settings_are_fixed(self._config):
            return {}
        evaluation = self._evaluation(start(self._config), policies=list(self._config.rivals))
        prepared = self._prepared(evaluation)
        return {
            entry.label: dict(
                zip(metrics, map(list, zip(*self._play(prepared, entry, metrics), strict=True)), strict=True)
            )
            for entry in evaluation.entries
        }

    def layout(self) -> tuple[list[int], int]:
        """Return the number of the window of each step, in order of time, and how many neighbours share jobs."""
        prepared = self._prepared(self._evaluation(start(self._config)))
        return prepared.order.tolist(), max(overlap(source.windows) for source in prepared.sources)

    def _evaluation(self, point: Point, **fixed: Any) -> EvaluationConfig:
        return self._config.evaluation(point, **self._fixed, **fixed)

    def _play(self, prepared: _Prepared, entry: Entry, metrics: list[str]) -> Iterator[list[float]]:
        for step in prepared.order:
            source, window = prepared.cells[step]
            values = prepared.values(source, window, entry, metrics)
            yield [value / prepared.scale(source, name) for name, value in zip(metrics, values, strict=True)]

    def _prepared(self, evaluation: EvaluationConfig) -> _Prepared:
        """Return the logs under the settings of an evaluation."""
        key = layout_of(evaluation)
        if key not in self._kept:
            if len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = _Prepared(evaluation, self._config)
        return self._kept[key]


class _Prepared:
    """Logs under one set of settings."""

    def __init__(self, evaluation: EvaluationConfig, config: SweepConfig) -> None:
        self.sources: list[Input] = []
        for trace in evaluation.trace:
            self.sources.append(prepare(trace, evaluation, {source.name for source in self.sources}))
        self.cells = [(source, window) for source in self.sources for window in source.windows]
        self.order: npt.NDArray[np.int64] = np.random.default_rng(config.seed).permutation(len(self.cells))
        self._warmup, self._seed = evaluation.warmup, evaluation.seed
        self._rival = _rival(config, evaluation)
        self._fair: dict[tuple[str, int, bool, bool], Floats] = {}
        self._scales: dict[tuple[str, str], float] = {}

    def values(self, source: Input, window: Window, entry: Entry, metrics: list[str]) -> list[float]:
        """Return metrics of an entry in a window; nan where one is not defined."""
        jobs = source.window_jobs(window)
        schedule = scheduled(source, window, jobs, entry, self._seed)
        if set(metrics) <= set(JOB_MEANS):
            values = job_values(schedule.iloc[self._warmup :])
            return [float(np.nanmean(values.under(name))) for name in metrics]
        fair = self._fair_start(source, window, entry.policy or Policy()) if set(metrics) & set(_FAIR) else None
        found = measure(schedule, jobs, source.machine, fair_start=fair, warmup=self._warmup)
        if set(metrics) & set(ENERGY_NAMES) and source.site is not None:
            from hpcai.evaluation.energy.measures import energy_metrics

            found |= energy_metrics(schedule, jobs, source.machine, source.site, self._seed, self._warmup)
        return [found.get(name, np.nan) for name in metrics]

    def scale(self, source: Input, metric: str) -> float:
        """Return what a metric is divided by: with several logs the rival's mean on each, so that all weigh alike."""
        if len(self.sources) == 1:
            return 1.0
        key = (source.name, metric)
        if key not in self._scales:
            found = [self.values(source, window, self._rival, [metric])[0] for window in source.windows]
            self._scales[key] = float(np.mean(found))
        return self._scales[key]

    def _fair_start(self, source: Input, window: Window, policy: Policy) -> Floats:
        key = (source.name, window.number, policy.kill_at_limit, policy.dependencies)
        if key not in self._fair:
            self._fair[key] = fair_start(source.window_jobs(window), source.machine, policy)
        return self._fair[key]


def layout_of(evaluation: EvaluationConfig) -> str:
    """Return a text that is the same for evaluations which replay the same jobs on the same machine."""
    return evaluation.model_dump_json(include=_LAID_OUT_BY)


def _rival(config: SweepConfig, evaluation: EvaluationConfig) -> Entry:
    """Return the first rival, or FCFS."""
    rivals = list(config.rivals) or ["fcfs"]
    return config.evaluation(start(config), policies=rivals[:1], backfill=list(evaluation.backfill)).entries[0]


def start(config: SweepConfig) -> Point:
    """Return the point that is tried first, or some point."""
    return some_point(config) | dict(config.start[0] if config.start else {})


def settings_are_fixed(config: SweepConfig) -> bool:
    """Whether only the policy is swept, so that all trials have the same windows and machine."""
    return not names({key: value for key, value in (config.evaluate or {}).items() if key != "policies"})
