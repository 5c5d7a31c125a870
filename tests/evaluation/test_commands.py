"""``hpcai evaluate`` as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hpcai.errors import InputError
from hpcai.evaluation import replays as module
from hpcai.evaluation.commands import evaluate_command

app = typer.Typer()
app.command()(evaluate_command)


def run(*arguments: str | Path):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_options_alone(swf, tmp_path):
    out = tmp_path / "out"
    result = run("--trace", swf, "--policies", "fcfs,expr:max(size,2)", "--windows", "3x50", "--out", out)
    assert result.exit_code == 0, result.output
    assert "would have given a mean bounded slowdown" in " ".join(result.output.split())
    assert f"Report: {out / 'report.html'}" in result.output
    assert "expr:max(size,2) with EASY" in result.output


def test_options_go_before_the_file(swf, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(f"trace: {swf}\npolicies: [fcfs, sjf]\nwindows: 2x50\nseed: 3\n")
    result = run(path, "--seed", "4", "--out", tmp_path / "out", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    assert '"seed": 4' in (tmp_path / "out" / "summary.json").read_text()


def test_bad_input_is_an_input_error_for_the_command_line_to_print(tmp_path):
    result = run("--trace", tmp_path / "none.swf", "--out", tmp_path / "out")
    assert isinstance(result.exception, InputError)
    assert not (tmp_path / "out").exists()
    result = run("--policies", "fcfs")
    assert str(result.exception) == "hpcai evaluate: trace: required, not given"


def test_an_interrupt_says_how_to_go_on(swf, tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "measure", interrupted)
    result = run("--trace", swf, "--windows", "2x50", "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert "--resume goes on" in result.output


@pytest.mark.parametrize("option", ["--resume", "--kill-at-limit", "--no-fair-start", "--warmup"])
def test_help_names_every_option(option):
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    assert option in result.output
