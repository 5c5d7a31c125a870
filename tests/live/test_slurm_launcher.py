"""Workers on a real Slurm: the same results as here, cut off and gone on with, given up when asked to."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from hpcai.errors import InputError, WorkerError
from hpcai.evaluation.evaluate import evaluate
from hpcai.launching import Job, Launch, Task, cancel, launch, start
from tests.waiting import wait_until

LOG = Path(__file__).parents[2] / "traces" / "lublin-256.swf.gz"
SLURM = {"launcher": "slurm", "time_limit": "10m"}


@dataclass(frozen=True)
class Count(Task):
    """Counts to ``goal`` in a file, from where an earlier sitting left off."""

    path: Path
    goal: int

    def __call__(self) -> int:
        with open(self.path.with_suffix(".sittings"), "a") as file:
            file.write("begun\n")
        while (count := self.count()) < self.goal:
            time.sleep(0.1)
            self.path.write_text(str(count + 1))
        return count

    def count(self) -> int:
        return int(self.path.read_text() or 0) if self.path.exists() else 0

    @property
    def sittings(self) -> int:
        return len(self.path.with_suffix(".sittings").read_text().splitlines())


@dataclass(frozen=True)
class Fail(Task):
    def __call__(self) -> None:
        raise ValueError("no luck")


def squeue() -> str:
    return subprocess.run(["squeue"], capture_output=True, text=True, check=False).stdout


wait_for = partial(wait_until, seconds=60, said=squeue)


def queue() -> set[str]:
    command = ["squeue", "--noheader", "--array", "--format=%i"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.fixture(scope="module", autouse=True)
def overdue(slurm, tmp_path_factory) -> tuple[Count, Job]:
    """A job that reaches its time limit, beside the other tests: Slurm looks for such jobs every 30 s only."""
    folder = tmp_path_factory.mktemp("overdue")
    task = Count(folder / "count", 470)  # it is warned a quarter of its minute before the end, or up to 30 s earlier
    (job,) = start([task], Launch(launcher="slurm", time_limit="1m"), folder / "workers")
    return task, job


def test_an_evaluation_shared_out_is_the_same_as_here(slurm, tmp_path):
    fields = {"trace": LOG, "policies": "fcfs,saf", "windows": "3x60", "resamples": 2000, "quiet": True}
    here = evaluate(out=tmp_path / "here", **fields)
    there = evaluate(out=tmp_path / "there", launch=Launch(workers=2, **SLURM), **fields)
    for name in ("metrics.csv", "groups.csv", "summary.json", "report.html"):
        assert (there.folder / name).read_bytes() == (here.folder / name).read_bytes(), name


def cut_off_by(what: str, job_id: str) -> None:
    if what == "a signal before pre-emption":
        subprocess.run(["scancel", "--signal=USR2", job_id], check=True)
    else:
        subprocess.run(["scontrol", "requeue", job_id], check=True)


@pytest.mark.parametrize("what", ["a signal before pre-emption", "the cluster"])
def test_a_job_that_is_put_back_goes_on_where_it_was(slurm, tmp_path, what):
    task, beside = Count(tmp_path / "count", 60), Count(tmp_path / "beside", 1)
    job, other = start([task, beside], Launch(workers=2, **SLURM), tmp_path / "workers")
    wait_for(lambda: task.count() > 10)
    cut_off_by(what, job.id)
    wait_for(lambda: job.done() and other.done())
    assert (job.result(), other.result()) == (60, 1)
    assert (task.sittings, beside.sittings) == (2, 1)


def test_jobs_that_fail_are_said_and_the_others_are_ended(slurm, tmp_path):
    before, endless = queue(), Count(tmp_path / "count", 1000)
    with pytest.raises(WorkerError, match=r"ValueError: no luck \(its log: .*_log.err\)"):
        launch([endless, Fail()], Launch(workers=2, **SLURM), tmp_path / "workers")
    wait_for(lambda: queue() <= before)


def test_no_more_jobs_run_than_workers_and_who_is_killed_is_noticed(slurm, tmp_path, monkeypatch):
    monkeypatch.setattr("hpcai.launching.QUEUE_EVERY", 0.5)
    monkeypatch.setattr("hpcai.launching.LATE", 0.5)
    tasks = [Count(tmp_path / f"count-{i}", 1000) for i in range(3)]
    jobs = start(tasks, Launch(workers=2, **SLURM), tmp_path / "workers")
    wait_for(lambda: tasks[1].count() > 0 and tasks[0].count() > 0)
    assert tasks[2].count() == 0
    assert not any(job.done() for job in jobs)
    subprocess.run(["scancel", jobs[0].id], check=True)
    wait_for(jobs[0].done)
    with pytest.raises(WorkerError, match="CANCELLED"):
        jobs[0].result()
    wait_for(lambda: tasks[2].count() > 0)
    cancel(jobs)
    wait_for(lambda: queue().isdisjoint(job.id for job in jobs))
    counts = [task.count() for task in tasks]
    time.sleep(0.5)
    assert [task.count() for task in tasks] == counts


def test_what_sbatch_refuses_is_one_line(slurm, tmp_path):
    with pytest.raises(InputError, match=r"launcher 'slurm': .*invalid partition specified: nowhere"):
        start([Fail()], Launch(partition="nowhere", **SLURM), tmp_path / "workers")


def test_a_job_that_reaches_its_time_limit_is_put_back_and_goes_on(overdue):
    task, job = overdue
    wait_for(job.done, seconds=90)
    assert job.result() == 470
    assert task.sittings >= 2  # on a busy machine it reaches its limit more than once
