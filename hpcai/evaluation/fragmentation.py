"""GPUs that cannot be used for fragmentation: Monte-Carlo workload inflation under several placements.

As in Weng et al., USENIX ATC 2023, section 6: pods of a list are drawn with replacement and placed one after the
other, none of them ends, and those that fit nowhere are passed over. Reported is the part of the cluster's GPUs that
is not allocated once so many GPUs have been asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.cluster.spec import Machine
from hpcai.configuration import read_weights
from hpcai.errors import InputError
from hpcai.evaluation.placement_config import InflationConfig, PlacementConfig
from hpcai.evaluation.progress import Progress
from hpcai.evaluation.statistics import ratios, resample
from hpcai.records.pods import read_nodes, read_pods
from hpcai.scheduling.jobs import MILLI
from hpcai.scheduling.placement import Pods, inflate, make_nodes, make_pods, make_rule, make_target
from hpcai.scheduling.placement.nodes import gpu_kinds
from hpcai.scheduling.placement.pods import PLACE

Floats = NDArray[np.float64]
RESAMPLES: Final = 10_000
SEED_OF_INTERVALS: Final = 0


@dataclass(frozen=True)
class Workload:
    """A list of pods on a machine, with the task classes that fragmentation is measured against."""

    name: str
    machine: Machine
    jobs: pd.DataFrame
    pods: Pods
    target: NDArray[np.void]  # POD (M,)
    sha256: Mapping[str, str]

    def draw(self, seed: int, load: float) -> NDArray[np.int64]:
        """Return the types of pods drawn until ``load`` times the machine's GPUs have been asked for.

        Raises InputError if no pod has a GPU.
        """
        size = self.pods.types["gpu"]
        wanted = load * self.machine.total_gpus * MILLI
        mean = float(size[self.pods.type].mean()) if len(self.pods.type) else 0.0
        if mean == 0:
            raise InputError(f"{self.name}: no pod has a GPU")
        rng = np.random.default_rng(seed)
        drawn = np.zeros(0, dtype=np.int64)
        while size[drawn].sum() < wanted:
            more = rng.integers(len(self.pods.type), size=int(wanted / mean) + 1)
            drawn = np.concatenate([drawn, self.pods.type[more]])
        enough = int(np.searchsorted(np.cumsum(size[drawn]), wanted)) + 1
        return drawn[:enough]


def read_workloads(config: InflationConfig) -> list[Workload]:
    """Return the workload of each list of pods. Raises InputError if a file cannot be read."""
    machine, sha256 = read_nodes(config.nodes)
    workloads = []
    for path in config.pods:
        jobs, own = read_pods(path)
        workloads.append(make_workload(Path(path).name.split(".")[0], machine, jobs, config.coverage, sha256 | own))
    return workloads


def make_workload(
    name: str, machine: Machine, jobs: pd.DataFrame, coverage: float, sha256: Mapping[str, str]
) -> Workload:
    """Return the workload of pods in the columns of records.pods."""
    pods = make_pods(jobs, gpu_kinds(machine))
    return Workload(name, machine, jobs, pods, make_target(pods, coverage), sha256)


def unallocated(
    workload: Workload, policy: str, seed: int, loads: Sequence[float], weights: Mapping[str, float] | None = None
) -> Floats:
    """Return the part of the GPUs that is not allocated when each of ``loads`` is offered, (loads,).

    ``weights`` are those of the policy 'learned'.
    """
    machine, types = workload.machine, workload.pods.types
    pods = workload.draw(seed, max(loads))
    rule = make_rule(policy, workload.target, weights=weights, seed=seed, remember=(len(types), machine.total_nodes))
    taken = np.zeros(len(pods), dtype=np.int64)
    inflate(make_nodes(machine), types, pods, rule, np.zeros(len(pods), dtype=PLACE), taken)
    offered = np.cumsum(types["gpu"][pods])
    reached = np.searchsorted(offered, np.array(loads) * machine.total_gpus * MILLI)
    return 1 - taken[np.minimum(reached, len(pods) - 1)] / (machine.total_gpus * MILLI)


def evaluate_placement(config: PlacementConfig, workers: int = 1, quiet: bool = True) -> dict[str, Any]:
    """Return the results of a comparison, ready to be written as JSON.

    ``workloads`` has, for each list of pods, policy and load: ``unallocated`` (mean over seeds), ``ratio`` of that
    to the baseline's, and ``low`` and ``high``, its 95 % interval by a bootstrap of the seeds, which are paired.
    """
    workloads = read_workloads(config)
    weights = read_weights(config.weights) if config.weights is not None else None
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    cells = [(w, policy, seed) for w in range(len(workloads)) for policy in config.policies for seed in seeds]

    def run(cell: tuple[int, str, int]) -> Floats:
        w, policy, seed = cell
        return unallocated(workloads[w], policy, seed, config.loads, weights)

    with Progress(len(cells), "inflations", quiet) as progress:
        found = dict(zip(cells, in_threads(run, cells, workers, progress.advance), strict=True))
    return {
        "hpcai": version("hpcai"),
        "config": config.model_dump(mode="json"),
        "sha256": dict(sorted({name: digest for w in workloads for name, digest in w.sha256.items()}.items())),
        "workloads": {
            workload.name: _compared(config, {p: np.stack([found[w, p, s] for s in seeds]) for p in config.policies})
            for w, workload in enumerate(workloads)
        },
    }


def in_threads(
    function: Callable[[Any], Any], items: Iterable[Any], workers: int, done: Callable[[], None] = lambda: None
) -> list[Any]:
    """Return ``function`` of each item, in order; compiled code holds no lock, so threads run side by side."""
    results = []
    with ThreadPoolExecutor(workers) as pool:
        for result in pool.map(function, items):
            results.append(result)
            done()
    return results


def _compared(config: PlacementConfig, values: dict[str, Floats]) -> dict[str, Any]:
    """Return the comparison of policies by their values, each (seeds, loads)."""
    weights = resample(config.seeds, 1, RESAMPLES, np.random.default_rng(SEED_OF_INTERVALS))
    rows: dict[str, Any] = {policy: {} for policy in config.policies}
    for i, load in enumerate(config.loads):
        of_all = np.stack([values[policy][:, i] for policy in config.policies], axis=1)
        compared = ratios(of_all, values[config.baseline][:, i], weights)
        for policy, own, ratio in zip(config.policies, of_all.T, compared, strict=True):
            rows[policy][f"{load:g}"] = {
                "unallocated": round(float(own.mean()), 6),
                "ratio": round(ratio.value, 4),
                "low": round(ratio.low, 4),
                "high": round(ratio.high, 4),
                "by_seed": [round(float(value), 6) for value in own],
            }
    return rows
