"""The fast plant behind the interface of every plant."""

from __future__ import annotations

import numpy as np
import pytest

from hpcai.cooling.interface import OWN, READING_INDEX, READINGS, SETPOINT_INDEX, SETPOINTS, simple
from hpcai.errors import InputError
from hpcai.simulation.cooling import FastPlant

DAY = 96


def weather(dry_bulb: float = 28.0, relative_humidity: float = 0.6, steps: int = DAY) -> dict[str, np.ndarray]:
    return {
        "dry_bulb": np.full(steps, dry_bulb),
        "relative_humidity": np.full(steps, relative_humidity),
        "pressure": np.full(steps, 101_325.0),
    }


def steady(plant: FastPlant, setpoints: np.ndarray, load: float = 0.8) -> dict[str, float]:
    plant.reset()
    readings = plant.rollout(np.tile(setpoints, (DAY, 1)), np.full((DAY, 2), load))[-1]
    return {point.name: float(readings[i]) for i, point in enumerate(READINGS)}


@pytest.fixture
def hot() -> FastPlant:
    return FastPlant(weather(), it_curve="flat")


def test_a_rollout_is_the_same_steps(hot: FastPlant) -> None:
    rng = np.random.default_rng(0)
    low, high = (np.array([getattr(point, end) for point in SETPOINTS]) for end in ("low", "high"))
    setpoints, load = rng.uniform(low, high, (DAY, len(low))), rng.random((DAY, 2))
    hot.reset()
    whole = hot.rollout(setpoints, load)
    hot.reset()
    assert (np.array([hot.step(setpoints[i], load[i]) for i in range(DAY)]) == whole).all()


def test_sums_of_power(hot: FastPlant) -> None:
    r = steady(hot, simple(20.0))
    parts = ("east_fan", "west_fan", "evaporative", "chiller", "tower", "pumps")
    assert r["hvac"] == pytest.approx(sum(r[name] for name in parts))
    assert r["it"] == pytest.approx(r["east_it"] + r["west_it"])
    assert r["it"] < r["site"] - r["hvac"] < r["it"] + 1_000  # lights


def test_flat_curve_leaves_machines_alone_and_warm_air_saves(hot: FastPlant) -> None:
    cold, warm = steady(hot, simple(15.0)), steady(hot, simple(24.0))
    assert cold["it"] == warm["it"]
    assert warm["hvac"] < 0.8 * cold["hvac"]


def test_stock_curve_makes_warm_machines_take_more() -> None:
    plant = FastPlant(weather(), it_curve="stock")
    assert steady(plant, simple(24.0))["it"] > 1.2 * steady(plant, simple(18.0))["it"]


def test_supply_and_airflow_setpoints_are_held(hot: FastPlant) -> None:
    r = steady(hot, simple(17.0, airflow=0.7))
    design = hot.parameters.east.fan.design_flow
    assert r["east_airflow"] == pytest.approx(0.7 * design, rel=1e-3)
    assert 17.0 < r["east_supply"] < 19.0  # warmed a little on its way under the floor


def test_its_own_control_keeps_the_zone(hot: FastPlant) -> None:
    r = steady(hot, OWN)
    assert 22.5 < r["east_zone"] < 25.5
    assert 12.0 < r["east_supply"] < 19.0


def test_the_economizer_can_be_held_shut() -> None:
    cool = FastPlant(weather(12.0, 0.6), it_curve="flat")
    open_, shut = steady(cool, simple(18.0)), steady(cool, simple(18.0, economizer=0.0))
    assert open_["chiller"] == open_["evaporative"] == 0
    assert shut["evaporative"] > 500  # all recirculated, the outdoor air cools it through the indirect cooler


def test_chilled_water_too_warm_for_the_supply_setpoint_lets_it_go(hot: FastPlant) -> None:
    assert steady(hot, simple(12.0, chilled_water=18.0))["east_supply"] > 16


def test_reset_gives_the_same_again(hot: FastPlant) -> None:
    assert (hot.reset(5) == hot.reset(5)).all()
    assert hot.reset()[READING_INDEX["dry_bulb"]] == 28.0


@pytest.mark.parametrize(
    ("name", "value", "match"), [("east_supply", 40.0, "east_supply 40 °C"), ("economizer", -0.1, "0 to 1")]
)
def test_setpoints_out_of_range(hot: FastPlant, name: str, value: float, match: str) -> None:
    told = OWN.copy()
    told[SETPOINT_INDEX[name]] = value
    hot.reset()
    with pytest.raises(InputError, match=match):
        hot.step(told, np.zeros(2))
    with pytest.raises(InputError, match=match):
        hot.rollout(np.stack([OWN, told]), np.zeros((2, 2)))


@pytest.mark.parametrize("load", [np.nan, 1.2, -0.1])
def test_load_out_of_range(hot: FastPlant, load: float) -> None:
    hot.reset()
    with pytest.raises(InputError, match="it_load"):
        hot.step(OWN, np.array([0.5, load]))


def test_the_end_of_the_weather(hot: FastPlant) -> None:
    with pytest.raises(InputError, match="0 to 95"):
        hot.reset(DAY)
    hot.reset(DAY - 1)
    hot.step(OWN, np.zeros(2))
    with pytest.raises(InputError, match="96 steps"):
        hot.step(OWN, np.zeros(2))


def test_weather_with_gaps() -> None:
    with pytest.raises(InputError, match="step 3"):
        FastPlant(weather() | {"dry_bulb": np.where(np.arange(DAY) == 3, np.nan, 20.0)})
    with pytest.raises(InputError, match="wet_bulb"):
        FastPlant({"dry_bulb": np.zeros(3), "pressure": np.full(3, 1e5)})
