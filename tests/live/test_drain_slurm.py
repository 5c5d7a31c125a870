"""Drains and advice on a real Slurm: the node with the faults is drained, jobs keep off it, and all is undone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.learning.bundling.checkpointing import export_checkpointing
from hpcai.live.slurm.drain_config import DrainConfig
from hpcai.live.slurm.drain_ledger import DrainLedger
from hpcai.live.slurm.drain_service import DrainService, undo
from tests.live.failing_site import detector_bundle, write_syslog
from tests.waiting import wait_until

NODES = ("n1", "n2", "n3", "n4")


def slurm(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


wait_for = partial(wait_until, seconds=60, said=lambda: slurm("sinfo", "-N", "-o", "%N %t %E"))


def states() -> dict[str, str]:
    """The nodes with their states, without the marks for what does not respond."""
    lines = slurm("sinfo", "--noheader", "-N", "-o", "%N %t").splitlines()
    return {name: state.rstrip("*") for name, state in map(str.split, lines)}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> str:
    return detector_bundle(tmp_path_factory.mktemp("learned"), nodes=4, days=900.0).where


@pytest.fixture
def config(gpu_slurm, bundle, tmp_path):
    """An adapter, and a system log in which n2 fails again and again."""
    log = write_syslog(tmp_path / "syslog", NODES, {"n2": (1.0, 0.6, 0.4, 0.1, 0.02), "n4": (20.0,)})
    state = tmp_path / "state"
    yield DrainConfig(bundle=bundle, mode="act", events=(str(log), "accounting"), state=str(state), interval=0.5)
    undo(DrainConfig(bundle="none", state=str(state)))
    slurm("scancel", "--user=root")
    wait_for(lambda: set(states().values()) == {"idle"})


@contextmanager
def serving(config: DrainConfig) -> Iterator[DrainService]:
    service = DrainService(config)
    try:
        yield service
    finally:
        service.run(0)


def test_a_node_with_faults_is_drained_and_all_is_undone(config, gpu_slurm, tmp_path):
    """Its slurmd is stopped as well: it does not respond, is not down yet, and takes no job any more."""
    daemon = next(each for each in gpu_slurm.daemons if each.args[-3:-2] == ["n2"])
    daemon.send_signal(signal.SIGSTOP)
    try:
        service = DrainService(config)
        service.run(2)
        assert states() == {"n1": "idle", "n2": "drain", "n3": "idle", "n4": "idle"}
        assert set(service.ledger.held) == {"n2"}
        job = slurm("sbatch", "--parsable", "--nodes=3", "--output=/dev/null", "--wrap", "sleep 60").strip()
        wait_for(lambda: slurm("squeue", "--noheader", "-o", "%T", "-j", job).strip() == "RUNNING")
        assert slurm("squeue", "--noheader", "-o", "%N", "-j", job).strip() == "n[1,3-4]"
    finally:
        daemon.send_signal(signal.SIGCONT)
    done = CliRunner().invoke(app, ["live", "slurm", "drain", "--undo", "--state", config.state])
    assert done.exit_code == 0, done.output
    assert "1 nodes given back: n2" in done.output
    assert states()["n2"] == "idle"
    assert "nothing" not in done.output
    again = CliRunner().invoke(app, ["live", "slurm", "drain", "--undo", "--state", config.state])
    assert "0 nodes given back" in again.output


def test_shadow_says_so_and_drains_nothing(config, bundle):
    words = ["--bundle", bundle, "--events", config.events[0], "--cycles", "1", "--state", config.state]
    done = CliRunner().invoke(app, ["live", "slurm", "drain", *words])
    assert done.exit_code == 0, done.output
    assert "4 nodes asked, 1 would be held" in done.output
    assert "would be drained" in done.output.splitlines()[1]
    assert set(states().values()) == {"idle"}


def test_our_own_drains_are_not_events_of_the_node(config):
    """Drained and given back again and again, a node without faults gets no riskier by it."""
    quiet = config.model_copy(update={"events": ("accounting",)})
    with serving(quiet) as before:
        risk = before.adapter.cycle().highest["n3"]
    for _ in range(3):
        slurm("scontrol", "update", "nodename=n3", "state=drain", "reason=hpcai: risk 0.9")
        slurm("scontrol", "update", "nodename=n3", "state=undrain")
    wait_for(lambda: "hpcai: risk 0.9" in slurm("sacctmgr", "-n", "-P", "show", "event", "All_Time", "nodes=n3"))
    with serving(quiet) as after:
        assert after.adapter.cycle().highest["n3"] == pytest.approx(risk, rel=0.2)


def test_a_node_that_went_down_is_an_event(config):
    slurm("scontrol", "update", "nodename=n4", "state=down", "reason=Xid 79")
    wait_for(lambda: "Xid 79" in slurm("sacctmgr", "-n", "-P", "show", "event", "All_Time", "nodes=n4"))
    time.sleep(1.1)  # accounting keeps no event that ends in the second in which it began
    slurm("scontrol", "update", "nodename=n4", "state=resume")
    with serving(config.model_copy(update={"events": ("accounting",), "mode": "shadow"})) as service:
        highest = service.adapter.cycle().highest
    assert highest["n4"] == max(highest.values()) > min(highest.values())


def test_killed_it_leaves_drains_that_another_run_knows(config, bundle, tmp_path):
    words = ["live", "slurm", "drain", "--bundle", bundle, "--events", config.events[0], "--act", "--interval", "0.5s"]
    code = "from hpcai.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *words, "--state", config.state], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "drained" in line:
                break
        process.send_signal(signal.SIGKILL)
    assert states()["n2"] == "drain"
    assert set(DrainLedger(config.ledger_path).held) == {"n2"}
    assert undo(config)[0] == ("n2",)


def test_what_an_operator_resumes_stays_resumed(config):
    with serving(config.model_copy(update={"events": config.events[:1]})) as service:
        first = service.adapter.cycle()
        assert (first.fallback, first.drained) == ("", ("n2",))
        slurm("scontrol", "update", "nodename=n2", "state=resume")
        wait_for(lambda: states()["n2"] == "idle")
        cycle = service.adapter.cycle()
        assert cycle.taken_over == ("n2",)
        assert "n2" not in cycle.drained
    assert states()["n2"] == "idle"


def test_advice_for_the_jobs_that_run(config, tmp_path):
    """The job beside the faults is told to write sooner; both as JSON, one by its id."""
    (tmp_path / "policy.yaml").write_text(
        "domain: checkpointing\nkind: recent\nmtbf: 2.0e+6\ncosts: {bytes_of_gpu: 8.0e+10, shared: 2.0e+10}\n"
        "memory: {weights: [0.1, 0, 0, 0.1, 0.4, 0.4, 0, 0, 0, 0, 0, 0, 0], bends: [0, 0, 0, 0]}\n"
    )
    export_checkpointing(tmp_path / "policy.yaml", tmp_path / "policy.hpcai")
    ids = [
        slurm(
            *("sbatch", "--parsable", "--nodes=2", "--gres=gpu:4", f"--nodelist={nodes}", "--output=/dev/null"),
            *("--wrap", "sleep 100"),
        ).strip()
        for nodes in ("n1,n2", "n3,n4")
    ]
    wait_for(lambda: slurm("squeue", "--noheader", "-o", "%T").split() == ["RUNNING"] * 2)
    words = ["live", "slurm", "checkpoint-advice", "--bundle", str(tmp_path / "policy.hpcai")]
    words += ["--events", config.events[0]]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    first, second = (next(job for job in json.loads(done.stdout)["jobs"] if job["job"] == name) for name in ids)
    assert (first["nodes"], second["nodes"]) == (["n1", "n2"], ["n3", "n4"])
    assert first["write"] == pytest.approx(8 * 80e9 / 20e9)
    assert first["interval"] < 0.6 * second["interval"]
    assert first["mtbf"] == pytest.approx(1e6)
    assert first["since_own_fault"] == pytest.approx(0.02 * 86400, abs=120)
    one = CliRunner().invoke(app, [*words, "--job", ids[1]])
    assert [job["job"] for job in json.loads(one.stdout)["jobs"]] == [ids[1]]
