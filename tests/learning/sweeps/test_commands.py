"""``hpcai sweep`` as its users type it."""

from __future__ import annotations

import sys

import pytest
import yaml

from hpcai.cli import main

SWEEP = {
    "name": "line",
    "command": [sys.executable, "-c", "import sys; print('{\"value\": ' + sys.argv[1] + '}')", "{x}"],
    "space": {"x": {"low": 0, "high": 1}},
    "budget": "3 trials",
}


def hpcai(monkeypatch, *words) -> int:
    monkeypatch.setattr(sys, "argv", ["hpcai", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "line.yaml"
    path.write_text(yaml.safe_dump(SWEEP))
    return path


def test_run_go_on_and_report(monkeypatch, capsys, tmp_path, config):
    assert hpcai(monkeypatch, "sweep", config, "--out", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert said.startswith("trial ")
    assert f"Report: {tmp_path}/out/report.html" in said
    assert hpcai(monkeypatch, "sweep", "run", config, "--out", tmp_path / "out", "--budget", "5 trials") == 0
    assert len((tmp_path / "out" / "trials.csv").read_text().splitlines()) == 6
    (tmp_path / "out" / "report.html").unlink()
    assert hpcai(monkeypatch, "sweep", "report", tmp_path / "out" / "study.journal") == 0
    assert (tmp_path / "out" / "report.html").is_file()
    capsys.readouterr()
    assert hpcai(monkeypatch, "sweep", "join", tmp_path / "out" / "study.journal") == 0
    assert capsys.readouterr().out == "0 trials of line were made here\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sweep", "nowhere.yaml"), "nowhere.yaml: cannot be read"),
        (("sweep", "join", "nowhere/"), "expected one sweep, or --name, found none"),
        (("sweep", "{config}", "--budget", "much"), "budget: expected a time"),
        (("sweep", "{config}", "--launcher", "pigeon"), "launcher"),
        (("sweep", "{config}", "--storage", "nosuch://x"), "storage nosuch://x: expected sqlite:///FILE"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(monkeypatch, capsys, tmp_path, config, words, said):
    monkeypatch.chdir(tmp_path)
    assert hpcai(monkeypatch, *[word.format(config=config) for word in words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_an_interrupt_says_how_to_go_on(monkeypatch, capsys, tmp_path, config):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("hpcai.learning.sweeps.sweep.run", interrupted)
    assert hpcai(monkeypatch, "sweep", config, "--out", tmp_path / "out") == 130
    assert "the same command goes on" in capsys.readouterr().err
