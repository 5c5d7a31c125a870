"""A sweep on a real Slurm: a job array shares the trials, and a worker that is cut off loses none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.trial import FrozenTrial, TrialState

from hpcai.errors import InputError
from hpcai.learning.sweeps.heartbeat import WORKER
from hpcai.learning.sweeps.study import join_study
from tests.waiting import wait_until

PROGRAM = """
import json, os, sys, time
time.sleep(0.5)
while os.path.exists(sys.argv[2]):
    time.sleep(0.05)
print(json.dumps({"value": float(sys.argv[1])}))
"""
TRIALS = 12


class Sweep:
    """A sweep under way; while the file ``hold`` exists no trial comes to its end."""

    def __init__(self, folder: Path) -> None:
        self.hold, self._folder = folder / "hold", folder
        self._url = str(folder / "out" / "study.journal")

    @contextmanager
    def on_slurm(self) -> Iterator[subprocess.Popen[bytes]]:
        """Begin it as a user does; it is ended with the test."""
        config = {
            "name": "sleeper",
            "command": [sys.executable, "-c", PROGRAM, "{x}", str(self.hold)],
            "space": {"x": {"low": 0, "high": 1}},
            "sampler": "random",
            "budget": f"{TRIALS} trials",
            "heartbeat": 1,
            "out": str(self._folder / "out"),
        }
        (self._folder / "sweep.yaml").write_text(yaml.safe_dump(config))
        words = [sys.executable, "-c", "from hpcai.cli import main; main()", "sweep", str(self._folder / "sweep.yaml")]
        words += ["--launcher", "slurm", "--workers", "2", "--slurm", "time_limit=10m", "--quiet"]
        owner = subprocess.Popen(words, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
        try:
            yield owner
        finally:
            self.hold.unlink(missing_ok=True)
            if owner.poll() is None:
                owner.send_signal(signal.SIGINT)
            owner.wait(timeout=30)

    def trials(self, state: TrialState) -> list[FrozenTrial]:
        try:
            study: optuna.Study = join_study(self._url, None, 0.0)[0]
        except InputError:  # not there yet
            return []
        return study.get_trials(states=(state,))

    def at_work(self) -> list[FrozenTrial]:
        return [trial for trial in self.trials(TrialState.RUNNING) if WORKER in trial.user_attrs and trial.params]

    def complete(self) -> int:
        return len(self.trials(TrialState.COMPLETE))


def process_of(trial: FrozenTrial) -> int:
    return int(trial.user_attrs[WORKER].rpartition(":")[2])


def job_of(process: int) -> str:
    """Return which task of which job array a process is."""
    words = Path(f"/proc/{process}/environ").read_text().split("\0")
    setting = dict(word.split("=", 1) for word in words if "=" in word)
    return f"{setting['SLURM_ARRAY_JOB_ID']}_{setting['SLURM_ARRAY_TASK_ID']}"


def test_a_job_array_shares_the_trials(slurm, tmp_path):
    sweep = Sweep(tmp_path)
    sweep.hold.touch()
    with sweep.on_slurm() as owner:
        wait_until(lambda: len(sweep.at_work()) == 2, 60)
        jobs = {job_of(process_of(trial)) for trial in sweep.at_work()}
        assert len(jobs) == 2
        assert len({job.partition("_")[0] for job in jobs}) == 1
        sweep.hold.unlink()
        assert owner.wait(timeout=60) == 0
    done = sweep.trials(TrialState.COMPLETE)
    assert len(done) == TRIALS
    assert len({trial.user_attrs[WORKER] for trial in done}) == 2
    assert not (tmp_path / "out" / "workers").exists()


@pytest.mark.parametrize("command", [("scontrol", "requeue"), ("scancel",), ("scancel", "--signal=USR2")])
def test_a_worker_that_is_cut_off_loses_nothing(slurm, tmp_path, command):
    """The signal is the one by which a cluster warns of pre-emption; the job is then put back."""
    sweep = Sweep(tmp_path)
    with sweep.on_slurm() as owner:
        wait_until(lambda: sweep.complete() >= 2, 60)
        sweep.hold.touch()
        wait_until(lambda: len(sweep.at_work()) == 2)
        in_flight = sweep.at_work()[0]
        worker = process_of(in_flight)
        subprocess.run([*command, job_of(worker)], check=True)
        wait_until(lambda: not Path(f"/proc/{worker}").exists())
        sweep.hold.unlink()
        assert owner.wait(timeout=90) == 0
    done, lost = sweep.trials(TrialState.COMPLETE), sweep.trials(TrialState.FAIL)
    assert len(done) == TRIALS
    assert in_flight.number in [trial.number for trial in lost]
    assert in_flight.params in [trial.params for trial in done]
