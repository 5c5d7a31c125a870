"""The survival model: its risks are those of a Weibull, and it finds what a log was drawn with."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import weibull_min

from hpcai.faults.detection.hazard import COVARIATES, SINCE, Hazard, _loss, fit_hazard

NAMES = (SINCE, *COVARIATES)
DAY = 86400.0


def features(since, **covariates) -> np.ndarray:
    x = np.zeros((len(since), len(NAMES)))
    x[:, 0] = since
    for name, values in covariates.items():
        x[:, NAMES.index(name)] = values
    return x


def test_the_risk_is_that_of_a_weibull_that_has_lasted_so_long():
    hazard = Hazard(0.7, np.log(5 * DAY), np.zeros(len(COVARIATES)))
    since, lead, horizon = np.array([0.2, 3.0, 40.0]) * DAY, 3600.0, DAY
    alive = weibull_min(0.7, scale=5 * DAY).sf
    expected = 1 - alive(since + lead + horizon) / alive(since + lead)
    np.testing.assert_allclose(hazard.risk(features(since), NAMES, lead, horizon), expected, rtol=1e-12)


def test_a_covariate_multiplies_the_hazard():
    coefficients = np.zeros(len(COVARIATES))
    coefficients[COVARIATES.index("failures_30d")] = 1.0
    hazard = Hazard(1.0, np.log(100 * DAY), coefficients)
    x = features(np.full(2, DAY), failures_30d=[0.0, 3.0])  # log(1 + 3) raises it fourfold
    low, high = -np.log1p(-hazard.risk(x, NAMES, 0.0, DAY))
    assert high == pytest.approx(4 * low)


def stretches(shape: float, scale: float, effect: float, seed: int, lives: int = 2000, length: float = DAY / 12):
    """Lives cut into stretches, half of them struck exp(effect * log 2) times as often, watched for 30 days at most."""
    rng = np.random.default_rng(seed)
    marked = rng.random(lives) < 0.5
    life = scale * (rng.exponential(size=lives) / np.where(marked, 2.0**effect, 1.0)) ** (1 / shape)
    count = np.minimum(np.ceil(life / length), round(30 * DAY / length)).astype(int)
    begin = np.concatenate([np.arange(n) * length for n in count])
    who = np.repeat(np.arange(lives), count)
    failed = (begin + length >= life[who]) & (begin < life[who])
    return features(begin, failures_180d=marked[who].astype(float)), failed, length


@pytest.mark.parametrize(("shape", "effect"), [(0.6, 1.0), (1.0, 0.0), (1.6, 0.5)])
def test_it_finds_what_lives_were_drawn_with(shape, effect):
    x, failed, length = stretches(shape, 6 * DAY, effect, seed=1)
    found = fit_hazard(x, NAMES, failed, length)
    assert found.shape == pytest.approx(shape, rel=0.08)
    assert np.exp(found.log_scale) == pytest.approx(6 * DAY, rel=0.1)
    own = found.coefficients[COVARIATES.index("failures_180d")]
    assert own == pytest.approx(effect, abs=0.12)
    others = np.delete(found.coefficients, COVARIATES.index("failures_180d"))
    np.testing.assert_allclose(others, 0.0, atol=1e-3)  # what never varies has no effect


def test_the_gradient_is_that_of_the_likelihood():
    rng = np.random.default_rng(0)
    z = rng.exponential(size=(50, len(COVARIATES)))
    begin = rng.exponential(3 * DAY, 50) + 60
    failed = rng.random(50) < 0.3
    arguments = (z, np.log(begin), np.log(begin + DAY), failed)
    theta = np.r_[-0.3, np.log(4 * DAY), rng.normal(0, 0.3, len(COVARIATES))]
    slope = _loss(theta, *arguments)[1]
    assert check_grad(lambda t: _loss(t, *arguments)[0], lambda t: _loss(t, *arguments)[1], theta) < 1e-5 * max(
        1.0, float(np.abs(slope).max())
    )
