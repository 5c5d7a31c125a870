"""A whole evaluation on a small log: what it writes, that it repeats, that it can be cut off and resumed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.evaluation import replays as module
from hpcai.evaluation.evaluate import METRIC_COLUMNS, Evaluation, evaluate
from hpcai.evaluation.gantt import rectangles
from hpcai.evaluation.metrics import METRICS
from hpcai.evaluation.store import Cell, Folder
from tests.evaluation.tables import schedule_table

SETTINGS = {"policies": "fcfs,saf,expr:size", "windows": "4x60", "resamples": 2000, "quiet": True}


@pytest.fixture(scope="module")
def evaluation(swf: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return evaluate(trace=swf, out=tmp_path_factory.mktemp("whole") / "out", **SETTINGS)


def files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder but the one file that holds times of day."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def test_metrics_are_long_with_exactly_these_columns(evaluation):
    frame = pd.read_csv(evaluation.folder / "metrics.csv")
    assert tuple(frame.columns) == METRIC_COLUMNS
    assert set(frame["policy"]) == {"fcfs", "saf", "expr:size", "recorded"}
    assert set(frame["metric"]) <= set(METRICS)
    assert frame.groupby(["policy", "window"]).ngroups == 4 * 4
    assert (frame["seed"] == 0).all()
    pd.testing.assert_frame_equal(frame, evaluation.metrics, check_dtype=False)


def test_metrics_agree_with_the_schedules_on_disk(evaluation):
    schedules = pd.read_parquet(evaluation.folder / "schedules" / "tiny")
    assert len(schedules) == 4 * 4 * 60
    wait = (schedules["start"] - schedules["submit"]).groupby([schedules["policy"].astype(str), schedules["window"]])
    written = evaluation.metrics.query("metric == 'mean_wait'").set_index(["policy", "window"])["value"]
    assert wait.mean().sort_index().to_numpy() == pytest.approx(written.sort_index().to_numpy())


def test_the_windows_lie_in_the_test_part(evaluation):
    trace = evaluation.summary["traces"]["tiny"]
    assert trace["part"] == "test"
    assert all(window["first"] >= 0.7 * 400 for window in trace["windows"])


def test_the_record_is_measured_as_recorded(evaluation, swf):
    rows = [line.split() for line in swf.read_text().splitlines() if not line.startswith(";")]
    first = evaluation.summary["traces"]["tiny"]["windows"][0]["first"]
    waits = [float(row[2]) for row in rows[first : first + 60]]
    chosen = evaluation.metrics.query("policy == 'recorded' and window == 0 and metric == 'mean_wait'")
    assert chosen["value"].item() == pytest.approx(np.mean(waits))


def test_summary_says_what_was_done_to_what(evaluation, swf):
    summary = json.loads((evaluation.folder / "summary.json").read_text())
    assert summary == json.loads(json.dumps(evaluation.summary))
    trace = summary["traces"]["tiny"]
    assert list(trace["sha256"]) == ["tiny.swf"]
    assert summary["config"]["policies"] == ["fcfs", "saf", "expr:size"]
    assert trace["machine"]["processors"] == 32
    ranks = [row["rank"] for row in trace["ranking"] if row["rank"] is not None]
    assert ranks == [1, 2, 3]
    best = trace["ranking"][[row["rank"] for row in trace["ranking"]].index(1)]
    assert best["to_best"]["value"] == 1
    assert trace["answer"] == evaluation.answers["tiny"]


def test_the_same_seed_gives_the_same_bytes(evaluation, swf, tmp_path):
    again = evaluate(trace=swf, out=tmp_path / "again", **SETTINGS)
    assert files(again.folder) == files(evaluation.folder)


def test_another_seed_gives_other_windows(evaluation, swf, tmp_path):
    other = evaluate(trace=swf, out=tmp_path / "other", seed=1, **SETTINGS)
    assert other.summary["traces"]["tiny"]["windows"] != evaluation.summary["traces"]["tiny"]["windows"]


def test_an_interrupt_keeps_what_is_finished_and_resume_does_the_rest(evaluation, swf, tmp_path, monkeypatch):
    out, measured = tmp_path / "cut", []

    def measure_until_interrupted(*args, **kwargs):
        if len(measured) == 7:
            raise KeyboardInterrupt
        measured.append(1)
        return real(*args, **kwargs)

    real = module.measure
    monkeypatch.setattr(module, "measure", measure_until_interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(trace=swf, out=out, **SETTINGS)
    assert len(list(out.glob("schedules/*/*.parquet"))) == 7
    assert not (out / "report.html").exists()

    measured.clear()
    monkeypatch.setattr(module, "measure", lambda *a, **k: measured.append(1) or real(*a, **k))
    resumed = evaluate(trace=swf, out=out, resume=True, **SETTINGS)
    assert len(measured) == 16 - 7
    assert files(resumed.folder) == files(evaluation.folder)


def test_resume_refuses_another_configuration(evaluation, swf):
    with pytest.raises(InputError, match=r"cannot resume: config seed was 0, is now 5"):
        evaluate(trace=swf, out=evaluation.folder, resume=True, seed=5, **SETTINGS)


def test_resume_refuses_another_input(evaluation, swf, tmp_path):
    folder = tmp_path / "out"
    changed = tmp_path / "tiny.swf"
    changed.write_bytes(swf.read_bytes())
    evaluate(trace=changed, out=folder, **SETTINGS)
    changed.write_text(swf.read_text().replace("\n1 ", "\n1  ", 1))
    with pytest.raises(InputError, match="cannot resume: inputs tiny"):
        evaluate(trace=changed, out=folder, resume=True, **SETTINGS)


def test_a_folder_with_other_files_is_left_alone(swf, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="expected an empty folder or an earlier evaluation"):
        evaluate(trace=swf, out=tmp_path, **SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_earlier_evaluation_is_replaced_and_nothing_else(swf, tmp_path):
    first = evaluate(trace=swf, out=tmp_path / "out", **SETTINGS)
    (first.folder / "notes.txt").write_text("mine")
    second = evaluate(trace=swf, out=tmp_path / "out", **(SETTINGS | {"windows": "2x60"}))
    assert len(list(second.folder.glob("schedules/*/*.parquet"))) == 8
    assert (second.folder / "notes.txt").read_text() == "mine"


def test_the_whole_log_as_one_window_is_judged_by_blocks(swf, tmp_path):
    result = evaluate(trace=swf, out=tmp_path / "out", **(SETTINGS | {"windows": "all"}))
    (ranking,) = result.rankings.values()
    assert "50 contiguous blocks" in ranking.method
    of_all = result.metrics.query("metric == 'mean_bounded_slowdown'").set_index("policy")["value"]
    assert {row.entry.name: row.value for row in ranking.rows} == pytest.approx(of_all.to_dict())
    assert (result.metrics.query("metric == 'jobs'")["value"] == 400).all()
    assert "busy when" not in result.answers["tiny"]


def test_another_objective_in_one_window_has_no_interval(swf, tmp_path):
    fields = SETTINGS | {"windows": "all", "objective": "utilisation", "policies": "fcfs,saf"}
    result = evaluate(trace=swf, out=tmp_path / "out", **fields)
    (ranking,) = result.rankings.values()
    assert "no interval" in ranking.method
    assert np.isnan(ranking.best.to_baseline.low)


def test_two_logs_and_a_log_without_starts(swf, tmp_path):
    silent = tmp_path / "silent.swf"
    rows = [line.split() for line in swf.read_text().splitlines()]
    silent.write_text("\n".join(" ".join(r if r[0] == ";" else [*r[:2], "-1", *r[3:]]) for r in rows))
    result = evaluate(trace=[swf, silent], out=tmp_path / "out", **SETTINGS)
    assert list(result.rankings) == ["tiny", "silent"]
    assert result.rankings["silent"].recorded is None
    assert "recorded" not in result.answers["silent"]
    assert "the log does not say when jobs started" in " ".join(result.summary["traces"]["silent"]["notes"])


def test_a_configuration_or_fields_but_not_both():
    with pytest.raises(InputError):
        evaluate()


def test_names_that_are_no_file_names_stay_apart():
    paths = {Cell("a/b", f"expr:size{sign}wait", "easy", 3).path for sign in "*/+"}
    assert len(paths) == 3
    assert all(path.count("/") == 2 and path.endswith(".easy.003.parquet") for path in paths)


def test_a_folder_that_is_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(InputError, match="expected a folder, found a file"):
        Folder(path, {}, resume=False)


job = st.tuples(st.integers(0, 40), st.integers(1, 30), st.integers(1, 8))


@settings(deadline=None)
@given(st.lists(job, min_size=1, max_size=25))
def test_no_two_rectangles_overlap_and_all_area_is_drawn(rows):
    """Jobs put on 8 processors as soon as they fit are drawn in full, each on processors of its own."""
    free_at = np.zeros(8)
    starts, ends, sizes = [], [], []
    for submit, run, size in sorted(rows):
        chosen = np.argsort(free_at, kind="stable")[:size]
        start = max(submit, free_at[chosen].max())
        free_at[chosen] = start + run
        starts.append(start), ends.append(start + run), sizes.append(size)
    schedule = schedule_table(starts, starts, ends, sizes)
    pieces = rectangles(schedule, Machine.by_processors(8))
    assert np.bincount(pieces.row, weights=pieces.high - pieces.low).tolist() == sizes
    left, right = np.array(starts)[pieces.row], np.array(ends)[pieces.row]
    for i in range(len(pieces.row)):
        for k in range(i):
            apart_in_time = right[i] <= left[k] or right[k] <= left[i]
            assert apart_in_time or pieces.high[i] <= pieces.low[k] or pieces.high[k] <= pieces.low[i]


@pytest.mark.parametrize("windows", ["all", "3x1", "2x2"])
@pytest.mark.parametrize("objective", ["mean_bounded_slowdown", "mean_wait"])
def test_jobs_of_no_length_at_one_instant_make_a_report_too(tmp_path, windows, objective):
    path = tmp_path / "zero.swf"
    job = "5 0 0 1 -1 -1 1 10 -1 1 1 1 -1 1 1 -1 -1"
    path.write_text("; MaxProcs: 4\n" + "".join(f"{i + 1} {job}\n" for i in range(8)))
    fields = SETTINGS | {"windows": windows, "part": "all", "objective": objective}
    result = evaluate(trace=path, out=tmp_path / "out", **fields)
    assert result.report.is_file()
