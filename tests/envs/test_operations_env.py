"""hpcai/Operations-v0: the contract of Gymnasium, and that an agent that does as the policies do changes nothing."""

from __future__ import annotations

import warnings
from datetime import datetime, timedelta

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from gymnasium.utils.env_checker import check_env

import hpcai_envs  # noqa: F401
from hpcai.cluster.power.limit import LOWEST
from hpcai.errors import InputError
from hpcai.evaluation.site.config import site_config
from hpcai.evaluation.site.inputs import prepare
from hpcai.simulation.site.costs import COSTS
from hpcai.simulation.site.observation import SITE_FEATURES
from hpcai.simulation.site.site import JOBS, TICK, Site
from hpcai_envs.operations import JOB_FEATURES, OperationsEnv

SHORT = {"jobs": {"trace": "mn-1-day.parquet"}, "machine": "mn-1", "days": 0.125}


@pytest.fixture(scope="module")
def cooled(tmp_path_factory) -> dict:
    """A site with a plant, for three hours."""
    hours = np.arange(367 * 24 + 1)
    table = pd.DataFrame(
        {
            "time": [(datetime(2023, 1, 1) + timedelta(hours=int(h))).isoformat(timespec="minutes") for h in hours],
            "temperature_2m": 29 + 6 * np.sin(2 * np.pi * (hours - 9) / 24),
            "relative_humidity_2m": 60.0,
        }
    )
    path = tmp_path_factory.mktemp("weather") / "year.csv"
    table.to_csv(path, index=False)
    return SHORT | {"cooling": {"weather": str(path), "start": "07-02"}}


@pytest.mark.parametrize("decides", [("ordering", "power", "admission"), ("job",), ("power",)])
def test_contract(decides):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make("hpcai_envs:hpcai/Operations-v0", config=SHORT, decides=decides)
        check_env(env.unwrapped, skip_render_check=True)


def test_contract_with_a_plant(cooled):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = OperationsEnv(cooled, decides=("cooling", "power", "ordering", "admission"))
        check_env(env, skip_render_check=True)


def test_both_kinds_of_epochs_come_and_rewards_add_up(cooled):
    env = OperationsEnv(cooled, decides=("job", "cooling", "power"), weights={"energy": 2.0, "waiting": 0.5})
    seen, info = env.reset(seed=3)
    env.action_space.seed(0)
    assert set(seen) == {"site", "queue", "hall"}
    kinds, total, whole, over = {info["epoch"]}, np.zeros(len(COSTS)), 0.0, False
    while not over:
        seen, reward, ended, over, info = env.step(env.action_space.sample())
        assert not ended
        kinds.add(info["epoch"])
        total += info["reward_vector"]
        whole += reward
        assert reward == pytest.approx(
            2 * info["reward_vector"][0] + 0.5 * info["reward_vector"][2], rel=1e-5, abs=1e-7
        )
    assert {JOBS, TICK} <= kinds
    assert info["reward_names"] == tuple(COSTS)
    site = env.site
    assert -total[0] == pytest.approx(site.totals.site / 3.6e9, rel=1e-4)
    assert -total[2] == pytest.approx(site.flow.waited / 3600, rel=1e-4)
    assert (total <= 0).all()


def test_a_vector_is_returned_where_it_is_asked_for():
    env = OperationsEnv(SHORT, decides=("power",), vector=True)
    env.reset(seed=0)
    _, reward, _, _, info = env.step({"power": np.zeros(2, np.float32)})
    assert env.reward_space.contains(reward)
    assert (reward == info["reward_vector"]).all()


def test_leaving_the_queue_as_it_is_is_the_discipline():
    env = OperationsEnv(SHORT, decides=("job",))
    env.reset(options={"seed": 5, "begin_days": 0.25})
    over = False
    while not over:
        _, _, _, over, _ = env.step({"job": 16})
    prepared = prepare(site_config(SHORT | {"seed": 5, "jobs": SHORT["jobs"] | {"begin_days": 0.25}}, "here"))
    alone = Site(prepared.jobs, prepared.setting)
    alone.run()
    assert env.site.outcome().equals(alone.outcome())


def test_who_is_ordered_first_is_served_first():
    """On a machine that is too small for its jobs, they wait less if the short ones are first."""
    waits = {}
    small = SHORT | {"days": 0.5, "nodes": {"p100": 12, "v100": 6}}
    for weight in (-1.0, 1.0):  # long jobs last, or first
        env = OperationsEnv(small, decides=("ordering",))
        env.reset(options={"seed": 1, "begin_days": 0.3})
        over = False
        while not over:
            _, _, _, over, _ = env.step({"ordering": np.array([0, 0, weight, 0, 0], np.float32)})
        waits[weight] = env.site.flow.waited
    assert waits[-1.0] < 0.95 * waits[1.0]


def test_who_is_chosen_is_served_first():
    """The last of some tasks that are alike and have waited, chosen once, starts before the others."""
    env = OperationsEnv(SHORT | {"days": 0.5, "nodes": {"p100": 12, "v100": 6}}, decides=("job",))
    env.reset(options={"seed": 1, "begin_days": 0.3})
    cluster, over, alike = env.site.cluster, False, np.zeros(0, dtype=np.int64)
    while not over and len(alike) < 5:
        _, _, _, over, _ = env.step({"job": 16})
        queue = cluster.queue[: cluster.at[0]["queued"]].copy()[:16]
        waited = queue[cluster.run["queued"][queue] < env.site.env.now]
        alike = waited[cluster.work["shape"][waited] == cluster.work["shape"][waited[-1]]] if len(waited) else waited
    told = int(np.flatnonzero(queue == alike[-1])[0])
    while not over:
        _, _, _, over, _ = env.step({"job": told})
        told = 16
    started = cluster.run["started"][alike]
    assert started[-1] < np.nanmin(started[:-1])


def test_a_lower_limit_uses_less_power_and_heat_less_cooling(cooled):
    used = {}
    for told in (-1.0, 1.0):
        env = OperationsEnv(cooled, decides=("power",))
        env.reset(options={"seed": 2, "begin_days": 0.2})
        over = False
        while not over:
            _, _, _, over, _ = env.step({"power": np.full(2, told, np.float32)})
        used[told] = env.site.totals.it, env.site.totals.hvac
    assert used[-1.0][0] < used[1.0][0]
    assert used[-1.0][1] < used[1.0][1]


def test_long_jobs_have_a_limit_of_their_own():
    """Told 1 for all and the lowest for the long, long jobs alone draw less."""
    env = OperationsEnv(SHORT | {"power": {"long_from": 7200}}, decides=("power",))
    env.reset(options={"seed": 2, "begin_days": 0.2})
    over = False
    while not over:
        _, _, _, over, _ = env.step({"power": np.array([1.0, -1.0], np.float32)})
    power, long = env.site.power, env.site.workload.work["estimate"] >= 7200
    assert (power.limits == 1.0).all()
    assert set(power.own[long]) == {LOWEST}
    assert (power.own[~long] == 1.0).all()


def test_slowdown_is_what_all_jobs_have_gathered():
    env = OperationsEnv(SHORT, decides=("power",), weights={"slowdown": 1.0})
    env.reset(options={"seed": 5, "begin_days": 0.25})
    total, over = 0.0, False
    while not over:
        _, reward, _, over, _ = env.step({"power": np.ones(2, np.float32)})
        total -= reward
    out = env.site.outcome()
    end = out["end"].fillna(env.site.setting.duration)
    expected = ((end - out["submit"]) / out["work"].clip(lower=10.0)).sum()
    assert out["end"].isna().any()
    assert total == pytest.approx(expected, rel=1e-9)


def test_admission_holds_back():
    env = OperationsEnv(SHORT, decides=("admission",))
    env.reset(options={"seed": 2, "begin_days": 0.2})
    held = 0
    over = False
    while not over:
        seen, _, _, over, _ = env.step({"admission": 1})
        held = max(held, int(env.site.flow.held[-1]))
    assert held > 0
    assert seen["site"][list(SITE_FEATURES).index("held")] > 0


def test_the_same_seed_gives_the_same_episode(cooled):
    first, second = (OperationsEnv(cooled, decides=("power", "job")) for _ in range(2))
    for env in (first, second):
        env.reset(seed=11)
        env.action_space.seed(1)
    for _ in range(10):
        one, two = (env.step(env.action_space.sample()) for env in (first, second))
        assert all((one[0][key] == two[0][key]).all() for key in one[0])
        assert one[1] == two[1]
    assert first.observation_space["queue"].shape == (16, len(JOB_FEATURES))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"decides": ()}, "expected each of one or more"),
        ({"decides": ("jobs",)}, "found 'jobs'"),
        ({"decides": ("job", "ordering")}, "expected one of them"),
        ({"decides": ("cooling",)}, "expected a 'cooling'"),
        ({"decides": ("job",), "config": SHORT | {"discipline": "srtf"}}, "settled at submission"),
        ({"weights": {"wait": 1.0}}, "found 'wait'"),
        ({"window": 0}, "expected at least 1"),
    ],
)
def test_settings_that_cannot_be_used(given, says):
    with pytest.raises(InputError, match=says):
        OperationsEnv(**({"config": SHORT} | given))


def test_an_unknown_option_is_told():
    with pytest.raises(InputError, match="reset option 'day'"):
        OperationsEnv(SHORT).reset(options={"day": 3})


def test_mo_gymnasium_takes_it():
    """Its wrappers and its vector environment, which read ``reward_space`` and expect a vector of rewards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pygame, which it imports for games of its own
        mo = pytest.importorskip("mo_gymnasium")

    def make() -> gym.Env:
        return mo.make("hpcai_envs:hpcai/Operations-v0", config=SHORT, vector=True)

    vector, linear = make(), mo.wrappers.LinearReward(make(), weight=np.array([1.0, 0.0, 0.01, 1.0, 0.01, 0.0]))
    for env in (vector, linear):
        env.reset(seed=3)
        env.action_space.seed(3)
    action = vector.action_space.sample()
    rewards, sum_ = vector.step(action)[1], linear.step(action)[1]
    assert rewards.shape == (len(COSTS),)
    assert sum_ == pytest.approx(float(rewards @ [1.0, 0.0, 0.01, 1.0, 0.01, 0.0]), rel=1e-5)
    several = mo.wrappers.vector.MOSyncVectorEnv([make, make])
    several.reset(seed=3)
    assert several.step(several.action_space.sample())[1].shape == (2, len(COSTS))
