"""Random jobs of every kind and class for a small GPU cluster."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hpcai.cluster import Machine
from hpcai.cluster.spec import Network, NodeGroup
from hpcai.records.schema import empty_jobs

CLUSTER = Machine(
    name="small",
    groups=(
        NodeGroup(name="p", count=4, cpus=16, memory_gib=64, sockets=2, gpus=4, gpu_kind="P100", nic_gbit_s=10),
        NodeGroup(name="v", count=4, cpus=32, memory_gib=64, gpus=8, gpu_kind="V100", gpu_speed=1.6, nic_gbit_s=10),
    ),
    network=Network(topology="fat-tree", nodes_per_switch=2, oversubscription=4),
)
KINDS = ("batch", "gang", "elastic", "service", "array")


def gpu_cluster_jobs(rng: np.random.Generator, n: int, *, challenges: int = 1, span: float = 20_000.0) -> pd.DataFrame:
    """Return ``n`` jobs, of which the last ``challenges`` take every GPU."""
    jobs = empty_jobs(n)
    kind = rng.choice(KINDS, n)
    gpus = np.select(
        [kind == "gang", kind == "elastic", kind == "service"],
        [4 * rng.integers(1, 6, n), rng.integers(2, 5, n), rng.choice([0.25, 0.5, 1], n)],
        rng.choice([0, 0.5, 1, 2, 4], n),
    ).astype(float)
    rank = rng.choice(["preemptible", "normal"], n).astype(object)
    rank[n - challenges :] = "grand-challenge"
    kind[n - challenges :] = "gang"
    gpus[n - challenges :] = CLUSTER.total_gpus
    elastic = kind == "elastic"
    jobs["job_id"] = [f"j{i}" for i in range(n)]
    jobs["submit"] = np.round(rng.uniform(0, span, n), 1)
    jobs["run_time"] = np.round(rng.lognormal(6.5, 1.2, n), 1).clip(1)
    jobs["requested_time"] = jobs["run_time"] * rng.uniform(1, 3, n)
    jobs["gpus"] = gpus
    jobs["pods"] = np.where(kind == "gang", np.maximum(gpus // 4, 1), 0).astype(np.int64)
    jobs["processors"] = np.maximum(gpus, 1).astype(np.int64)
    jobs["memory"] = 2.0**30
    jobs["qos"] = pd.Categorical(rank)
    jobs["kind"] = pd.Categorical(kind)
    jobs["tenant"] = pd.Categorical(rng.choice(["a", "b", "c"], n))
    jobs["gpu_kind"] = pd.Categorical(np.where(gpus <= 4, rng.choice(["", "", "P100", "V100"], n), ""))
    jobs["min_gpus"] = np.where(elastic, 1.0, np.nan)
    jobs["max_gpus"] = np.where(elastic, 8.0, np.nan)
    jobs["scaling"] = np.where(elastic, 0.95, np.nan)
    jobs["model"] = pd.Categorical(np.where(gpus >= 4, rng.choice(["resnet50", "vgg16", ""], n), ""))
    jobs["checkpoint_interval"] = rng.choice([300.0, 1800.0, np.inf, np.nan], n)
    jobs["checkpoint_bytes"] = rng.uniform(1e9, 2e10, n)
    jobs["on_signal"] = rng.integers(0, 2, n)
    return jobs.sort_values("submit", kind="stable").reset_index(drop=True)
