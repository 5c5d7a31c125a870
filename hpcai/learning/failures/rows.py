"""The rows of a detection: what is seen, what becomes of it, and which part each row is of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from hpcai.errors import InputError
from hpcai.evaluation.detection.walk import foreseeable
from hpcai.faults.detection.features import features_seen, frequent_templates
from hpcai.faults.detection.history import History, history_of
from hpcai.faults.detection.samples import Ahead, Samples, features_of, samples_of
from hpcai.faults.detection.telemetry import telemetry_features, telemetry_seen
from hpcai.learning.failures.config import DetectionConfig
from hpcai.records.failure_selection import select
from hpcai.records.failures import FailureLog, read_failures
from hpcai.records.telemetry import Telemetry, read_telemetry

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

PARTS: Final = ("train", "validation", "later", "unseen")
"""Of the rows; the last two are of the same time, of nodes that were learned from and of nodes that were not."""


@dataclass(frozen=True)
class Rows:
    """Rows in the order of ``samples``, with features (rows, features) by ``names``, and the part of each."""

    history: History
    samples: Samples
    x: Floats
    names: tuple[str, ...]
    templates: tuple[str, ...]
    metrics: tuple[str, ...]
    parts: dict[str, Mask]
    failures: tuple[Ints, Floats]  # node, time (s): those that some row lies before in time
    systems: tuple[str, ...]  # of each node

    def failures_of(self, *parts: str) -> tuple[Ints, Floats]:
        """Return the failures ahead of the rows of some parts, by node and time."""
        rows = self.samples.take(self.rows_of(*parts))
        node, time = self.failures
        begin, end = (rows.time.min(), rows.time.max()) if len(rows) else (np.inf, -np.inf)
        own = np.isin(node, np.unique(rows.node)) & (time > begin) & (time <= end)
        return node[own], time[own]

    def rows_of(self, *parts: str) -> Mask:
        """Return the rows of some parts."""
        return np.asarray(np.any([self.parts[name] for name in parts], axis=0))

    def with_label(self, label: Mask) -> Rows:
        """Return the same rows with other labels."""
        return replace(self, samples=replace(self.samples, label=label))


def read_inputs(config: DetectionConfig) -> tuple[FailureLog, Telemetry | None]:
    """Return the chosen part of the log, and the telemetry beside it with times from the same origin."""
    log = read_failures(config.log, format=config.format, **config.options)
    log = select(log, config.only, since=config.since, until=config.until)
    if config.telemetry is None:
        return log, None
    telemetry = read_telemetry(config.telemetry)
    shift = telemetry.origin - log.origin
    if not np.isnan(shift):
        telemetry.table["time"] += shift
    return log, telemetry


def rows_of(log: FailureLog, telemetry: Telemetry | None, config: DetectionConfig) -> Rows:
    """Return the rows of a log. Raises InputError if there is nothing to learn from, or to be judged by."""
    history = history_of(log, config.failures)
    ahead = Ahead(config.lead, config.horizon)
    samples = samples_of(log, history, ahead, config.step)
    if not len(samples):
        raise InputError(f"{config.log}: no node is watched for as long as {config.reach:g} s")
    parts, until = _split(samples, len(history.names), config)
    for name in PARTS:
        if not samples.label[parts[name]].any():
            raise InputError(f"{config.log}: no node fails in the part {name!r} of {int(parts[name].sum())} rows")
    templates = frequent_templates(log, until, config.templates)
    x = features_of(history, samples, templates)
    metrics = () if telemetry is None else telemetry.metrics
    if telemetry is not None:
        more = telemetry_features(telemetry, history.names, samples.node, samples.time, metrics)
        x = np.concatenate([x, more], axis=1)
    names = tuple(seen.name for seen in (*features_seen(templates), *telemetry_seen(metrics)))
    failures = foreseeable(history, samples, ahead)
    systems = tuple(log.nodes["system"].tolist())
    return Rows(history, samples, x, names, templates, metrics, parts, failures, systems)


def _split(samples: Samples, nodes: int, config: DetectionConfig) -> tuple[dict[str, Mask], float]:
    """Return the rows of each part, and the end of the first in s; what lies ahead of a row is in its part as well."""
    first, second = np.quantile(samples.time, np.cumsum(config.parts)[:2])
    unseen = np.zeros(nodes, dtype=np.bool_)
    drawn = np.random.default_rng(config.seed).permutation(nodes)
    unseen[drawn[: max(round(config.unseen * nodes), 1)]] = True
    kept, time = ~unseen[samples.node], samples.time
    parts = {
        "train": kept & (time + config.reach <= first),
        "validation": kept & (time >= first) & (time + config.reach <= second),
        "later": kept & (time >= second),
        "unseen": ~kept & (time >= second),
    }
    return parts, float(first)
