"""hpcai/Placement-v0 and hpcai/Preemption-v0: the contract of Gymnasium, and that the discipline is a special case."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from gymnasium.utils.env_checker import check_env
from sb3_contrib import MaskablePPO
from stable_baselines3.common.env_checker import check_env as check_for_sb3
from stable_baselines3.common.env_util import make_vec_env

import hpcai_envs  # noqa: F401
from hpcai.errors import InputError
from hpcai.records import Trace, read_trace
from hpcai.records.splitting import split
from hpcai.scheduling.gpu_cluster.answers import (
    find_moves,
    make_move,
    place_what_is_clear,
    place_where,
    ruled,
    vacate,
    wait,
)
from hpcai.scheduling.gpu_cluster.discipline import PLACE, PREEMPT, Discipline, Quota
from hpcai.scheduling.gpu_cluster.observing import GANG_FEATURES, MOVE_FEATURES, PLACE_FEATURES, PLAN_FEATURES
from hpcai.scheduling.gpu_cluster.state import CLAIMED, DONE, LOG, RUNNING, STOPPING, Cluster, make_cluster
from hpcai.scheduling.gpu_cluster.work import make_workload
from hpcai.simulation.gpu_cluster.clock import ASKS, FULL, OVER, run_until
from hpcai.simulation.gpu_cluster.replay import run_through
from hpcai.simulation.gpu_cluster.rewards import ClusterReward
from hpcai_envs.placement import PlacementEnv
from hpcai_envs.preemption import PreemptionEnv
from tests.gpu_workloads import CLUSTER, gpu_cluster_jobs

QUOTAS = {"a": Quota(gpus=24), "b": Quota(gpus=16, borrow=8), "c": Quota(gpus=8)}
DISCIPLINES = {
    "class": Discipline(storage_gbyte_s=1),
    "strict": Discipline(queueing="strict", placement="topology-aware", victims="latest-start"),
    "patient": Discipline(patience=600, placement="fgd", victims="least-lost", requeue="back"),
    "deadline": Discipline(drain="deadline", storage_gbyte_s=1, victims="least-lost", grace=120, drain_bound=900),
    "staggered": Discipline(drain="staggered", storage_gbyte_s=0.5, placement="topology-aware", grace=120),
    "learned": Discipline(victims="learned", victim_weights={"lost": 1.0, "surplus": 0.5}, placement="best-fit"),
    "quotas": Discipline(quotas=QUOTAS, storage_gbyte_s=1),
    "srtf": Discipline(order="srtf", preemption="order", quantum=60, restart=5),
    "drf": Discipline(order="drf", placement="spread"),
}
SHRINKS = np.zeros(16, dtype=np.bool_)


def begun(seed: int, discipline: Discipline, external: int = 0, n: int = 120) -> Cluster:
    jobs = gpu_cluster_jobs(np.random.default_rng(seed), n, challenges=seed % 3)
    return make_cluster(make_workload(jobs, CLUSTER, discipline), CLUSTER, discipline, external=external)


def played(cluster: Cluster, choose, by_leaf: bool = False) -> np.ndarray:
    """Play to the end; ``choose`` is told how many ways there are, and what the discipline's is. Return the log."""
    parts, asked = [], 0
    while (why := run_until(cluster, np.inf)) != OVER:
        if why == FULL:
            parts.append(cluster.log[: cluster.at[0]["logged"]].copy())
            cluster.at[0]["logged"] = 0
            continue
        assert why == ASKS
        asked += 1
        place(cluster, choose, by_leaf) if cluster.at[0]["asking"] == PLACE else preempt(cluster, choose)
    assert asked > 0
    return np.concatenate([*parts, cluster.log[: cluster.at[0]["logged"]]]).astype(LOG)


def place(cluster: Cluster, choose, by_leaf: bool) -> None:
    where = np.zeros(int(cluster.run[cluster.at[0]["asked"]]["tasks"]), dtype=np.int64)
    vacate(cluster, where)
    placed = place_what_is_clear(cluster, by_leaf, where, 0)
    while placed < len(where):
        leaves = cluster.nodes.leaf
        possible = np.flatnonzero(cluster.nodes.room[0] > 0)
        possible = np.unique(leaves[possible]) if by_leaf else possible
        own = ruled(cluster, where, placed)
        own = int(leaves[own]) if by_leaf else own
        placed = place_where(cluster, by_leaf, where, placed, int(choose(possible, own)))


def preempt(cluster: Cluster, choose) -> None:
    who = np.zeros(16, dtype=np.int64)
    while True:
        shown, _ = find_moves(cluster, who, SHRINKS)
        k = int(choose(np.arange(-1 if shown else 0, max(shown, 1)), 0))
        if shown > 0 and k < 0:
            wait(cluster)
        if shown == 0 or k < 0 or make_move(cluster, who[k], SHRINKS[k]):
            return


def its_own(possible: np.ndarray, own: int) -> int:
    return own


@pytest.mark.parametrize("name", DISCIPLINES)
@pytest.mark.parametrize("external", [PLACE, PREEMPT, PLACE | PREEMPT])
def test_answering_as_the_discipline_does_gives_its_replay_event_for_event(name, external):
    for seed in range(3):
        expected = run_through(begun(seed, DISCIPLINES[name]))
        cluster = begun(seed, DISCIPLINES[name], external)
        log = played(cluster, its_own)
        for column in LOG.names:
            np.testing.assert_array_equal(log[column], expected[column], column)


@pytest.mark.parametrize("seed", range(3))
def test_leaf_by_leaf_topology_aware_gives_its_replay_too(seed):
    discipline = DISCIPLINES["strict"]
    log = played(begun(seed, discipline, PLACE), its_own, by_leaf=True)
    np.testing.assert_array_equal(log, run_through(begun(seed, discipline)))


@pytest.mark.parametrize("name", DISCIPLINES)
@pytest.mark.parametrize("seed", range(1, 3))
@pytest.mark.parametrize("by_leaf", [False, True])
def test_whatever_is_answered_the_books_are_right_and_all_jobs_end(name, seed, by_leaf):
    rng = np.random.default_rng(seed)
    cluster = begun(seed, DISCIPLINES[name], PLACE | PREEMPT, n=80)
    room = cluster.nodes.gpu.copy()

    def at_random(possible: np.ndarray, own: int) -> int:
        check_books(cluster, room)
        return int(rng.choice(possible))

    log = played(cluster, at_random, by_leaf)
    assert (np.diff(log["time"]) >= 0).all()
    assert (cluster.nodes.gpu == room).all()
    if name != "quotas":
        assert (cluster.run["status"] == DONE).all()
    run, work = cluster.run, cluster.work
    assert np.allclose(run["executed"], work["work"] - run["remaining"] + run["undone"])


def check_books(cluster: Cluster, room: np.ndarray) -> None:
    """The GPUs of who runs, and has not been taken off by a plan that is being made, are no more than there are."""
    held = np.zeros_like(room)
    for j in cluster.running[: cluster.at[0]["running"]]:
        run, work = cluster.run[j], cluster.work[j]
        if run["status"] in (RUNNING, STOPPING):
            for place in cluster.places[work["entries"] : work["entries"] + run["tasks"]]:
                bits = (int(place["gpus"]) >> np.arange(room.shape[1])) & 1
                held[place["node"]] += bits * min(int(work["gpu"]), 1000)
    assert (held <= room).all()
    assert cluster.at[0]["free"] == np.maximum(cluster.nodes.gpu, 0).sum()


def test_the_wait_of_a_job_and_the_time_it_holds_places_make_up_its_stay():
    cluster = begun(1, Discipline(elastic=False, storage_gbyte_s=1))
    run_through(cluster)
    run, work = cluster.run, cluster.work
    assert not (run["status"] == CLAIMED).any()
    one = work["gpu"] > 0
    held = run["attained"][one] / (run["tasks"] * work["gpu"] / 1000)[one]
    np.testing.assert_allclose((run["waited"][one] + held), (run["ended"] - work["submit"])[one], rtol=1e-9)


@pytest.fixture(scope="module")
def crowded() -> Trace:
    """A day of random jobs for the small cluster."""
    jobs = gpu_cluster_jobs(np.random.default_rng(5), 300, challenges=2, span=40_000.0)
    return replace(read_trace("mn-1-day.parquet"), jobs=jobs, name="crowded")


@pytest.fixture(scope="module", params=["node", "leaf", "preemption"])
def environment(request, crowded):
    shared = {"trace": crowded, "machine": CLUSTER, "length": 40}
    if request.param == "preemption":
        return gym.make("hpcai_envs:hpcai/Preemption-v0", load=1.0, window=8, **shared).unwrapped
    return gym.make("hpcai_envs:hpcai/Placement-v0", per=request.param, **shared).unwrapped


def run(env, choose, seed: int = 0, options: dict | None = None):
    """Play an episode; return the rewards and the last info."""
    env.reset(seed=seed, options=options)
    rewards, ended = [], False
    while not ended:
        observation, reward, ended, truncated, info = env.step(choose(env))
        assert env.observation_space.contains(observation)
        assert not truncated
        rewards.append(reward)
    assert not any(array.any() for array in observation.values())
    return rewards, info


def own(env) -> int:
    return env.own_action()


def at_random(seed: int):
    rng = np.random.default_rng(seed)
    return lambda env: int(rng.choice(np.flatnonzero(env.action_masks())))


def test_gymnasium_and_sb3_find_nothing_wrong(environment):
    for mode in ("rgb_array", "ansi"):
        environment.render_mode = mode
        check_env(environment)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Your observation .* has an unconventional shape")
        check_for_sb3(environment)


def test_an_episode_is_seeded_and_its_actions_are_possible(environment):
    def possible(env) -> int:
        action = at_random(env.episode.steps)(env)
        assert env.action_masks().sum() > 1
        return action

    assert run(environment, possible, seed=4) == run(environment, possible, seed=4)


def test_the_disciplines_own_answers_cost_what_it_costs(environment):
    rewards, info = run(environment, own, seed=1)
    assert info["ratio"] == pytest.approx(1.0)
    assert sum(rewards) == pytest.approx(0.0 if environment.reward.relative else -info["cost"], abs=1e-9)


@pytest.mark.parametrize("relative", [True, False])
def test_dense_rewards_add_up_to_the_terminal_one(environment, relative):
    kept, sums = environment.reward, []
    for timing in ("dense", "terminal"):
        environment.reward = kept.model_copy(update={"timing": timing, "relative": relative})
        environment._set_up()
        rewards, info = run(environment, at_random(3), seed=2)
        sums.append(sum(rewards))
    environment.reward = kept
    environment._set_up()
    assert sums[0] == pytest.approx(sums[1])
    assert sums[0] == pytest.approx(1 - info["ratio"] if relative else -info["cost"])


def test_the_cost_is_what_the_jobs_say(crowded):
    reward = {"turnaround": 2.0, "slowdown": 0.5, "lost": 3.0, "waiting": {"normal": 1.0, "grand-challenge": 4.0}}
    env = PreemptionEnv(crowded, machine=CLUSTER, length=100, load=2.0, part="all", reward=reward)
    _, info = run(env, at_random(0), options={"window": 198})
    jobs, work = env.jobs, env.episode.cluster.work
    stay = jobs["ended"] - work["submit"]
    weight = np.array([0.0, 1.0, 4.0])[work["rank"]] * np.maximum(work["tasks"] * work["gpu"] / 1000, 1)
    cost = 2 * stay / 3600 + 0.5 * stay / np.maximum(work["work"], 10) + 3 * (jobs["lost"] + jobs["overhead"]) / 3600
    assert (jobs["lost"] > 0).any()
    assert info["cost"] == pytest.approx((cost + weight * jobs["waited"] / 3600).mean())


def test_who_always_waits_stops_nobody(crowded):
    env = PreemptionEnv(crowded, machine=CLUSTER, length=60, load=1.0, window=8)
    run(env, lambda env: 8, seed=3)
    assert (env.jobs["stops"] == 0).all()


def test_an_impossible_action_counts_as_the_disciplines(environment):
    def impossible(env) -> int:
        masks = env.action_masks()
        return own(env) if masks.all() else int(np.flatnonzero(~masks)[0])

    assert run(environment, impossible, seed=6) == run(environment, own, seed=6)


def test_parts_of_the_log_do_not_overlap(crowded):
    env = PlacementEnv(crowded, machine=CLUSTER, length=20)
    spans = {}
    for part in ("train", "validation", "test"):
        env.reset(seed=0, options={"part": part})
        spans[part] = (env.source.first, env.source.last)
    assert spans["train"][1] <= spans["validation"][0]
    assert spans["validation"][1] <= spans["test"][0]
    submit, train = env.source.jobs["submit"], split(crowded)["train"].jobs["submit"]
    assert submit[spans["train"][1] - 1] <= train.max() < submit[spans["train"][1]]


def test_options_of_reset(crowded):
    env = PlacementEnv(crowded, machine=CLUSTER, length=20)
    _, info = env.reset(options={"length": 30, "part": "test", "load": 2.0, "window": 250})
    assert info["window"] == 250
    assert len(env.jobs) == 30
    smaller = CLUSTER.model_copy(update={"groups": CLUSTER.groups[1:]})
    jobs = crowded.jobs[crowded.jobs["gpu_kind"].astype(str) != "P100"]
    trace = replace(crowded, jobs=jobs[jobs["gpus"] <= 32].reset_index(drop=True))
    observation, _ = env.reset(options={"trace": trace, "machine": smaller, "part": "train"})
    assert observation["places"].shape[0] == CLUSTER.total_nodes
    assert not env.action_masks()[smaller.total_nodes :].any()
    with pytest.raises(InputError, match="expected at most 8"):
        env.reset(options={"machine": "mn-1"})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"discipline": {"order": 1}}, "discipline: order"),
        ({"discipline": {"queueing": "strict", "backfill": "easy"}}, "backfill 'easy': expected none"),
        ({"reward": {"turnaround": 0}}, "at least one weight"),
        ({"length": 0}, "window of 0 jobs"),
        ({"load": 0}, "load 0"),
        ({"machine": "16"}, "expected nodes with GPUs"),
        ({"trace": "no.parquet"}, "no.parquet"),
    ],
)
@pytest.mark.parametrize("kind", [PlacementEnv, PreemptionEnv])
def test_what_makes_no_sense_is_refused(kind, arguments, said):
    with pytest.raises(InputError, match=said):
        kind(**{"trace": "mn-1-day.parquet", **arguments})


def test_unknown_options_of_an_environment_are_refused(environment):
    for env, options in ((environment, {"windows": 1}), (environment, {"window": 10**6})):
        with pytest.raises(InputError, match="reset option"):
            env.reset(options=options)
    with pytest.raises(InputError, match="per 'rack'"):
        PlacementEnv(per="rack")
    with pytest.raises(InputError, match="window 0"):
        PreemptionEnv(window=0)


def test_an_agent_must_not_see_run_times_by_accident(crowded):
    trace = replace(crowded, jobs=crowded.jobs.assign(requested_time=np.nan))
    with pytest.raises(InputError, match="no requested time"):
        PlacementEnv(trace, machine=CLUSTER, length=20)


@pytest.mark.parametrize("kind", ["Placement", "Preemption"])
def test_what_is_seen_does_not_depend_on_run_times(kind, crowded):
    """Until a job ends, an agent sees the same whatever the true run times are."""
    jobs = crowded.jobs.assign(requested_time=50_000.0, run_time=40_000.0, qos=crowded.jobs["qos"])
    other = jobs.assign(run_time=45_000.0)
    seen = []
    for table in (jobs, other):
        env = gym.make(
            f"hpcai_envs:hpcai/{kind}-v0", trace=replace(crowded, jobs=pd.DataFrame(table)), machine=CLUSTER,
            length=60, load=4.0, part="train",
        ).unwrapped  # fmt: skip
        observation, _ = env.reset(options={"window": 0})
        steps = [observation]
        while env.episode.cluster.at[0]["now"] < 9_000 and not env._over:
            steps.append(env.step(own(env))[0])
        seen.append(steps)
    assert len(seen[0]) > 3
    for a, b in zip(*seen, strict=False):
        if env.episode.cluster.at[0]["now"] < 9_000:
            for name in a:
                np.testing.assert_array_equal(a[name], b[name])


def test_sb3_makes_vector_environments_and_trains(crowded):
    for name, arguments in (
        ("Placement", {"per": "node"}),
        ("Placement", {"per": "leaf", "least_pods": 2}),
        ("Preemption", {"window": 8, "load": 1.0}),
    ):
        env = make_vec_env(
            f"hpcai_envs:hpcai/{name}-v0", n_envs=2, seed=1,
            env_kwargs={"trace": crowded, "machine": CLUSTER, "length": 30, **arguments},
        )  # fmt: skip
        agent = MaskablePPO("MultiInputPolicy", env, n_steps=64, batch_size=64, seed=0, device="cpu")
        agent.learn(300)
        assert agent.num_timesteps >= 300
        env.close()


def test_the_shipped_day_is_the_default():
    for kind in (PlacementEnv, PreemptionEnv):
        env = kind()
        assert env.source.machine.name == "mn-1"
        env.reset(seed=0)
        assert env.action_masks().sum() > 1


SHEET = (Path(__file__).parents[2] / "docs" / "environment.md").read_text("utf-8")


@pytest.mark.parametrize("columns", [PLACE_FEATURES, GANG_FEATURES, MOVE_FEATURES, PLAN_FEATURES])
def test_every_column_is_described_as_in_the_code_and_in_its_order(columns):
    rows = [f"| `{name}` | {meaning} |" for name, meaning in columns.items()]
    assert "| column | value |\n|---|---|\n" + "\n".join(rows) + "\n\n" in SHEET


def test_every_argument_and_reward_is_explained():
    for kind in (PlacementEnv, PreemptionEnv):
        arguments = [name for name in inspect.signature(kind.__init__).parameters if name != "self"]
        for name in [*arguments, *ClusterReward.model_fields]:
            assert f"`{name}`" in SHEET, name
