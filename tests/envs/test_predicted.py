"""With a predictor: windows in the middle of a log know what had ended before them, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from hpcai.scheduling.features import JOB_FEATURES
from hpcai.scheduling.policy import Policy
from hpcai.simulation import replay
from hpcai.simulation.episode import Episodes, Setting
from tests.envs.test_scheduling import DRAINED, SIXTEEN, SMALL_CLUSTER, Player, at_random, first_legal, workload

PREDICTED = Policy(ordering="saf-predicted", predictor="tsafrir", estimate="predicted")
COLUMNS = [i for i, name in enumerate(JOB_FEATURES) if name.startswith("predicted_") or name == "slowdown_rate"]
LENGTH = 30


@pytest.mark.parametrize("machine", [SIXTEEN, DRAINED, SMALL_CLUSTER], ids=["processors", "drained", "nodes"])
@pytest.mark.parametrize(
    ("decide", "policy"),
    [
        ("both", PREDICTED),
        ("next", PREDICTED.model_copy(update={"backfill": "conservative"})),
        ("backfill", PREDICTED.model_copy(update={"ordering": "wfp3"})),
        ("both", PREDICTED.model_copy(update={"estimate": "requested", "ordering": "cmu-predicted"})),
    ],
    ids=["easy", "conservative", "backfill", "order only"],
)
def test_naming_always_the_first_gives_the_orderings_own_schedule(machine, decide, policy):
    jobs = workload(21, machine, 120)
    jobs = jobs.assign(submit=np.floor(jobs["submit"] / 3))  # crowded, on the nodes as well
    firsts = np.array([0, 17, 60, len(jobs) - LENGTH])
    episodes = Episodes(jobs, machine, Setting(policy, window=8, decide=decide), length=LENGTH, firsts=firsts)
    differs = 0
    for w, first in enumerate(firsts):
        player = Player(episodes, w)
        rewards = 0.0
        while not player.done:
            rewards += player.go(first_legal(player.lane))
        own = jobs.iloc[first : first + LENGTH].reset_index(drop=True)
        expected = replay(own, machine, policy, past=jobs.iloc[:first]).table["start"]
        np.testing.assert_array_equal(player.lane.state.start, expected)
        assert rewards == pytest.approx(0.0, abs=1e-9)
        differs += not np.array_equal(replay(own, machine, policy).table["start"], expected)
    assert differs  # or the past would not have been looked at


def test_a_lane_forgets_the_episode_before():
    """A window played after others, at random, goes as if it were the first that is played."""
    jobs = workload(22, SIXTEEN, 120)
    episodes = Episodes(jobs, SIXTEEN, Setting(PREDICTED, window=8), length=LENGTH, firsts=np.array([10, 50, 85]))

    def observed(player, choose) -> list[np.ndarray]:
        seen = []
        while not player.done:
            seen.append(np.concatenate((player.jobs.ravel(), player.machine)))
            player.go(choose(player.lane))
        return seen

    fresh = observed(Player(episodes, 1), at_random(0))
    player = Player(episodes, 2)
    for before in (2, 0):
        player.go(-2, before)
        observed(player, at_random(before))
    player.go(-2, 1)
    again = observed(player, at_random(0))
    assert len(fresh) > 20
    np.testing.assert_array_equal(fresh, again)


@pytest.mark.parametrize("machine", [SIXTEEN, SMALL_CLUSTER], ids=["processors", "nodes"])
def test_what_is_predicted_is_seen_and_without_a_predictor_is_0(machine):
    jobs = workload(23, machine, 120)
    for policy in (PREDICTED, Policy(ordering="saf")):
        setting = Setting(policy, window=8)
        player = Player(Episodes(jobs, machine, setting, length=LENGTH, firsts=np.array([60])))
        while not player.done:
            present = player.jobs[:, 0] == 1
            seen = player.jobs[present][:, COLUMNS]
            assert not player.jobs[~present].any()
            if policy.learns:
                assert (seen[:, :3] >= 0).all()
                assert (seen[:, 3] > 0).all()
                assert seen.max() <= 1
            else:
                assert not seen.any()
            player.go(first_legal(player.lane))


@pytest.mark.parametrize("machine", [SIXTEEN, SMALL_CLUSTER], ids=["processors", "nodes"])
def test_run_times_that_are_yet_to_come_are_not_seen(machine):
    """The past tells of run times; those of the window's own jobs do not until one of them ends."""
    jobs = workload(24, machine, 120)
    compared = 0
    for first in range(40, 80, 4):
        shorter, longer = jobs.copy(), jobs.copy()
        shorter.loc[first:, "run_time"] += 100.0
        longer.loc[first:, "run_time"] += 1000.0
        seen = [until_one_ends(log, machine, first) for log in (shorter, longer)]
        common = min(map(len, seen))
        np.testing.assert_array_equal(seen[0][:common], seen[1][:common])
        compared += common
    assert compared > 10


def until_one_ends(log, machine, first) -> list[np.ndarray]:
    """What is seen of the window until one of its jobs ends."""
    player = Player(Episodes(log, machine, Setting(PREDICTED, window=8), length=LENGTH, firsts=np.array([first])))
    run, seen = log["run_time"].iloc[first : first + LENGTH].to_numpy(), []
    while not player.done:
        if (player.lane.state.start + run <= player.lane.episode.scalars["now"][0]).any():
            break
        seen.append(np.concatenate((player.jobs.ravel(), player.machine)))
        player.go(first_legal(player.lane))
    return seen
