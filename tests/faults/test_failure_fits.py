"""Fits find what durations were generated from, censored ones included; intervals and tests err as often as said."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hpcai.errors import InputError
from hpcai.faults.goodness import distance, goodness
from hpcai.faults.lifetimes import FAMILIES, Lifetime
from hpcai.faults.likelihood import FEWEST, fit, fit_family, interval
from hpcai.faults.outages import Durations

TRUE = {
    "exponential": Lifetime("exponential", 9e5),
    "weibull": Lifetime("weibull", 9e5, 0.75),
    "lognormal": Lifetime("lognormal", 3600.0, 1.4),
    "gamma": Lifetime("gamma", 9e5, 0.4),
}


def drawn(lifetime: Lifetime, n: int, seed: int, watched: float = 1.2, resolution: float = 0.0) -> Durations:
    """Durations of a lifetime, each watched for a random time of ``watched`` times its mean on average."""
    rng = np.random.default_rng(seed)
    life = lifetime.sample(n, rng)
    until = rng.exponential(watched * lifetime.mean, n)
    value = np.minimum(life, until)
    if resolution:
        value = resolution * np.floor(value / resolution)
    return Durations(value, life <= until, resolution)


@pytest.mark.parametrize("family", FAMILIES)
def test_scipy_finds_the_same(family: str) -> None:
    data = drawn(TRUE[family], 300, seed=1)
    found = fit_family(data, family).lifetime
    kinds = {"exponential": stats.expon, "weibull": stats.weibull_min, "lognormal": stats.lognorm, "gamma": stats.gamma}
    *shape, _, scale = kinds[family].fit(stats.CensoredData.right_censored(data.value, ~data.ended), floc=0)
    assert found.scale == pytest.approx(scale, rel=1e-3)
    assert found.shape == pytest.approx(shape[0] if shape else 1.0, rel=1e-3)


def test_exponential_by_hand() -> None:
    data = Durations(np.array([10.0, 20.0, 30.0, 40.0]), np.array([True, True, False, False]))
    found = fit_family(data, "exponential")
    assert found.lifetime.scale == pytest.approx(100 / 2, rel=1e-6)
    assert found.log_likelihood == pytest.approx(-2 * np.log(50) - 100 / 50)
    assert found.aic == pytest.approx(2 + 4 * np.log(50) + 4)


@pytest.mark.parametrize("family", FAMILIES)
def test_intervals_hold_the_truth_as_often_as_they_say(family: str) -> None:
    true, runs = TRUE[family], 40
    names = ("scale",) if family == "exponential" else ("shape", "scale")
    held = dict.fromkeys(names, 0)
    for seed in range(runs):
        data = drawn(true, 80, seed)
        found = fit_family(data, family)
        for name in names:
            low, high = interval(data, found, name)
            assert low < getattr(found.lifetime, name) < high
            held[name] += low <= getattr(true, name) <= high
    for count in held.values():  # 95 % of them, within what chance allows of at 0.1 %
        assert stats.binom.cdf(count, runs, 0.95) > 1e-3


def test_leaving_out_what_is_censored_biases() -> None:
    true = Lifetime("weibull", 9e5, 0.75)
    data = drawn(true, 2000, seed=5)
    fair = fit_family(data, "weibull").lifetime
    naive = fit_family(data.of(data.ended), "weibull").lifetime
    assert fair.mean == pytest.approx(true.mean, rel=0.08)
    assert naive.mean < 0.6 * true.mean


def test_rounded_durations_are_taken_as_what_they_can_be() -> None:
    true = Lifetime("lognormal", 120.0, 1.5)
    data = drawn(true, 3000, seed=2, watched=1e6, resolution=60.0)
    zero = (data.value == 0).mean()
    assert zero > 0.2
    found = fit_family(data, "lognormal").lifetime
    without = fit_family(data.of(data.value > 0), "lognormal").lifetime
    assert abs(np.log(found.scale / true.scale)) < 0.3
    assert abs(np.log(without.scale / true.scale)) > 0.3
    half = Durations(np.array([0.0, 0.0, 60.0, 120.0, 180.0]), np.ones(5, bool), 60.0)
    assert (
        fit_family(half, "exponential").lifetime.scale
        < fit_family(half.of(half.value > 0), "exponential").lifetime.scale
    )


@pytest.mark.parametrize("family", ["weibull", "lognormal", "gamma"])
def test_the_true_family_has_the_least_aic(family: str) -> None:
    assert [fit(drawn(TRUE[family], 1500, seed, watched=20.0))[0].lifetime.family for seed in (1, 2, 3)] == [family] * 3


def test_too_few_to_tell_a_shape() -> None:
    data = Durations(np.arange(1.0, FEWEST), np.ones(FEWEST - 1, bool))
    assert [one.lifetime.family for one in fit(data)] == ["exponential"]
    alike = Durations(np.full(20, 5.0), np.ones(20, bool))
    assert [one.lifetime.family for one in fit(alike)] == ["exponential"]
    with pytest.raises(InputError, match="found no duration that ended"):
        fit(Durations(np.ones(5), np.zeros(5, bool)))
    with pytest.raises(InputError, match="found no duration that ended"):
        fit(Durations(np.zeros(5), np.ones(5, bool), 60.0))


def test_distance_without_censoring_is_that_of_kolmogorov_and_smirnov() -> None:
    lifetime = Lifetime("weibull", 100.0, 0.8)
    value = lifetime.sample(150, np.random.default_rng(3))
    expected = stats.kstest(value, lifetime.frozen.cdf).statistic
    assert distance(Durations(value, np.ones(150, bool)), lifetime) == pytest.approx(expected, abs=1e-12)


def test_goodness_sees_a_wrong_family_and_not_the_right_one() -> None:
    data = drawn(Lifetime("weibull", 9e5, 0.6), 200, 1, resolution=60.0)
    assert goodness(data, fit_family(data, "weibull").lifetime, resamples=39).p_value > 0.05
    assert goodness(data, fit_family(data, "exponential").lifetime, resamples=39).p_value < 0.05


@pytest.mark.long
@pytest.mark.parametrize(("n", "watched"), [(120, 1.2), (120, 0.4), (400, 5.0)])
def test_goodness_errs_as_often_as_it_says(n: int, watched: float) -> None:
    found = []
    for seed in range(100):
        data = drawn(Lifetime("weibull", 9e5, 0.6), n, seed, watched, resolution=60.0)
        found.append(goodness(data, fit_family(data, "weibull").lifetime, resamples=99, seed=seed).p_value)
    assert stats.binom.sf(np.sum(np.array(found) <= 0.05) - 1, len(found), 0.05) > 1e-3
    assert stats.binom.cdf(np.sum(np.array(found) <= 0.5), len(found), 0.5) > 1e-3


def test_goodness_is_seeded() -> None:
    data = drawn(TRUE["gamma"], 60, 1)
    lifetime = fit_family(data, "gamma").lifetime
    assert goodness(data, lifetime, resamples=19) == goodness(data, lifetime, resamples=19)
    few = data.of(np.arange(len(data)) < 3)
    assert np.isnan(goodness(few, lifetime).p_value)
