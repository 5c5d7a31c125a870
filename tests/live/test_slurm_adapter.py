"""The adapter on a real Slurm: jobs start in the policy's order, wait less for it, and nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpcai import read_trace, replayable
from hpcai.cluster.spec import Machine, NodeGroup
from hpcai.learning.bundling.export import export_policy
from hpcai.live.decision_log import read_log
from hpcai.live.ranking import load_ranker
from hpcai.live.slurm.command_line import CommandLine
from hpcai.live.slurm.config import make_adapter_config
from hpcai.live.slurm.ledger import Ledger
from hpcai.live.slurm.memory import moments
from hpcai.live.slurm.replay import replay_log
from hpcai.live.slurm.service import Service, restore
from hpcai.scheduling.policy import Policy
from hpcai.simulation import replay
from tests.waiting import wait_until

JOBS = 48
GPUS = 32


def slurm(*command: str, said: str = "") -> str:
    done = subprocess.run(command, input=said, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def squeue() -> str:
    return slurm("squeue")


wait_for = partial(wait_until, seconds=120, said=squeue)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Shortest job first: as good as any policy where everybody says how long a job takes."""
    out = tmp_path_factory.mktemp("bundle") / "sjf.hpcai"
    return export_policy("sjf", out, trace=["slurm-64gpu.sacct.txt"], states=20, windows="2x40", quiet=True).where


@pytest.fixture(autouse=True)
def _nobody_left(gpu_slurm):
    yield
    slurm("scancel", "--user=root")
    wait_for(lambda: not waiting() and not slurm("squeue", "--noheader"))


def submit(seconds: float, gpus: int, minutes: int, *more: str) -> str:
    """Submit a job that sleeps; return its id."""
    return slurm(
        *("sbatch", "--parsable", "--nodes=1", "--ntasks=1", f"--gres=gpu:{gpus}", f"--time={minutes}"),
        *("--output=/dev/null", *more, "--wrap", f"sleep {seconds}"),
    ).strip()


def workload(seed: int) -> list[tuple[float, int, int]]:
    """Seconds, GPUs and minutes asked for, which a user knows well: ten times as many seconds as it takes, no less."""
    rng = np.random.default_rng(seed)
    minutes = rng.integers(1, 7, JOBS)
    return [(0.8 * float(m), int(g), int(m)) for m, g in zip(minutes, rng.choice([1, 2, 4, 8], JOBS), strict=True)]


def waiting() -> dict[str, int]:
    lines = slurm("squeue", "--noheader", "--states=PENDING", "--array", "--format=%i %Q").split("\n")
    return {name: int(priority) for name, priority in (line.split() for line in lines if line)}


def settings(bundle, tmp_path, **fields):
    plain = {"bundle": bundle, "mode": "act", "interval": 0.5, "state": str(tmp_path / "state"), "calm": 1}
    return make_adapter_config(plain | fields)


def blocker() -> str:
    """Take every GPU until it is cancelled."""
    name = slurm(
        *("sbatch", "--parsable", "--nodes=4", "--ntasks-per-node=1", "--gres=gpu:8", "--time=60"),
        *("--output=/dev/null", "--wrap", "sleep 3000"),
    ).strip()
    wait_for(lambda: name not in waiting())
    return name


def accounted(names: list[str]) -> pd.DataFrame:
    """Submit, start and end of jobs, as Slurm's accounting has them once all have ended."""
    command = ["sacct", "-X", "-n", "-P", "-j", ",".join(names), "-o", "jobid,submit,start,end"]

    def rows() -> list[list[str]]:
        return [line.split("|") for line in slurm(*command).splitlines()]

    wait_for(lambda: len(rows()) == len(names) and all("Unknown" not in row and "None" not in row for row in rows()))
    table = pd.DataFrame(rows(), columns=["job", "submit", "start", "end"]).set_index("job").loc[names]
    return table.apply(pd.to_datetime).astype("datetime64[s]").astype("int64")


def run_through(jobs, config=None) -> pd.DataFrame:
    """Submit jobs while the machine is taken, let them go, and return when they ran."""
    block = blocker()
    names = [submit(*job) for job in jobs]
    service = Service(config) if config is not None else None
    if service is not None:
        service.adapter.cycle()
    slurm("scancel", block)
    released = time.time()
    while waiting():
        if service is not None:
            service.adapter.cycle()
        time.sleep(0.3)
    if service is not None:
        service.run(0)
    table = accounted(names)
    table["wait"] = table["start"] - int(released)
    return table.assign(run=[seconds for seconds, _, _ in jobs])


def test_the_policy_is_followed_and_pays(gpu_slurm, bundle, tmp_path):
    """Twice the same jobs: as Slurm orders them, and as the policy does. Slowdown counts from when they could start."""
    jobs = workload(0)
    plain = run_through(jobs)
    config = settings(bundle, tmp_path)
    ordered = run_through(jobs, config)
    slowdowns = [1 + table["wait"].clip(lower=0).to_numpy() / table["run"].to_numpy() for table in (plain, ordered)]
    rng = np.random.default_rng(0)
    draws = rng.integers(0, JOBS, (2000, JOBS))
    ratios = np.quantile(slowdowns[1][draws].mean(axis=1) / slowdowns[0][draws].mean(axis=1), (0.025, 0.975))
    print(f"mean slowdown {slowdowns[0].mean():.2f} FIFO, {slowdowns[1].mean():.2f} policy, ratio {ratios}")
    assert ratios[1] < 1
    asked = np.array([minutes for _, _, minutes in jobs])
    assert np.corrcoef(asked, ordered["start"])[0, 1] > 0.7 > np.corrcoef(asked, plain["start"])[0, 1]
    cycles = [record for record in read_log(config.log_path) if record["kind"] == "cycle"]
    assert all(not record["fallback"] for record in cycles)
    assert sum(len(record["written"]) for record in cycles) > 0
    assert replay_log(read_log(config.log_path), load_ranker(bundle)).differing == ()


def test_the_loop_is_closed(gpu_slurm, tmp_path):
    """What ran is read back from accounting and replayed: starts as Slurm's own, within seconds of its reaction."""
    began = time.strftime("%Y-%m-%dT%H:%M:%S")
    time.sleep(1)
    jobs = [(seconds, gpus, minutes) for seconds, gpus, minutes in workload(1)[:24]]
    run = run_through(jobs)
    path = tmp_path / "jobs.sacct.txt"
    path.write_text(slurm("sacct", "-a", "-P", "-S", began, "--format=ALL"))
    trace = read_trace(path)
    group = NodeGroup(name="n", count=4, cpus=64, memory_gib=500, gpus=8)
    recorded, left_out = replayable(trace.jobs, Machine(name="private", groups=(group,)))
    assert not left_out
    assert len(recorded) == len(jobs) + 1  # and what took every GPU
    again = replay(
        recorded.reset_index(drop=True), Machine(name="private", groups=(group,)), Policy(backfill="conservative")
    ).table
    late = recorded["start"].to_numpy() - again["start"].to_numpy()
    makespan = float(recorded["end"].max() - recorded["start"].min())
    print(f"starts are {np.mean(np.abs(late)):.2f} s from Slurm's on average, of {makespan:.0f} s")
    assert np.mean(np.abs(late)) < 0.25 * makespan
    assert (run["wait"] >= -1).all()


def test_a_job_outside_the_scope_is_untouched(gpu_slurm, bundle, tmp_path):
    blocker()
    slurm("sacctmgr", "-i", "add", "account", "other")
    slurm("sacctmgr", "-i", "add", "user", "root", "account=other")
    wait_for(lambda: "other" in slurm("sacctmgr", "-n", "-P", "show", "assoc", "format=account"))
    mine = [submit(1, 1, minutes) for minutes in (6, 1, 3)]
    outside = submit(1, 1, 2, "--account=other")
    service = Service(settings(bundle, tmp_path, scope={"exclude_accounts": ["other"]}))
    before = waiting()
    service.adapter.cycle()
    after = waiting()
    assert after[outside] == before[outside]
    assert sorted(mine, key=lambda name: -after[name]) == [mine[1], mine[2], mine[0]]
    service.run(0)
    assert waiting() == before


def test_shadow_changes_nothing(gpu_slurm, bundle, tmp_path):
    blocker()
    for minutes in (6, 1, 3):
        submit(1, 1, minutes)
    before = waiting()
    service = Service(settings(bundle, tmp_path, mode="shadow"))
    service.run(3)
    assert waiting() == before
    (*_, last) = moments(read_log(service.config.log_path))
    assert (list(last.cycle.written), len(last.cycle.changes)) == ([], 2)


def start_adapter(bundle, tmp_path) -> subprocess.Popen[str]:
    """Start the adapter as a user does."""
    code = "from hpcai.cli import main; main()"
    words = ["live", "slurm", "--bundle", bundle, "--act", "--interval", "0.5s", "--state", str(tmp_path / "state")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", code, *words], env=environment, stdout=subprocess.PIPE, text=True)


def written(process: subprocess.Popen[str]) -> None:
    """Wait until the adapter says that it has written."""
    assert process.stdout is not None
    for line in process.stdout:
        if "values written" in line:
            return
    pytest.fail("the adapter ended")


def test_killed_it_leaves_a_queue_that_runs_and_another_puts_everything_back(gpu_slurm, bundle, tmp_path):
    block = blocker()
    names = [submit(0.5, 8, minutes) for minutes in (6, 5, 1, 3, 2)]
    before = waiting()
    with start_adapter(bundle, tmp_path) as process:
        written(process)
        process.send_signal(signal.SIGKILL)
    assert waiting() != before
    ledger = Ledger(tmp_path / "state" / "ledger.json", "site_factor")
    assert set(ledger.before) <= set(names)
    assert ledger.before
    config = settings(bundle, tmp_path)
    done, left = restore(config)
    assert set(done) == set(ledger.before)
    assert left == ()
    assert waiting() == before
    assert restore(config) == ((), ())
    slurm("scancel", block)
    wait_for(lambda: not waiting())


@pytest.mark.parametrize("what", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, "file"])
def test_told_to_stop_it_puts_everything_back(gpu_slurm, bundle, tmp_path, what):
    blocker()
    for minutes in (6, 1, 3):
        submit(1, 1, minutes)
    before = waiting()
    with start_adapter(bundle, tmp_path) as process:
        written(process)
        assert waiting() != before
        if what == "file":
            (tmp_path / "state" / "STOP").touch()
        else:
            process.send_signal(what)
        wait_for(lambda: waiting() == before)
        if what in (signal.SIGUSR1, "file"):  # it goes on watching
            time.sleep(1)
            assert process.poll() is None
            assert waiting() == before
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def test_slurmctld_may_restart(gpu_slurm, bundle, tmp_path):
    blocker()
    for minutes in (6, 1, 3):
        submit(1, 1, minutes)
    service = Service(settings(bundle, tmp_path, timeout=5))
    service.adapter.cycle()
    ordered = waiting()
    gpu_slurm.stop_controller()
    try:
        assert "squeue" in service.adapter.cycle().fallback
    finally:
        gpu_slurm.start_controller()
    wait_for(lambda: service.adapter.cycle().fallback == "")
    assert sorted(waiting(), key=lambda name: -waiting()[name]) == sorted(ordered, key=lambda name: -ordered[name])
    service.run(0)


def test_a_queue_of_500(gpu_slurm, bundle, tmp_path):
    """How long it takes is printed, not asserted: docs/live.md has it."""
    blocker()
    slurm(
        "sbatch", "--parsable", "--array=1-250", "--gres=gpu:1", "--time=2", "--output=/dev/null", "--wrap", "sleep 1"
    )
    rng = np.random.default_rng(0)
    for minutes in rng.integers(1, 7, 500).tolist():
        submit(1, 1, minutes)
    service = Service(settings(bundle, tmp_path))
    first, second = service.adapter.cycle(), service.adapter.cycle()
    print(f"{first.scope} jobs: {first.seconds} and then {second.seconds}")
    assert (first.scope, len(first.failed), second.written) == (501, 0, ())
    assert len(first.written) > 400
    client = CommandLine()
    limits = {job.id: (job.time_limit, -job.priority) for job in client.poll().jobs if job.state == "PENDING"}
    assert [limit for limit, _ in sorted(limits.values(), key=lambda pair: pair[1])] == sorted(
        limit for limit, _ in limits.values()
    )
    service.run(0)


def test_the_sample_configuration_is_valid(bundle):
    sample = Path(__file__).parents[2] / "deploy" / "slurm" / "adapter.yaml"
    from hpcai.live.slurm.config import load_adapter_config

    assert load_adapter_config(sample, {}).mode == "shadow"
    assert GPUS == 32
