"""Reasons not to follow a policy now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpcai.errors import HpcaiError
from hpcai.live.manifest import Feature, Manifest
from hpcai.live.ranking import BundleRanker, NoAnswerError
from hpcai.live.state import LiveState

MARGIN: Final = 0.05
"""Of the range of a feature, within which a value is none of those beyond it."""
SLIGHT: Final = 0.1
"""What a network reads is scaled to 0..1: a difference up to this is slight, also from what was always the same."""
FAR: Final = 0.25
"""Difference on that scale from which on one value of the machine makes all of the queue unlike the training."""

T = TypeVar("T")


class UnlikeTrainingError(HpcaiError):
    """Too much of a queue is beyond the range in which a policy learned."""


@dataclass(frozen=True)
class Strangeness:
    """How much of a queue is beyond the range of the training.

    ``share`` of the jobs counts as beyond it; ``told`` are the shares of features that are, ``count`` those that count.
    """

    share: float
    told: dict[str, float]
    count: dict[str, float]

    def check(self, most: float) -> None:
        """Raise UnlikeTrainingError if more than ``most`` (0..1) of the jobs are beyond the range."""
        if self.share > most:
            worst = max(self.count, key=lambda name: self.count[name])
            raise UnlikeTrainingError(f"{self.share:.0%} of the queue is unlike the training, most of all by {worst}")


def strangeness(manifest: Manifest, seen: Mapping[str, NDArray[np.floating[Any]]]) -> Strangeness:
    """Return how much of what was ``seen``, features by name, is beyond what it was in training.

    A feature of the machine, of which there is one value, is told for all jobs, but counts for them only if it is far
    beyond.
    """
    slight = SLIGHT if manifest.kind == "network" else 0.0
    features = {feature.name: feature for tensor in manifest.inputs for feature in tensor.features}
    single = {feature.name for tensor in manifest.inputs if tensor.shape == ("feature",) for feature in tensor.features}
    jobs = max((len(values) for name, values in seen.items() if name not in single), default=0)
    strange = np.zeros(jobs, dtype=np.bool_)
    told, count = {}, {}
    for name, values in seen.items():
        excess = _excess(features[name], values, slight)
        share = round(float((excess > 0).mean()), 4) if len(values) else 0.0
        if share:
            told[name] = share
        if share and (name not in single or excess.max() > FAR - slight):
            count[name] = share
            strange |= excess > 0
    return Strangeness(float(strange.mean()) if jobs else 0.0, told, count)


class RangeGuard:
    """A bundle's policy that gives no order to a queue that is unlike its training."""

    def __init__(self, ranker: BundleRanker, most: float) -> None:
        """``most`` is the share of the jobs (0..1) that may be beyond the range of a feature."""
        self._ranker, self._most = ranker, most

    def rank(self, state: LiveState) -> NDArray[np.int64]:
        """Return all rows of ``state.waiting``, the one to start first in front. Raises UnlikeTrainingError."""
        judgement = self._ranker.judge(state)
        strangeness(self._ranker.bundle.manifest, judgement.seen).check(self._most)
        return judgement.order


def _excess(feature: Feature, values: NDArray[np.floating[Any]], slight: float) -> NDArray[np.float64]:
    """Return how far each value is beyond the feature's range and its margin, at least ``slight``; 0 if it is not."""
    if feature.least is None or feature.most is None:
        return np.zeros(len(values))
    margin = max(MARGIN * (feature.most - feature.least), slight) + 1e-6 * max(abs(feature.most), 1e-3)
    wide = values.astype(np.float64)
    excess = np.maximum(np.maximum(feature.least - wide, wide - feature.most) - margin, 0.0)
    return np.where(np.isfinite(wide), excess, np.inf)


def in_time(work: Callable[[], T], timeout: float) -> T:
    """Return what ``work`` returns, or raise what it raises.

    Raises NoAnswerError if it takes longer than ``timeout`` (s); it then goes on by itself, and nobody waits for it.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()
    try:
        return answer.result(timeout)
    except TimeoutError as error:
        if answer.done():
            raise
        raise NoAnswerError(f"the policy gave no answer in {timeout:g} s") from error
