"""A dashboard of Optuna's opens the storage of a sweep."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.error import URLError

import pytest

import hpcai
from tests.waiting import wait_until


def program() -> str:
    """Return the dashboard's program; skips where it is not installed."""
    pytest.importorskip("optuna_dashboard", reason="hpcai[dashboard] is not installed")
    beside = Path(sys.executable).with_name("optuna-dashboard")
    return str(beside) if beside.is_file() else shutil.which("optuna-dashboard") or pytest.skip("no optuna-dashboard")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.mark.parametrize("storage", ["study.journal", "sqlite:///study.db"])
def test_a_dashboard_shows_a_sweep(tmp_path, monkeypatch, storage):
    command, port = program(), free_port()
    monkeypatch.chdir(tmp_path)
    space = {"x": {"low": 0, "high": 1}}
    hpcai.sweep(lambda p: p["x"], space, name="line", storage=storage, budget="3 trials", out="out", quiet=True)
    studies = []

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=5) as answer:
                studies.extend(json.load(answer)["study_summaries"])
        except URLError:
            return False
        return True

    with open(tmp_path / "log", "wb") as log:
        dashboard = subprocess.Popen(
            [command, storage, "--host", "127.0.0.1", "--port", str(port)], stdout=log, stderr=log
        )
    try:
        wait_until(answers)
    finally:
        dashboard.terminate()
        dashboard.wait()
    assert [study["study_name"] for study in studies] == ["line"]
