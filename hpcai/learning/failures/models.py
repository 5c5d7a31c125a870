"""The models of a detection, fitted to its first part."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import numpy.typing as npt

from hpcai.faults.detection.detector import Detector, DetectorMeta, Kind, Risk, Weibull, rule_of_thumb
from hpcai.faults.detection.features import features_seen
from hpcai.faults.detection.hazard import fit_hazard
from hpcai.faults.detection.samples import Ahead
from hpcai.learning.failures.config import DetectionConfig
from hpcai.learning.failures.growing import grow, isolate
from hpcai.learning.failures.rows import Rows

Floats = npt.NDArray[np.float64]


def fit(kind: Kind, rows: Rows, config: DetectionConfig) -> Detector:
    """Return a detector of one kind, without a threshold yet."""
    meta = DetectorMeta(
        hpcai=version("hpcai"),
        kind=kind,
        templates=rows.templates,
        telemetry=rows.metrics,
        failures=config.failures,
        lead=config.lead,
        horizon=config.horizon,
        hold=config.holds,
        most=config.most,
        costs=config.costs,
    )
    return Detector(meta, _model(kind, rows, config))


def _model(kind: Kind, rows: Rows, config: DetectionConfig) -> Risk:
    train, later = rows.parts["train"], rows.parts["validation"]
    label = rows.samples.label
    if kind == "boosting":
        return grow(rows.x[train], label[train], rows.x[later], label[later], config.seed, config.rounds)
    if kind == "isolation":
        return isolate(_sampled(rows)[train], config.seed)
    if kind == "weibull":
        struck = _strikes(rows, config.step)[train]
        hazard = fit_hazard(rows.x[train], rows.names, struck, config.step)
        return Weibull(hazard, rows.names, Ahead(config.lead, config.horizon))
    return rule_of_thumb(kind, rows.names)


def _sampled(rows: Rows) -> Floats:
    """Return the features, of which only those of telemetry vary if there are any: what needs no record of failures."""
    if not rows.metrics:
        return rows.x
    x = rows.x.copy()
    x[:, : len(features_seen(rows.templates))] = 0.0
    return x


def _strikes(rows: Rows, step: float) -> npt.NDArray[np.bool_]:
    """Return whether a failure comes before the next row, as a survival model counts."""
    struck = np.zeros(len(rows.samples), dtype=np.bool_)
    edges = np.searchsorted(rows.samples.node, np.arange(len(rows.history.names) + 1))
    for i, own in enumerate(rows.history.nodes):
        times = rows.samples.time[edges[i] : edges[i + 1]]
        until = np.searchsorted(own.failed, times + step, "right")
        struck[edges[i] : edges[i + 1]] = until > np.searchsorted(own.failed, times, "right")
    return struck
