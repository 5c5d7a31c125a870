"""Replays against what was recorded, where a log allows it, and Philly's as committed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpcai.cluster import Machine
from hpcai.evaluation.gpu_cluster.config import load_cluster_config
from hpcai.evaluation.gpu_cluster.evaluate import evaluate_cluster
from hpcai.records import machine_of, read_trace
from hpcai.scheduling.gpu_cluster.presets import preset
from hpcai.scheduling.jobs import replayable
from hpcai.scheduling.policy import Policy
from hpcai.simulation import replay
from hpcai.simulation.gpu_cluster.replay import replay_cluster

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def recorded() -> tuple[pd.DataFrame, Machine]:
    """Return the 583 jobs that ran of a log that a real Slurm wrote of 64 GPUs."""
    trace = read_trace("slurm-64gpu.sacct.txt")
    machine, _ = machine_of(trace)
    return replayable(trace.jobs, machine)[0].reset_index(drop=True), machine


def judged(schedule: pd.DataFrame, gpus: pd.Series) -> tuple[float, float]:
    """Return the mean completion time, and the part of 64 GPUs in use over the makespan."""
    jct = float((schedule["end"] - schedule["submit"]).mean())
    makespan = schedule["end"].max() - schedule["submit"].min()
    return jct, float((gpus * (schedule["end"] - schedule["start"])).sum() / (64 * makespan))


def test_by_the_recorded_scheduler_it_comes_out_as_recorded(recorded):
    """First come first served with a place kept for everybody, as that Slurm did: within 10 %."""
    jobs, machine = recorded
    replayed = replay(jobs, machine, Policy(ordering="fcfs", backfill="conservative")).table
    assert judged(replayed, jobs["gpus"]) == pytest.approx(judged(jobs, jobs["gpus"]), rel=0.1)


@pytest.mark.parametrize("backfill", ["none", "easy", "conservative"])
def test_first_come_first_served_is_the_plain_replay(recorded, backfill):
    jobs, machine = recorded
    plain = replay(jobs, machine, Policy(ordering="fcfs", backfill=backfill)).table["start"]
    assert np.allclose(replay_cluster(jobs, machine, preset("fifo", backfill=backfill)).jobs["start"], plain)


def test_with_places_kept_a_gpu_cluster_comes_out_as_recorded(recorded):
    jobs, machine = recorded
    replayed = replay_cluster(jobs, machine, preset("fifo", backfill="conservative")).jobs
    assert judged(replayed, jobs["gpus"]) == pytest.approx(judged(jobs, jobs["gpus"]), rel=0.1)


def test_philly_comes_out_as_committed(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    config = load_cluster_config("experiments/cluster-philly.yaml", {"out": str(tmp_path / "run")})
    if config.trace is None or not Path(config.trace).is_file():
        pytest.skip("Philly's log is not part of the repository")
    committed = json.loads(Path("experiments/results/cluster-philly.json").read_text("utf-8"))
    assert evaluate_cluster(config) == committed
