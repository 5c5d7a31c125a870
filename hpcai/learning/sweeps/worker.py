"""A worker: asks for a point, tries it, tells what came out, until the budget of the sweep is spent."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from hpcai.errors import HpcaiError
from hpcai.learning.sweeps.config import SweepConfig
from hpcai.learning.sweeps.heartbeat import Heartbeat, Watch
from hpcai.learning.sweeps.objectives import Objective, Outcome
from hpcai.learning.sweeps.space import suggest
from hpcai.learning.sweeps.storage import StorageGoneError
from hpcai.learning.sweeps.study import ERROR, IDENTITY, SURPLUS, Standing, counts, standing_of

HOPELESS: Final = 10
"""Trials that all fail at first, after which a sweep ends by itself."""


class Pruned(Exception):  # noqa: N818 (no error: a trial ends early because it is not promising)
    """A trial is given up."""


@dataclass(frozen=True)
class TrialRecord:
    """A trial that has ended, for callbacks: ``values`` are None unless ``state`` is 'complete'."""

    number: int
    point: dict[str, Any]
    state: str
    values: tuple[float, ...] | None
    error: str | None = None


class Worker:
    """Works on a study; several may, in several processes and on several machines."""

    def __init__(
        self,
        study: optuna.Study,
        config: SweepConfig,
        objective: Objective,
        callback: Callable[[TrialRecord], None] | None = None,
        standing: Callable[[Standing], None] | None = None,
    ) -> None:
        """``callback`` is told each trial that ends here, ``standing`` how far the sweep is before each."""
        self._study, self._config, self._objective = study, config, objective
        self._callback, self._standing = callback, standing
        self._watch = Watch(study, config.heartbeat, config.retries)
        self._identity = {"config": config.hash, **{k: study.user_attrs[IDENTITY][k] for k in ("version", "inputs")}}

    def work(self) -> None:
        """Try points until the budget is spent or others are at its rest, and were seen to be.

        Raises HpcaiError if the storage stays away or every trial fails.
        """
        while True:
            self._watch.retry_dead()
            trials = self._study.get_trials(False)
            standing = standing_of(trials)
            if self._standing is not None:
                self._standing(standing)
            self._give_up_if_hopeless(trials, standing)
            if standing.taken(self._config):
                if standing.over(self._config) or self._watch.knows_all():
                    return
                time.sleep(self._config.heartbeat)  # the rest may have been lost with a worker that was killed
                continue
            begun = time.perf_counter()
            trial = self._study.ask()
            if self._is_surplus(trial):
                continue
            with contextlib.suppress(UpdateFinishedTrialError):  # taken for dead, and tried again by another
                self._try(trial, begun)

    def _is_surplus(self, trial: optuna.Trial) -> bool:
        """Whether workers that asked at one moment have begun more than the budget; if so, fail this trial."""
        earlier = [t for t in self._study.get_trials(False) if t.number < trial.number]
        if sum(counts(t) or t.state == TrialState.RUNNING for t in earlier) < self._config.limits.steps:
            return False
        trial.set_user_attr(SURPLUS, True)
        self._study.tell(trial, state=TrialState.FAIL)
        return True

    def _try(self, trial: optuna.Trial, begun: float) -> None:
        teller = Teller(trial, self._config)
        with Heartbeat(trial, self._config.heartbeat):
            try:
                point = suggest(self._config.space, trial)
                suggested = time.perf_counter()
                ended = self._run(point, trial, teller)
            except (KeyboardInterrupt, SystemExit):  # the latter where a job of Slurm is put back
                self._watch.put_back(trial.number)
                raise
        seconds = {"suggest": suggested - begun, "storage": teller.seconds}
        seconds["objective"] = time.perf_counter() - suggested - teller.seconds
        for key, value in (("seconds", seconds), ("identity", self._identity)):
            trial.set_user_attr(key, value)
        self._tell(trial, point, ended)

    def _run(self, point: dict[str, Any], trial: optuna.Trial, teller: Teller) -> Outcome | str | None:
        """Return what a point reaches, None if it was pruned, or what went wrong."""
        try:
            return self._objective(point, trial.number, teller)
        except Pruned:
            return None
        except StorageGoneError:
            raise
        except HpcaiError as error:
            return str(error)
        except Exception as error:  # a user's own code may raise anything, and the study must go on
            return f"{type(error).__name__}: {error}"

    def _tell(self, trial: optuna.Trial, point: dict[str, Any], ended: Outcome | str | None) -> None:
        if isinstance(ended, Outcome):
            trial.set_user_attr("steps", ended.steps)
            self._study.tell(trial, list(ended.values))
            record = TrialRecord(trial.number, point, "complete", ended.values)
        elif ended is None:
            self._study.tell(trial, state=TrialState.PRUNED)
            record = TrialRecord(trial.number, point, "pruned", None)
        else:
            trial.set_user_attr(ERROR, ended)
            self._study.tell(trial, state=TrialState.FAIL)
            record = TrialRecord(trial.number, point, "failed", None, ended)
        if self._callback is not None:
            self._callback(record)

    def _give_up_if_hopeless(self, trials: list[FrozenTrial], standing: Standing) -> None:
        if standing.done >= HOPELESS and standing.failed == standing.done:
            last = next(trial for trial in reversed(trials) if ERROR in trial.user_attrs)
            raise HpcaiError(
                f"sweep {self._config.name}: all of {standing.done} trials failed, the last: {last.user_attrs[ERROR]}"
            )


class Teller:
    """Tells the study what a trial knows before its end, and asks whether to go on; ``seconds`` is what that took."""

    def __init__(self, trial: optuna.Trial, config: SweepConfig) -> None:
        self._trial, self._config = trial, config
        self._values: list[float] = []
        self.seconds = 0.0

    def one(self, value: float) -> None:
        """Tell the value of one window or repeat: itself where windows are compared, else the mean so far."""
        self._values.append(value)
        paired = self._config.pruner.kind == "wilcoxon"
        self._report(value if paired else sum(self._values) / len(self._values), len(self._values) - 1)

    def level(self, value: float) -> None:
        """Tell how good the trial is by now."""
        self._values.append(value)
        if self._config.pruner.kind != "wilcoxon":
            self._report(value, len(self._values) - 1)

    def _report(self, value: float, step: int) -> None:
        """Raises Pruned if the trial should be given up."""
        if len(self._config.targets) > 1 or value != value:  # Optuna prunes for one objective only
            return
        begun = time.perf_counter()
        self._trial.report(value, step)
        hopeless = self._trial.should_prune()
        self.seconds += time.perf_counter() - begun
        if hopeless:
            raise Pruned
