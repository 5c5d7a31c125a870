"""Jobs that come faster, or slower, than they were recorded."""

from __future__ import annotations

import pandas as pd
import pytest

from hpcai.errors import InputError
from hpcai.evaluation.config import make_config
from hpcai.evaluation.evaluate import evaluate
from hpcai.evaluation.inputs import prepare

#       number submit wait run processors ... preceding job, think time
SWF = """; MaxProcs: 4
1 100 0 60 4 -1 -1 4 60 -1 1 1 1 -1 1 1 -1 -1
2 140 20 30 2 -1 -1 2 60 -1 1 1 1 -1 1 1 -1 -1
3 200 0 40 4 -1 -1 4 60 -1 1 1 1 -1 1 1 2 10
"""


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.swf"
    path.write_text(SWF)
    return path


def prepared(log, load):
    return prepare(str(log), make_config({"trace": log, "windows": "all", "load": load}), set())


def test_times_between_submissions_are_divided_and_everything_of_a_job_moves_with_it(log):
    jobs = prepared(log, 2).jobs
    # From the first at 100: 0, 40 and 100 s become 0, 20 and 50 s.
    assert jobs["submit"].tolist() == [100, 120, 150]
    assert jobs["start"].tolist() == [100, 140, 150]  # after the waits of 0, 20 and 0 s
    assert jobs["end"].tolist() == [160, 170, 190]  # and the run times of 60, 30 and 40 s
    assert jobs["run_time"].tolist() == [60, 30, 40]
    assert jobs["think_time"].tolist()[2] == 5
    slower = prepared(log, 0.5).jobs
    assert slower["submit"].tolist() == [100, 180, 300]


def test_more_load_is_more_waiting_and_nothing_is_compared_with_the_record(log, tmp_path):
    waits = {}
    for load in (1, 2):
        done = evaluate(
            trace=log, policies="fcfs", backfill="none", windows="all", load=load, out=tmp_path / str(load), quiet=True
        )
        schedule = pd.read_parquet(done.folder / "schedules" / "log" / "fcfs.none.000.parquet")
        waits[load] = (schedule["start"] - schedule["submit"]).tolist()
        if load == 1:
            assert "load" not in done.summary["config"]
    # As recorded: 100-160, 160-190 (waits 20), 200-240. Twice as fast: 100-160, 160-190 (40), 190-230 (40).
    assert waits == {1: [0, 20, 0], 2: [0, 40, 40]}
    assert done.summary["config"]["load"] == 2
    assert set(done.metrics["policy"]) == {"fcfs"}
    assert any("jobs come 2 times as fast as recorded" in note for note in done.summary["traces"]["log"]["notes"])
    assert "jobs submitted 2 times as fast as recorded" in done.report.read_text()


def test_as_recorded_nothing_is_touched(log):
    as_recorded = prepared(log, 1)
    assert as_recorded.jobs["submit"].tolist() == [100, 140, 200]
    assert [entry.name for entry in as_recorded.entries][-1] == "recorded"


def test_a_load_of_nothing_is_refused(log):
    with pytest.raises(InputError, match="load: input should be greater than 0"):
        prepared(log, 0)


def test_only_jobs_with_gpus_take_part(tmp_path):
    settings = make_config({"trace": "mn-1b-mix.parquet", "windows": "all", "jobs": "gpu"})
    ready = prepare("mn-1b-mix.parquet", settings, set())
    everything = prepare("mn-1b-mix.parquet", make_config({"trace": "mn-1b-mix.parquet", "windows": "all"}), set())
    assert (ready.jobs["gpus"] > 0).all()
    assert len(ready.jobs) == (everything.jobs["gpus"] > 0).sum()


def test_a_log_without_gpus_is_refused(swf):
    with pytest.raises(InputError, match="no job of the log has a GPU"):
        prepare(str(swf), make_config({"trace": str(swf), "windows": "all", "jobs": "gpu"}), set())
