"""Reasons not to follow a policy now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from threading import Thread
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpcai.errors import HpcaiError
from hpcai.live.manifest import Feature, Manifest
from hpcai.live.ranking import BundleRanker, Judgement, NoAnswerError
from hpcai.live.state import LiveState

MARGIN: Final = 0.05
"""Of the range of a feature, within which a value is none of those beyond it."""

T = TypeVar("T")


def beyond_range(manifest: Manifest, seen: Mapping[str, NDArray[np.floating[Any]]]) -> tuple[float, dict[str, float]]:
    """Return the share of jobs with a feature beyond what it was in training, and that share for each such feature.

    A feature of the machine, of which there is one value, counts for all jobs if it is beyond.
    """
    features = {feature.name: feature for tensor in manifest.inputs for feature in tensor.features}
    jobs = max((len(values) for values in seen.values()), default=0)
    strange = np.zeros(jobs, dtype=np.bool_)
    shares = {}
    for name, values in seen.items():
        beyond = _beyond(features[name], values)
        if beyond.any():
            shares[name] = round(float(beyond.mean()), 4)
            strange |= beyond
    return (float(strange.mean()) if jobs else 0.0), shares


class UnlikeTrainingError(HpcaiError):
    """Too much of a queue is beyond the range in which a policy learned."""


def check_range(manifest: Manifest, judgement: Judgement, most: float) -> dict[str, float]:
    """Return the share of jobs beyond the range of each feature that has any.

    Raises UnlikeTrainingError if more than ``most`` (0..1) of the jobs are beyond one.
    """
    share, by_feature = beyond_range(manifest, judgement.seen)
    if share > most:
        worst = max(by_feature, key=lambda name: by_feature[name])
        raise UnlikeTrainingError(f"{share:.0%} of the queue is unlike the training, most of all by {worst}")
    return by_feature


class RangeGuard:
    """A bundle's policy that gives no order to a queue that is unlike its training."""

    def __init__(self, ranker: BundleRanker, most: float) -> None:
        """``most`` is the share of the jobs (0..1) that may be beyond the range of a feature."""
        self._ranker, self._most = ranker, most

    def rank(self, state: LiveState) -> NDArray[np.int64]:
        """Return all rows of ``state.waiting``, the one to start first in front. Raises UnlikeTrainingError."""
        judgement = self._ranker.judge(state)
        check_range(self._ranker.bundle.manifest, judgement, self._most)
        return judgement.order


def _beyond(feature: Feature, values: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    if feature.least is None or feature.most is None:
        return np.zeros(len(values), dtype=np.bool_)
    margin = MARGIN * (feature.most - feature.least) + 1e-6 * max(abs(feature.most), 1e-3)
    outside: NDArray[np.bool_] = (
        (values < feature.least - margin) | (values > feature.most + margin) | ~np.isfinite(values)
    )
    return outside


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
