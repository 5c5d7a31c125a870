"""How long a bundle takes to score a queue, on one core: the graph alone, and all that an adapter does for an order.

python benchmarks/bundle.py policy.hpcai --jobs 500
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from hpcai.cluster import Machine
from hpcai.live.ranking import BundleRanker, load_ranker
from hpcai.live.state import LiveState
from hpcai.records.schema import empty_jobs


def made_up(ranker: BundleRanker, jobs: int, rng: np.random.Generator) -> LiveState:
    """A queue within the limits of the bundle, on a machine half of which is in use."""
    limits = ranker.bundle.manifest.validity
    most = int(limits["job_size"].most)
    processors = 2 * most
    waiting, running = empty_jobs(jobs), empty_jobs(20)
    for table in (waiting, running):
        n = len(table)
        table["job_id"] = [str(k) for k in range(n)]
        table["submit"] = np.sort(rng.uniform(0, 3600, n))
        table["processors"] = rng.integers(1, most + 1, n)
        table["requested_time"] = rng.uniform(limits["requested_time"].least, limits["requested_time"].most, n)
    running["processors"] = max(most // 20, 1)
    running["start"] = running["submit"]
    return LiveState(3600.0, 1.8e9, Machine.by_processors(processors), waiting, running)


def timed(what: str, work: Callable[[], object], times: int = 300) -> None:
    """Print the median and the 99 % quantile of a call."""
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    median, slow = (1000 * np.quantile(seconds, q) for q in (0.5, 0.99))
    print(f"{what:<40} median {median:7.3f} ms   99 % {slow:7.3f} ms")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--jobs", type=int, default=500)
    given = parser.parse_args()
    ranker = load_ranker(given.bundle)
    rng = np.random.default_rng(0)
    inputs = {}
    for tensor in ranker.bundle.manifest.inputs:
        axes = [
            len(tensor.features) if axis == "feature" else given.jobs if axis == "job" else axis
            for axis in tensor.shape
        ]
        inputs[tensor.name] = rng.uniform(0.1, 1, axes).astype(tensor.dtype)
    state = made_up(ranker, given.jobs, rng)
    (output,) = [tensor.name for tensor in ranker.bundle.manifest.outputs]
    ranker.judge(state)
    timed(f"policy.onnx, {given.jobs} jobs", lambda: ranker.session.run([output], inputs))
    timed(f"features and order, {given.jobs} jobs", lambda: ranker.judge(state), 100)


if __name__ == "__main__":
    main()
