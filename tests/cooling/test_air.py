"""Moist air against PsychroLib (ASHRAE Handbook - Fundamentals, 2017)."""

from __future__ import annotations

import psychrolib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.cooling import air

psychrolib.SetUnitSystem(psychrolib.SI)

temperatures = st.floats(0.5, 45.0)
relative = st.floats(0.05, 0.99)
pressures = st.floats(80_000.0, 105_000.0)


@settings(deadline=None)
@given(temperatures)
def test_saturation_pressure_within_half_a_percent(temperature: float) -> None:
    assert air.saturation_pressure(temperature) == pytest.approx(psychrolib.GetSatVapPres(temperature), rel=5e-3)


@settings(deadline=None)
@given(temperatures, relative, pressures)
def test_humidity_dew_point_and_wet_bulb(temperature: float, humidity: float, pressure: float) -> None:
    ratio = psychrolib.GetHumRatioFromRelHum(temperature, humidity, pressure)
    assert air.humidity_of_relative(temperature, humidity, pressure) == pytest.approx(ratio, rel=6e-3)
    dew_point = psychrolib.GetTDewPointFromHumRatio(temperature, ratio, pressure)
    if dew_point > 0.5:
        assert air.dew_point(ratio, pressure) == pytest.approx(dew_point, abs=0.1)
    bulb = psychrolib.GetTWetBulbFromHumRatio(temperature, ratio, pressure)
    if bulb > 0.5:
        found = air.wet_bulb(temperature, ratio, pressure, air.heat_capacity(ratio))
        assert found == pytest.approx(bulb, abs=0.25)
        assert air.humidity_of_wet_bulb(temperature, bulb, pressure) == pytest.approx(ratio, abs=1.5e-4)


def test_density_of_dry_air() -> None:
    assert air.density(20.0, 101_325.0) == pytest.approx(psychrolib.GetDryAirDensity(20.0, 101_325.0), rel=1e-4)
