"""Replays shared out among workers give what one gives, and are gone on with like any others."""

from __future__ import annotations

import itertools
import os

import pytest

from hpcai.errors import WorkerError
from hpcai.evaluation import fan_out as module
from hpcai.evaluation.evaluate import Evaluation, evaluate
from hpcai.evaluation.fan_out import shares
from hpcai.evaluation.store import Cell
from hpcai.launching import Launch
from tests.evaluation.test_commands import run

SETTINGS = {"policies": "fcfs,saf", "windows": "4x60", "resamples": 2000, "quiet": True}


@pytest.fixture(scope="module")
def alone(swf, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return evaluate(trace=swf, out=tmp_path_factory.mktemp("alone") / "out", **SETTINGS)


def bytes_of(evaluation: Evaluation) -> dict[str, bytes]:
    files = [path for path in sorted(evaluation.folder.rglob("*")) if path.is_file() and path.name != "run.json"]
    return {str(path.relative_to(evaluation.folder)): path.read_bytes() for path in files}


def test_two_workers_give_the_same_bytes_as_one(alone, swf, tmp_path, monkeypatch):
    shared = evaluate(trace=swf, out=tmp_path / "out", launch=Launch(workers=2), **SETTINGS)
    assert {"metrics.csv", "summary.json", "report.html"} <= set(bytes_of(shared))
    assert bytes_of(shared) == bytes_of(alone)
    monkeypatch.setattr("hpcai.launching.start", lambda *a: pytest.fail("a worker for nothing"))
    again = evaluate(trace=swf, out=tmp_path / "out", launch=Launch(workers=2), resume=True, **SETTINGS)
    assert bytes_of(again) == bytes_of(alone)


def test_an_interrupt_keeps_what_is_finished_and_resume_does_the_rest(alone, swf, tmp_path, monkeypatch):
    out, real = tmp_path / "out", module.Progress.reach

    def interrupt(progress, done):
        real(progress, done)
        if done >= 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module.Progress, "reach", interrupt)
        with pytest.raises(KeyboardInterrupt):
            evaluate(trace=swf, out=out, launch=Launch(workers=2), **SETTINGS)
    assert len(list(out.glob("schedules/*/*.parquet"))) >= 2
    assert not (out / "report.html").exists()
    next(out.glob("schedules/*/*.parquet")).unlink()  # should all of them have been finished
    resumed = evaluate(trace=swf, out=out, launch=Launch(workers=2), resume=True, **SETTINGS)
    assert bytes_of(resumed) == bytes_of(alone)


def test_a_worker_that_fails_is_said_with_its_log(swf, tmp_path, monkeypatch):
    moved = tmp_path / "moved.swf"
    moved.write_bytes(swf.read_bytes())
    real = module.launch

    def without_the_log(*args, **kwargs):
        os.remove(moved)
        return real(*args, **kwargs)

    monkeypatch.setattr(module, "launch", without_the_log)
    with pytest.raises(WorkerError, match=r"InputError: .*moved.swf.*its log: .*/out/workers/"):
        evaluate(trace=moved, out=tmp_path / "out", launch=Launch(workers=2), **SETTINGS)


def test_windows_stay_whole_unless_there_are_fewer_than_workers():
    windows = [[Cell("log", policy, "easy", window) for policy in ("fcfs", "saf", "sjf")] for window in range(3)]
    assert shares(windows, 2) == [windows[0] + windows[2], windows[1]]
    few = shares(windows[:2], 4)
    assert [len(share) for share in few] == [2, 2, 1, 1]
    assert set(itertools.chain(*few)) == {*windows[0], *windows[1]}
    assert shares([], 4) == []
    assert len(shares(windows[:1], 8)) == 3


def test_the_command_line(alone, swf, tmp_path):
    out = tmp_path / "out"
    options = ("--policies", "fcfs,saf", "--windows", "4x60", "--out", out)
    result = run("--trace", swf, *options, "--workers", 2)
    assert result.exit_code == 0, result.output
    assert (out / "metrics.csv").read_bytes() == (alone.folder / "metrics.csv").read_bytes()
