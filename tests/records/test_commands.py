"""The sub-commands, as a user runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpcai.errors import BadRowsError, InputError
from hpcai.records import read_trace
from hpcai.records.commands import trace_app

Sample = Callable[[str], Path]


def run(*arguments: object) -> str:
    words = [str(argument) for argument in arguments]
    result = CliRunner(env={"COLUMNS": "200"}).invoke(trace_app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_inspect(sample: Sample) -> None:
    path = sample("swf")
    path.write_text(path.read_text() + "1 2 3\n")
    text = run("inspect", path)
    for part in ("log (swf)", "3, of which 0 never ran", "128 processors", "run time", "1 left out: fewer than 18"):
        assert part in text
    summary = json.loads(run("inspect", path, "--json", "--machine", "256"))
    assert summary["machine"]["processors"] == 256
    assert summary["bad_rows"]["fewer than 18 fields"] == {"count": 1, "first_lines": [6]}


@pytest.mark.parametrize("format", ["sacct", "kubernetes", "openb", "philly", "slurm_events"])
def test_inspect_of_every_kind(sample: Sample, format: str) -> None:
    assert "offered load" in run("inspect", sample(format))


def test_inspect_strict(sample: Sample) -> None:
    path = sample("swf")
    path.write_text(path.read_text() + "1 2 3\n")
    with pytest.raises(BadRowsError):
        run("inspect", path, "--strict")


def test_options(sample: Sample) -> None:
    run("inspect", sample("swf"), "--option", "size=requested", "--option", "requested_time_field=9")
    with pytest.raises(InputError, match="expected NAME=VALUE"):
        run("inspect", sample("swf"), "--option", "size")
    with pytest.raises(InputError, match="expected 'allocated'"):
        run("inspect", sample("swf"), "--option", "size=3")


def test_convert_and_split(sample: Sample, tmp_path: Path) -> None:
    run("generate", "lublin", "--jobs", 200, "--out", tmp_path / "l.swf", "--seed", 4, "--load", 0.7, "--machine", 64)
    assert "200 jobs" in run("convert", tmp_path / "l.swf", tmp_path / "l.parquet")
    run("split", tmp_path / "l.parquet", "--out", tmp_path / "parts", "--fractions", "0.5,0.25,0.25")
    sizes = [len(read_trace(tmp_path / f"parts/{name}.parquet").jobs) for name in ("train", "validation", "test")]
    assert sizes == [100, 50, 50]
    with pytest.raises(InputError, match="expected numbers such as"):
        run("split", tmp_path / "l.parquet", "--out", tmp_path / "parts", "--fractions", "a,b")


def test_generate_and_fit(tmp_path: Path) -> None:
    run("generate", "deep-learning", "--jobs", 500, "--out", tmp_path / "d.parquet")
    assert "run time" in run("fit", tmp_path / "d.parquet", "--out", tmp_path / "p.yaml")
    run("generate", "deep-learning", "--jobs", 50, "--out", tmp_path / "e.parquet", "--parameters", tmp_path / "p.yaml")
    distances = json.loads(run("fit", tmp_path / "d.parquet", "--json"))["distances"]
    assert distances["size"] < 0.05
