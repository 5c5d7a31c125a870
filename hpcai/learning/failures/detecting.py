"""A detection from log to report: learn on a first part of the time, choose thresholds on a second, judge on the rest.

==============  ====================================================================
run.json        what it depends on: version, configuration, SHA-256 of each input
detector.npz    the chosen detector with its threshold
results.json    all that was measured; summary.json without curves and single lead times
report.html     the same for people
==============  ====================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from hpcai.arrays import file_hash
from hpcai.evaluation.detection.report import render
from hpcai.evaluation.progress import Progress
from hpcai.evaluation.resumable import ResumableFolder, write_json, write_whole
from hpcai.faults.detection.detector import Detector, Kind
from hpcai.learning.failures.config import DetectionConfig
from hpcai.learning.failures.judging import Judge, number
from hpcai.learning.failures.models import fit
from hpcai.learning.failures.rows import PARTS, Rows, read_inputs, rows_of
from hpcai.records.failures import FailureLog

DETECTOR_FILE: Final = "detector.npz"
RESULT_FILE: Final = "results.json"
SUMMARY_FILE: Final = "summary.json"
_LONG: Final = ("curve", "leads")


class DetectionFolder(ResumableFolder):
    """A detection's folder, always begun anew."""

    kind = "hpcai failure detection"
    holds = "detection"

    def _clear(self) -> None:
        """Remove an earlier detection's files and nothing else."""
        for name in (DETECTOR_FILE, RESULT_FILE, SUMMARY_FILE, "report.html"):
            (self.path / name).unlink(missing_ok=True)


def detect(config: DetectionConfig, *, quiet: bool = True) -> dict[str, Any]:
    """Learn, judge, write all to ``config.out``; return the results. Raises InputError if an input cannot be used."""
    sources = [source for source in (config.log, config.telemetry) if source is not None]
    identity = {
        "hpcai": version("hpcai"),
        "config": config.model_dump(mode="json", exclude={"out"}),
        "sha256": {Path(source).name: file_hash(source) for source in sources},
    }
    folder = DetectionFolder(config.out, identity, resume=False)
    log, telemetry = read_inputs(config)
    rows = rows_of(log, telemetry, config)
    detectors, judged = learned(rows, config, quiet=quiet)
    kind: Kind = best_of(judged) if config.chosen == "best" else config.chosen
    chosen = detectors[kind]
    judge = Judge(rows, config)
    results = identity | {
        "log": _described(log, rows),
        "chosen": kind,
        "models": judged,
        "threshold": chosen.meta.threshold,
        "ranges": _ranges(rows),
        "systems": judge.by_system(chosen),
        "importance": judge.importance(chosen),
    }
    write_whole(folder.path / DETECTOR_FILE, chosen.packed())
    write_json(folder.path / RESULT_FILE, results)
    write_json(folder.path / SUMMARY_FILE, _summary(results))
    folder.write("report.html", render(results))
    folder.finish()
    return results


def learned(
    rows: Rows, config: DetectionConfig, *, quiet: bool = True
) -> tuple[dict[Kind, Detector], dict[Kind, dict[str, Any]]]:
    """Return a detector of each kind with its threshold, and what each is worth on the tests."""
    judge = Judge(rows, config)
    detectors: dict[Kind, Detector] = {}
    judged: dict[Kind, dict[str, Any]] = {}
    with Progress(len(config.models), "models", quiet) as progress:
        for kind in config.models:
            detector = fit(kind, rows, config)
            threshold, judged[kind] = judge.judged(detector)
            meta = detector.meta.model_copy(update={"threshold": threshold if np.isfinite(threshold) else None})
            detectors[kind] = Detector(meta, detector.model)
            progress.advance()
    return detectors, judged


def best_of(judged: Mapping[Kind, Mapping[str, Any]]) -> Kind:
    """Return the kind of best average precision on the part for validation."""
    return max(judged, key=lambda kind: judged[kind]["validation"]["average_precision"] or 0.0)


def _summary(results: dict[str, Any]) -> dict[str, Any]:
    """Return the results without what is only drawn."""
    models = {
        kind: {part: {key: value for key, value in own.items() if key not in _LONG} for part, own in parts.items()}
        for kind, parts in results["models"].items()
    }
    return {key: value for key, value in results.items() if key != "ranges"} | {"models": models}


def _ranges(rows: Rows) -> dict[str, list[float]]:
    """Return the least, the bounds of 98 of 100, and the most of each feature in the part for training."""
    x, found = rows.x[rows.parts["train"]], {}
    for place, name in enumerate(rows.names):
        known = x[np.isfinite(x[:, place]), place]
        if len(known):
            found[name] = [float(f"{value:.6g}") for value in np.quantile(known, (0, 0.01, 0.99, 1))]
    return found


def _described(log: FailureLog, rows: Rows) -> dict[str, Any]:
    samples, parts = rows.samples, {}
    for name in PARTS:
        own = rows.parts[name]
        times = samples.time[own]
        parts[name] = {
            "rows": int(own.sum()),
            "failing": int(samples.label[own].sum()),
            "nodes": len(np.unique(samples.node[own])),
            "from_day": number(times.min() / 86400.0),
            "to_day": number(times.max() / 86400.0),
        }
    return {
        "name": log.name,
        "format": log.format,
        "nodes": len(log.nodes),
        "failures": sum(len(node.failed) for node in rows.history.nodes),
        "days": number((log.observed[1] - log.observed[0]) / 86400.0),
        "dropped": log.dropped.total,
        "notes": log.notes,
        "templates": list(rows.templates),
        "parts": parts,
    }
