"""Several workers on one study: processes here or jobs of Slurm, the dead ones replaced."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import optuna

from hpcai.errors import WorkerError
from hpcai.launching import POLL, WORKERS, Job, Launch, Task, cancel, start
from hpcai.learning.sweeps.config import SweepConfig
from hpcai.learning.sweeps.heartbeat import Watch
from hpcai.learning.sweeps.study import Standing, open_study, standing_of

_REPLACED: Final = 20
"""Workers that may die, for each one that was begun with, before the crew gives up."""

_FAREWELL: Final = 30.0  # s in which workers find out that the budget is spent; some may still wait in a queue


@dataclass(frozen=True)
class WorkerTask(Task):
    """A worker of a sweep, to be started somewhere else."""

    config: SweepConfig
    function: Callable[..., Any] | None

    def __call__(self) -> None:
        """Work until the budget is spent."""
        from hpcai.learning.sweeps.objectives import make_objective
        from hpcai.learning.sweeps.worker import Worker

        # Slurm ends the program of a trial as well, which is not the trial's fault: its point is put back.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        objective = make_objective(self.config, self.function)
        Worker(open_study(self.config, objective), self.config, objective).work()


class Crew:
    """The workers of a sweep as its owner sees them."""

    def __init__(
        self, study: optuna.Study, config: SweepConfig, function: Callable[..., Any] | None, how: Launch
    ) -> None:
        self._study, self._config, self._how = study, config, how
        self._task = WorkerTask(config, function)
        self._folder = Path(config.out) / WORKERS
        self._watch = Watch(study, config.heartbeat, config.retries)
        self._jobs: list[Job] = []
        self._deaths = 0

    def work(self, show: Callable[[Standing], None]) -> None:
        """Keep workers at work until the budget is spent; an interrupt ends them.

        Raises WorkerError where they die too often, with what the last one said.
        """
        try:
            while True:
                self._watch.retry_dead()
                standing = standing_of(self._study.get_trials(False))
                show(standing)
                self._count_ended()
                if standing.over(self._config) and not standing.running:
                    break
                self._fill_up(standing)
                time.sleep(POLL)
        except BaseException:
            cancel(self._jobs)
            self._watch.retry_dead()
            raise
        self._dismiss()

    def _count_ended(self) -> None:
        """Let go of workers that have ended; those that died count."""
        for job in [job for job in self._jobs if job.done()]:
            self._jobs.remove(job)
            try:
                job.result()
            except WorkerError:
                self._deaths += 1
                if self._deaths > _REPLACED * self._how.workers or self._hopeless():
                    raise

    def _hopeless(self) -> bool:
        """Whether workers die and no trial ever comes to an end."""
        return self._deaths >= self._how.workers and standing_of(self._study.get_trials(False)).done == 0

    def _fill_up(self, standing: Standing) -> None:
        """Start workers for what is left to be begun, no more than there is room for."""
        if standing.taken(self._config):
            return
        left = self._config.limits.steps - standing.done
        missing = int(min(self._how.workers, left)) - len(self._jobs)
        if missing > 0:
            self._jobs += start([self._task] * missing, self._how, self._folder)

    def _dismiss(self) -> None:
        """Wait until the workers have found out that the budget is spent, but not for those that never began."""
        until = time.monotonic() + _FAREWELL
        while time.monotonic() < until and not all(job.done() for job in self._jobs):
            time.sleep(POLL)
        cancel(self._jobs)
        shutil.rmtree(self._folder, ignore_errors=True)
