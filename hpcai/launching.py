"""Tasks on several workers through submitit: processes of this computer, or jobs of the user's Slurm.

A task is a small picklable object that does its work when it is called, on a worker; what it says there is in a log.
Wherever a task is cut off it must be able to go on from what it left on disk: a pre-empted job of Slurm, or one that
reached its time limit, is put back into the queue and calls its task again.

``launch`` runs tasks to their end. ``start`` is for who would rather watch the workers himself:

>>> jobs = start(tasks, how, folder)                                              # doctest: +SKIP
>>> while not all(job.done() for job in jobs):                                    # doctest: +SKIP
...     time.sleep(POLL)                                                          # or see to something else
>>> results = [job.result() for job in jobs]                                      # doctest: +SKIP
"""

from __future__ import annotations

import math
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from hpcai.configuration import seconds_in
from hpcai.errors import InputError, WorkerError

if TYPE_CHECKING:
    from submitit import Job as Submitted
    from submitit.helpers import DelayedSubmission

WORKERS: Final = "workers"  # the folder with their pickles and logs, while there are any
POLL: Final = 0.5  # s between two looks at the workers
QUEUE_EVERY: Final = 5.0  # s between two calls of squeue, which a busy controller would not like more often
LATE: Final = 10.0  # s that a shared file system may take to show the result of a job that has left the queue
SHUTDOWN: Final = 5.0  # s that cancelled workers are waited for

_FOR_EVER: Final = 60 * 24 * 365  # min; submitit ends a local process after 2 minutes unless told otherwise


class Launch(BaseModel):
    """How many workers, and where. All keys but the first two are asked of Slurm, for each worker.

    A job has ``time_limit`` (such as '90m', '2h', '1d'); when that is reached it is put back up to ``requeue``
    times. ``extra`` are further options of sbatch, such as ``{"constraint": "a100"}``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: Annotated[int, Field(ge=1)] = 1
    launcher: Literal["local", "slurm"] = "local"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time_limit: str = "2h"
    cpus: Annotated[int, Field(ge=1)] = 1
    memory: Annotated[float, Field(gt=0)] | None = None  # GB
    gpus: Annotated[int, Field(ge=0)] = 0  # also of a local worker
    requeue: Annotated[int, Field(ge=0)] = 10
    extra: dict[str, str | int] = {}

    @field_validator("time_limit")
    @classmethod
    def _is_a_time(cls, value: str) -> str:
        if not seconds_in(value):
            raise ValueError(f"time_limit: expected a time such as '90m', '2h', '1d', found {value!r}")
        return value

    @property
    def here(self) -> bool:
        """Whether this process is all the workers there are."""
        return self.workers == 1 and self.launcher == "local"


HERE: Final = Launch()
"""Everything in this process."""


class Task(ABC):
    """What a worker does: a frozen dataclass, mostly, of a module that the worker can import."""

    @abstractmethod
    def __call__(self) -> Any:
        """Do it, or go on with it; what is returned goes back to the caller and must be picklable."""

    def checkpoint(self) -> DelayedSubmission:
        """Say how a job that was cut off goes on: as it began, since what it did is on disk."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class Job:
    """A task with its worker, running or waiting for its turn in Slurm's queue."""

    def __init__(self, submitted: Submitted[Any], queue: _Queue | None) -> None:
        self._submitted, self._queue = submitted, queue
        self._gone: float | None = None  # since when Slurm's queue does not hold it

    @property
    def id(self) -> str:
        """Slurm's number of the job, such as '519_2', or a process."""
        return self._submitted.job_id

    @property
    def log(self) -> Path:
        """The file with what the worker wrote to stderr."""
        return self._submitted.paths.stderr

    def done(self) -> bool:
        """Whether it has ended, well or not; cheap enough to be asked twice a second."""
        if self._queue is None:
            return self._submitted.done()
        if self._submitted.paths.result_pickle.exists():
            return True
        if self._queue.holds(self.id):
            self._gone = None
        elif self._gone is None:
            self._gone = time.monotonic()
        return self._gone is not None and time.monotonic() - self._gone > LATE

    def result(self) -> Any:
        """Return what the task of an ended job returned. Raises WorkerError, in one line, if it failed."""
        try:
            outcome, value = pickle.loads(self._submitted.paths.result_pickle.read_bytes())
        except FileNotFoundError:  # it was killed
            outcome, value = "error", self._submitted.stderr() or ""
        if outcome == "success":
            return value
        lines = [line.strip() for line in value.splitlines() if line.strip()] or ["it ended without a result"]
        what = next((line for line in lines if "error: ***" in line), lines[-1])  # Slurm's word on why, if there is one
        raise WorkerError(f"worker {self.id} failed: {what} (its log: {self.log})")


class _Queue:
    """The user's jobs in Slurm's queue; unlike accounting, every cluster has one."""

    def __init__(self) -> None:
        self._ids: frozenset[str] = frozenset()
        self._seen = -math.inf

    def holds(self, job_id: str) -> bool:
        """Whether the job waits or runs, as of a few seconds ago; yes while Slurm does not answer."""
        if time.monotonic() - self._seen > QUEUE_EVERY:
            command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
            if answer.returncode:
                return True
            self._ids, self._seen = frozenset(answer.stdout.split()), time.monotonic()
        return job_id in self._ids


def start(tasks: Sequence[Task], how: Launch, folder: Path) -> list[Job]:
    """Start a worker for each task and return at once; pickles and logs go to ``folder``, which workers share.

    On Slurm the tasks are one job array of which ``how.workers`` run at a time; local workers all run at once.
    May be called again with the same folder, such as for replacements of workers that died.

    Raises InputError if Slurm is not to be had or refuses what it is asked for.
    """
    from submitit import AutoExecutor
    from submitit.core.utils import FailedJobError, environment_variables
    from submitit.helpers import clean_env

    if not tasks:
        return []
    slurm = how.launcher == "slurm"
    if slurm and not (shutil.which("sbatch") and shutil.which("srun")):
        raise InputError("launcher 'slurm': expected the commands sbatch and srun on PATH, found none")
    # Jobs begun from within a job must not inherit its size; what the user says of all his jobs they must.
    kept = {key: value for key, value in os.environ.items() if key == "SLURM_CONF" or key.startswith("SBATCH_")}
    # What can be imported here can be imported there.
    kept["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(map(os.path.abspath, sys.path)))
    folder.mkdir(parents=True, exist_ok=True)
    executor = AutoExecutor(folder, how.launcher, slurm_max_num_timeout=how.requeue)
    executor.update_parameters(**_parameters(how))
    with clean_env(), environment_variables(**kept), _stderr_to(folder / "controllers.log"), _interruptible():
        try:
            submitted = executor.submit_array(tasks)
        except FailedJobError as error:
            said = [line for line in str(error).splitlines() if line.startswith(("sbatch: error: ", "sbatch: "))]
            raise InputError(f"launcher 'slurm': {said[0] if said else error}") from error
    queue = _Queue() if slurm else None
    return [Job(job, queue) for job in submitted]


def cancel(jobs: Sequence[Job]) -> None:
    """End the jobs that have not ended, and wait a little until they have."""
    alive = [job for job in jobs if not job.done()]
    local = [job for job in alive if job._queue is None]
    if ids := [job.id for job in alive if job._queue is not None]:
        # A plain scancel would let them write on for as long as the cluster's KillWait.
        for command in (["scancel", "--signal=KILL"], ["scancel"]):
            subprocess.run([*command, *ids], capture_output=True, check=False)
    for job in local:
        job._submitted.cancel(check=False)
    until = time.monotonic() + SHUTDOWN
    while time.monotonic() < until and not all(job.done() for job in local):
        time.sleep(0.05)


def launch(
    tasks: Sequence[Task], how: Launch, folder: Path, *, watch: Callable[[int], None] | None = None
) -> list[Any]:
    """Run every task on ``how.workers`` workers and return what they returned, in the order of ``tasks``.

    About twice a second ``watch`` is told how many tasks are done. ``folder`` is for pickles and logs, and is
    removed when all went well. Raises WorkerError when a task failed; then, and at an interrupt, the other
    tasks are cancelled.
    """
    waiting, jobs, results = list(enumerate(tasks)), dict[int, Job](), dict[int, Any]()
    try:
        while len(results) < len(tasks):
            room = len(waiting) if how.launcher == "slurm" else how.workers - len(jobs)
            if ready := waiting[:room]:
                del waiting[:room]
                jobs |= zip([i for i, _ in ready], start([task for _, task in ready], how, folder), strict=True)
            time.sleep(POLL)
            for i in [i for i, job in jobs.items() if job.done()]:
                results[i] = jobs.pop(i).result()
            if watch is not None:
                watch(len(results))
    finally:
        cancel(list(jobs.values()))
    shutil.rmtree(folder, ignore_errors=True)
    return [results[i] for i in range(len(tasks))]


def _parameters(how: Launch) -> dict[str, Any]:
    """Return ``how`` in submitit's words; it passes by what is not for the launcher, and what is None."""
    limit = seconds_in(how.time_limit) or 0.0
    slurm = how.launcher == "slurm"
    return {
        "name": "hpcai",
        "timeout_min": math.ceil(limit / 60) if slurm else _FOR_EVER,
        "cpus_per_task": how.cpus,
        "mem_gb": how.memory,
        "gpus_per_node": how.gpus or None,
        "slurm_partition": how.partition,
        "slurm_account": how.account,
        "slurm_qos": how.qos,
        "slurm_array_parallelism": how.workers,
        "slurm_signal_delay_s": int(min(90, limit / 4)),
        "slurm_srun_args": [f"--cpus-per-task={how.cpus}"],  # which srun does not take over from sbatch
        "slurm_additional_parameters": {"requeue": True} | how.extra,
    }


@contextmanager
def _stderr_to(path: Path) -> Iterator[None]:
    """Let what is started here write its stderr to a file: at an interrupt submitit's processes say so at length."""
    kept = os.dup(2)
    with open(path, "ab") as log:
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let what is started here hear interrupts, which end it, even if a shell's ``&`` made this process deaf."""
    deaf = signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread()
    if deaf:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if deaf:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
