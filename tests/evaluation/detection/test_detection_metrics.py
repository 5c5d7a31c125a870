"""Curves as scikit-learn has them, intervals over nodes, and walks whose costs are counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_score, recall_score

from hpcai.evaluation.detection.metrics import Scored, calibration, wilson
from hpcai.evaluation.detection.walk import Walked, first_alarms, foreseeable, walk
from hpcai.faults.detection.detector import Costs
from hpcai.faults.detection.drains import DrainRule
from hpcai.faults.detection.history import history_of
from hpcai.faults.detection.samples import Ahead, Samples, samples_of
from tests.faults.detection.small_logs import DAY, log_of

HOUR = 3600.0


def drawn(seed: int, rows: int = 2000, signal: float = 0.5, digits: int = 8) -> Scored:
    rng = np.random.default_rng(seed)
    label = rng.random(rows) < 0.05
    return Scored(np.arange(rows) // 20, label, np.round(rng.normal(size=rows) + signal * label, digits))


@pytest.mark.parametrize("digits", [8, 1, 0])
def test_average_precision_is_scikit_learns(digits):
    scored = drawn(0, digits=digits)
    assert scored.average_precision() == pytest.approx(average_precision_score(scored.label, scored.score), abs=1e-12)
    chosen = scored.score >= 1.0
    expected = precision_score(scored.label, chosen), recall_score(scored.label, chosen)
    assert scored.at(1.0) == pytest.approx(expected)


def test_guessing_has_the_share_of_rows_that_fail_as_its_precision():
    scored = Scored(np.arange(100) // 5, np.arange(100) % 10 == 0, np.zeros(100))
    area, lift = scored.intervals(200, 0)
    assert (area.value, lift.value) == (0.1, 1.0)
    assert (lift.low, lift.high) == pytest.approx((1.0, 1.0))


def test_a_single_node_has_no_interval():
    area, _ = Scored(np.zeros(50), np.arange(50) < 5, np.arange(50.0)).intervals(100, 0)
    assert np.isnan(area.low)


def test_intervals_of_no_signal_hold_one_as_often_as_they_should():
    """95 % intervals over nodes of scores that say nothing: about 19 of 20 hold a lift of 1."""
    held = 0
    for seed in range(60):
        _, lift = drawn(seed, rows=3000, signal=0.0).intervals(200, 0)
        held += lift.low <= 1.0 <= lift.high
    assert held >= 51
    _, lift = drawn(0, signal=1.0).intervals(200, 0)
    assert lift.low > 1.5


def test_calibration_holds_for_probabilities_that_are_true():
    rng = np.random.default_rng(0)
    p = rng.beta(1, 20, 20_000)
    bins = calibration(p, rng.random(20_000) < p)
    assert sum(bin_["rows"] for bin_ in bins) == 20_000
    assert sum(bin_["low"] <= bin_["predicted"] <= bin_["high"] for bin_ in bins) >= 8
    assert calibration(p, np.zeros(20_000, bool)) == []


def test_wilson_by_hand():
    low, high = wilson(5, 50)
    assert (low, high) == pytest.approx((0.0434750, 0.2136022), abs=1e-6)
    assert wilson(0, 10)[0] == pytest.approx(0.0, abs=1e-12)


@pytest.fixture
def walked_by_hand():
    """Nodes 0 and 1 asked each day for ten days; 0 fails at day 3.5 and 8.5, 1 at day 6.5."""
    days = np.arange(10.0)
    node, time = np.repeat([0, 1], 10), np.tile(days, 2) * DAY
    score = np.zeros(20)
    score[2] = 0.9  # node 0 at day 2: its failure at 3.5 is caught
    score[15] = 0.5  # node 1 at day 5: held until day 7, caught at 6.5
    score[5] = 0.7  # node 0 at day 5: a false one
    samples = Samples(node, time, np.zeros(20, bool))
    failures = (np.array([0, 1, 0]), np.array([3.5, 6.5, 8.5]) * DAY)
    return samples, score, failures


def test_a_walk_by_hand(walked_by_hand):
    rule = DrainRule(0.0, 2 * DAY, 1.0)
    found = walk(*walked_by_hand[:2], walked_by_hand[2], rule, [0.8, 0.6, 0.4], HOUR)
    assert found.caught.sum(axis=0).tolist() == [1, 1, 2]
    assert found.missed.sum(axis=0).tolist() == [2, 2, 1]
    assert found.drains.sum(axis=0).tolist() == [1, 2, 3]
    assert found.idle.sum(axis=0).tolist() == [36.0, 36.0 + 48, 36.0 + 48 + 36]
    costs = Costs(missed=100.0, idle=1.0)
    assert found.costs(costs).sum(axis=0).tolist() == [236.0, 284.0, 220.0]
    assert found.best(costs) == 0.4
    assert found.best(Costs(missed=10.0)) == np.inf  # then no drain pays
    assert found.saved(costs, 0, 200, 0).value == pytest.approx(1 - 236 / 300)


def test_a_failure_within_the_lead_is_not_caught(walked_by_hand):
    found = walk(*walked_by_hand[:2], walked_by_hand[2], DrainRule(0.0, 2 * DAY, 1.0), [0.8], 1.6 * DAY)
    assert (found.caught.sum(), found.missed.sum(), found.idle.sum()) == (0, 3, 36)


def test_a_walk_keeps_to_the_budget():
    """Four nodes at risk every day; two may be held at a time."""
    node, time = np.repeat(np.arange(4), 5), np.tile(np.arange(5.0), 4) * DAY
    samples = Samples(node, time, np.zeros(20, bool))
    score = np.repeat([0.6, 0.9, 0.7, 0.8], 5)
    found = walk(samples, score, (np.zeros(0, int), np.zeros(0)), DrainRule(0.0, 1.5 * DAY, 0.5), [0.5], 0.0)
    # Held from day 0 to 1.5, then, at day 2, again the two of highest risk; so at day 4.
    assert found.drains[:, 0].tolist() == [0, 3, 0, 3]
    assert found.idle[:, 0].tolist() == [0, 3 * 36, 0, 3 * 36]


def test_each_threshold_walks_as_if_alone():
    rng = np.random.default_rng(0)
    node, time = np.repeat(np.arange(8), 30), np.tile(np.arange(30.0), 8) * DAY
    samples, score = Samples(node, time, np.zeros(240, bool)), rng.random(240)
    struck = rng.integers(8, size=20), np.sort(rng.uniform(0, 30, 20)) * DAY
    rule, thresholds = DrainRule(0.0, 1.7 * DAY, 0.4), [0.95, 0.8, 0.5]
    together = walk(samples, score, struck, rule, thresholds, HOUR)
    for k, threshold in enumerate(thresholds):
        alone = walk(samples, score, struck, rule, [threshold], HOUR)
        for name in ("idle", "caught", "missed", "drains"):
            np.testing.assert_array_equal(getattr(together, name)[:, k], getattr(alone, name)[:, 0])
    assert (together.caught + together.missed).sum(axis=0).tolist() == [20, 20, 20]


def test_what_can_be_foreseen_and_when_it_was():
    events = [("a", 5.5, 7.0), ("a", 6.0, 6.5), ("b", 3.5, 3.6)]
    log = log_of(events, ["a", "b"], 12)
    history, ahead = history_of(log), Ahead(HOUR, 2 * DAY)
    samples = samples_of(log, history, ahead, DAY)
    node, time = foreseeable(history, samples, ahead)
    assert node.tolist() == [1, 0, 0]
    assert (time / DAY).tolist() == [3.5, 5.5, 6.0]
    score = np.where((samples.node == 0) & (samples.time == 4 * DAY), 1.0, 0.0)
    leads = first_alarms((node, time), samples, score, 0.5, ahead)
    assert np.isnan(leads[0])
    assert leads[1:].tolist() == [1.5 * DAY, 2 * DAY]


def test_a_failure_right_after_another_can_be_foreseen_by_nobody():
    log = log_of([("a", 5.5, 7.9), ("a", 7.95, 8.5)], ["a"], 12)
    history, ahead = history_of(log), Ahead(HOUR, DAY)
    _, time = foreseeable(history, samples_of(log, history, ahead, DAY), ahead)
    assert (time / DAY).tolist() == [5.5]


def test_saved_is_unknown_where_nothing_fails():
    nothing = np.zeros((3, 1))
    assert np.isnan(Walked(np.array([1.0]), nothing, nothing, nothing, nothing).saved(Costs(), 0, 100, 0).value)
