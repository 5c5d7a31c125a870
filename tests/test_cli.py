"""The command line as a user meets it: quick to start, and one line with exit code 2 for bad input."""

import subprocess
import sys

import pytest

from tests.workloads import table

HEAVY = ("pandas", "numba", "numpy", "scipy", "plotly", "pyarrow", "torch", "gymnasium", "optuna", "stable_baselines3")


def hpcai(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "hpcai.cli", *arguments], capture_output=True, text=True, check=False, **options
    )


def test_help_and_version():
    done = hpcai("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "evaluate" in done.stdout
    assert hpcai("--version").stdout.startswith("hpcai 0.")


def test_help_loads_nothing_heavy():
    code = (
        "import sys, hpcai.cli\n"
        "try: hpcai.cli.app(['--help'])\n"
        "except SystemExit: pass\n"
        f"print('loaded:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"


@pytest.fixture(scope="module")
def swf(tmp_path_factory):
    from hpcai import Machine, write_trace
    from hpcai.records import Trace

    folder = tmp_path_factory.mktemp("cli")
    jobs = table(submit=[0.0, 1.0, 2.0], run_time=[5.0, 6.0, 7.0], processors=[1, 2, 3], status=["completed"] * 3)
    write_trace(Trace("three", jobs, Machine.by_processors(4)), folder / "three.swf")
    return folder / "three.swf"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("trace", "inspect", "nowhere.swf"), "nowhere.swf"),
        (("trace", "inspect", __file__), "expected a log"),
        (("evaluate",), "trace"),
        (("evaluate", "--trace", "SWF", "--policies", "fastest"), "fastest"),
        (("evaluate", "--trace", "SWF", "--policies", "expr:submit +"), "submit +"),
        (("evaluate", "--trace", "SWF", "--policies", "expr:sumbit"), "sumbit"),
        (("evaluate", "--trace", "SWF", "--windows", "many"), "many"),
        (("evaluate", "--trace", "SWF", "--windows", "5x1000", "--part", "all"), "1000"),
        (("evaluate", "--trace", "SWF", "--machine", "mn-9"), "mn-9"),
        (("evaluate", "--trace", "SWF", "--backfill", "eager"), "eager"),
        (("evaluate", "nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, expected, swf, tmp_path):
    done = hpcai(*(str(swf) if argument == "SWF" else argument for argument in arguments), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert expected in lines[0].replace(",", "")


def test_a_small_evaluation_says_where_its_report_lies(swf, tmp_path):
    done = hpcai(
        "evaluate", "--trace", str(swf), "--policies", "fcfs,sjf", "--windows", "all", "--out", "out", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "out/report.html" in done.stdout
    assert (tmp_path / "out" / "report.html").stat().st_size > 1_000_000
