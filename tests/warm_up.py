"""Compile what most tests need, kinds of state side by side, before the test workers start.

Machine code is cached on disk, but workers that start together would each compile the same first. ``make test`` runs
this; it does nothing but take a few seconds when everything is in the cache.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from hpcai.cluster import Machine
from hpcai.cooling.foresight import Foresight
from hpcai.cooling.interface import OWN
from hpcai.cooling.observation import SURROUNDINGS
from hpcai.device_placement.methods.problem import Options
from hpcai.device_placement.methods.registry import run
from hpcai.faults.checkpoints.constant import Fixed
from hpcai.faults.checkpoints.faults import Faults
from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.scheduling.gpu_cluster.discipline import Discipline
from hpcai.scheduling.jobs import replayable
from hpcai.scheduling.outlook import outlook
from hpcai.scheduling.policy import Policy
from hpcai.simulation import replay
from hpcai.simulation.batch import advance, make_seen, stack
from hpcai.simulation.cooling import FastPlant
from hpcai.simulation.episode import LOAD, Episodes, Setting
from hpcai.simulation.faults.job_replay import play
from hpcai.simulation.faults.outages import Outage
from hpcai.simulation.gpu_cluster.replay import replay_cluster
from hpcai.simulation.rollouts import Rollouts
from hpcai.simulation.site.setting import SiteSetting
from hpcai.simulation.site.site import Site
from tests.device_placement.random_graphs import random_devices, random_graph
from tests.gpu_workloads import CLUSTER, gpu_cluster_jobs
from tests.workloads import SMALL_CLUSTER, random_gpu_jobs, random_jobs

KINDS = (("nodes", "tsafrir"), ("processors", "tsafrir"), ("nodes", "none"), ("processors", "none"))


def compile_kind(kind: tuple[str, str]) -> None:
    """Run both clocks, an episode and a look at a live queue on a kind of machine, with or without a predictor."""
    machine_kind, predictor = kind
    rng = np.random.default_rng(0)
    machine = SMALL_CLUSTER if machine_kind == "nodes" else Machine.by_processors(16)
    jobs = random_gpu_jobs(rng, 20) if machine_kind == "nodes" else random_jobs(rng, 20, 16)
    jobs = jobs.assign(requested_time=jobs["requested_time"].fillna(jobs["run_time"]))
    jobs = replayable(jobs, machine)[0].reset_index(drop=True)
    ordering = "saf" if predictor == "none" else "saf-predicted"
    policy = Policy(ordering=ordering, predictor=predictor)
    for engine in ("compiled", "simpy"):
        replay(jobs, machine, policy, engine=engine)
    episodes = Episodes(jobs, machine, Setting(policy, window=8), length=len(jobs))
    advance(stack(episodes, 1), episodes.pool, np.array([LOAD]), np.array([0]), make_seen(1, 8), 0, 1)
    outlook(jobs, jobs.iloc[:0], machine, policy, float(jobs["submit"].max()))
    if kind == ("processors", "none"):  # the search of formulas
        Rollouts(jobs, machine, policy, len(jobs)).waits(policy, np.array([0]))


def compile_gpu_cluster() -> None:
    """Replay a few jobs on a GPU cluster, and on a site whose nodes fail."""
    jobs = gpu_cluster_jobs(np.random.default_rng(0), 20)
    replay_cluster(jobs, CLUSTER, Discipline())
    Site(jobs, SiteSetting(CLUSTER, Discipline(), 3600.0, outages=[Outage(60.0, (0,), 60.0)])).run()


def compile_small() -> None:
    """Place a few operators, and let a job write checkpoints."""
    rng = np.random.default_rng(0)
    for name in ("annealing", "local-search"):
        run(name, random_graph(rng, 6, training=True), random_devices(rng, 2), Options(evaluations=20))
    job = CheckpointedJob(1.0)
    play(Fixed(10.0).rule(job), job, Faults.all_global(np.array([5.0])), np.arange(2.0))


def compile_cooling() -> None:
    """Let the fast plant go a few steps, told what to do and looking ahead."""
    air = {"dry_bulb": np.full(4, 15.0), "wet_bulb": np.full(4, 10.0), "pressure": np.full(4, 1e5)}
    plant = FastPlant(air)
    plant.reset()
    plant.step(OWN, np.full(2, 0.5))
    foresight = Foresight(horizon=2)
    foresight.observe(np.concatenate((plant.reset(), np.full(len(SURROUNDINGS), 0.5))))
    foresight.predict(np.tile(OWN, (2, 1)))


if __name__ == "__main__":
    with ProcessPoolExecutor(min(len(KINDS) + 3, os.cpu_count() or 1)) as pool:
        others = pool.submit(compile_gpu_cluster)  # takes longest
        cooling, small = pool.submit(compile_cooling), pool.submit(compile_small)
        list(pool.map(compile_kind, KINDS))
        others.result()
        cooling.result()
        small.result()
