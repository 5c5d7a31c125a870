"""Reasons not to follow a policy now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from threading import Thread
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpcai.live.manifest import Feature, Manifest
from hpcai.live.ranking import NoAnswerError

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
