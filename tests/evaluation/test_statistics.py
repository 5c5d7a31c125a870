"""Bootstrap intervals: exact where they must be, honest where they can only be nearly right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcai.evaluation.config import Entry
from hpcai.evaluation.metrics import METRICS
from hpcai.evaluation.ranking import rank
from hpcai.evaluation.statistics import block_means, ratios, resample
from hpcai.scheduling.policy import Policy


def test_every_resample_draws_as_many_units_as_there_are():
    weights = resample(7, 3, 2000, np.random.default_rng(0))
    assert weights.shape == (2000, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(7), abs=0.1)


def test_blocks_are_drawn_as_neighbours():
    (weights,) = resample(6, 3, 1, np.random.default_rng(1))
    assert set(weights) <= {0, 1, 2}
    runs = np.flatnonzero(np.concatenate([weights, weights[:1]]) > 0)
    assert len(runs) >= 3


def test_a_policy_against_itself_is_exactly_one():
    values = np.random.default_rng(0).lognormal(size=(20, 1))
    (ratio,) = ratios(values, values[:, 0], resample(20, 1, 2000, np.random.default_rng(0)))
    assert (ratio.value, ratio.low, ratio.high) == (1, 1, 1)
    assert not ratio.clear


def test_a_constant_factor_is_found_without_doubt():
    reference = np.random.default_rng(0).lognormal(size=20)
    (ratio,) = ratios(0.5 * reference[:, None], reference, resample(20, 1, 2000, np.random.default_rng(0)))
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((0.5, 0.5, 0.5))
    assert ratio.clear


def test_intervals_cover_a_known_ratio_about_95_times_in_100():
    rng = np.random.default_rng(3)
    truth, covered, trials = 0.6, 0, 400
    for _ in range(trials):
        reference = rng.lognormal(0, 0.7, size=40)
        values = truth * reference * rng.gamma(4, 1 / 4, size=40)  # mean 1, independent of the reference
        (ratio,) = ratios(values[:, None], reference, resample(40, 1, 2000, rng))
        covered += ratio.low <= truth <= ratio.high
    assert 0.90 <= covered / trials <= 0.98


def test_blocks_widen_the_interval_of_dependent_units():
    rng = np.random.default_rng(5)
    level = np.repeat(rng.lognormal(0, 1, size=10), 5)  # five neighbours always alike
    values, reference = level[:, None] * rng.uniform(0.9, 1.1, (50, 1)), np.ones(50)
    alone, together = (
        ratios(values, reference, resample(50, block, 5000, np.random.default_rng(0)), block)[0] for block in (1, 5)
    )
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_one_unit_has_no_interval():
    (ratio,) = ratios(np.array([[2.0]]), np.array([4.0]), resample(1, 1, 2000, np.random.default_rng(0)))
    assert ratio.value == 0.5
    assert np.isnan(ratio.low)
    assert not ratio.clear


def test_a_reference_of_zero_has_no_ratio():
    weights = resample(3, 1, 2000, np.random.default_rng(0))
    (ratio,) = ratios(np.ones((3, 1)), np.zeros(3), weights)
    assert np.isnan(ratio.low)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.integers(1, 60))
def test_block_means_average_to_the_mean(values, blocks):
    assert block_means(np.array(values), blocks).mean() == pytest.approx(np.mean(values))


def test_block_means_leave_out_jobs_that_never_started():
    assert block_means(np.array([1.0, np.nan, 3.0, 5.0]), 2).mean() == 3


def entry(name):
    return Entry(name, "easy", Policy() if name != "recorded" else None)


def test_ranking_orders_by_the_mean_and_keeps_the_record_out_of_the_contest():
    rng = np.random.default_rng(0)
    base = rng.lognormal(2, 0.5, size=30)
    units = {entry("fcfs"): 4 * base, entry("saf"): base * rng.uniform(0.9, 1.1, 30)}
    units |= {entry("sjf"): 1.02 * base * rng.uniform(0.6, 1.4, 30), entry("recorded"): 0.5 * base}
    ranking = rank(units, METRICS["mean_wait"], entry("fcfs"), "", resamples=2000, seed=0)
    assert ranking.rows[0].entry.name == "recorded"
    assert ranking.rows[0].rank is None
    assert ranking.best.rank == 1
    assert {row.entry.name for row in [ranking.best, *ranking.level_with_best]} == {"saf", "sjf"}
    assert ranking.best.to_baseline.clear
    assert ranking.row(entry("fcfs")).to_best.value == pytest.approx(4, rel=0.2)
    assert ranking.best.to_recorded.value == pytest.approx(2, rel=0.2)


def test_an_objective_of_which_more_is_better_is_ranked_downwards():
    units = {entry("fcfs"): np.array([0.5, 0.6]), entry("saf"): np.array([0.7, 0.8])}
    ranking = rank(units, METRICS["utilisation"], entry("fcfs"), "", resamples=2000, seed=0)
    assert ranking.best.entry.name == "saf"
