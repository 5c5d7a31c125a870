"""A cluster under faults, compared by checkpoint policy: the same jobs and faults for all under every seed."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

import numpy as np

from hpcai.arrays import file_hash
from hpcai.evaluation.faults.cluster_config import ClusterFaultsConfig
from hpcai.evaluation.faults.cluster_inputs import (
    DrainAfter,
    cluster,
    jobs_of,
    outages_of,
    policies_of,
    read_source,
)
from hpcai.evaluation.fragmentation import RESAMPLES, SEED_OF_INTERVALS
from hpcai.evaluation.progress import Progress
from hpcai.evaluation.resumable import ResumableFolder, write_json
from hpcai.evaluation.statistics import ratios, resample
from hpcai.faults.checkpoints.cost import Storage
from hpcai.faults.checkpoints.rule import CheckpointPolicy
from hpcai.simulation.faults.cluster import FaultSetting
from hpcai.simulation.faults.cluster_run import ClusterRun, run_cluster
from hpcai.simulation.faults.outages import Outage

COMPARED: Final = ("goodput", "lost", "interruptions", "turnaround")


class ClusterFaultsFolder(ResumableFolder):
    """A comparison's folder."""

    kind = "hpcai cluster faults"
    holds = "comparison of a cluster under faults"

    def _clear(self) -> None:
        """Remove an earlier comparison's files and nothing else."""
        for name in ("results.json", "report.html"):
            (self.path / name).unlink(missing_ok=True)


def evaluate_cluster_faults(config: ClusterFaultsConfig, *, quiet: bool = True) -> dict[str, Any]:
    """Return the results of a comparison, which are also in its folder with a report.

    Raises InputError if a log or a model cannot be used.
    """
    from hpcai.evaluation.faults.cluster_report import render

    source, sha256 = read_source(config)
    sha256 |= {config.trace: file_hash(config.trace)} if config.trace else {}
    identity = {"hpcai": version("hpcai"), "config": config.model_dump(mode="json", exclude={"out"}), "sha256": sha256}
    folder = ClusterFaultsFolder(config.out, identity, resume=False)
    policies, rate = policies_of(config, source)
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    runs: dict[str, list[ClusterRun]] = {name: [] for name in policies}
    machine = cluster(config)
    with Progress(len(seeds) * len(policies), "runs", quiet) as progress:
        for seed in seeds:
            jobs, falls = jobs_of(config, machine, seed), outages_of(config, source, seed)
            for name, policy in policies.items():
                what = _setting(config, policy, falls, rate)
                runs[name].append(run_cluster(jobs, machine, config.scheduling, what, config.duration))
                progress.advance()
    results = identity | {"node_mtbf_hours": round(1 / rate / 3600, 2), "policies": _compared(config, runs)}
    write_json(folder.path / "results.json", results)
    folder.write("report.html", render(config, results))
    folder.finish()
    return results


def _setting(config: ClusterFaultsConfig, policy: CheckpointPolicy, falls: list[Outage], rate: float) -> FaultSetting:
    drain = None if config.drain_after is None else DrainAfter(config.drain_after, config.drain_window)
    return FaultSetting(
        outages=falls,
        policy=policy,
        storage=Storage(config.shared, config.node_link),
        node_bytes=config.node_bytes,
        node_rate=rate,
        requeue=config.requeue,
        crews=config.crews,
        spares=config.spares,
        drain=drain,
        drain_for=config.drain_for,
    )


def _compared(config: ClusterFaultsConfig, runs: dict[str, list[ClusterRun]]) -> dict[str, Any]:
    """Return of each policy the mean metrics, ratios to the baseline's, and the times to interruption by size."""
    metrics = {name: [run.metrics() for run in of] for name, of in runs.items()}
    weights = resample(config.seeds, 1, RESAMPLES, np.random.default_rng(SEED_OF_INTERVALS))
    found: dict[str, Any] = {
        name: {
            "metrics": {key: _mean([one[key] for one in of]) for key in of[0]},
            "by_seed": {key: [_rounded(one[key]) for one in of] for key in COMPARED},
            "mtti_hours_by_size": _by_size(runs[name]),
        }
        for name, of in metrics.items()
    }
    for key in COMPARED:
        values = np.array([[one[key] for one in of] for of in metrics.values()]).T
        compared = ratios(values, values[:, list(metrics).index(config.baseline)], weights)
        for name, ratio in zip(metrics, compared, strict=True):
            found[name][f"{key}_ratio"] = [_rounded(x) for x in (ratio.value, ratio.low, ratio.high)]
    return found


def _by_size(runs: list[ClusterRun]) -> dict[str, float | None]:
    """Return the mean time to interruption of jobs by their number of nodes, over all runs (h; None: none)."""
    running: dict[str, float] = {}
    counts: dict[str, int] = {}
    for run in runs:
        for name, (mtti, count) in run.mtti_by_size().items():
            running[name] = running.get(name, 0.0) + (mtti * count if count else 0.0)
            counts[name] = counts.get(name, 0) + count
    return {name: round(running[name] / n / 3600, 2) if n else None for name, n in counts.items()}


def _mean(values: list[float]) -> float | None:
    known = [value for value in values if np.isfinite(value)]
    return _rounded(float(np.mean(known))) if known else None


def _rounded(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
