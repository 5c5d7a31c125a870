"""A site whose failures come in bursts on one node, a detector that learned so, and the system log of such a node."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hpcai.learning.bundling.failures import export_detector
from hpcai.learning.failures.config import DetectionConfig
from hpcai.learning.failures.detecting import detect
from hpcai.live.bundle import Bundle
from hpcai.records.failure_writers import write_failures
from tests.faults.detection.small_logs import log_of

DAY = 86400.0


def bursty_log(seed: int = 0, nodes: int = 12, days: float = 600.0):
    """Each failure is followed by another within about half a day, eight times of ten."""
    rng = np.random.default_rng(seed)
    events = []
    for node in range(nodes):
        for first in rng.uniform(0, days, rng.poisson(days / 130)):
            at = first
            while at < days:
                events.append((f"g{node}", at, np.nan, "fatal", "gpu", "Xid 79: GPU has fallen off the bus"))
                if rng.random() > 0.8:
                    break
                at += rng.exponential(0.5)
    count = nodes
    columns = {"processors": np.full(count, 64.0), "gpus": np.full(count, 8.0)}
    return log_of(events, [f"g{i}" for i in range(nodes)], days, **columns)


def detector_bundle(folder: Path, nodes: int = 12, days: float = 600.0) -> Bundle:
    """Learn on the site and export it."""
    write_failures(bursty_log(0, nodes, days), folder / "site.parquet")
    given = {"models": ("boosting",), "chosen": "boosting", "resamples": 100, "rounds": 30, "lead": 0.0, "step": "12h"}
    given |= {"costs": {"missed": 500}, "log": str(folder / "site.parquet"), "out": str(folder / "detection")}
    detect(DetectionConfig.model_validate(given))
    return export_detector(folder / "detection", folder / "detector.hpcai")


def write_syslog(
    path: Path, quiet: Sequence[str], xids: Mapping[str, Sequence[float]], now: float | None = None
) -> Path:
    """Write a system log of the last 30 days: lines of ``quiet`` nodes, and Xids some days ago of others."""
    now = time.time() if now is None else now

    def line(node: str, days: float, text: str) -> tuple[float, str]:
        at = now - days * DAY
        return at, f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(at))}+00:00 {node} kernel: {text}"

    lines = [line(node, day, "all is well") for node in quiet for day in range(30, 0, -1)]
    fell = "NVRM: Xid (PCI:0000:65:00): 79, pid=77, GPU has fallen off the bus."
    lines += [line(node, day, fell) for node, days in xids.items() for day in days]
    path.write_text("\n".join(text for _, text in sorted(lines)) + "\n")
    return path
