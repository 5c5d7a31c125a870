"""The private Slurm by hand: it is up until it is taken down, and nothing of it is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.slurm_cluster import missing
from tests.waiting import wait_until


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that is not there yet, of a path short enough for sockets."""
    if reason := missing():
        pytest.skip(f"no Slurm: {reason}")
    above = Path(tempfile.mkdtemp(prefix="hs-", dir="/tmp"))
    yield above / "slurm"
    by_hand("down", above / "slurm")
    shutil.rmtree(above)


def by_hand(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.live.slurm_cluster", *map(str, words)]
    return subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)


def test_jobs_do_not_outlive_a_controller_that_is_gone(folder):
    assert by_hand("up", folder, "--nodes", "1").returncode == 0
    note = folder.parent / "job"
    command = ["sbatch", "--output=/dev/null", f"--wrap=echo $$ > {note}.new; mv {note}.new {note}; sleep 600"]
    subprocess.run(command, env=os.environ | {"SLURM_CONF": f"{folder}/slurm.conf"}, check=True)
    wait_until(note.exists)
    controller = int((folder / "pids").read_text().split()[1])
    os.kill(controller, signal.SIGKILL)
    assert by_hand("down", folder).returncode == 0
    wait_until(lambda: has_ended(note.read_text().strip()))


def has_ended(pid: str) -> bool:
    """Whether a process is no more, or only waits to be looked after."""
    path = Path(f"/proc/{pid}/cmdline")
    try:
        return path.read_bytes() == b""
    except OSError:
        return True


def test_up_and_down(folder):
    started = by_hand("up", folder, "--nodes", "1", "--gpus", "2", "--jobcomp")
    assert started.stdout == f"export SLURM_CONF={folder}/slurm.conf\n", started.stderr
    assert "is there already, expected a new folder" in by_hand("up", folder).stderr

    def said(*command: str) -> str:
        env = os.environ | {"SLURM_CONF": f"{folder}/slurm.conf"}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    assert said("sinfo", "--noheader", "--format=%D %G") == "1 gpu:2\n"
    said("sbatch", "--gpus=1", "--output=/dev/null", "--wrap=true")
    wait_until(lambda: (folder / "jobcomp.log").exists() and "COMPLETED" in (folder / "jobcomp.log").read_text())
    pids = (folder / "pids").read_text().split()
    assert len(pids) == 3
    assert by_hand("down", folder).returncode == 0
    assert not folder.exists()
    assert all(has_ended(pid) for pid in pids)
    assert "no cluster was started here" in by_hand("down", folder).stderr
