"""Tasks on local workers: they run, so many at a time, and neither a failure nor an interrupt leaves any behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from hpcai.configuration import seconds_in, validated
from hpcai.errors import InputError, WorkerError
from hpcai.launching import Launch, Task, cancel, launch, start
from hpcai.options import launch_of
from tests.waiting import wait_until


@dataclass(frozen=True)
class Note(Task):
    """Writes when it began and ended, and by whom it was done."""

    folder: Path
    number: int
    seconds: float = 0.0

    def __call__(self) -> int:
        began = time.time()
        (self.folder / f"begun-{self.number}").write_text(str(os.getpid()))
        time.sleep(self.seconds)
        (self.folder / f"done-{self.number}").write_text(f"{began} {time.time()}")
        return self.number**2


@dataclass(frozen=True)
class Fail(Task):
    def __call__(self) -> None:
        raise ValueError("the moon is made\nof cheese")


@dataclass(frozen=True)
class Die(Task):
    def __call__(self) -> None:
        print("out of luck", file=sys.stderr, flush=True)
        os._exit(3)


wait_for = partial(wait_until, seconds=60)


def alive(folder: Path) -> list[int]:
    """Processes of the tasks that began and still run."""
    pids = [int(path.read_text()) for path in folder.glob("begun-*")]
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_tasks_run_so_many_at_a_time_and_return_in_order(tmp_path):
    told: list[int] = []
    tasks = [Note(tmp_path, number, 0.3) for number in range(3)]
    assert launch(tasks, Launch(workers=2), tmp_path / "workers", watch=told.append) == [0, 1, 4]
    assert told == sorted(told)
    assert told[-1] == 3
    spans = [tuple(map(float, (tmp_path / f"done-{i}").read_text().split())) for i in range(3)]
    instants = sorted(span[0] for span in spans)
    assert max(sum(begun <= now < ended for begun, ended in spans) for now in instants) <= 2
    assert not (tmp_path / "workers").exists()


def test_a_failure_is_one_line_that_names_the_log_and_ends_the_others(tmp_path):
    tasks = [Note(tmp_path, 0, 60), Fail()]
    with pytest.raises(WorkerError, match=r"^worker \d+ failed: of cheese \(its log: .*_log.err\)$") as caught:
        launch(tasks, Launch(workers=2), tmp_path / "workers")
    log = Path(str(caught.value).partition("its log: ")[2].removesuffix(")"))
    assert "ValueError: the moon is made" in log.read_text()
    wait_for(lambda: not alive(tmp_path))
    assert not (tmp_path / "done-0").exists()


def test_workers_of_a_process_that_does_not_hear_interrupts_are_ended_all_the_same(tmp_path):
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does to what it starts with &
    try:
        with pytest.raises(WorkerError):
            launch([Note(tmp_path, 0, 60), Fail()], Launch(workers=2), tmp_path / "workers")
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, heard)
    wait_for(lambda: not alive(tmp_path))
    assert not (tmp_path / "done-0").exists()


def test_who_starts_workers_himself_sees_which_died(tmp_path):
    jobs = start([Note(tmp_path, 3), Die()], Launch(workers=2), tmp_path / "workers")
    wait_for(lambda: all(job.done() for job in jobs))
    assert jobs[0].result() == 9
    with pytest.raises(WorkerError, match="out of luck"):
        jobs[1].result()
    cancel(jobs)  # of which there are none left
    assert start([], Launch(), tmp_path) == []


def test_an_interrupt_ends_all_workers(tmp_path, capfd):
    def interrupt_when_both_run(done: int) -> None:
        if len(alive(tmp_path)) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(
            [Note(tmp_path, i, 60) for i in range(3)], Launch(workers=2), tmp_path / "w", watch=interrupt_when_both_run
        )
    wait_for(lambda: not alive(tmp_path))
    assert not list(tmp_path.glob("done-*"))
    assert not (tmp_path / "begun-2").exists()
    assert capfd.readouterr().err == ""


def test_slurm_that_is_not_there_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="launcher 'slurm': expected the commands sbatch and srun on PATH"):
        start([Fail()], Launch(launcher="slurm"), tmp_path / "workers")


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"workers": 0}, "workers: input should be greater than or equal to 1"),
        ({"launcher": "cloud"}, "launcher: input should be 'local' or 'slurm'"),
        ({"time_limit": "soon"}, "time_limit: expected a time such as '90m', '2h', '1d', found 'soon'"),
        ({"partitions": "a"}, "unknown key 'partitions'; did you mean 'partition'?"),
    ],
)
def test_a_launch_that_cannot_be_is_said_in_one_line(fields, complaint):
    with pytest.raises(InputError, match=complaint):
        validated(Launch, fields, "launch")


def test_the_options_of_the_command_line():
    settings = ["partition=gpu", "memory=1.5", "constraint=a100", "ntasks-per-core=1"]
    how = launch_of(4, "slurm", settings)
    assert (how.workers, how.launcher, how.partition, how.memory) == (4, "slurm", "gpu", 1.5)
    assert how.extra == {"constraint": "a100", "ntasks_per_core": "1"}
    assert launch_of(1, "local", None).here
    with pytest.raises(InputError, match="expected KEY=VALUE, found 'gpu'"):
        launch_of(4, "slurm", ["gpu"])
    with pytest.raises(InputError, match="expected --launcher slurm beside it, found 'local'"):
        launch_of(4, "local", settings)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("20 m", 1200), ("1.5h", 5400), ("2d", 172800), ("5", None)]
)
def test_times(text, seconds):
    assert seconds_in(text) == seconds
