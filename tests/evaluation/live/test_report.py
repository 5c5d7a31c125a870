"""From a decision log to what happened, what was wanted, and the report of both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import hpcai
from hpcai.cli import app
from hpcai.errors import InputError
from hpcai.evaluation.evaluate import evaluate
from hpcai.evaluation.live.observed import observe
from hpcai.evaluation.live.report import write_report
from hpcai.evaluation.runs import policy_of_bundle
from hpcai.learning.bundling.export import export_policy
from hpcai.learning.runtime import train_runtime
from hpcai.live.bundle import write_bundle
from hpcai.live.decision_log import DecisionLog, read_log
from hpcai.live.ranking import BundleRanker
from hpcai.live.slurm.adapter import Adapter
from hpcai.live.slurm.client import Job, Node, PartitionSeen, Poll
from hpcai.live.slurm.config import make_adapter_config
from hpcai.live.slurm.cycle import Cycle
from hpcai.live.slurm.ledger import Ledger
from hpcai.live.slurm.memory import note_cycle, note_poll
from tests.live.test_adapter import job

GPU_LOG = "slurm-64gpu.sacct.txt"
EVERY = 10.0  # s between looks
LONG, SHORT = 60.0, 15.0


class Site:
    """One node, first come first served; a job on two of its four cores, long and short ones by turns."""

    how = "site_factor"

    def __init__(self, count: int, begin: float) -> None:
        self.now = begin
        runs = [LONG if k % 2 else SHORT for k in range(count)]
        self.runs = {str(k): run for k, run in enumerate(runs, 1)}
        self.jobs = {
            str(k): job(k, submit=begin, cpus=2, time_limit=60.0 if run == SHORT else 360.0, priority=1000)
            for k, run in enumerate(runs, 1)
        }

    def poll(self) -> Poll:
        node = Node("n1", frozenset({"IDLE"}), 4, 2.0**34, 0, "", ("main",))
        return Poll(self.now, "fake", tuple(self.jobs.values()), (node,), (PartitionSeen("main", "n1", None, 1),))

    def write(self, changes):
        pytest.fail("shadow writes nothing")

    def go_on(self) -> None:
        for name in [name for name, each in self.jobs.items() if self._ended(each)]:
            del self.jobs[name]
        running = sum(each.start is not None for each in self.jobs.values())
        for name, each in list(self.jobs.items()):
            if each.start is None and running < 2:
                self.jobs[name] = replace(each, state="RUNNING", reason="None", start=self.now, node_names=("n1",))
                running += 1
        self.now += EVERY

    def _ended(self, each: Job) -> bool:
        return each.start is not None and each.start + self.runs[each.id] <= self.now


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    out = tmp_path_factory.mktemp("bundle") / "sjf.hpcai"
    return export_policy("sjf", out, trace=[GPU_LOG], states=20, windows="2x40", quiet=True)


@pytest.fixture(scope="module")
def log(tmp_path_factory, bundle):
    """A log of 24 jobs, all there at once, in shadow."""
    folder = tmp_path_factory.mktemp("log")
    site = Site(24, time.time() - 3600)
    config = make_adapter_config({"bundle": bundle.where, "state": str(folder), "stale": "1d", "strange": 1.0})
    decisions = DecisionLog(config.log_path)
    decisions.begin("start", config=config.model_dump(mode="json"))
    adapter = Adapter(config, site, BundleRanker(bundle), decisions, Ledger(config.ledger_path, "site_factor"))
    while site.jobs:
        adapter.cycle()
        site.go_on()
    adapter.cycle()
    decisions.close()
    return config.log_path


def test_what_happened(log):
    seen = observe(read_log(log))
    jobs = seen.trace.jobs
    assert jobs["job_id"].tolist() == [str(k) for k in range(1, 25)]
    runs = np.array([LONG if k % 2 else SHORT for k in range(24)])
    assert (np.abs(jobs["run_time"] - runs) <= EVERY).all()
    assert (jobs["start"].diff().dropna() >= 0).all()
    assert seen.left_out == {}
    assert seen.trace.machine.total_cpus == 4
    assert (seen.cycles["fallback"] == "").all()
    assert seen.cycles["waiting"].tolist() == sorted(seen.cycles["waiting"], reverse=True)


def test_who_started_from_which_place(log):
    """First come first served starts the first two of its own order, which the policy would mix with short ones."""
    starts = observe(read_log(log)).starts.set_index("job")
    assert set(starts["site_place"]) <= {1, 2}
    assert starts.loc["1", "policy_place"] == 1
    assert starts.loc["2", "policy_place"] == 13  # behind twelve short ones
    assert starts.loc["3", "policy_place"] == 1


def test_a_part_of_the_time(log):
    whole = observe(read_log(log))
    middle = (whole.begin + whole.end) / 2
    late = observe(read_log(log), begin=middle)
    assert late.begin >= middle
    assert 0 < len(late.trace.jobs) < len(whole.trace.jobs)
    early = observe(read_log(log), end=middle)
    assert set(early.left_out) == {"still running", "still waiting"}
    with pytest.raises(InputError, match="no look at Slurm in that time"):
        observe(read_log(log), begin=whole.end + 1)


def looks(folder, *queues):
    """A log of looks at these queues, by time."""
    decisions = DecisionLog(folder / "log")
    decisions.begin("start", config={})
    node = Node("n1", frozenset({"IDLE"}), 4, 2.0**34, 0, "", ("main",))
    for at, jobs in queues:
        note_poll(decisions, Poll(at, "fake", tuple(jobs), (node,), (PartitionSeen("main", "n1", None, 1),)))
        note_cycle(decisions, Cycle(at), "shadow", "d", {})
    decisions.close()
    return observe(read_log(folder / "log"))


def test_a_gap_in_the_looks_makes_no_run_times(tmp_path):
    """A job of 10 min was seen running before a gap of a day: it has not run for half a day."""
    ran = [
        job(k, state="RUNNING", start=1000.0, time_limit=limit, node_names=("n1",))
        for k, limit in ((1, 600.0), (2, None))
    ]
    seen = looks(tmp_path, (1010.0, ran), (87410.0, []))
    assert seen.trace.jobs["run_time"].tolist() == [600.0, (1010.0 + 87410.0) / 2 - 1000.0]


def test_a_job_that_was_requeued_had_started(tmp_path):
    runs, waits = job(1, state="RUNNING", start=1000.0, node_names=("n1",)), job(1)
    seen = looks(tmp_path, (1010.0, [runs, job(2)]), (1020.0, [waits]), (1030.0, []))
    assert seen.left_out == {"gone before they started": 1, "requeued and gone before they started again": 1}


def test_the_report(log, bundle, tmp_path):
    done = CliRunner().invoke(
        app, ["live", "report", str(log), "--bundle", bundle.where, "--out", str(tmp_path / "report"), "--last", "1d"]
    )
    assert done.exit_code == 0, done.output
    html = (tmp_path / "report" / "report.html").read_text()
    assert "watched and wrote nothing" in html
    assert "the policy's first choice" not in html.partition('<p class="answer">')[0]
    assert "What a replay makes of it" in html
    assert (tmp_path / "report" / "counterfactual" / "report.html").is_file()
    metrics = pd.read_csv(tmp_path / "report" / "counterfactual" / "metrics.csv")
    slowdown = metrics[metrics["metric"] == "mean_bounded_slowdown"].set_index("policy")["value"]
    assert slowdown["sjf"] < slowdown["fcfs"]
    assert slowdown["fcfs"] == pytest.approx(slowdown["recorded"], rel=0.15)


def test_few_jobs_are_not_replayed(log, bundle, tmp_path):
    whole = observe(read_log(log))
    path = write_report(observe(read_log(log), begin=whole.end - 30), bundle.where, tmp_path)
    assert "Too few jobs have ended to replay them" in path.read_text()


BAD = {
    "no time": (("none", "--last", "soon"), "expected a time such as 24h"),
    "no log": (("none", "--last", "1d"), "none: no such file"),
    "a damaged log": (("damaged", "--last", "1d"), "record 1, cycle: at: Field required"),
    "no bundle": (("log", "--bundle", "none"), "none: no such folder or .tar"),
    "no folder for it": (("log", "--out", "log/report"), "log/report: cannot be written"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_line_and_exit_code_2(bundle, log, tmp_path, what):
    (tmp_path / "damaged").write_text('{"kind":"cycle"}\n')
    (tmp_path / "log").write_bytes(log.read_bytes())
    arguments, message = BAD[what]
    command = [sys.executable, "-m", "hpcai.cli", "live", "report", "--bundle", bundle.where, *arguments]
    environment = os.environ | {"PYTHONPATH": str(Path(hpcai.__file__).parents[1])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("hpcai: ")
    assert message in line


def test_a_bundle_takes_part_in_an_evaluation(bundle, tmp_path):
    done = evaluate(
        trace=GPU_LOG, policies=["sjf", f"bundle:{bundle.where}"], windows="2x40",
        out=tmp_path / "out", quiet=True,
    )  # fmt: skip
    values = done.metrics[done.metrics["metric"] == "mean_bounded_slowdown"].groupby("policy")["value"].mean()
    assert values["sjf"] == values[f"bundle:{bundle.where}"]


def test_a_policy_that_learned_with_run_times_is_replayed_without(log, bundle, tmp_path):
    """As on the live queue: the requested times alone tell short from long."""
    fields = dict(bundle.manifest.policy) | {"estimate": "actual"}
    hindsight = write_bundle(
        tmp_path / "b", bundle.manifest.model_copy(update={"policy": fields, "name": "then"}), bundle.files
    )
    write_report(observe(read_log(log)), hindsight.where, tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "counterfactual" / "summary.json").read_text())
    _, then = summary["config"]["policies"]
    assert (then["name"], then["estimate"]) == ("then", "requested")


def with_predictor(bundle, out, **fields):
    """A bundle whose policy reads a trained predictor."""
    policy = {"ordering": "saf-predicted", "predictor": "predictor.npz"} | fields.pop("policy", {})
    train_runtime([GPU_LOG], out=out.parent / "trained")
    files = bundle.files | {"predictor.npz": (out.parent / "trained" / "predictor.npz").read_bytes()}
    return write_bundle(out, bundle.manifest.model_copy(update={"policy": policy} | fields), files)


def test_an_archive_is_replayed_with_its_files(log, bundle, tmp_path):
    archive = with_predictor(bundle, tmp_path / "b.tar")
    write_report(observe(read_log(log)), archive.where, tmp_path / "out")
    done = evaluate(
        trace=GPU_LOG, policies=["fcfs", f"bundle:{archive.where}"], windows="2x40", out=tmp_path / "out2", quiet=True
    )
    assert f"bundle:{archive.where}" in set(done.metrics["policy"])
    elsewhere = Path(policy_of_bundle(f"bundle:{archive.where}")["predictor"])
    assert elsewhere.read_bytes() == archive.files["predictor.npz"]
    assert elsewhere.parent == Path(policy_of_bundle(f"bundle:{archive.where}")["predictor"]).parent


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"domain": "cooling"}, "expected the domain scheduling, found cooling"),
        ({"policy": {"predictor": "/etc/passwd"}}, "expected its predictor to be predictor.npz in it, found /etc/pas"),
        ({"policy": {"network": "../network.npz"}}, "expected its network to be network.npz in it, found ../network"),
        ({"policy": {"network": "network.npz"}}, "expected its network to be network.npz in it"),
    ],
)
def test_an_evaluation_reads_nothing_beside_the_bundle(bundle, tmp_path, fields, message):
    made = with_predictor(bundle, tmp_path / "b", **fields)
    with pytest.raises(InputError, match=message):
        policy_of_bundle(f"bundle:{made.where}")
    with pytest.raises(InputError, match=r"no such folder or \.tar"):
        policy_of_bundle(f"bundle:{tmp_path / 'none'}")


def test_accounting_of_another_time_is_refused(log, bundle, tmp_path):
    (tmp_path / "sacct").write_text(
        "JobID|Submit|Start|End|AllocCPUS|State\n1|1000000000|1000000000|1000000100|1|COMPLETED\n"
    )
    with pytest.raises(InputError, match="no job that began in the time of the decision log"):
        write_report(observe(read_log(log)), bundle.where, tmp_path / "out", sacct=tmp_path / "sacct")
