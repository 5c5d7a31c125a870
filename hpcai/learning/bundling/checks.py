"""What an export compares, and what it learns of the range in which a policy was at home."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from hpcai.errors import HpcaiError
from hpcai.live.manifest import Feature, Range
from hpcai.live.ranking import Arrays, BundleRanker, Floats
from hpcai.live.state import LiveState
from hpcai.scheduling.features import LONGEST

TOLERANCE: Final = 1e-5
UNBOUNDED: Final = {"submit", "now", "wait"}
"""Features that grow without end, for which no range means anything."""

Reference = Callable[[Arrays], Floats]
"""What the policy gives by the library that it was learned with."""


class ExportError(HpcaiError):
    """An exported policy does not give what the policy gives."""


@dataclass
class Observed:
    """What was seen of recorded states."""

    states: int = 0
    values: list[float] = field(default_factory=list)  # by state, the most that values differed by, relative
    scores: list[tuple[float, float]] = field(default_factory=list)  # the most that scores did, and the largest score
    seen: dict[str, list[Floats]] = field(default_factory=dict)
    ranges: dict[str, Range] = field(default_factory=dict)

    @property
    def difference(self) -> float:
        """The most that the graph and the policy differed by, relative.

        Values in double precision are judged each beside itself. Scores in single precision are as exact as the largest
        number that was added up to one of them, so they are judged beside the largest score of their queue; where that
        is small because large numbers cancelled each other, beside what it is in the median queue.
        """
        usual = float(np.median([largest for _, largest in self.scores])) if self.scores else 0.0
        tiny = float(np.finfo(np.float32).tiny)
        relative = [apart / max(largest, usual, tiny) for apart, largest in self.scores]
        return max([*self.values, *relative], default=0.0)

    def compare(self, ours: Floats, theirs: Floats) -> None:
        """Note how far two answers are apart; infinite values must be the same."""
        self.states += 1
        finite = np.isfinite(ours)
        if ours.shape != theirs.shape or not np.array_equal(ours[~finite], theirs[~finite]):
            self.values.append(np.inf)
            return
        size = np.abs(ours[finite].astype(np.float64))
        apart = np.abs(ours[finite].astype(np.float64) - theirs[finite])
        if ours.dtype == np.float32:
            self.scores.append((float(np.max(apart, initial=0.0)), float(np.max(size, initial=0.0))))
        else:
            self.values.append(float(np.max(apart / np.maximum(size, 1.0), initial=0.0)))

    def feature(self, given: Feature) -> Feature:
        """Return a feature with what it was among the recorded states."""
        if given.name in UNBOUNDED or given.name not in self.seen:
            return given
        values = np.concatenate(self.seen[given.name])
        values = values[np.isfinite(values)]
        if not len(values):
            return given
        least, low, high, most = (float(value) for value in np.quantile(values, (0, 0.01, 0.99, 1)))
        return given.model_copy(update={"least": least, "low": low, "high": high, "most": most})

    def _widen(self, name: str, values: Floats, unit: str) -> None:
        if len(values):
            before = self.ranges.get(name)
            least, most = float(values.min()), float(values.max())
            if before is not None:
                least, most = min(least, before.least), max(most, before.most)
            self.ranges[name] = Range(least=least, most=most, unit=unit)

    def note(self, state: LiveState) -> None:
        """Widen the limits of validity by one state."""
        waiting, running, machine = state.waiting, state.running, state.machine
        size = "gpus" if machine.total_gpus else "processors"
        capacity = float(machine.total_gpus or machine.total_cpus)
        sizes = waiting[size].to_numpy(np.float64)
        self._widen("queue_length", np.array([float(len(waiting))]), "jobs")
        self._widen("job_size", sizes, "GPUs" if machine.total_gpus else "processors")
        self._widen("requested_time", waiting["requested_time"].fillna(LONGEST).to_numpy(np.float64), "s")
        self._widen("used", np.array([running[size].sum() / capacity]), "share of the machine")
        self._widen("demand", np.array([sizes.sum() / capacity]), "machines that the queue asks for at once")


def compare(ranker: BundleRanker, reference: Reference, states: Iterable[LiveState]) -> Observed:
    """Return what was seen of ``states``, on which policy.onnx and the policy itself were asked the same.

    Raises ExportError if they differ by more than TOLERANCE, relative where values are large.
    """
    observed = Observed()
    for state in states:
        judgement = ranker.judge(state)
        observed.compare(np.asarray(reference(judgement.inputs)), judgement.output)
        for name, values in judgement.seen.items():
            observed.seen.setdefault(name, []).append(values.copy())
        observed.note(state)
    if observed.difference > TOLERANCE:
        raise ExportError(
            f"export: policy.onnx differs from the policy by {observed.difference:.3g}, relative, on "
            f"{observed.states} recorded queues; expected at most {TOLERANCE:g}"
        )
    return observed
