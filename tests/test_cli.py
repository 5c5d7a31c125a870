"""The command line as a shell sees it: help, quick starts, one line and exit code 2 for what cannot be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hpcai import __version__

SWF = "; MaxProcs: 8\n" + "".join(
    f"{i} {10 * i} 0 {20 + i} {1 + i % 8} -1 -1 {1 + i % 8} 60 -1 1 1 1 -1 1 1 -1 -1\n" for i in range(1, 41)
)


def hpcai(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hpcai.cli", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a log, and files that are wrong."""
    (tmp_path / "log.swf").write_text(SWF)
    (tmp_path / "picture.swf").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "bad.yaml").write_text("name: m\nprocessors: 4\nspeed: 3\n")
    return tmp_path


def test_help_names_the_commands(tmp_path):
    result = hpcai("--help", cwd=tmp_path)
    assert result.returncode == 0
    assert result.stderr == ""
    for word in ("trace", "evaluate", "--version"):
        assert word in result.stdout


def test_version(tmp_path):
    result = hpcai("--version", cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"hpcai {__version__}\n", "")


def test_nothing_heavy_is_imported_for_the_help(tmp_path):
    code = (
        "import sys\n"
        "import hpcai.cli\n"
        "from typer.testing import CliRunner\n"
        "for command in (['--help'], ['--version'], ['trace', '--help'], ['evaluate', '--help']):\n"
        "    assert CliRunner().invoke(hpcai.cli.app, command).exit_code == 0, command\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    loaded = set(result.stdout.split())
    assert "typer" in loaded
    heavy = {"numpy", "pandas", "numba", "llvmlite", "scipy", "pyarrow", "torch", "plotly", "simpy"}
    # Not pydantic: some releases of Typer load it themselves.
    heavy |= {"jinja2", "gymnasium", "stable_baselines3", "optuna", "yaml"}
    assert loaded & heavy == set()


def test_a_replay(folder):
    result = hpcai(
        "evaluate", "--trace", "log.swf", "--policies", "fcfs,sjf", "--windows", "all", "--out", "out", cwd=folder
    )
    assert result.returncode == 0, result.stderr
    assert "out/report.html" in result.stdout
    assert (folder / "out" / "report.html").stat().st_size > 0


LOG = ("--trace", "log.swf", "--out", "out")
BAD = {
    "missing file": (("trace", "inspect", "none.swf"), "none.swf"),
    "a folder": (("trace", "inspect", "."), "."),
    "wrong format": (("trace", "inspect", "picture.swf"), "picture.swf"),
    "unknown format": (("trace", "inspect", "log.swf", "--format", "xyz"), "xyz"),
    "format it is not": (("trace", "inspect", "log.swf", "--format", "kubernetes"), "log.swf"),
    "unknown model": (("trace", "generate", "nothing", "--jobs", "5", "--out", "x.swf"), "nothing"),
    "no jobs": (("trace", "generate", "lublin", "--jobs", "0", "--out", "x.swf"), "jobs"),
    "unknown suffix": (("trace", "convert", "log.swf", "log.xls"), "log.xls"),
    "missing trace": (("evaluate", "--trace", "none.swf", "--out", "out"), "none.swf"),
    "no trace": (("evaluate", "--out", "out"), "trace"),
    "trace of another format": (("evaluate", "--trace", "picture.swf", "--out", "out"), "picture.swf"),
    "unknown policy": (("evaluate", *LOG, "--policies", "fcfs,fifo"), "fifo"),
    "bad formula": (("evaluate", *LOG, "--policies", "expr:size.real"), "size.real"),
    "formula of unknown names": (("evaluate", *LOG, "--policies", "expr:length*2"), "length"),
    "unknown backfilling": (("evaluate", *LOG, "--backfill", "some"), "some"),
    "bad windows": (("evaluate", *LOG, "--windows", "50"), "50"),
    "no windows": (("evaluate", *LOG, "--windows", "0x10"), "0x10"),
    "windows too long": (("evaluate", *LOG, "--windows", "3x5000"), "5000"),
    "unknown machine": (("evaluate", *LOG, "--machine", "mn-9"), "mn-9"),
    "wrong machine": (("evaluate", *LOG, "--machine", "bad.yaml"), "speed"),
    "machine too small": (
        ("evaluate", "--trace", "wide.swf", "--machine", "2", "--windows", "all", "--out", "out"),
        "wide",
    ),
    "missing configuration": (("evaluate", "none.yaml"), "none.yaml"),
    "wrong configuration": (("evaluate", "bad.yaml"), "bad.yaml"),
    "multiplier below 0": (("evaluate", *LOG, "--estimate-multiplier", "-1"), "estimate_multiplier"),
    "unknown objective": (("evaluate", *LOG, "--objective", "joy"), "joy"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_line_and_exit_code_2(folder, what):
    (folder / "wide.swf").write_text("1 0 0 10 8 -1 -1 8 60 -1 1 1 1 -1 1 1 -1 -1\n")
    arguments, word = BAD[what]
    result = hpcai(*arguments, cwd=folder)
    assert result.returncode == 2, result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("hpcai: ")
    assert word in lines[0]
    assert "Traceback" not in result.stdout
    assert not (folder / "out" / "report.html").exists()


@pytest.mark.parametrize("arguments", [("nonsense",), ("evaluate", "--nonsense"), ("trace", "inspect")])
def test_wrong_usage_is_exit_code_2_without_a_traceback(tmp_path, arguments):
    result = hpcai(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert "Usage:" in result.stderr
    assert "Traceback" not in result.stderr
