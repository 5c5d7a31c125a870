"""The logs that a run learns on, parted in time."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from hpcai.cluster.spec import Machine
from hpcai.evaluation.config import EvaluationConfig
from hpcai.evaluation.inputs import prepare
from hpcai.evaluation.windows import Window, draw_windows
from hpcai.learning.config import TrainingConfig
from hpcai.records import Trace
from hpcai.records.splitting import Part, part_bounds


@dataclass(frozen=True)
class Log:
    """One log, ready. ``jobs`` are the replayable rows; parts and windows index into them."""

    name: str
    trace: Trace
    machine: Machine
    jobs: pd.DataFrame

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file read, by name."""
        return dict(sorted(self.trace.sha256.items()))

    def bounds(self, part: Part, skip: float = 0.0) -> tuple[int, int]:
        """Return which rows ``[first, last)`` belong to a part (docs/evaluation.md), less ``skip`` of its beginning."""
        first, last = part_bounds(self.trace, self.jobs, part)
        return first + int(skip * (last - first)), last

    def instants(self, part: Part) -> tuple[float, float]:
        """Return the first and the last submission of a part, s from the log's origin."""
        first, last = self.bounds(part)
        submit = self.jobs["submit"]
        return float(submit.iloc[first]), float(submit.iloc[last - 1])

    def draw(self, part: Part, count: int, length: int, seed: int, skip: float = 0.0) -> list[Window]:
        """Return ``count`` random windows of a part, of ``length`` jobs or as many as the part has.

        ``skip`` is the share of the part, its beginning, that they leave out.
        """
        first, last = self.bounds(part, skip)
        windows, _ = draw_windows((first, last), (count, min(length, last - first)), seed, self.name)
        return windows

    def window_jobs(self, window: Window) -> pd.DataFrame:
        """Return the canonical rows of a window with a fresh index."""
        return self.jobs.iloc[window.first : window.last].reset_index(drop=True)


def read_logs(config: TrainingConfig) -> list[Log]:
    """Read every log of a run. Raises InputError if one cannot be read or has an empty part."""
    logs: list[Log] = []
    for source in config.trace:
        settings = EvaluationConfig(trace=(source,), format=config.format, machine=config.machine, windows="all")
        ready = prepare(source, settings, {log.name for log in logs})
        log = Log(ready.name, ready.trace, ready.machine, ready.jobs)
        log.bounds("validation")
        logs.append(log)
    return logs
