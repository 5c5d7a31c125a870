"""What a policy sees: by hand, and the same in training as from a snapshot of a live cluster."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from hpcai.cluster import Machine
from hpcai.scheduling.decisions import begin_pass, find_options, make_decision
from hpcai.scheduling.features import JOB_FEATURES, MACHINE_FEATURES, observe, traits
from hpcai.scheduling.jobs import features, job_array
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.snapshot import snapshot
from hpcai.simulation.batch import make_seen
from hpcai.simulation.episode import Episodes, Setting
from tests.envs.test_scheduling import DRAINED, SIXTEEN, SMALL_CLUSTER, Player, first_legal, workload
from tests.workloads import table

JOB, MACHINE = list(JOB_FEATURES), list(MACHINE_FEATURES)


def test_by_hand():
    jobs = table(
        submit=[0.0, 100.0, 200.0], run_time=[5000.0, 900.0, 50.0], requested_time=[7200.0, 3600.0, 60.0],
        processors=[8, 12, 4], user=["a", "a", "b"], qos=["", "low", "high"],
    )  # fmt: skip
    setting = Setting(Policy(ordering="fcfs"), window=4, classes=("high", "low"))
    episodes = Episodes(jobs, SIXTEEN, setting, length=3, origin=86400.0 * 3 + 6 * 3600)
    player = Player(episodes)
    seen, machine = player.jobs, player.machine
    # At second 200: job 0 runs on 8 of 16 until 7200 as far as is known; 1 and 2 wait; 2 ends before 7200.
    row = dict(zip(JOB, seen[0].tolist(), strict=True))
    assert row["present"] == 1
    assert row["wait_hours"] == pytest.approx(100 / 3700)
    assert row["wait_days"] == pytest.approx(100 / 86500)
    assert row["stretch"] == pytest.approx(100 / 3700)
    assert (row["can_start"], row["fits_hole"], row["is_head"]) == (0, 0, 0)
    assert row["user_share"] == 0.5
    assert row["requested_time"] == pytest.approx(math.log1p(3600) / math.log1p(30 * 86400))
    assert row["size_fraction"] == 0.75
    assert row["size"] == pytest.approx(math.log(13) / math.log(17))
    assert (row["class_0"], row["class_1"]) == (0, 1)
    second = dict(zip(JOB, seen[1].tolist(), strict=True))
    assert (second["can_start"], second["fits_hole"], second["user_share"]) == (1, 1, 0)
    assert (second["class_0"], second["class_1"]) == (1, 0)
    assert not seen[2:].any()
    site = dict(zip(MACHINE, machine.tolist(), strict=True))
    assert (site["free"], site["drained"], site["beyond_window"], site["backfilling"]) == (0.5, 0, 0, 0)
    assert (site["queue"], site["running"]) == (pytest.approx(2 / 102), pytest.approx(1 / 101))
    assert site["shadow"] == pytest.approx(7000 / 10600)
    assert site["extra"] == 0.25
    angle = 2 * math.pi * (6 * 3600 + 200) / 86400
    assert (site["hour_sin"], site["hour_cos"]) == (
        pytest.approx(math.sin(angle)),
        pytest.approx(math.cos(angle), abs=1e-6),
    )
    assert site["machine"] == pytest.approx(math.log10(16) / 6)


@pytest.mark.parametrize("machine", [SIXTEEN, DRAINED, SMALL_CLUSTER], ids=["processors", "drained", "nodes"])
@pytest.mark.parametrize("ordering", ["saf", "wfp3"])
def test_training_and_a_live_cluster_see_the_same(machine: Machine, ordering: str):
    jobs = workload(4, machine, 50)
    policy = Policy(ordering=ordering)
    episodes = Episodes(jobs, machine, Setting(policy, window=6), length=len(jobs))
    player = Player(episodes)
    lane, compared = player.lane, 0
    while not player.done:
        if lane.decision.scalars["phase"][0] == 1 and lane.state.scalars["started"][0] == 0:
            compared += 1
            live, live_site = live_view(lane, jobs, machine, policy)
            # On nodes an account's use is a sum of fractions, added up in another order.
            np.testing.assert_allclose(live, player.jobs, rtol=0, atol=0 if not machine.by_node else 1e-7)
            np.testing.assert_array_equal(live_site, player.machine)
        player.go(first_legal(lane))
    assert compared > 15


@pytest.mark.parametrize("machine", [SIXTEEN, DRAINED, SMALL_CLUSTER], ids=["processors", "drained", "nodes"])
@pytest.mark.parametrize("estimate", ["requested", "predicted"])
def test_they_see_the_same_predictions(machine: Machine, estimate: str):
    """Until a job of the window has ended: an adapter learns of ends as they are recorded."""
    log, length, compared = workload(4, machine, 110), 40, 0
    policy = Policy(ordering="saf-predicted", predictor="tsafrir", estimate=estimate)
    for first in range(20, 60, 4):
        jobs, past = log.iloc[first : first + length].reset_index(drop=True), log.iloc[:first]
        jobs = jobs.assign(run_time=jobs["run_time"] + 1000.0, requested_time=jobs["requested_time"] + 1000.0)
        whole = pd.concat([past, jobs], ignore_index=True)
        player = Player(Episodes(whole, machine, Setting(policy, window=6), length=length, firsts=np.array([first])))
        lane = player.lane
        while not player.done and lane.episode.scalars["now"][0] < jobs["submit"][0] + 1000:
            if lane.decision.scalars["phase"][0] == 1 and lane.state.scalars["started"][0] == 0:
                compared += 1
                live, live_site = live_view(lane, jobs, machine, policy, past)
                np.testing.assert_allclose(live, player.jobs, rtol=0, atol=0 if not machine.by_node else 1e-7)
                np.testing.assert_array_equal(live_site, player.machine)
                assert live[0, JOB.index("predicted_time")] > 0
            player.go(first_legal(lane))
    assert compared > 10


def live_view(lane, jobs, machine, policy, past=None):
    """What an adapter would see that is told who waits, who runs since when and where, and nothing else."""
    state, now = lane.state, float(lane.episode.scalars["now"][0])
    running = np.sort(state.running["job"][: int(state.scalars["running"][0])])
    waiting = np.flatnonzero(~np.isnan(state.submit) & np.isnan(state.start))
    hidden = jobs.assign(run_time=np.nan, end=np.nan, start=np.nan, status="")
    tasks = []
    if machine.by_node:
        for j in running:
            first, size = state.jobs["entries"][j], state.jobs["size"][j]
            tasks.append([(int(e["node"]), int(e["gpus"])) for e in state.entries[first : first + size]])
    runs = hidden.iloc[running].assign(start=state.start[running])
    view = snapshot(hidden.iloc[waiting], runs, machine, policy, now, tasks, past=past)
    decision = make_decision(6, "both", False)
    begin_pass(view, decision, now)
    find_options(view, decision, now, True)
    order = np.argsort(np.concatenate((jobs["submit"].iloc[running], jobs["submit"].iloc[waiting])), kind="stable")
    table_ = hidden.iloc[np.concatenate((running, waiting))[order]]
    array = job_array(table_, machine, policy)
    trait = traits(table_, machine, policy, features(table_, machine, policy, array))
    view_of = make_seen(1, 6)
    seen, site = view_of.jobs[0], view_of.machine[0]
    observe(view, decision, trait, 0.0, now, seen, site)
    return seen, site
