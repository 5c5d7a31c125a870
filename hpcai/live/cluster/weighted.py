"""A bundle whose policy is a cost of rows of named features: nodes for a pod, or jobs that may be stopped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hpcai.errors import InputError
from hpcai.live.bundle import Bundle
from hpcai.live.manifest import Domain
from hpcai.live.ranking import NoAnswerError, make_session

CHOSEN: Final = "chosen"
"""Input of a graph that says which of several sets of weights counts."""


class WeightedCosts:
    """The policy of a bundle of ``domain``: lowest cost first."""

    def __init__(self, bundle: Bundle, domain: Domain, features: Sequence[str], sets: Sequence[str] = ("",)) -> None:
        """Raises InputError if the bundle is of another domain, or was made for other features or sets of weights."""
        manifest, where = bundle.manifest, f"bundle {bundle.where}"
        if manifest.domain != domain:
            raise InputError(f"{where}: expected the domain {domain}, found {manifest.domain}")
        expected = [tuple(features)] + ([tuple(sets)] if len(sets) > 1 else [])
        found = [tuple(feature.name for feature in tensor.features) for tensor in manifest.inputs]
        if found != expected or [tensor.dtype for tensor in manifest.inputs] != ["float64"] * len(expected):
            raise InputError(f"{where}: its features are not those of this version; train and export it again")
        self.bundle = bundle
        self._session = make_session(bundle)
        self._rows = manifest.inputs[0].name
        self._choices = np.eye(len(sets))

    def costs(self, rows: NDArray[np.float64], chosen: int = 0) -> NDArray[np.float64]:
        """Return the cost of each row (rows, features). Raises NoAnswerError if one is not a number."""
        given: dict[str, Any] = {self._rows: rows}
        if len(self._choices) > 1:
            given[CHOSEN] = self._choices[chosen]
        (costs,) = self._session.run(None, given)
        if costs.shape != rows.shape[:1] or not np.isfinite(costs).all():
            raise NoAnswerError(f"bundle {self.bundle.where}: its costs are not numbers")
        return np.asarray(costs)
