"""Many trees as plain arrays, evaluated without the library that grew them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trees:
    """Trees whose leaves add up. Nodes of all trees lie one after another; ``feature`` is -1 in a leaf.

    A row goes left where its feature is at most the threshold, or unknown (nan) and ``missing_left``.
    """

    roots: Ints  # (trees,)
    feature: Ints  # (nodes,)
    threshold: Floats  # (nodes,)
    left: Ints  # (nodes,)
    right: Ints  # (nodes,)
    missing_left: npt.NDArray[np.bool_]  # (nodes,)
    value: Floats  # (nodes,) of a leaf

    def sums(self, x: Floats) -> Floats:
        """Return the sum over all trees for each row of ``x`` (rows, features)."""
        total = np.zeros(len(x))
        for root in self.roots:
            at = np.full(len(x), root)
            going = np.arange(len(x)) if self.feature[root] >= 0 else np.zeros(0, np.int64)
            while len(going):
                node = at[going]
                seen = x[going, self.feature[node]]
                left = np.where(np.isnan(seen), self.missing_left[node], seen <= self.threshold[node])
                at[going] = np.where(left, self.left[node], self.right[node])
                going = going[self.feature[at[going]] >= 0]
            total += self.value[at]
        return total

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays by name."""
        return {f"trees_{field.name}": getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], features: int) -> Trees:
        """Return what :meth:`arrays` gave. Raises ValueError or KeyError unless these are trees over ``features``."""
        found = {field.name: np.asarray(arrays[f"trees_{field.name}"]) for field in fields(cls)}
        roots, feature, left, right = (found[name].astype(np.int64) for name in ("roots", "feature", "left", "right"))
        threshold, value = (found[name].astype(np.float64) for name in ("threshold", "value"))
        trees = cls(roots, feature, threshold, left, right, found["missing_left"].astype(np.bool_), value)
        trees._check(features)
        return trees

    def _check(self, features: int) -> None:
        nodes = len(self.feature)
        for name in ("threshold", "left", "right", "missing_left", "value"):
            if getattr(self, name).shape != (nodes,):
                raise ValueError(f"{name} is not one for each node of a tree")
        inner = self.feature >= 0
        own = np.arange(nodes)[inner]
        for child in (self.left[inner], self.right[inner]):  # children lie behind their parent, so every walk ends
            if ((child <= own) | (child >= nodes)).any():
                raise ValueError("a tree's nodes point outside it")
        if (self.feature >= features).any() or ((self.roots < 0) | (self.roots >= nodes)).any():
            raise ValueError("a feature or root is out of range")
        if not np.isfinite(self.value[~inner]).all():
            raise ValueError("a leaf is not a number")
