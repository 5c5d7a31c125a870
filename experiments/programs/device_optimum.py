"""How far the method ``learned`` is from the optimum, where that can be known: graphs fused into few groups.

python experiments/programs/device_optimum.py GRAPHS RESULTS.json
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from hpcai.arrays import file_hash
from hpcai.device_placement.devices import alike
from hpcai.device_placement.grouping import grouped
from hpcai.device_placement.machine_devices import GIB
from hpcai.device_placement.methods.problem import Options
from hpcai.device_placement.methods.registry import run
from hpcai.device_placement.optimum import brute_force
from hpcai.device_placement.readers import read_graph
from hpcai.device_placement.readers.dnn_partitioning import DEVICE_KINDS
from hpcai.device_placement.simulator import StepSimulator
from hpcai.evaluation.resumable import write_json

GROUPS = {2: 16, 4: 9}  # devices to groups: all placements can be timed
EVALUATIONS = 2000


def cases(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the step of the optimum and of ``learned`` for each graph that can be fused so far."""
    for path in sorted(folder.iterdir()):
        graph = read_graph(path)
        copies = 1.0 if graph.device_kinds == DEVICE_KINDS else None
        for count, groups in GROUPS.items():
            devices = alike(graph.device_kinds[0], count, memory=32 * GIB, bandwidth=10e9, latency=5.7e-6)
            fused = grouped(graph, at_most=groups).graph
            simulator = StepSimulator(fused, devices, weight_copies=copies)
            best = brute_force(fused, simulator).seconds
            for method in ("zero-shot", "halving", "learned"):
                options = Options(weight_copies=copies, evaluations=EVALUATIONS)
                timing = simulator.time(run(method, fused, devices, options).placement)
                found = {"graph": path.name, "devices": count, "groups": len(fused), "method": method}
                yield found | {"optimum_seconds": best, "step_seconds": timing.seconds, "excess": timing.excess}


def main(folder: str, results: str) -> None:
    """Write the results, and print the ratios."""
    found = list(cases(Path(folder)))
    inputs = {path.name: file_hash(path) for path in sorted(Path(folder).iterdir())}
    identity = {"version": version("hpcai"), "evaluations": EVALUATIONS, "inputs": inputs}
    write_json(results, identity | {"cases": found})
    for method in dict.fromkeys(case["method"] for case in found):
        ratios = np.array([c["step_seconds"] / c["optimum_seconds"] for c in found if c["method"] == method])
        exact = int((ratios < 1 + 1e-9).sum())
        print(f"{method}: {len(ratios)} cases, {exact} optimal, mean {ratios.mean():.4f}, worst {ratios.max():.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
