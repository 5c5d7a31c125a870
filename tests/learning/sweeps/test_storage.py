"""Storages: workers that are killed, servers that go away, machines that join."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import optuna
import pytest
import yaml

import hpcai
from hpcai.errors import InputError
from hpcai.learning.sweeps.config import make_config
from hpcai.learning.sweeps.heartbeat import WORKER, Watch
from hpcai.learning.sweeps.storage import StorageGoneError, open_storage, shown
from hpcai.learning.sweeps.study import join_study, open_study, standing_of
from hpcai.learning.sweeps.sweep import run
from tests.waiting import wait_until

RUNNING, COMPLETE = optuna.trial.TrialState.RUNNING, optuna.trial.TrialState.COMPLETE
SLEEPER = "import json, sys, time; time.sleep(float(sys.argv[2])); print(json.dumps({'value': float(sys.argv[1])}))"


def sleeper(out: Path, seconds: float, **fields):
    """A sweep of a program that sleeps and prints its parameter."""
    return {
        "name": "sleeper",
        "command": [sys.executable, "-c", SLEEPER, "{x}", str(seconds)],
        "space": {"x": {"low": 0, "high": 1}},
        "budget": "8 trials",
        "heartbeat": 1,
        "out": str(out),
        **fields,
    }


def hpcai_process(*words: str) -> subprocess.Popen[bytes]:
    code = "from hpcai.cli import main; main()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def written(tmp_path: Path, fields) -> str:
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(fields))
    return str(path)


def complete(storage: str) -> int:
    try:
        study, _ = join_study(storage, None, 0.0)
    except InputError:  # not there yet
        return 0
    return len(study.get_trials(False, (COMPLETE,)))


def urls(tmp_path: Path) -> dict[str, str]:
    return {"journal": str(tmp_path / "out" / "study.journal"), "sqlite": f"sqlite:///{tmp_path}/study.db"}


def kill_and_go_on(tmp_path: Path, url: str) -> None:
    """Kill a sweep in the middle of a trial, and see the same command finish it with the same points."""
    fields = sleeper(tmp_path / "out", 0.4, storage=url)
    command = ("sweep", written(tmp_path, fields), "--quiet")
    process = hpcai_process(*command)
    try:
        wait_until(lambda: complete(url) >= 2)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    study, _ = join_study(url, None, 0.0)
    in_flight = study.get_trials(states=(RUNNING,))
    before = {trial.number: trial.value for trial in study.get_trials(states=(COMPLETE,))}
    assert len(in_flight) <= 1
    again = hpcai_process(*command)
    assert again.wait(timeout=120) == 0
    study, config = join_study(url, None, 0.0)
    trials = study.get_trials()
    assert standing_of(trials).over(config)
    done = [trial for trial in trials if trial.state == COMPLETE]
    assert len(done) == 8
    assert before.items() <= {trial.number: trial.value for trial in done}.items()
    for lost in in_flight:
        if lost.params:
            assert lost.params in [trial.params for trial in done]


@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_a_killed_sweep_goes_on(tmp_path, kind):
    kill_and_go_on(tmp_path, urls(tmp_path)[kind])


def test_a_killed_sweep_goes_on_in_postgresql(tmp_path, postgres):
    kill_and_go_on(tmp_path, postgres.url)


# The connections that the server broke are found out by Python's garbage collector only.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_database_that_goes_away_comes_back(tmp_path, postgres, capsys):
    """The server is stopped while a trial runs, and started again after three seconds."""
    config = make_config(sleeper(tmp_path / "out", 0.4, storage=postgres.url, patience=60))
    seen = []

    def outage():
        wait_until(lambda: complete(postgres.url) >= 2)
        postgres.stop()
        time.sleep(3)
        postgres.start()
        seen.append(True)

    other = threading.Thread(target=outage)
    other.start()
    result = run(config, quiet=True)
    other.join()
    assert seen
    assert (result.trials["state"] == "complete").sum() == 8
    assert (result.trials["state"] == "fail").sum() == 0
    said = capsys.readouterr().err
    assert "the storage cannot be reached" in said
    assert "the storage is back" in said


def test_workers_may_find_a_database_empty_at_one_moment(tmp_path, postgres):
    code = f"from hpcai.learning.sweeps.storage import open_storage; open_storage({postgres.url!r}, 0.0)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    several = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(4)]
    assert [process.wait(timeout=60) for process in several] == [0] * 4


def test_a_folder_that_goes_away_comes_back(tmp_path, capsys):
    (tmp_path / "there").mkdir()
    storage = open_storage(str(tmp_path / "there" / "study.journal"), 30.0)
    study = optuna.create_study(storage=storage, study_name="s")
    (tmp_path / "there").rename(tmp_path / "gone")
    back = threading.Timer(1.5, lambda: (tmp_path / "gone").rename(tmp_path / "there"))
    back.start()
    study.set_user_attr("a", 1)
    back.join()
    assert study.user_attrs == {"a": 1}
    assert "cannot be reached" in capsys.readouterr().err


def test_patience_ends(tmp_path):
    (tmp_path / "there").mkdir()
    storage = open_storage(str(tmp_path / "there" / "study.journal"), 0.5)
    study = optuna.create_study(storage=storage, study_name="s")
    (tmp_path / "there").rename(tmp_path / "gone")
    with pytest.raises(StorageGoneError, match=r"study.journal: cannot be reached: .*; finished trials are in it"):
        study.set_user_attr("a", 1)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nosuch://host/base", "expected sqlite:///FILE, postgresql://... or a path"),
        ("postgresql://me:secret@127.0.0.1:1/base", "storage postgresql://me@127.0.0.1:1/base: cannot be opened"),
        ("sqlite:////nowhere/at/all.db", "cannot be opened"),
        (".", "expected a journal file, found a folder"),
        (__file__, "expected a journal of Optuna, found another file"),
    ],
)
def test_a_storage_that_cannot_be_opened(url, said):
    with pytest.raises(InputError) as error:
        open_storage(url, 0.0)
    assert said in str(error.value)
    assert "secret" not in str(error.value)


def test_a_password_is_not_shown():
    assert shown("postgresql://me:secret@host/base") == "postgresql://me@host/base"
    assert shown("sqlite:///a.db") == "sqlite:///a.db"
    assert shown("runs/a@b.journal") == "runs/a@b.journal"


def test_other_machines_join(tmp_path):
    """Two processes join by the storage alone and share the trials."""
    fields = sleeper(tmp_path / "out", 0.5, budget="30 trials")  # longer than another takes to begin on a busy machine
    url = urls(tmp_path)["journal"]
    owner = hpcai_process("sweep", written(tmp_path, fields), "--quiet")
    wait_until(lambda: complete(url) >= 1)
    joined = hpcai_process("sweep", "join", url, "--quiet")
    assert joined.wait(timeout=120) == 0
    assert owner.wait(timeout=120) == 0
    study, _ = join_study(url, None, 0.0)
    done = study.get_trials(states=(COMPLETE,))
    assert len(done) == 30
    assert len({trial.user_attrs[WORKER] for trial in done}) == 2


def test_joining_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match="expected one sweep, or --name, found none"):
        join_study(str(tmp_path / "a.journal"), None, 0.0)
    optuna.create_study(storage=open_storage(str(tmp_path / "a.journal"), 0.0), study_name="other")
    with pytest.raises(InputError, match="'other' is not of hpcai"):
        join_study(str(tmp_path / "a.journal"), None, 0.0)
    with pytest.raises(InputError, match="expected mine, found other"):
        join_study(str(tmp_path / "a.journal"), "mine", 0.0)


def test_a_trial_lost_before_it_had_a_worker_is_tried_again(tmp_path):
    """A kill may strike between the storage's new trial and its worker's name; the last trial is not given up."""
    fields = sleeper(tmp_path / "out", 0.0)
    run(make_config(fields | {"budget": "1 trials"}))
    join_study(urls(tmp_path)["journal"], None, 0.0)[0].ask()
    run(make_config(fields | {"budget": "2 trials"}))
    trials = join_study(urls(tmp_path)["journal"], None, 0.0)[0].get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "COMPLETE"]


def test_a_worker_that_is_silent_for_six_beats_is_taken_for_dead(tmp_path):
    """A worker of another machine cannot be looked up; only its beats tell."""
    config = make_config({"name": "s", "function": "f", "space": {"x": {"low": 0, "high": 1}}, "out": tmp_path})

    class Objective:
        def __init__(self):
            self.inputs = {}

        def __call__(self, point, number, told):
            raise NotImplementedError

    study = open_study(config, Objective())
    dead, alive = study.ask(), study.ask()
    dead.suggest_float("x", 0, 1)
    for trial in (dead, alive):
        trial.set_user_attr(WORKER, "elsewhere:1")
    watch = Watch(study, 0.05, retries=1)
    until = time.monotonic() + 0.6
    beats, failed = 0, 0
    while time.monotonic() < until:
        beats += 1
        alive.set_user_attr("alive", beats)
        failed += watch.retry_dead()
        time.sleep(0.02)
    assert failed == 1
    states = [trial.state.name for trial in study.get_trials()]
    assert states == ["FAIL", "RUNNING", "WAITING"]
    assert study.get_trials()[2].params == dead.params
    assert study.ask().number == 2


def test_a_worker_killed_while_it_puts_a_point_back_leaves_it_in_the_queue_once(tmp_path, monkeypatch):
    """The kill strikes after the point is queued again and before the trial has failed."""
    study = optuna.create_study()
    trial = study.ask()
    trial.suggest_float("x", 0, 1)

    def killed(*_, **__):
        raise KeyboardInterrupt

    watch = Watch(study, 1.0, retries=1)
    with monkeypatch.context() as patch:
        patch.setattr(study, "tell", killed)
        with pytest.raises(KeyboardInterrupt):
            watch.put_back(trial.number)
    assert Watch(study, 1.0, retries=1).put_back(trial.number)
    assert [t.state.name for t in study.get_trials()] == ["FAIL", "WAITING"]
    assert study.get_trials()[1].params == trial.params


def test_two_workers_share_a_sweep_and_a_killed_one_is_replaced(tmp_path):
    fields = sleeper(tmp_path / "out", 0.5, budget="10 trials")
    url = urls(tmp_path)["journal"]
    owner = hpcai_process("sweep", written(tmp_path, fields), "--workers", "2", "--quiet")

    def two_at_work():
        return len({t.user_attrs.get(WORKER) for t in join_study(url, None, 0.0)[0].get_trials()} - {None}) == 2

    wait_until(lambda: complete(url) >= 1 and two_at_work())
    running = [t for t in join_study(url, None, 0.0)[0].get_trials(states=(RUNNING,)) if WORKER in t.user_attrs]
    os.kill(int(running[0].user_attrs[WORKER].rpartition(":")[2]), signal.SIGKILL)
    assert owner.wait(timeout=120) == 0
    done = join_study(url, None, 0.0)[0].get_trials(states=(COMPLETE,))
    assert len(done) == 10
    assert running[0].params in [trial.params for trial in done]
    assert not (tmp_path / "out" / "workers").exists()


def test_a_function_goes_to_workers_too(tmp_path):
    scale = 3.0
    result = hpcai.sweep(
        lambda p: scale * p["x"] ** 2,
        {"x": {"low": 1, "high": 2}},
        workers=2,
        budget="6 trials",
        out=tmp_path,
        quiet=True,
    )
    done = result.trials[result.trials["state"] == "complete"]
    assert len(done) == 6
    assert all(v == 3.0 * x**2 for v, x in zip(done["value"], done["x"], strict=True))
