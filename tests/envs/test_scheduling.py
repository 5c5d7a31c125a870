"""hpcai/Scheduling-v0: the contract of Gymnasium, and what the decisions do to the schedule."""

from __future__ import annotations

import warnings

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from sb3_contrib.common.maskable.utils import get_action_masks
from stable_baselines3.common.env_checker import check_env as check_for_sb3
from stable_baselines3.common.env_util import make_vec_env

import hpcai_envs  # noqa: F401
from hpcai.cluster import Machine
from hpcai.cluster.spec import Reservation
from hpcai.errors import InputError
from hpcai.evaluation.metrics import measure
from hpcai.records import Trace
from hpcai.scheduling.features import JOB_FEATURES, MACHINE_FEATURES
from hpcai.scheduling.jobs import replayable
from hpcai.scheduling.policy import Policy
from hpcai.simulation import replay
from hpcai.simulation.batch import LOAD, advance, lane_of, make_seen, stack
from hpcai.simulation.episode import Episodes, Setting
from hpcai.simulation.rewards import Reward
from tests.workloads import SMALL_CLUSTER, random_gpu_jobs, random_jobs, table

SIXTEEN = Machine.by_processors(16)
DRAINED = SIXTEEN.model_copy(update={"reservations": (Reservation(start=50.0, end=200.0, processors=7),)})
SAF = Policy(ordering="saf", estimate="actual")


def known(jobs: pd.DataFrame) -> pd.DataFrame:
    """Jobs whose users all asked for a time."""
    return jobs.assign(requested_time=jobs["requested_time"].fillna(jobs["run_time"]))


def workload(seed: int, machine: Machine, n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    jobs = random_gpu_jobs(rng, n) if machine.by_node else random_jobs(rng, n, 16)
    return replayable(known(jobs), machine)[0].reset_index(drop=True)


class Player:
    """One lane, played by hand."""

    def __init__(self, episodes: Episodes, first: int = 0) -> None:
        self.lanes = stack(episodes, 1)
        self.pool = episodes.pool
        self.lane = lane_of(self.lanes, 0)
        self.seen = make_seen(1, episodes.setting.window)
        self.go(LOAD, first)
        self.done = bool(self.seen.done[0])

    @property
    def jobs(self):
        return self.seen.jobs[0]

    @property
    def machine(self):
        return self.seen.machine[0]

    def go(self, action: int, first: int = -1) -> float:
        advance(self.lanes, self.pool, np.array([action]), np.array([first]), self.seen, 0, 1)
        self.done = bool(self.seen.done[0])
        return float(self.seen.reward[0])


def play(episodes: Episodes, choose):
    """Play the first window; return the starts, the rewards and the lane."""
    player = Player(episodes)
    rewards = []
    while not player.done:
        rewards.append(player.go(choose(player.lane)))
    return player.lane.state.start, rewards, player.lane


def first_legal(lane) -> int:
    return int(np.flatnonzero(lane.decision.legal)[0])


def at_random(seed: int):
    rng = np.random.default_rng(seed)
    return lambda lane: int(rng.choice(np.flatnonzero(lane.decision.legal)))


@pytest.fixture(scope="module")
def environment():
    return gym.make("hpcai_envs:hpcai/Scheduling-v0", policy={"ordering": "saf", "estimate": "actual"}).unwrapped


def test_gymnasium_and_sb3_find_nothing_wrong(environment):
    for mode in ("rgb_array", "ansi"):
        environment.render_mode = mode
        check_env(environment)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Your observation jobs has an unconventional shape")
        check_for_sb3(environment)


KWARGS = {"policy": {"ordering": "saf", "estimate": "actual"}, "length": 32}
ID = "hpcai_envs:hpcai/Scheduling-v0"


def test_gymnasium_makes_vector_environments():
    vector = gym.make_vec(ID, num_envs=2, vectorization_mode="sync", **KWARGS)
    observation, _ = vector.reset(seed=3)
    assert observation["jobs"].shape == (2, 128, len(JOB_FEATURES))
    assert observation["machine"].shape == (2, len(MACHINE_FEATURES))
    vector.step(vector.action_space.sample())
    vector.close()


def test_stable_baselines3_makes_vector_environments():
    vector = make_vec_env(ID, n_envs=2, seed=3, env_kwargs=KWARGS)
    observation = vector.reset()
    assert observation["jobs"].shape == (2, 128, len(JOB_FEATURES))
    masks = get_action_masks(vector)
    _, rewards, _, infos = vector.step(masks.argmax(axis=1))
    assert rewards.shape == (2,)
    assert len(infos) == 2
    vector.close()


@pytest.mark.parametrize("machine", [SIXTEEN, DRAINED, SMALL_CLUSTER], ids=["processors", "drained", "nodes"])
@pytest.mark.parametrize(
    ("decide", "backfill"),
    [("next", "none"), ("next", "easy"), ("next", "conservative"), ("backfill", "easy"), ("both", "easy")],
)
def test_naming_always_the_first_gives_the_orderings_own_schedule(machine, decide, backfill):
    for seed, ordering in enumerate(["fcfs", "saf", "wfp3", "fair-share"]):
        jobs = workload(seed, machine)
        policy = Policy(ordering=ordering, backfill=backfill)
        episodes = Episodes(jobs, machine, Setting(policy, window=8, decide=decide), length=len(jobs))
        starts, rewards, lane = play(episodes, first_legal)
        np.testing.assert_array_equal(starts, replay(jobs, machine, policy).table["start"])
        assert sum(rewards) == pytest.approx(0.0, abs=1e-9)
        assert lane.episode.scalars["accrued"] == pytest.approx(lane.episode.scalars["heuristic"])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    machine=st.sampled_from([SIXTEEN, DRAINED, SMALL_CLUSTER]),
    decide=st.sampled_from(["next", "both"]),
    defer=st.booleans(),
)
def test_possible_actions_give_possible_schedules(seed, machine, decide, defer):
    jobs = workload(seed, machine, 40)
    setting = Setting(Policy(ordering="fcfs"), window=6, decide=decide, defer=defer)
    starts, _, _ = play(Episodes(jobs, machine, setting, length=len(jobs)), at_random(seed))
    assert not np.isnan(starts).any()
    assert (starts >= jobs["submit"]).all()
    size = jobs["gpus"] if machine.by_node else jobs["processors"]
    total = machine.total_gpus or machine.total_cpus
    for instant in starts:
        running = (starts <= instant) & (instant < starts + jobs["run_time"])
        assert size[running].sum() <= total + 1e-9
        if machine is DRAINED and 50 <= instant < 200:
            assert jobs["processors"][running & (starts >= 50)].sum() <= 9


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_mask_holds_jobs_that_can_be_named_and_no_others(seed):
    jobs = workload(seed, SIXTEEN, 40)
    episodes = Episodes(jobs, SIXTEEN, Setting(Policy(ordering="fcfs"), window=6, defer=True), length=len(jobs))
    choose = at_random(seed)

    def check(lane) -> int:
        state, decision = lane.state, lane.decision
        d = decision.scalars[0]
        free = 16 - state.scalars["used"][0]
        for slot in np.flatnonzero(decision.legal[:-1]):
            job = state.places["job"][decision.slots[slot]]
            assert np.isnan(state.start[job])
            assert state.submit[job] <= lane.episode.scalars["now"][0]
            if d["phase"] == 2:  # to be backfilled: it must start at once, beside the head
                assert state.jobs["size"][job] <= free
                ends = lane.episode.scalars["now"][0] + state.jobs["estimate"][job]
                assert ends <= d["shadow"] or state.jobs["size"][job] <= d["extra"]
        assert not decision.legal[d["count"] : -1].any()
        return choose(lane)

    play(episodes, check)


def test_an_impossible_action_counts_as_the_first_possible_one():
    jobs = workload(1, SIXTEEN)
    setting = Setting(Policy(ordering="sjf"), window=8)
    episodes = Episodes(jobs, SIXTEEN, setting, length=len(jobs))
    impossible = play(
        episodes,
        lambda lane: int(np.flatnonzero(~lane.decision.legal[:8])[0]) if not lane.decision.legal[:8].all() else 0,
    )
    np.testing.assert_array_equal(impossible[0], play(episodes, first_legal)[0])


def test_deferring_waits_for_the_next_event():
    jobs = table(
        submit=[0.0, 0.0, 5.0], run_time=[10.0, 10.0, 1.0], requested_time=[10.0, 10.0, 1.0], processors=[9, 9, 9]
    )
    setting = Setting(Policy(ordering="fcfs"), window=4, defer=True)
    starts, _, _ = play(
        Episodes(jobs, SIXTEEN, setting, length=3), lambda lane: 4 if lane.decision.legal[4] else first_legal(lane)
    )
    # Nothing runs and nothing more comes only from second 5 on: then somebody must be named.
    np.testing.assert_array_equal(starts, [5.0, 15.0, 25.0])


@pytest.mark.parametrize("weights", [{}, {"bounded_slowdown": 0, "wait": 1}, {"turnaround": 2, "utilisation": 3}])
@pytest.mark.parametrize("machine", [SIXTEEN, SMALL_CLUSTER], ids=["processors", "nodes"])
def test_the_cost_is_what_the_metrics_say(weights, machine):
    jobs = workload(5, machine)
    reward = Reward(relative=False, timing="terminal", **weights)
    setting = Setting(Policy(ordering="fcfs"), window=8, reward=reward)
    starts, rewards, lane = play(Episodes(jobs, machine, setting, length=len(jobs)), at_random(0))
    schedule = replay(jobs, machine, Policy()).table.assign(start=starts, end=starts + jobs["run_time"])
    measured = measure(schedule, jobs, machine)
    expected = reward.bounded_slowdown * measured["mean_bounded_slowdown"]
    expected += (reward.wait * measured["mean_wait"] + reward.turnaround * measured["mean_turnaround"]) / 3600
    if reward.utilisation:
        work = jobs["processors"] if not machine.by_node else lane.state.jobs["bulk"] / 1000
        total = machine.total_gpus or machine.total_cpus
        makespan = schedule["end"].max() - jobs["submit"].min()
        idle = makespan - (work * jobs["run_time"]).sum() / total
        expected += reward.utilisation * idle / (jobs["submit"].max() - jobs["submit"].min())
    assert sum(rewards) == pytest.approx(-expected)
    assert all(reward == 0 for reward in rewards[:-1])


@pytest.mark.parametrize("relative", [True, False])
def test_dense_rewards_add_up_to_the_terminal_one(relative):
    jobs = workload(7, SIXTEEN)
    sums = []
    for timing in ("dense", "terminal"):
        setting = Setting(Policy(ordering="saf"), window=8, reward=Reward(timing=timing, relative=relative))
        episodes = Episodes(jobs, SIXTEEN, setting, length=len(jobs))
        _, rewards, lane = play(episodes, at_random(1))
        sums.append(sum(rewards))
    assert sums[0] == pytest.approx(sums[1])
    e = lane.episode.scalars[0]
    if relative:
        assert sums[0] == pytest.approx(1 - e["accrued"] / e["heuristic"])


def test_a_tenant_weighs_what_it_is_given():
    jobs = table(
        submit=[0.0, 1.0, 1.0], run_time=[100.0, 10.0, 10.0], requested_time=[100.0, 10.0, 10.0],
        processors=[16, 16, 16], tenant=["a", "a", "b"],
    )  # fmt: skip
    reward = Reward(bounded_slowdown=0, wait=3600, tenants={"b": 2.0}, timing="terminal", relative=False)
    setting = Setting(Policy(ordering="fcfs"), window=4, reward=reward)
    episodes = Episodes(jobs, SIXTEEN, setting, length=3)
    by_row = {}
    for slot in (0, 1):
        starts, rewards, _ = play(episodes, lambda lane, slot=slot: slot)
        by_row[slot] = (starts.tolist(), sum(rewards))
    # Waits 0, 99, 109 with weights 1, 1, 2 of 4 in all; the other way round 0, 109, 99.
    assert by_row[0] == ([0.0, 100.0, 110.0], pytest.approx(-(99 + 2 * 109) / 4))
    assert by_row[1] == ([0.0, 110.0, 100.0], pytest.approx(-(109 + 2 * 99) / 4))


@pytest.mark.parametrize("column", ["run_time", "end", "status"])
def test_what_is_seen_does_not_depend_on_what_is_yet_to_come(column):
    """Change the run times of all jobs: until one of them ends, the agent sees the same."""
    jobs = workload(3, SIXTEEN).assign(submit=0.0, processors=lambda t: t["processors"] % 4 + 1)
    other = (
        jobs.assign(run_time=jobs["run_time"] + 1000.0)
        if column == "run_time"
        else jobs.assign(**{column: jobs[column].iloc[0]})
    )
    seen = []
    for table_ in (jobs.assign(run_time=jobs["run_time"] + 10), other.assign(run_time=other["run_time"] + 10)):
        episodes = Episodes(table_, SIXTEEN, Setting(Policy(ordering="fcfs"), window=8), length=len(jobs))
        player = Player(episodes)
        record = []
        while player.lane.episode.scalars["now"][0] < 10:
            record.append([player.jobs.copy(), player.machine.copy()])
            player.go(first_legal(player.lane))
        seen.append(record)
    assert len(seen[0]) > 3
    for ours, theirs in zip(*seen, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_options_of_reset_choose_trace_machine_and_window(environment):
    jobs = workload(2, SIXTEEN, 90)
    trace = Trace("mine", jobs, SIXTEEN)
    options = {"trace": trace, "machine": Machine.by_processors(32), "part": "all", "length": 20, "window": 7}
    _, info = environment.reset(options=options)
    assert info == {"window": 7}
    assert environment.lane.state.scalars["total"][0] == 32
    assert environment.lane.state.jobs["submit"].tolist() == jobs["submit"].iloc[7:27].tolist()
    _, first = environment.reset(seed=5)
    _, second = environment.reset(seed=5)
    assert first == second


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 10**9}, "reset option window 1000000000: expected 0 to"),
        ({"speed": 1}, "reset option 'speed': expected window or one of trace, machine, part, length"),
        ({"length": 10**9}, "window of 1000000000 jobs: expected 1 to"),
        ({"machine": "none.yaml"}, "none.yaml"),
    ],
)
def test_options_that_cannot_be_used_are_named(options, message):
    environment = gym.make("hpcai/Scheduling-v0", policy=SAF).unwrapped
    with pytest.raises(InputError, match=message):
        environment.reset(options=options)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"window": 0}, "window 0: expected at least 1"),
        ({"decide": "all"}, "decide 'all': expected next, backfill or both"),
        ({"policy": {"ordering": "saf", "backfill": "none"}}, "decide 'both': expected backfill 'easy', found 'none'"),
        ({"policy": {"ordering": "saf"}}, "have no requested time"),
        ({"policy": {"order": "saf"}}, "policy: order: "),
        ({"reward": {"wait": -1}}, "reward: wait: "),
        ({"policy": {"dependencies": True}}, "do not support jobs that wait for jobs"),
    ],
)
def test_settings_that_cannot_be_used_are_named(kwargs, message):
    with pytest.raises(InputError, match=message):
        gym.make("hpcai/Scheduling-v0", **kwargs)


def test_pictures_show_the_machine_and_the_queue(environment):
    environment.reset(
        options={"trace": "lublin-256.swf.gz", "machine": None, "part": "train", "length": 256, "window": 0}
    )
    environment.render_mode = "ansi"
    for _ in range(30):
        environment.step(0)
    text = environment.render()
    assert "running" in text.splitlines()[0]
    assert len(text.splitlines()) == 1 + min(int(environment.lane.decision.scalars["count"][0]), 10)
    environment.render_mode = "rgb_array"
    picture = environment.render()
    assert picture.shape == (424, 640, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) >= 4
