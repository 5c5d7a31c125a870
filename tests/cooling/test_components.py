"""Each part of the fast plant against closed forms, published figures, or what EnergyPlus 25.2 says of the same."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.cooling.air import VAPORISATION, heat_capacity, saturation_humidity, wet_bulb
from hpcai.cooling.chiller import chiller_power
from hpcai.cooling.coil import WATER_CP, chilled_water, contact_factor, direct_expansion
from hpcai.cooling.control import own_airflow, own_supply
from hpcai.cooling.evaporative import direct, indirect
from hpcai.cooling.fan import fan_power
from hpcai.cooling.machines import machines_power
from hpcai.cooling.mixing import outdoor_share
from hpcai.cooling.tower import tower, york_terms
from hpcai.cooling.zone import relax

PRESSURE = 101_325.0
LIMITS = (-20.0, 23.0, 13.5)
CURVES = ((0.944836, -0.0570088, -0.00185486), (1.907846, -1.204987, 0.2634623), (0.03303, 0.6852, 0.2818))
DESIGN = (29.44, 6.667, 2.682759)
TOWER_FAN = (-0.00931516301535329, 0.0512333965844443, -0.0838364671381841, 1.04191823356909)


def test_fan_of_the_two_zone_model_and_affinity_law() -> None:
    polynomial = (0.35071223, 0.30850535, -0.54137364, 0.87198823)
    assert fan_power(1.0, 2547.85, polynomial) == pytest.approx(2521.9, abs=0.2)  # as EnergyPlus reports
    assert fan_power(0.5, 1000.0, (0.0, 0.0, 0.0, 1.0)) == 125.0


def test_machines_of_the_two_zone_model() -> None:
    power = machines_power(1.0, 15.0, 51816.0, 0.4, 0.9, (-1.0, 1.0, 0.06667, 0.0), (-1.4, 0.9, 0.1, 0.0), 1.0)
    assert power == pytest.approx(51816.0 * 1.1, rel=1e-3)
    flat = ((0.0, 1.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0))
    assert machines_power(0.5, 40.0, 1000.0, 0.4, 1.0, *flat, 1.0) == 500.0
    assert machines_power(0.5, 70.0, 1000.0, 0.4, 1.0, *flat, 1.0) == 0.0


def test_machine_fans_follow_the_affinity_law_above_the_knee() -> None:
    plane = ((0.0, 0.0, 0.0, 25.0), (1.0, 0.0, 0.03, 25.0))
    assert machines_power(1.0, 35.0, 1000.0, 1.0, 1.0, *plane, 3.0) == pytest.approx(1000 * 1.3**3)
    assert machines_power(1.0, 20.0, 1000.0, 1.0, 1.0, *plane, 3.0) == 1000.0


def test_economizer_mixes_to_its_target_within_its_limits() -> None:
    assert outdoor_share(5.0, 0.0, 25.0, 17.0, 0.0, 1.0, LIMITS) == pytest.approx(0.4)
    assert outdoor_share(20.0, 5.0, 25.0, 17.0, 0.0, 1.0, LIMITS) == 1.0
    assert outdoor_share(24.0, 5.0, 25.0, 17.0, 0.1, 1.0, LIMITS) == 0.1  # too warm
    assert outdoor_share(20.0, 14.0, 25.0, 17.0, 0.0, 1.0, LIMITS) == 0.0  # too damp
    assert outdoor_share(5.0, 0.0, 25.0, 17.0, 0.0, 0.3, LIMITS) == 0.3
    assert outdoor_share(5.0, 0.0, 16.0, 17.0, 0.0, 1.0, LIMITS) == 0.0  # nothing to cool


@settings(deadline=None)
@given(st.floats(17.0, 40.0), st.floats(0.001, 0.012))
def test_direct_cooler_keeps_the_enthalpy(air: float, humidity: float) -> None:
    cp = heat_capacity(humidity)
    after, moist, part = direct(air, humidity, -50.0, 0.7, (16.0, 30.0), PRESSURE, cp)
    assert cp * (air - after) == pytest.approx(VAPORISATION * (moist - humidity), abs=1e-6)
    assert air - after == pytest.approx(0.7 * (air - wet_bulb(air, humidity, PRESSURE, cp)), abs=1e-9)
    assert part == 1.0


def test_direct_cooler_stops_at_its_setpoint_and_beyond_its_limits() -> None:
    assert direct(25.0, 0.008, 22.0, 0.7, (16.0, 20.0), PRESSURE, 1020.0)[0] == 22.0
    assert direct(25.0, 0.016, 15.0, 0.7, (16.0, 18.0), PRESSURE, 1020.0)[0] == 25.0  # too damp
    assert direct(15.5, 0.004, 12.0, 0.7, (16.0, 20.0), PRESSURE, 1020.0)[0] == 15.5  # too cold


def test_indirect_cooler_dry_wet_and_off() -> None:
    parts = ((0.72, 0.7), (22.0, 24.0), (1664.6, 1248.4))
    after, power = indirect(30.0, 10.0, 1.0, 18.0, 15.0, *parts)
    assert (after, power) == (pytest.approx(30.0 - 0.72 * 12.0), 1664.6)  # as EnergyPlus: dry and at full speed
    after, power = indirect(30.0, 10.0, 1.0, 26.0, 18.0, *parts)
    assert (30.0 - after) / 12.0 == pytest.approx(0.75, abs=0.005)
    assert power == pytest.approx(1664.6 + 1248.4)
    assert indirect(25.0, 10.0, 1.0, 26.0, 18.0, *parts) == (25.0, 0.0)  # warmer outdoors
    after, power = indirect(30.0, 28.0, 1.0, 18.0, 15.0, *parts)
    assert after == 28.0
    assert 0.0 < power < 100.0


def test_dry_coil_follows_its_effectiveness() -> None:
    contact = contact_factor(7.0, 7.0, 19_400.0, 1015.0)
    assert contact == pytest.approx(0.935, abs=0.001)  # as EnergyPlus has it
    cold, dry, heat, water = chilled_water(25.0, 0.004, 15.0, 7.0, contact, 7.0, 14.0, 0.85, math.inf, PRESSURE, 1015.0)
    assert (cold, dry) == (pytest.approx(15.0), 0.004)
    assert heat == pytest.approx(7.0 * 1015.0 * 10.0)
    surface = 25.0 - 10.0 / contact
    assert heat == pytest.approx(water * WATER_CP * 0.85 * (surface - 7.0))


def test_wet_coil_dries_the_air_towards_its_surface() -> None:
    _, dry, heat, _ = chilled_water(25.0, 0.014, 13.0, 7.0, 0.9, 7.0, 20.0, 0.85, math.inf, PRESSURE, 1030.0)
    surface = 25.0 - 12.0 / 0.9
    assert dry == pytest.approx(0.014 - 0.9 * (0.014 - saturation_humidity(surface, PRESSURE)))
    assert heat == pytest.approx(7.0 * (1030.0 * 12.0 + VAPORISATION * (0.014 - dry)))


@pytest.mark.parametrize(("water", "most"), [(2.0, math.inf), (14.0, 30e3)])
def test_a_coil_at_its_limit_gives_what_it_can(water: float, most: float) -> None:
    cold, _, heat, flow = chilled_water(30.0, 0.01, 12.0, 7.0, 0.93, 7.0, water, 0.85, most, PRESSURE, 1025.0)
    assert 12.0 < cold < 30.0
    assert heat <= most * (1 + 1e-9)
    assert flow <= water
    assert flow == pytest.approx(water) or heat == pytest.approx(most)


def test_expansion_coil_at_rating() -> None:
    after, power = direct_expansion(26.7, 0.0, 7.0, 35.0, 19.4, 100e3, 3.0, 1015.0)
    assert 7.0 * 1015.0 * (26.7 - after) == pytest.approx(100e3, rel=0.02)
    assert power == pytest.approx(100e3 / 3.0, rel=0.02)


def test_chiller_as_energyplus_reports_it() -> None:
    """A step of the two-zone model in Chicago: 136.98 kW, condenser at 22.75 °C, water back at 13.53 °C."""
    power, _ = chiller_power(136_976.0, 22.75, 13.53, 455_110.0, 5.0, DESIGN, CURVES, 0.15)
    assert power == pytest.approx(19_404.0, rel=0.02)


def test_chiller_cycles_below_its_least_part_load() -> None:
    full = chiller_power(68e3, 29.44, 6.667, 455e3, 5.0, DESIGN, CURVES, 0.15)[0]
    assert chiller_power(6.8e3, 29.44, 6.667, 455e3, 5.0, DESIGN, CURVES, 0.15)[0] == pytest.approx(full / 10, rel=0.07)
    assert chiller_power(0.0, 29.44, 6.667, 455e3, 5.0, DESIGN, CURVES, 0.15)[0] == 0.0


def test_york_tower_at_its_design_point() -> None:
    """EnergyPlus Engineering Reference: 3.9 K of approach at 25.6 °C, 5.6 K of range, design flows."""
    assert sum(york_terms(25.5556, 5.5556)) == pytest.approx(3.8889, abs=0.15)


@settings(deadline=None)
@given(st.floats(-10.0, 26.0), st.floats(5e3, 400e3), st.floats(10.0, 35.0))
def test_tower_slows_down_where_it_can(bulb: float, heat: float, setpoint: float) -> None:
    flows = (1.0, 0.2, 0.125)
    cold, fan = tower(heat, bulb, setpoint, 26.24, 5760.0, flows, TOWER_FAN)
    assert cold >= min(setpoint, bulb + 0.2)
    assert 0.0 <= fan <= 5760.0 * 1.001
    warmer, less = tower(heat, bulb, setpoint + 5.0, 26.24, 5760.0, flows, TOWER_FAN)
    assert less <= fan + 1e-9
    assert warmer >= cold - 1e-9


@settings(deadline=None)
@given(st.floats(-50.0, 50.0), st.floats(0.0, 0.1), st.floats(-2.0, 2.0))
def test_relax_is_the_limit_of_small_steps(start: float, rate: float, source: float) -> None:
    end, mean = relax(start, rate, source, 900.0)
    x, total, n = start, 0.0, 20_000
    h = 900.0 / n
    for _ in range(n):
        slope = source - rate * x
        middle = source - rate * (x + 0.5 * h * slope)
        total += h * (x + 0.5 * h * slope)
        x += h * middle
    scale = 1 + abs(start) + abs(source) * 900
    assert end == pytest.approx(x, abs=1e-5 * scale)
    assert mean == pytest.approx(total / 900.0, abs=1e-5 * scale)
    assert end - start == pytest.approx((source - rate * mean) * 900.0, abs=1e-8 * scale)


def test_own_control() -> None:
    assert own_supply(24.0, 7.0 * 1000.0 * 8.0, 7.0, 1000.0, 12.0, 18.0) == pytest.approx(16.0)
    assert own_supply(24.0, 7.0 * 1000.0 * 20.0, 7.0, 1000.0, 12.0, 18.0) == 12.0
    assert own_airflow(23.0, 18.0, 25e3, 7.0, 1000.0, 0.4) == pytest.approx(5.0)
    assert own_airflow(23.0, 18.0, 5e3, 7.0, 1000.0, 0.4) == pytest.approx(2.8)
    assert own_airflow(23.0, 24.0, 5e3, 7.0, 1000.0, 0.4) == 7.0
    assert own_airflow(23.0, 18.0, -1.0, 7.0, 1000.0, 0.4) == pytest.approx(2.8)
