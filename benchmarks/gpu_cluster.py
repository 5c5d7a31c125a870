"""How fast a GPU cluster replays, and how much memory that takes.

Usage: python benchmarks/gpu_cluster.py [JOBS ...]

A week of the reference site is about 10,000 jobs. Given are seconds of the replay alone, compiled before, under
several disciplines, jobs per second, and the most memory that the process has held.
"""

from __future__ import annotations

import resource
import sys
import time

from hpcai.records import generate
from hpcai.scheduling.gpu_cluster.discipline import Discipline
from hpcai.simulation.gpu_cluster.replay import replay_cluster

COST = {"storage_gbyte_s": 50, "drain": "staggered", "victims": "least-lost"}
DISCIPLINES = {
    "topology-aware": Discipline(placement="topology-aware", **COST),
    "pack": Discipline(placement="pack", **COST),
    "no preemption": Discipline(placement="topology-aware", preemption="none", elastic=False, **COST),
    "no network": Discipline(placement="topology-aware", communication=False, contention=False, **COST),
}


def main() -> None:
    for n in [int(word) for word in sys.argv[1:]] or [10_000]:
        trace = generate("reference-site", n, seed=0)
        small = trace.jobs.head(200).reset_index(drop=True)
        print(f"| {n:,} jobs | seconds | jobs/s | GiB |\n|---|---|---|---|")
        for name, discipline in DISCIPLINES.items():
            jobs, machine = trace.jobs, trace.machine
            if discipline.preemption == "none":
                jobs = jobs[jobs["qos"] != "grand-challenge"].reset_index(drop=True)
            replay_cluster(small, machine, discipline)
            begun = time.perf_counter()
            replay_cluster(jobs, machine, discipline)
            took = time.perf_counter() - begun
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(f"| {name} | {took:.1f} | {len(jobs) / took:,.0f} | {most:.2f} |", flush=True)


if __name__ == "__main__":
    main()
