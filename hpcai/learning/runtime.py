"""Fit a predictor of run times on the training part of a log, and judge it on the validation part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpcai.arrays import file_hash
from hpcai.errors import InputError
from hpcai.evaluation.resumable import write_whole
from hpcai.learning.boosting import Boosted, assemble, boost, pinball
from hpcai.records import Trace, read_trace, split
from hpcai.scheduling.history import recorded_features, recorded_start
from hpcai.scheduling.jobs import SLOWDOWN_FLOOR
from hpcai.scheduling.predictor import (
    NO_TREES,
    OUTPUTS,
    UNKNOWN_REQUEST,
    Model,
    recorded_predictions,
    save_model,
)

Floats = NDArray[np.float64]

FEWEST_JOBS: Final = 200
LATEST: Final = 0.7
_LOSSES: Final[dict[str, dict[str, Any]]] = {
    "low": {"loss": "quantile", "quantile": 0.25},
    "median": {"loss": "quantile", "quantile": 0.5},
    "high": {"loss": "quantile", "quantile": 0.75},
    # Poisson's deviance estimates an expectation, keeps it positive, and minds small values less than gamma's.
    "mean": {"loss": "poisson"},
    "rate": {"loss": "poisson"},
}


def fit_outputs(logs: Sequence[pd.DataFrame], seed: int = 0) -> dict[str, Boosted]:
    """Fit every output of a predictor to the jobs of ``logs``, canonical tables in order of submission.

    A job is a sample twice, when it was submitted and when it started: predictions are made throughout its wait.
    Samples of several logs are merged by their place in their own, so that the latest of all are the latest of each.
    Raises InputError if there are too few jobs in one.
    """
    parts = [_samples(jobs) for jobs in logs]
    place = np.concatenate([(np.arange(len(x)) + 1) / len(x) for x, _ in parts])
    rows = np.argsort(place, kind="stable")
    x = np.concatenate([x for x, _ in parts])[rows]
    y = {name: np.concatenate([own[name] for _, own in parts])[rows] for name in OUTPUTS}
    return {name: boost(x, y[name], _LOSSES[name], seed) for name in OUTPUTS}


def _samples(jobs: pd.DataFrame) -> tuple[Floats, dict[str, Floats]]:
    """Return the features (samples, features) and targets (samples,) of one log's jobs, in order of time."""
    ran = np.isfinite(jobs["run_time"].to_numpy(np.float64))
    if ran.sum() < FEWEST_JOBS:
        raise InputError(f"a run-time predictor needs {FEWEST_JOBS} jobs to learn from, found {int(ran.sum())}")
    time = np.concatenate((jobs["submit"].to_numpy(np.float64), recorded_start(jobs)))
    rows = np.flatnonzero(np.tile(ran, 2))
    rows = rows[np.argsort(time[rows], kind="stable")]
    return recorded_features(jobs)[rows], {name: y[rows % len(jobs)] for name, y in targets(jobs).items()}


def targets(jobs: pd.DataFrame) -> dict[str, Floats]:
    """Return what each output estimates, by job: predictor.OUTPUTS, without the logarithm for expectations."""
    run = jobs["run_time"].to_numpy(np.float64)
    requested = np.nan_to_num(jobs["requested_time"].to_numpy(np.float64), nan=UNKNOWN_REQUEST)
    log_run = np.log(np.maximum(run, 1.0))
    return {
        "low": log_run,
        "median": log_run,
        "high": log_run,
        "mean": np.minimum(run, requested) / np.maximum(requested, 1.0),
        "rate": SLOWDOWN_FLOOR / np.maximum(run, SLOWDOWN_FLOOR),
    }


def train_runtime(
    sources: str | Path | Sequence[str | Path],
    *,
    format: str | None = None,
    share: float = 0.6,
    seed: int = 0,
    out: str | Path = "runs/predictor",
) -> dict[str, Any]:
    """Learn from the first ``share`` of each log; write ``predictor.npz`` and ``summary.json`` to ``out``.

    Return the summary: hashes, seed, and scores on the next tenth of each log. Nothing later than the validation part
    is learned from: 0.6 is the training part, 0.7 that and validation, to serve on the test part. Raises InputError
    if the share is none, or a log cannot be read or holds too few jobs.
    """
    if not 0 < share <= LATEST:
        raise InputError(f"share {share}: expected more than 0 and at most {LATEST}, where the test part begins")
    sources = (sources,) if isinstance(sources, str | Path) else sources
    traces = [read_trace(source, format=format) for source in sources]
    parts = [split(trace, (share, 0.1, 0.9 - share), ("train", "validation", "rest")) for trace in traces]
    model = assemble(fit_outputs([part["train"].jobs for part in parts], seed))
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "predictor.npz"
    save_model(model, path)
    summary = {
        "hpcai": version("hpcai"),
        "share": share,
        "seed": seed,
        "predictor": {"file": path.name, "sha256": file_hash(path), "trees": len(model.roots)},
        "logs": [
            _about(trace, len(own["train"].jobs), len(own["validation"].jobs), model)
            for trace, own in zip(traces, parts, strict=True)
        ],
    }
    write_whole(folder / "summary.json", (json.dumps(summary, indent=2, allow_nan=False) + "\n").encode())
    return summary


def _about(trace: Trace, train: int, validation: int, model: Model) -> dict[str, Any]:
    """Return what the summary says of one log."""
    return {
        "trace": trace.name,
        "format": trace.format,
        "inputs": trace.sha256,
        "jobs": {"train": train, "validation": validation},
        "validation": scores(trace.jobs.iloc[: train + validation], train, model),
    }


def scores(jobs: pd.DataFrame, first: int, model: Model) -> dict[str, dict[str, float]]:
    """Return how good predictions at submission are, from row ``first`` on: the model's, Tsafrir's, the requests.

    Accuracy is min(p, r) / max(p, r) of prediction and run time (Tsafrir et al. 2007), pinball loss that of the
    logarithm of the run time. The requests are judged by the jobs that have one.
    """
    log_run = targets(jobs)["median"]
    requested = np.tile(jobs["requested_time"].to_numpy(np.float64)[:, None], 3)
    rivals = {
        "boosted": recorded_predictions(jobs, model)[:, :3],
        "tsafrir": recorded_predictions(jobs, NO_TREES)[:, :3],
        "requested": requested,
    }
    return {name: _score(np.log(np.maximum(p, 1.0))[first:], log_run[first:]) for name, p in rivals.items()}


def _score(predicted: Floats, log_run: Floats) -> dict[str, float]:
    """Return the scores of the logarithms of predicted median, low and high quantile, (n, 3)."""
    known = np.isfinite(predicted[:, 0]) & np.isfinite(log_run)
    if not known.any():
        return {}
    (median, low, high), y = predicted[known].T, log_run[known]
    return {
        "mean_absolute_log_error": float(np.mean(np.abs(median - y))),
        "mean_accuracy": float(np.mean(np.exp(-np.abs(median - y)))),
        "pinball_0.25": pinball(y, low, 0.25),
        "pinball_0.5": pinball(y, median, 0.5),
        "pinball_0.75": pinball(y, high, 0.75),
        "overrun": float(np.mean(y > median)),
    }
