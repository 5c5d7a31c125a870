"""Seconds of one pass of the Kubernetes queue controller: from what the API server lists to what is to be bound.

    PYTHONPATH=. python benchmarks/controller.py [--nodes 200] [--waiting 1000] [--score topology]

The nodes have 8 GPUs, 7 of 8 are in use; pods of 1, 2, 4 and 8 GPUs and gangs of 16 x 8 wait, in order of creation.
Prints one JSON line with the median of 5. Figures depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np

from hpcai.live.kubernetes.binding import BindingQueue
from hpcai.live.kubernetes.guards import Guards
from hpcai.live.kubernetes.objects import Keys
from hpcai.live.kubernetes.placement import SCORES
from tests.live.kubernetes_objects import gang, node, pod


class AsTheyCame:
    """Ranks by submission, from the same tables as a policy."""

    def rank(self, state):
        """Return the rows as they are."""
        return np.arange(len(state.waiting))


def main():
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--waiting", type=int, default=1000)
    parser.add_argument("--score", choices=sorted(SCORES), default="topology")
    given = parser.parse_args()
    nodes = [node(f"n{i:04d}", rack=f"r{i // 16}") for i in range(given.nodes)]
    pods = [pod(f"r{i}", 1, node=f"n{i % given.nodes:04d}") for i in range(given.nodes * 7)]
    for k in range(given.waiting // 32):
        pods += gang(f"g{k}", 16, 8, second=k % 60)
    while len(pods) < given.nodes * 7 + given.waiting:
        pods.append(pod(f"w{len(pods)}", 2 ** (len(pods) % 4), second=len(pods) % 60))
    queue = BindingQueue(None, AsTheyCame(), Guards(most_writes=10**6), Keys(), SCORES[given.score])
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        _, plan = queue._decide(pods, nodes, time.time())
        took.append(time.perf_counter() - begun)
    started = sum(len(job.pods) for job, _ in plan.starts)
    line = {"nodes": given.nodes, "pods": len(pods), "waiting": given.waiting, "started": started}
    print(json.dumps(line | {"held": plan.held is not None, "seconds": round(statistics.median(took), 3)}))


if __name__ == "__main__":
    main()
