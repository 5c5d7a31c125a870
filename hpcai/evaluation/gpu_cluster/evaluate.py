"""Disciplines compared: every one replays every case; results as JSON, jobs as Parquet, a report."""

from __future__ import annotations

import hashlib
import json
import math
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from hpcai.errors import InputError
from hpcai.evaluation.figures import averages
from hpcai.evaluation.fragmentation import RESAMPLES, SEED_OF_INTERVALS, in_threads
from hpcai.evaluation.gpu_cluster.config import ClusterConfig
from hpcai.evaluation.gpu_cluster.inputs import Case, Inputs, prepare
from hpcai.evaluation.gpu_cluster.metrics import METRICS, measure, pooled
from hpcai.evaluation.gpu_cluster.store import Cell, ClusterFolder
from hpcai.evaluation.gpu_cluster.timeline import Floats, Steps, load_of
from hpcai.evaluation.progress import Progress
from hpcai.evaluation.statistics import Ratio, ratios, resample
from hpcai.simulation.gpu_cluster.replay import Outcome, replay_cluster

BINS: Final = 300  # of the time line


def evaluate_cluster(
    config: ClusterConfig, *, resume: bool = False, workers: int = 1, quiet: bool = True
) -> dict[str, Any]:
    """Return the results of a comparison, which are also in its folder with the jobs and the report.

    Raises InputError if the jobs, the machine or a discipline cannot be used.
    """
    from hpcai.evaluation.gpu_cluster.report import render

    inputs = prepare(config)
    identity = {"hpcai": version("hpcai"), "config": config.as_dict(), "sha256": inputs.sha256}
    identity["settings"] = _digest(config, inputs)
    folder = ClusterFolder(config.out, identity, resume)
    _replay_all(config, inputs, folder, workers, quiet)
    results = identity | _described(inputs) | {"disciplines": compared(config, inputs, folder)}
    folder.write("results.json", json.dumps(results, indent=1, allow_nan=False) + "\n")
    folder.write("report.html", render(config, inputs, results, folder))
    folder.finish()
    return results


def _digest(config: ClusterConfig, inputs: Inputs) -> str:
    """Return what stands for all that the configuration names by a file: weights, parameters, the machine."""
    parts = [f"{name}: {each.model_dump(exclude_defaults=True)}" for name, each in config.settings.items()]
    parts.append(inputs.machine.model_dump_json())
    if config.generator is not None and config.generator.parameters is not None:
        parts.append(Path(config.generator.parameters).read_text("utf-8"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _replay_all(config: ClusterConfig, inputs: Inputs, folder: ClusterFolder, workers: int, quiet: bool) -> None:
    """Replay whatever is not in the folder yet."""
    todo = [(name, case) for case in inputs.cases for name in config.settings if not folder.has(Cell(name, case.name))]

    def run(item: tuple[str, Case]) -> None:
        name, case = item
        discipline = config.settings[name]
        within = progress.within(len(case.jobs)) if workers == 1 else None
        try:
            outcome = replay_cluster(case.jobs, inputs.machine, discipline, seed=case.seed, progress=within)
        except InputError as error:
            raise InputError(f"discipline {name!r}, {case.name}: {error}") from error
        measured = measure(case.jobs, outcome, inputs.machine, discipline) | {"timeline": timeline(outcome)}
        folder.write_cell(Cell(name, case.name), job_table(case.jobs, outcome), plain(measured))

    with Progress(len(config.settings) * len(inputs.cases), "replays", quiet) as progress:
        progress.reach(len(config.settings) * len(inputs.cases) - len(todo))
        in_threads(run, todo, workers, progress.advance)


def job_table(jobs: pd.DataFrame, outcome: Outcome) -> pd.DataFrame:
    """Return what became of each job, in seconds, GPUs and GPU-seconds."""
    columns = ["start", "end", "gpus", "work", "attained", "lost", "overhead", "stops"]
    known = jobs[["job_id", "submit", "kind", "qos", "tenant"]].reset_index(drop=True)
    return pd.concat([known, outcome.jobs[columns]], axis=1)


def timeline(outcome: Outcome) -> dict[str, Any]:
    """Return GPUs held and jobs waiting, averaged over BINS equal spans of time."""
    load = load_of(Steps.of(outcome), outcome.jobs)
    edges = np.linspace(load.time[0], max(load.time[-1], load.time[0] + 1.0), BINS + 1)
    return {
        "begin": float(edges[0]),
        "end": float(edges[-1]),
        "gpus": averages(load, load.gpus, edges).tolist(),
        "waiting": averages(load, load.queue, edges).tolist(),
    }


def compared(config: ClusterConfig, inputs: Inputs, folder: ClusterFolder) -> dict[str, Any]:
    """Return what was measured of each discipline, with ratios to the baseline."""
    cells = {n: [folder.measured(Cell(n, case.name)) for case in inputs.cases] for n in config.settings}
    weights = resample(len(inputs.cases), inputs.block, config.resamples, np.random.default_rng(SEED_OF_INTERVALS))
    found = {name: _metrics_of(name, cells, config, weights, inputs.block) for name in cells}
    result = {}
    for name, parts in cells.items():
        given = config.settings[name].model_dump(mode="json", exclude_defaults=True)
        challenges = [
            {"case": case.name} | each
            for case, part in zip(inputs.cases, parts, strict=True)
            for each in part["challenges"]
        ]
        result[name] = plain(
            {
                "settings": given,
                "metrics": found[name],
                "classes": pooled([part["classes"] for part in parts]),
                "tenants": pooled([part["tenants"] for part in parts]),
                "challenges": challenges,
            }
        )
    return result


def _metrics_of(
    name: str, cells: dict[str, list[dict[str, Any]]], config: ClusterConfig, weights: Floats, block: int
) -> dict[str, Any]:
    """Return each metric of a discipline: mean over the cases, its ratio to the baseline's, and by case.

    Cases without a value, as those without a grand challenge, are left out.
    """
    rows = {}
    for metric in METRICS:
        own, base = (
            np.array([part["metrics"][metric] for part in cells[which]], dtype=np.float64)
            for which in (name, config.baseline)
        )
        there = np.isfinite(own) & np.isfinite(base)
        ratio = Ratio(np.nan, np.nan, np.nan)
        if there.all() and len(own):
            ratio = ratios(own[:, None], base, weights, block)[0]
        elif there.any():
            few = resample(int(there.sum()), 1, RESAMPLES, np.random.default_rng(SEED_OF_INTERVALS))
            ratio = ratios(own[there][:, None], base[there], few)[0]
        mean = float(own[there].mean()) if there.any() else math.nan
        rows[metric] = {
            "mean": mean,
            "ratio": ratio.value,
            "low": ratio.low,
            "high": ratio.high,
            "by_case": own.tolist(),
        }
    return rows


def _described(inputs: Inputs) -> dict[str, Any]:
    machine = inputs.machine
    cases = [
        {
            "name": case.name,
            "jobs": len(case.jobs),
            "span_s": float(np.ptp(case.jobs["submit"].to_numpy())),
            "left_out": case.left_out,
        }
        for case in inputs.cases
    ]
    return {
        "source": inputs.source,
        "machine": {"name": machine.name, "gpus": machine.total_gpus, "nodes": machine.total_nodes},
        "cases": cases,
        "notes": inputs.notes,
    }


def plain(value: Any) -> Any:
    """Return data for JSON: numbers of six digits, None for what is not a finite number."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
