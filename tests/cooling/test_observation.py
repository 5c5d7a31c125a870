"""What controllers see: forecasts, trends, times and rates in their places, and networks' scaling."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from hpcai.cooling.interface import READINGS
from hpcai.cooling.observation import OBSERVED, SURROUNDINGS, Scaling, surroundings
from hpcai.records.weather import WeatherArrays

COLUMN = {point.name: i for i, point in enumerate(SURROUNDINGS)}


def weather_of(dry: np.ndarray) -> WeatherArrays:  # type: ignore[type-arg]
    same = np.zeros_like(dry)
    return WeatherArrays(same, dry, dry - 5.0, same, same, same, same, same)


def test_forecasts_are_the_weather_that_comes_and_the_load_is_that_of_before() -> None:
    steps = 96
    dry = np.arange(steps, dtype=float)
    load = np.column_stack((np.arange(steps) / steps, np.ones(steps)))
    known = surroundings(weather_of(dry), load, 900.0, datetime(1999, 7, 1))
    assert known.shape == (steps, len(SURROUNDINGS))
    # Before step 10 the last weather is that at the end of step 9, so in an hour it is that of step 13.
    assert known[10, COLUMN["dry_bulb_1h"]] == 13.0
    assert known[10, COLUMN["dry_bulb_6h"]] == 33.0
    assert known[10, COLUMN["wet_bulb_3h"]] == 16.0
    assert known[95, COLUMN["dry_bulb_6h"]] == 95.0  # at the end it stays
    assert known[10, COLUMN["east_load"]] == load[9, 0]
    np.testing.assert_allclose(known[10, COLUMN["east_trend"]], load[9, 0] - load[5, 0])
    assert known[0, COLUMN["east_load"]] == load[0, 0]
    np.testing.assert_array_equal(known[:, COLUMN["west_trend"]], 0.0)
    np.testing.assert_allclose(known[24, [COLUMN["hour_sin"], COLUMN["hour_cos"]]], [1.0, 0.0], atol=1e-12)  # 6:00
    np.testing.assert_array_equal(known[:, [COLUMN["rate"], COLUMN["rate_day"]]], 1.0)


def test_rates_are_relative_to_their_mean_with_the_mean_of_the_coming_day() -> None:
    steps = 192
    rate = np.repeat([10.0, 30.0], 96)
    known = surroundings(weather_of(np.zeros(steps)), np.ones((steps, 2)), 900.0, datetime(1999, 1, 1), rate)
    np.testing.assert_allclose(known[[0, 100], COLUMN["rate"]], [0.5, 1.5])
    np.testing.assert_allclose(known[[0, 48, 96, 191], COLUMN["rate_day"]], [0.5, 1.0, 1.5, 1.5])


def test_scaling_is_within_reach_and_cut_off() -> None:
    scaling = Scaling(100_000.0)
    usual = {"east_inlet": 24.0, "it": 80_000.0, "chiller": 5_000.0, "dry_bulb": 10.0, "rate": 1.0}
    observation = np.array([usual.get(point.name, 0.0) for point in OBSERVED])
    scaled = scaling(observation)
    assert scaled.dtype == np.float32
    assert (np.abs(scaled) <= 1.5).all()
    assert (scaling(np.full(len(OBSERVED), 1e9)) == 3.0).all()
    assert len(OBSERVED) == len(READINGS) + len(SURROUNDINGS)
