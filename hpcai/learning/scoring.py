"""How good a policy is on windows of several logs: its objective relative to a rival's on the same windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpcai.cluster.spec import Machine
from hpcai.evaluation.metrics import JOB_MEANS, METRICS, job_values, measure
from hpcai.evaluation.windows import Window
from hpcai.learning.logs import Log
from hpcai.scheduling.policy import Policy

Floats = npt.NDArray[np.float64]
Judge = Callable[[Log, Sequence[Window]], Floats]
"""Gives the objective in each window (float64[windows]) of one log under some policy."""

HEURISTICS: Final = ("fcfs", "sjf", "saf", "wfp3", "unicep", "f1", "f2", "f3", "f4")
"""The orderings that a learned policy must beat."""

PREDICTED: Final = ("sjf-predicted", "saf-predicted", "cmu-predicted")
"""The same by predicted run times."""


def objective_of(schedule: pd.DataFrame, jobs: pd.DataFrame, machine: Machine, objective: str) -> float:
    """Return one metric of a schedule; means over jobs are computed alone, since thousands are needed."""
    if objective in JOB_MEANS:
        return float(np.nanmean(job_values(schedule).under(objective)))
    return measure(schedule, jobs, machine).get(objective, np.nan)


def judge_of(policy: Policy, objective: str) -> Judge:
    """Return the judge of a policy that is data: it replays each window."""
    from hpcai.simulation import replay

    def judge(log: Log, windows: Sequence[Window]) -> Floats:
        values = []
        for window in windows:
            jobs = log.window_jobs(window)
            past = log.jobs.iloc[: window.first]
            schedule = replay(jobs, log.machine, policy, past=past, origin=log.trace.origin).table
            values.append(objective_of(schedule, jobs, log.machine, objective))
        return np.array(values)

    return judge


@dataclass(frozen=True)
class Panel:
    """Fixed windows of several logs, and what a rival reaches there (its mean objective in each log)."""

    logs: Sequence[Log]
    windows: Sequence[Sequence[Window]]
    objective: str
    rival: str
    reference: Floats  # (logs,)

    def score(self, judge: Judge) -> float:
        """Return the geometric mean over logs of the ratio of the mean objective to the rival's; lower is better."""
        return _score(_means(judge, self.logs, self.windows), self.reference, self.objective)


def without_prediction(base: Policy, ordering: str) -> Policy:
    """Return ``base`` with another ordering and no predictor."""
    estimate = "requested" if base.estimate == "predicted" else base.estimate
    return base.model_copy(update={"ordering": ordering, "predictor": "none", "estimate": estimate})


def with_prediction(base: Policy) -> dict[str, Policy]:
    """Return the orderings by predicted run time, by name, if ``base`` has a predictor.

    Backfilling believes the requests or, where the name says ``both``, the predictions as well.
    """
    if not base.learns:
        return {}
    return {
        f"{name}{suffix}": base.model_copy(update={"ordering": name, "estimate": estimate})
        for name in PREDICTED
        for suffix, estimate in (("", "requested"), (" both", "predicted"))
    }


def panel_against(
    logs: Sequence[Log],
    windows: Sequence[Sequence[Window]],
    base: Policy,
    objective: str,
    rivals: Sequence[str],
    *,
    predicted: bool = False,
) -> tuple[Panel, dict[str, float]]:
    """Return the panel whose rival is the best of the orderings ``rivals``, and each one's score on it.

    One rival is chosen for all logs: an ordering that is best on the geometric mean of them. With ``predicted`` the
    scores are also those of orderings by predicted run times, if ``base`` has a predictor.
    """
    policies = {name: without_prediction(base, name) for name in rivals} | (with_prediction(base) if predicted else {})
    means = {name: _means(judge_of(policy, objective), logs, windows) for name, policy in policies.items()}
    first = means[rivals[0]]
    best = min(rivals, key=lambda name: _score(means[name], first, objective))
    panel = Panel(logs, windows, objective, best, means[best])
    return panel, {name: _score(mean, means[best], objective) for name, mean in means.items()}


def _means(judge: Judge, logs: Sequence[Log], windows: Sequence[Sequence[Window]]) -> Floats:
    return np.array([judge(log, of_log).mean() for log, of_log in zip(logs, windows, strict=True)])


def _score(means: Floats, reference: Floats, objective: str) -> float:
    """Return the geometric mean of ratios, so turned that lower is better; inf where one is not defined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = means / reference if METRICS[objective].better == "lower" else reference / means
        score = float(np.exp(np.log(ratios).mean()))
    return score if np.isfinite(score) else np.inf
