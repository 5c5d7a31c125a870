"""A program as an objective: a real one in C, and programs that misbehave."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import hpcai
from hpcai.errors import HpcaiError

REPOSITORY = Path(__file__).parents[3]
X = {"x": {"low": 0, "high": 1}}


def swept(tmp_path, code, **fields):
    command = [sys.executable, "-c", code, "{x}"]
    return hpcai.sweep(command, X, **({"out": tmp_path / "out", "budget": "6 trials", "quiet": True} | fields))


def test_tiles_of_a_matrix_product_in_c(tmp_path, monkeypatch):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    source = REPOSITORY / "experiments" / "programs" / "matmul.c"
    subprocess.run([compiler, "-O2", "-o", tmp_path / "matmul", source], check=True)
    monkeypatch.chdir(tmp_path)
    space = {"tile": {"choices": [1, 2, 64]}, "order": {"choices": ["ikj", "ijk"]}}
    result = hpcai.sweep(
        ["./matmul", "192", "{tile}", "{tile}", "{tile}", "{order}"],
        space,
        objectives=["seconds", {"name": "gflops", "direction": "maximize"}],
        sampler="grid",
        out="out",
        quiet=True,
    )
    assert len(result.trials) == 6
    best = result.study.best_trials[0]
    assert best.params["tile"] == 64
    assert result.study.user_attrs["identity"]["inputs"]["command"].keys() == {"matmul"}


def test_a_line_with_a_step_is_a_value_on_the_way(tmp_path):
    code = (
        "import json, sys, time\n"
        "x = float(sys.argv[1])\n"
        "print('hello')\n"
        "for step in range(5):\n"
        "    print(json.dumps({'step': step, 'value': x + 1}), flush=True)\n"
        "    time.sleep(0.02)\n"
        "print(json.dumps({'value': x}))\n"
    )
    result = swept(tmp_path, code, pruner={"kind": "median", "trials": 2, "steps": 0}, budget="12 trials")
    assert (result.trials["state"] == "pruned").any()
    complete = result.trials[result.trials["state"] == "complete"]
    assert (complete["value"] == complete["x"]).all()


def test_nested_keys_and_the_seed(tmp_path):
    code = "import json, sys; print(json.dumps({'time': {'total': int(sys.argv[2])}}))"
    command = [sys.executable, "-c", code, "{x}", "{seed}"]
    result = hpcai.sweep(
        command, X, objectives="time.total", repeats=2, seed=4, budget="1 trials", out=tmp_path, quiet=True
    )
    assert result.value == 4.5


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; print('no memory', file=sys.stderr); sys.exit(3)", "ended with code 3: no memory"),
        ("print('done')", "expected a number 'value', found no line of JSON"),
        ("print('{\"speed\": 1}')", "expected a number 'value', found speed"),
        ("print('{\"value\": true}')", "expected a number 'value'"),
        ("print('{\"value\": NaN}')", "value is nan"),
    ],
)
def test_a_program_that_fails_says_why(tmp_path, code, said):
    with pytest.raises(HpcaiError, match="all of 10 trials failed") as error:
        swept(tmp_path, code, budget="20 trials")
    assert said in str(error.value)


def test_a_program_that_is_not_there(tmp_path):
    with pytest.raises(HpcaiError, match="nowhere: cannot be started: No such file"):
        hpcai.sweep(["/nowhere", "{x}"], X, out=tmp_path, quiet=True)


def test_a_program_that_hangs_is_ended(tmp_path):
    code = "import sys, time; float(sys.argv[1]) > 0.5 and time.sleep(60); print('{\"value\": 1}')"
    begun = time.monotonic()
    result = swept(tmp_path, code, timeout=0.5, sampler="random", budget="6 trials")
    assert time.monotonic() - begun < 30
    failed = result.trials[result.trials["state"] == "fail"]
    assert (failed["x"] > 0.5).all()
    assert failed["error"].str.contains("took more than 0.5 s").all()
