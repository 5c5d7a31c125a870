"""The two clocks of a GPU cluster agree event for event."""

from __future__ import annotations

import numpy as np
import pytest
import simpy

from hpcai.scheduling.gpu_cluster.discipline import Discipline
from hpcai.scheduling.gpu_cluster.state import make_cluster
from hpcai.scheduling.gpu_cluster.work import make_workload
from hpcai.simulation.gpu_cluster.replay import outcome_of, run_through
from hpcai.simulation.gpu_cluster.simpy_clock import ClusterFlow
from tests.gpu_workloads import CLUSTER, gpu_cluster_jobs

DISCIPLINES = {
    "staggered": Discipline(drain="staggered", storage_gbyte_s=0.5, victims="by-node", grace=120, drain_bound=900),
    "conservative": Discipline(queueing="strict", backfill="conservative"),
    "las": Discipline(order="las", preemption="order", quantum=120, tick=300),
}


@pytest.mark.parametrize("name", DISCIPLINES)
@pytest.mark.parametrize("seed", range(3))
def test_both_clocks_agree(name, seed):
    jobs = gpu_cluster_jobs(np.random.default_rng(seed), 150)
    workload = make_workload(jobs, CLUSTER, DISCIPLINES[name])
    compiled, coupled = (make_cluster(workload, CLUSTER, DISCIPLINES[name]) for _ in range(2))
    log = run_through(compiled)
    told = []
    env = simpy.Environment(initial_time=-1.0)
    ClusterFlow(env, coupled, lambda entry: told.append(entry.copy()))
    env.run()
    assert outcome_of(compiled).equals(outcome_of(coupled))
    assert (log == np.array(told, dtype=log.dtype)).all()


def test_others_share_the_environment():
    """A process that looks every ten minutes sees the cluster as it is then, and refreshing changes nothing."""
    jobs = gpu_cluster_jobs(np.random.default_rng(3), 100)
    workload = make_workload(jobs, CLUSTER, Discipline(elastic=False))
    alone, shared = (make_cluster(workload, CLUSTER, Discipline(elastic=False)) for _ in range(2))
    run_through(alone)
    env = simpy.Environment(initial_time=-1.0)
    flow = ClusterFlow(env, shared)
    seen = []

    def looks():
        for _ in range(20):
            yield env.timeout(600)
            flow.refresh()
            seen.append(int(shared.at[0]["running"]))

    env.process(looks())
    env.run()
    assert max(seen) > 0
    assert np.allclose(outcome_of(alone)["end"], outcome_of(shared)["end"])
