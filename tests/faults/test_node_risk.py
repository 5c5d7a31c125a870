"""The risk of nodes and the rules that drain them."""

from __future__ import annotations

import numpy as np
import pytest

from hpcai.errors import InputError
from hpcai.faults.draining.policies import NoDrain, Threshold
from hpcai.faults.draining.risk import (
    DAY,
    ESTIMATES,
    RECENT,
    counts_by_step,
    counts_within,
    estimates,
    fit_risk,
    shrunk,
)


def test_estimates_look_back_only_and_fade() -> None:
    time, node = np.array([1.0, 3.0]) * DAY, np.array([0, 1])
    at = np.array([0.5, 2.0, 3.0, 10.0]) * DAY  # a fault at the epoch itself is not known yet
    found = estimates(time, node, 3, at, 0.0)
    assert found.shape == (4, 3, len(ESTIMATES))
    assert (found[0, :, 2:] == 0).all()
    np.testing.assert_allclose(found[1, 0, 2:], np.exp(-DAY / np.array(RECENT)) / np.array(RECENT))
    assert (found[2, 1, 2:] == 0).all()
    assert found[3, 1, 3] == pytest.approx(np.exp(-1) / (7 * DAY))
    assert found[3, :, 0].tolist() == pytest.approx([2 / 3 / (10 * DAY)] * 3)


def test_counts_are_shrunk_to_the_mean_unless_nodes_differ() -> None:
    alike = shrunk(np.array([2.0, 3.0, 1.0, 2.0]), 100.0)
    assert np.ptp(alike) < 0.2 * np.ptp(np.array([2.0, 3.0, 1.0, 2.0]) / 100)
    lemon = shrunk(np.array([0.0, 0.0, 0.0, 40.0]), 100.0)
    assert lemon[3] > 0.9 * 40 / 100
    assert lemon.mean() == pytest.approx(0.1, rel=0.01)


def test_a_fit_finds_lemons() -> None:
    rng = np.random.default_rng(0)
    rate = rng.gamma(0.3, 1 / 0.3, 200) / (40 * DAY)  # some nodes fail far more often, for good
    counts = rng.poisson(rate * 400 * DAY)
    node = np.repeat(np.arange(200), counts)
    time = rng.uniform(0, 400 * DAY, len(node))
    order = np.argsort(time)
    time, node = time[order], node[order]
    epochs = np.arange(100.0, 401.0) * DAY
    risk = fit_risk(estimates(time, node, 200, epochs[:-1], 0.0), counts_by_step(time, node, 200, epochs), DAY)
    assert risk.weights[1] > 0.7
    assert sum(risk.weights) == pytest.approx(1.0, abs=0.1)
    now = risk(estimates(time, node, 200, epochs[-1:], 0.0))[0]
    assert np.corrcoef(now, rate)[0, 1] > 0.9
    with pytest.raises(InputError, match="no fault strikes"):
        fit_risk(estimates(time, node, 200, epochs[:-1], 0.0), np.zeros((300, 200)), DAY)


def test_counts_within_a_window() -> None:
    found = counts_within(np.array([1.0, 2.0, 5.0]), np.array([0, 0, 1]), 2, np.array([2.0, 3.0, 6.0]), 2.0)
    assert found.tolist() == [[1, 0], [2, 0], [0, 1]]


def test_rules_drain_the_worst_up_to_their_share() -> None:
    risk = np.array([3.0, 1.0, 5.0, 3.0])
    assert not NoDrain().drain(risk).any()
    assert Threshold(3.0).drain(risk).tolist() == [True, False, True, True]
    assert Threshold(3.0, most=0.5).drain(risk).tolist() == [True, False, True, False]
    with pytest.raises(InputError, match="threshold 0, most 1"):
        Threshold(0)
