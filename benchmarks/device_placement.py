"""How many placements a second the step simulator times: python benchmarks/device_placement.py [GRAPH ...].

Each graph, of the zoo or a file, on 2, 4 and 8 GPUs of mn-1b, as it is and fused into at most 100 and 50 groups.
Random placements send most; contiguous ones, cut at random, least; a search is between the two. Seconds are of the
processor's time, so that others on the machine disturb little.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from hpcai.cluster.spec import load_machine
from hpcai.device_placement import zoo
from hpcai.device_placement.graph import OperatorGraph
from hpcai.device_placement.grouping import grouped
from hpcai.device_placement.machine_devices import machine_devices
from hpcai.device_placement.methods.problem import Options
from hpcai.device_placement.methods.registry import run
from hpcai.device_placement.readers import read_graph
from hpcai.device_placement.simulator import StepSimulator

GRAPHS = ("inception_v3", "nmt", "resnet50", "gpt2")
PLACEMENTS = 4000
REPEATS = 5


def rate(simulator: StepSimulator, placements: np.ndarray) -> float:
    """Placements timed per second: the best of some repeats, as others disturb the rest."""
    simulator.times(placements[:10])
    seconds = []
    for _ in range(REPEATS):
        began = time.process_time()
        simulator.times(placements)
        seconds.append(time.process_time() - began)
    return len(placements) / min(seconds)


def contiguous(graph: OperatorGraph, devices: int, rng: np.random.Generator) -> np.ndarray:
    """Placements (k, n) in pieces of the topological order."""
    cuts = np.sort(rng.integers(0, len(graph) + 1, (PLACEMENTS, devices - 1)), axis=1)
    pieces = (np.arange(len(graph))[None, :, None] >= cuts[:, None, :]).sum(axis=2)
    placements = np.empty_like(pieces)
    placements[:, graph.order] = pieces
    return placements


def rows(name: str) -> None:
    """Print the rows of one graph."""
    whole = zoo.build(name) if name in zoo.MODELS else read_graph(name)
    for most in (None, 100, 50):
        graph = whole if most is None else grouped(whole, at_most=most).graph
        for gpus in (2, 4, 8):
            devices, rng = machine_devices(load_machine("mn-1b"), gpus), np.random.default_rng(0)
            simulator = StepSimulator(graph, devices)
            random = rate(simulator, rng.integers(0, gpus, (PLACEMENTS, len(graph))))
            pieces = rate(simulator, contiguous(graph, gpus, rng))
            began = time.process_time()
            found = run("local-search", graph, devices, Options(evaluations=PLACEMENTS))
            searched = found.curve.evaluations[-1] / (time.process_time() - began)
            print(
                f"| {whole.name} | {len(graph)} | {len(simulator.expansion.graph)} | {gpus} | {random:,.0f} "
                f"| {pieces:,.0f} | {searched:,.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    print("| graph | operators | run in a step | GPUs | random /s | contiguous /s | local search /s |")
    print("|---" * 7 + "|")
    for given in sys.argv[1:] or GRAPHS:
        rows(given)
