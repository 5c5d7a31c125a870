"""Signs of life: trials whose worker has died are found out and tried again, on any storage.

Optuna's own heartbeat needs a database. Here a trial's worker counts up an attribute of the trial; who sees the
count stand still for six beats by its own clock, so that clocks of machines need not agree, or knows that the process
is gone from this machine, fails the trial and puts its point back into the queue.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import warnings
from types import TracebackType
from typing import Final, Self

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

ALIVE: Final = "alive"
WORKER: Final = "worker"
MISSED: Final = 6  # beats without which a worker counts as dead


def own_name() -> str:
    """Return who works here: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Heartbeat:
    """Beats while a trial is worked on; a context manager."""

    def __init__(self, trial: optuna.Trial, interval: float) -> None:
        self._trial, self._interval = trial, interval
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def _beat(self) -> None:
        beats = 0
        while not self._over.wait(self._interval):
            beats += 1
            try:
                self._trial.set_user_attr(ALIVE, beats)
            except Exception:  # the worker meets the same, says so, and ends or goes on
                return

    def __enter__(self) -> Self:
        self._trial.set_user_attr(WORKER, own_name())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()


class Watch:
    """Finds running trials that nobody works on any more."""

    def __init__(self, study: optuna.Study, interval: float, retries: int) -> None:
        self._study, self._grace = study, MISSED * interval
        self._seen: dict[int, tuple[object, float]] = {}  # last count of a trial, and since when it stands
        self._alive: set[int] = set()  # trials whose worker has been seen at work
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._retry = RetryHeartbeatStaleTrialCallback(max_retry=retries)

    def retry_dead(self) -> int:
        """Fail each dead trial, put its point back into the queue as often as is allowed; return how many."""
        dead = [trial for trial in self._study.get_trials(False, (TrialState.RUNNING,)) if self._is_dead(trial)]
        return sum(self.put_back(trial.number) for trial in dead)

    def _is_dead(self, trial: FrozenTrial) -> bool:
        worker = trial.user_attrs.get(WORKER)
        if worker is not None and _is_here(worker):
            lives = _lives_here(worker)
            if lives:
                self._alive.add(trial.number)
            return not lives
        count, now = (worker, trial.user_attrs.get(ALIVE)), time.monotonic()
        last, since = self._seen.get(trial.number, (None, now))
        if last != count:
            self._seen[trial.number] = (count, now)
            if last is not None:
                self._alive.add(trial.number)
            return False
        return now - since > self._grace

    def knows_all(self) -> bool:
        """Whether somebody has been seen at work on each running trial, so that none of them may be lost."""
        running = {trial.number for trial in self._study.get_trials(False, (TrialState.RUNNING,))}
        return running <= self._alive

    def put_back(self, number: int) -> bool:
        """Put the point of a running trial back into the queue and fail the trial; whether that was done here.

        In this order: who is killed between the two leaves a running trial for others to find, and no point is lost.
        """
        if not self._is_queued_again(number):
            failed = self._study.get_trials()[number]
            failed.user_attrs = {}  # its worker is not that of the next
            self._retry(self._study, failed)
        try:
            self._study.tell(number, state=TrialState.FAIL)
        except (UpdateFinishedTrialError, ValueError):  # it has ended after all, or another worker was faster
            return False
        return True

    def _is_queued_again(self, number: int) -> bool:
        """Whether the queue has, or had, another trial of this one's point."""
        return any(number in t.system_attrs.get("retry_history", ()) for t in self._study.get_trials(False))


def _is_here(worker: str) -> bool:
    """Whether a process is of this machine."""
    return worker.rpartition(":")[0] == socket.gethostname()


def _lives_here(worker: str) -> bool:
    """Whether a process of this machine has not ended."""
    try:
        os.kill(int(worker.rpartition(":")[2]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's
        pass
    return True
