"""How often each node of a machine is expected to fail, from what it and the others have done.

The rate of a node is a weighted sum of several estimates, none of which looks ahead: the machine's mean rate; the
node's own over all its time, shrunk to the mean by an empirical Bayes estimate (gamma prior, Poisson counts: some are
lemons); and its own recent rates over several scales (faults beget faults).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpcai.errors import InputError

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

DAY: Final = 86400.0
RECENT: Final = (DAY, 7 * DAY, 30 * DAY, 120 * DAY)
"""Scales of a node's recent rates (s)."""
ESTIMATES: Final = ("mean of the machine", "own, shrunk", *(f"own, {round(s / DAY)} days" for s in RECENT))
_LEAST_SPREAD: Final = 0.05  # of the gamma prior, as variance over mean: never all nodes alike


def estimates(time: Floats, node: Whole, nodes: int, epochs: Floats, begin: float) -> Floats:
    """Return the estimates of every node's rate (1/s) at each epoch, float64[epochs, nodes, len(ESTIMATES)].

    Args:
        time: when faults struck (s, ascending), float64[n].
        node: which node, int64[n].
        nodes: how many there are.
        epochs: when it is asked (s, ascending).
        begin: since when nodes are watched (s).
    """
    scales = np.array(RECENT)
    found = np.empty((len(epochs), nodes, len(ESTIMATES)))
    counts, rates, seen, now = np.zeros(nodes), np.zeros((nodes, len(scales))), 0, begin
    for e, epoch in enumerate(epochs.tolist()):
        while seen < len(time) and time[seen] < epoch:
            rates *= np.exp((now - time[seen]) / scales)
            now = float(time[seen])
            rates[node[seen]] += 1.0 / scales
            counts[node[seen]] += 1.0
            seen += 1
        rates *= np.exp((now - epoch) / scales)
        now = epoch
        watched = max(now - begin, DAY)
        found[e, :, 0] = max(counts.mean(), 0.5 / nodes) / watched
        found[e, :, 1] = shrunk(counts, watched)
        found[e, :, 2:] = rates
    return found


def shrunk(counts: Floats, watched: float) -> Floats:
    """Return the rate of each node (1/s), its count shrunk to the mean of all; Robbins, 1956, by moments.

    Rates are gamma with the mean m of the counts and a variance that makes up for theirs; the posterior mean is
    (a + n) / (a / m + 1) faults in the time ``watched`` (s), with a = m^2 / (variance - m).
    """
    mean = max(float(counts.mean()), 0.5 / len(counts))
    shape = mean * mean / max(float(counts.var()) - mean, _LEAST_SPREAD * mean)
    posterior: Floats = (shape + counts) / (shape / mean + 1.0) / watched
    return posterior


@dataclass(frozen=True)
class NodeRisk:
    """Weights of the ESTIMATES, not negative."""

    weights: tuple[float, ...]

    def __call__(self, of_nodes: Floats) -> Floats:
        """Return the rates (1/s) that estimates (..., len(ESTIMATES)) add up to, (...,)."""
        return np.asarray(of_nodes @ np.array(self.weights))


def fit_risk(of_nodes: Floats, faults: Floats, step: float, rounds: int = 300) -> NodeRisk:
    """Return the weights under which counts of faults are likeliest (Poisson, by expectation maximisation).

    Args:
        of_nodes: the estimates at the beginning of each step, float64[steps, nodes, len(ESTIMATES)].
        faults: that struck within each, float64[steps, nodes].
        step: its length (s).

    Raises InputError without faults.
    """
    struck = np.nonzero(faults)
    if not len(struck[0]):
        raise InputError("risk of nodes: no fault strikes, nothing to fit to")
    count, causes = faults[struck][:, None], of_nodes[struck]
    exposure = of_nodes.sum(axis=(0, 1)) * step
    weights = np.full(len(ESTIMATES), 1.0 / len(ESTIMATES))
    for _ in range(rounds):
        share = weights * causes / (causes @ weights)[:, None] * count
        weights = np.divide(share.sum(axis=0), exposure, out=np.zeros_like(exposure), where=exposure > 0)
    return NodeRisk(tuple(map(float, weights)))


def counts_by_step(time: Floats, node: Whole, nodes: int, epochs: Floats) -> Floats:
    """Return the faults of each node between two epochs, float64[epochs - 1, nodes]."""
    step = np.searchsorted(epochs, time, side="right") - 1
    inside = (step >= 0) & (step < len(epochs) - 1)
    found = np.zeros((len(epochs) - 1, nodes))
    np.add.at(found, (step[inside], node[inside]), 1.0)
    return found


def counts_within(time: Floats, node: Whole, nodes: int, epochs: Floats, window: float) -> Whole:
    """Return the faults of each node in the ``window`` s before each epoch, int64[epochs, nodes]."""
    first, last = np.searchsorted(time, epochs - window), np.searchsorted(time, epochs)
    return np.stack([np.bincount(node[a:b], minlength=nodes) for a, b in zip(first, last, strict=True)])
