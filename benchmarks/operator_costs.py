"""How far the table of costs is from the layer times that PipeDream measured on a V100.

python benchmarks/operator_costs.py ../shared/data/graphs
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from hpcai.device_placement.graph import OperatorGraph
from hpcai.device_placement.operations import Operation, conv_cost, priced
from hpcai.device_placement.readers import read_graph

MODELS = ("vgg16", "resnet50", "inception_v3", "resnet101", "alexnet", "nasnetalarge")
PROFILER = 0.28e-3  # seconds that the profiler adds to a forward pass: what layers with next to no work take
READS = {"normalization": 2}  # times that a class reads its input


def operations(path: Path, profile: OperatorGraph) -> list[Operation]:
    """Return what each layer of a profile computes, in topological order."""
    lines = [line.split(" -- ") for line in path.read_text().splitlines()]
    text = {line[0]: line[1] for line in lines if len(line) == 3}
    starts, sources = profile.predecessors
    return [
        operation(profile, i, sources[starts[i] : starts[i + 1]], text[profile.operators[i]]) for i in profile.order
    ]


def operation(profile: OperatorGraph, i: int, sources: np.ndarray, text: str) -> Operation:
    """Return what a layer computes, by its description."""
    kind, cost, flops = profile.kinds[i], "", 0.0
    values = profile.output[i] / 4
    if kind == "matmul":
        flops = 2 * values * int(re.findall(r"in_features=(\d+)", text)[0])
    elif kind == "conv":
        before, after, high, wide, stride = map(
            int, re.findall(r"\((\d+), (\d+), kernel_size=\((\d+), (\d+)\), stride=\((\d+)", text)[0]
        )
        groups = int((re.findall(r"groups=(\d+)", text) or ["1"])[0])
        cost = conv_cost((high, wide), stride, before, after, groups)
        flops = 2 * values * high * wide * before / groups
    moved = READS.get(kind, 1) * profile.output[sources].sum() + profile.output[i] + profile.weights[i]
    inputs = tuple(profile.operators[j] for j in sources)
    return Operation(profile.operators[i], kind, inputs, flops, moved, profile.weights[i], cost=cost)


def compare(path: Path) -> None:
    """Print measured and computed milliseconds by class, and the median error of a layer."""
    profile = read_graph(path)
    listed = operations(path, profile)
    computed = priced(path.name, listed)
    rows = defaultdict(list)
    for j, i in enumerate(profile.order):
        if profile.forward[0, i] > 0:
            times = [profile.forward[0, i] - PROFILER, computed.forward[0, j]]
            rows[listed[j].cost or listed[j].kind].append([*times, profile.backward[0, i], computed.backward[0, j]])
    print(f"\n{path.name:<29} layers   forward ms: measured, computed    backward ms: measured, computed")
    rows["all"] = [row for times in rows.values() for row in times]
    for cost, found in rows.items():
        ms = 1e3 * np.maximum(np.array(found), 1e-6)
        print(f"{cost:<29} {len(found):>6}   {side(ms[:, 0], ms[:, 1])}    {side(ms[:, 2], ms[:, 3])}")


def side(measured: np.ndarray, computed: np.ndarray) -> str:
    """Return both sums, the error of the sum, and the median error of a layer."""
    whole = computed.sum() / measured.sum() - 1
    layer = np.median(abs(computed / measured - 1))
    return f"{measured.sum():7.1f} {computed.sum():7.1f} {whole:+6.0%} (a layer: {layer:4.0%})"


def main() -> None:
    """Compare all profiles."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    for name in MODELS:
        compare(parser.parse_args().folder / f"pipedream_{name}.graph.txt")


if __name__ == "__main__":
    main()
