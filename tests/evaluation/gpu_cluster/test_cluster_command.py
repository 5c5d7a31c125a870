"""``hpcai cluster``: what it refuses, what it writes, that it goes on, and that its report opens."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest
import typer
import yaml
from typer.testing import CliRunner

from hpcai.errors import InputError
from hpcai.evaluation.gpu_cluster.commands import cluster_command
from hpcai.evaluation.gpu_cluster.config import load_cluster_config, make_cluster_config
from hpcai.evaluation.gpu_cluster.evaluate import evaluate_cluster
from hpcai.evaluation.gpu_cluster.inputs import prepare
from hpcai.records import generate, write_parquet
from tests.browser import browse

SITE = {"kind": "reference-site", "jobs": 800}
SMALL = {"generator": SITE, "seeds": 3, "baseline": "fifo", "disciplines": ["fifo", "kubernetes"], "resamples": 2000}


def write(path, **fields):
    path.write_text(yaml.safe_dump(fields), "utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baseline": "sjf"}, "baseline: 'sjf' is not among"),
        ({"trace": "x.csv"}, "either 'trace' or 'generator'"),
        ({"generator": SITE | {"kind": "days"}}, "unknown 'days'"),
        ({"generator": SITE | {"jobs": 0}}, "generator.jobs: "),
        ({"disciplines": ["fifo", "best"]}, "discipline 'best': base 'best': expected one of fifo, sjf"),
        ({"disciplines": {"fifo": {"base": "fifo", "gracee": 3}}}, "unknown key 'gracee'; did you mean 'grace'"),
        ({"disciplines": {"fifo": {"order": "fifi"}}}, "order 'fifi': expected expr:FORMULA or one of fifo, "),
        ({"disciplines": {"fifo": {"order": "wfp3"}}}, "goes by the time or what was used"),
        ({"disciplines": {"fifo": {"order": "sjf-predicted"}}}, "goes by predictions"),
        ({"disciplines": {"fifo": {"order": "multifactor", "parameters": {"old": 1}}}}, "unknown parameter 'old'"),
        ({"disciplines": {"fifo": {"placement": "worst"}}}, "placement 'worst': expected one of"),
        ({"common": {"grace": -1}}, "discipline 'fifo': grace: "),
        ({"objective": "gpu_hours"}, "objective: found 'gpu_hours'"),
        ({"windows": "3"}, "windows: expected 'all' or NxM"),
        ({"sedes": 3}, "unknown key 'sedes'; did you mean 'seeds'"),
    ],
)
def test_a_wrong_configuration_is_told_in_a_line(tmp_path, change, message):
    with pytest.raises(InputError, match=message) as error:
        load_cluster_config(write(tmp_path / "c.yaml", **(SMALL | change)))
    assert "\n" not in str(error.value)


def test_presets_common_settings_and_own_ones_are_laid_over_each_other():
    config = make_cluster_config(
        SMALL
        | {
            "common": {"restart": 90, "grace": 5},
            "disciplines": {"fifo": None, "quick": {"base": "gandiva", "grace": 7}, "k": "kubernetes"},
        }
    )
    settings = config.settings
    assert (settings["fifo"].restart, settings["fifo"].queueing) == (90, "strict")
    assert (settings["quick"].order, settings["quick"].grace) == ("round-robin", 7)
    assert settings["k"].placement == "spread"


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("cluster") / "run"
    config = make_cluster_config(SMALL | {"out": str(out)})
    return config, evaluate_cluster(config), out


def test_results_are_paired_ratios_with_intervals(compared):
    _, results, out = compared
    assert results == json.loads((out / "results.json").read_text("utf-8"))
    fifo, kubernetes = (results["disciplines"][name]["metrics"]["mean_jct"] for name in ("fifo", "kubernetes"))
    assert fifo["ratio"] == fifo["low"] == fifo["high"] == 1
    assert kubernetes["ratio"] == pytest.approx(kubernetes["mean"] / fifo["mean"], rel=1e-4)
    assert kubernetes["low"] <= kubernetes["ratio"] <= kubernetes["high"]
    assert len(kubernetes["by_case"]) == 3
    jobs = pd.read_parquet(out / "jobs" / sorted(p.name for p in (out / "jobs").iterdir())[0])
    assert {"job_id", "submit", "start", "end", "attained", "lost", "stops"} <= set(jobs)


def test_the_same_again_with_threads_gives_the_same_bytes(compared, tmp_path):
    config, _, out = compared
    again = config.model_copy(update={"out": str(tmp_path / "again")})
    evaluate_cluster(again, workers=2)
    for name in ("results.json", "report.html"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()


def test_an_interrupted_comparison_goes_on(compared, tmp_path):
    config, results, _ = compared
    again = config.model_copy(update={"out": str(tmp_path / "again")})
    evaluate_cluster(again)
    files = sorted((tmp_path / "again" / "jobs").iterdir())
    kept = files[1].stat().st_mtime_ns
    files[0].unlink()
    assert evaluate_cluster(again, resume=True) == results
    assert files[1].stat().st_mtime_ns == kept
    with pytest.raises(InputError, match="cannot resume"):
        evaluate_cluster(again.model_copy(update={"seeds": 2}), resume=True)


def test_the_report_opens_in_a_browser(compared, tmp_path):
    _, _, out = compared
    document, console = browse((out / "report.html").read_text("utf-8"), tmp_path)
    assert not console
    assert 'data-drawn="3"' in document
    for text in ("Grand challenges", "By tenant", "By class", "kubernetes", "hpcai cluster cluster.yaml"):
        assert text in document


def test_windows_of_a_log_and_the_command(tmp_path):
    path = write(
        tmp_path / "c.yaml",
        trace="mn-1-day.parquet",
        machine="mn-1",
        windows="4x100",
        baseline="fifo",
        disciplines=["fifo", "sjf"],
    )
    app = typer.Typer()
    app.command()(cluster_command)
    result = CliRunner().invoke(app, [path, "--out", str(tmp_path / "run"), "--part", "all"])
    assert result.exit_code == 0, result.output
    assert "| sjf |" in result.output
    written = json.loads((tmp_path / "run" / "results.json").read_text("utf-8"))
    assert [case["jobs"] for case in written["cases"]] == [100] * 4


def test_a_machine_without_gpus_is_refused(tmp_path):
    config = make_cluster_config(
        {"trace": "lublin-256.swf.gz", "baseline": "fifo", "disciplines": ["fifo"], "out": str(tmp_path / "run")}
    )
    with pytest.raises(InputError, match="expected nodes with GPUs"):
        evaluate_cluster(config)
    missing = config.model_copy(update={"trace": str(tmp_path / "none.csv")})
    with pytest.raises(InputError, match="none"):
        evaluate_cluster(missing)


def test_jobs_without_a_requested_time_are_noted_where_places_are_kept(tmp_path):
    trace = generate("reference-site", 80, seed=0)
    jobs = trace.jobs.assign(requested_time=trace.jobs["requested_time"].where(trace.jobs.index >= 30))
    write_parquet(replace(trace, jobs=jobs), tmp_path / "log.parquet")

    def notes(**discipline: object) -> list[str]:
        fields = {"trace": str(tmp_path / "log.parquet"), "baseline": "a", "disciplines": {"a": discipline}}
        return prepare(make_cluster_config(fields | {"machine": "mn-1"})).notes

    assert any("30 of 80 jobs have no requested time" in note for note in notes(base="fifo", backfill="easy"))
    assert not any("requested time" in note for note in notes(base="fifo"))
