"""The command as a process of its own: signals, a crash, and what it prints; waits for what happens, not for time."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hpcai.live.decision_log import read_log
from hpcai.simulation.cooling.case import CoolingCase
from tests.cooling_weather import write_epw
from tests.live.cooling_bundles import exported
from tests.live.cooling_site import Server, Site, served

PATIENCE = 60.0  # s, of a start on a busy machine


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Site, Server, Path]]:
    hall = CoolingCase(weather=str(write_epw(tmp_path / "sine.epw"))).open()
    with served(tmp_path, hall) as (site, server, points):
        yield site, server, points


@contextmanager
def running(server: Server, points: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    folder = points.parent
    bundle = exported(folder / "fixed", kind="fixed", points={"supply": 24.0, "airflow": 0.6}).where
    words = [
        "live", "cooling", "--bundle", bundle, "--points", str(points), "--host", "127.0.0.1", "--port",
        str(server.port), "--state", str(folder / "state"), "--poll", "0.05s", "--interval", "0.2s", "--calm", "2",
        *more,
    ]  # fmt: skip
    command = [sys.executable, "-c", "from hpcai.cli import main; main()", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_hands_back(site: tuple[Site, Server, Path], number: signal.Signals) -> None:
    plant, server, points = site
    with running(server, points, "--act") as process:
        wait_for(lambda: not plant.released and plant.get("east_airflow") == pytest.approx(0.6))
        process.send_signal(number)
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert plant.released
    assert plant.own_setpoints()
    assert "acting  chilled_water 7, east_airflow 0.6, east_supply 24" in output


def test_a_crash_is_made_good_by_the_plant_and_the_next_start(site: tuple[Site, Server, Path]) -> None:
    plant, server, points = site
    mark = points.parent / "state" / "in-control"
    with running(server, points, "--act") as process:
        wait_for(lambda: not plant.released)
        process.kill()
        process.wait()
    assert mark.exists()
    for _ in range(4):
        plant.step()  # nobody's heartbeat
    assert plant.released
    assert not plant.own_setpoints()
    with running(server, points, "--shadow", "--cycles", "2") as process:
        output, _ = process.communicate(timeout=PATIENCE)
    assert "an earlier run did not hand the plant back; --release does" in output
    assert not plant.own_setpoints()  # shadow writes nothing
    with running(server, points, "--act", "--cycles", "1") as process:
        process.communicate(timeout=PATIENCE)
    assert plant.own_setpoints()
    assert not mark.exists()


def test_it_comes_through_a_cut_by_itself(site: tuple[Site, Server, Path]) -> None:
    plant, server, points = site
    log = points.parent / "state" / "decisions.jsonl"
    with running(server, points, "--act") as process:
        wait_for(lambda: not plant.released)
        server.cut()
        wait_for(lambda: any(record.get("state") == "fallback" for record in read_log(log)))
        plant.writes.clear()
        server.mend()
        wait_for(lambda: ("release", 1.0) in plant.writes)
        assert plant.writes[0] == ("release", 0.0)  # handed back first
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
    assert plant.released
    assert plant.own_setpoints()
