"""A sweep from its configuration to its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from hpcai.errors import InputError
from hpcai.evaluation.resumable import write_whole
from hpcai.launching import HERE, Launch
from hpcai.learning.progress import LearningProgress
from hpcai.learning.sweeps.config import SweepConfig, make_config
from hpcai.learning.sweeps.crew import Crew
from hpcai.learning.sweeps.heartbeat import WORKER
from hpcai.learning.sweeps.objectives import Objective, make_objective
from hpcai.learning.sweeps.proof import Proof, prove
from hpcai.learning.sweeps.study import ERROR, Standing, open_study, standing_of
from hpcai.learning.sweeps.worker import TrialRecord, Worker

REPORT: Final = "report.html"
TRIALS: Final = "trials.csv"


@dataclass(frozen=True)
class Sweep:
    """A sweep that has come to its end, or as far as it was taken; ``folder`` holds report and table of trials."""

    config: SweepConfig
    study: optuna.Study
    folder: Path
    proof: Proof | None

    @property
    def best(self) -> dict[str, Any]:
        """The best point; of several objectives there is a front instead (``study.best_trials``)."""
        return self.config.complete(self.study.best_trial.params)

    @property
    def value(self) -> float:
        """The value of the best point."""
        return float(self.study.best_value)

    @property
    def trials(self) -> pd.DataFrame:
        """A row for each trial: number, state, objectives and parameters by name, duration (s), worker, error."""
        names = [target.name for target in self.config.targets]
        return pd.DataFrame(
            {
                "trial": trial.number,
                "state": trial.state.name.lower(),
                **dict(zip(names, _values(trial) or [np.nan] * len(names), strict=True)),
                **{name: trial.params.get(name) for name in self.config.space},
                "duration": trial.duration.total_seconds() if trial.duration else np.nan,
                "worker": trial.user_attrs.get(WORKER),
                "error": trial.user_attrs.get(ERROR),
            }
            for trial in self.study.get_trials(False)
        )

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / REPORT


def sweep(
    objective: Callable[..., Any] | Sequence[str] | None = None,
    space: Mapping[str, Any] | None = None,
    *,
    callback: Callable[[TrialRecord], None] | None = None,
    workers: int = 1,
    quiet: bool = False,
    **fields: Any,
) -> Sweep:
    """Survey the parameters of anything.

    ``objective`` is a function of a dictionary of parameters that returns a number (or several, or a mapping by
    objective), and may take a second argument to call with values on the way, or the words of a command with
    ``{placeholders}`` that prints JSON. ``space`` has ``{"low": 1, "high": 8}`` or ``{"choices": [...]}`` by name.
    Other keys are those of SweepConfig: ``objectives``, ``sampler``, ``pruner``, ``budget``, ``seed``, ``out`` ...
    ``callback`` is told every trial of one worker. The same call goes on with a sweep that was cut short.

    >>> hpcai.sweep(lambda p: (p["x"] - 2) ** 2, {"x": {"low": -5, "high": 5}}, budget="50 trials").best

    Raises InputError if something is not understood; HpcaiError if every trial fails.
    """
    function = None
    if callable(objective):
        function = objective
        fields["function"] = getattr(function, "__qualname__", type(function).__name__)
    elif objective is not None:
        fields["command"] = list(objective)
    if space is not None:
        fields["space"] = dict(space)
    config = make_config({"name": "sweep"} | fields, "hpcai.sweep")
    return run(config, function=function, callback=callback, launch=Launch(workers=workers), quiet=quiet)


def run(
    config: SweepConfig,
    *,
    function: Callable[..., Any] | None = None,
    callback: Callable[[TrialRecord], None] | None = None,
    launch: Launch = HERE,
    quiet: bool = False,
) -> Sweep:
    """Run a sweep, or go on with it, until its budget is spent; then prove it and write its report.

    Raises InputError if an input cannot be used or the storage holds another sweep of this name; HpcaiError if the
    storage stays away or every trial fails.
    """
    objective = make_objective(config, function)
    study = open_study(config, objective)
    if callback is not None and not launch.here:
        raise InputError("sweep: a callback is told of trials in this process, which needs one worker")
    with _Progress(study, config, quiet) as progress:
        if launch.here:
            _work_here(study, config, objective, callback, progress.show)
        else:
            Crew(study, config, function, launch).work(progress.show)
    return conclude(study, config, quiet)


def conclude(study: optuna.Study, config: SweepConfig, quiet: bool) -> Sweep:
    """Prove what a sweep has found so far, and write its report and its table of trials."""
    from hpcai.learning.sweeps.report import render

    over = standing_of(study.get_trials(False)).over(config)
    proof = prove(study, config, quiet) if over else None
    result = Sweep(config, study, Path(config.out), proof)
    write_whole(result.folder / TRIALS, result.trials.to_csv(index=False, lineterminator="\n").encode())
    write_whole(result.report, render(study, config, proof).encode())
    return result


def _work_here(
    study: optuna.Study,
    config: SweepConfig,
    objective: Objective,
    callback: Callable[[TrialRecord], None] | None,
    show: Callable[[Standing], None],
) -> None:
    """Work in this process until the budget is spent, the share of workers elsewhere that died included."""
    worker = Worker(study, config, objective, callback, show)
    while True:
        worker.work()
        standing = standing_of(study.get_trials(False))
        if standing.over(config) or standing.running:
            return


def _values(trial: FrozenTrial) -> list[float] | None:
    """Return what a complete trial reached; what Optuna calls the value of a pruned one is its last step's."""
    return trial.values if trial.state == TrialState.COMPLETE else None


class _Progress:
    """Shows how much of the budget is spent and the best so far; a context manager."""

    def __init__(self, study: optuna.Study, config: SweepConfig, quiet: bool) -> None:
        self._study, self._config, self._standing = study, config, Standing(0, 0, 0, 0.0, 0)
        self._shown = LearningProgress(self, quiet, "sweep")

    @property
    def spent(self) -> float:
        """Share of the budget, 0..1."""
        return self._config.limits.spent(self._standing.seconds, self._standing.done)

    def show(self, standing: Standing) -> None:
        """Tell how far the sweep is, if it is time: what is best takes a look at every trial."""
        self._standing = standing
        if self._shown.due:
            failed = f", {standing.failed} failed" if standing.failed else ""
            self._shown.show(f"{standing.done} trials, {_best(self._study)}{failed}")

    def __enter__(self) -> _Progress:
        self._shown.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._shown.__exit__(*error)


def _best(study: optuna.Study) -> str:
    if not study.get_trials(False, (TrialState.COMPLETE,)):
        return "none complete"
    if len(study.directions) > 1:
        return f"{len(study.best_trials)} on the front"
    return f"best {study.best_value:.6g}"
