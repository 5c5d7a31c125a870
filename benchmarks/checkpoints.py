"""How fast a job under faults is replayed: ``python benchmarks/checkpoints.py``."""

from __future__ import annotations

import time

import numpy as np

from hpcai.faults.checkpoints.constant import ConstantRate
from hpcai.faults.checkpoints.faults import Faults
from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.recent import Memory
from hpcai.simulation.faults.job_replay import CHECKPOINTS, play

MTBF, FAULTS = 1e5, 3000


def main() -> None:
    faults = Faults.all_global(np.cumsum(np.random.default_rng(0).exponential(MTBF, FAULTS)))
    job, edges = CheckpointedJob(60.0, 60.0, 60.0), np.arange(0.0, faults.time[-1], 30 * 86400.0)
    memory = Memory((0.4, *(0.1,) * 6, *(0.0,) * 6))
    for name, policy in (("constant", ConstantRate(MTBF)), ("by recent faults", memory.policy(1 / MTBF))):
        rule = policy.rule(job)
        checkpoints = play(rule, job, faults, edges)[:, CHECKPOINTS].sum()
        taken = []
        for _ in range(20):
            begin = time.perf_counter()
            play(rule, job, faults, edges)
            taken.append(time.perf_counter() - begin)
        best = min(taken)
        jobs = (len(edges) - 1) / best
        print(f"{name}: {jobs:.0f} jobs of 30 days a second, {best / checkpoints * 1e9:.0f} ns a decision")


if __name__ == "__main__":
    main()
