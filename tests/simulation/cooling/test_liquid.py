"""The liquid-cooled plant behind the interface of every plant: its balance, and when its chiller runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcai.cooling.coil import WATER_CP
from hpcai.cooling.interface import OWN, READING_INDEX, READINGS, SETPOINTS, Floats, simple
from hpcai.cooling.liquid import load_liquid_plant
from hpcai.errors import InputError
from hpcai.simulation.cooling.case import CoolingCase
from hpcai.simulation.cooling.liquid import LiquidPlant
from tests.cooling_weather import write_epw

HALF = np.full(2, 0.5)


def weather(wet_bulb: float | Floats, steps: int = 96) -> dict[str, Floats]:
    wet = np.broadcast_to(wet_bulb, steps).astype(float)
    return {"dry_bulb": wet + 5, "wet_bulb": wet, "pressure": np.full(steps, 1e5)}


def named(readings: Floats) -> dict[str, float]:
    return dict(zip(READING_INDEX, readings.tolist(), strict=True))


def steady(wet_bulb: float, setpoints: Floats = OWN, load: float = 1.0) -> tuple[dict[str, float], dict[str, float]]:
    """Return the readings of a plant after a day, and its own."""
    plant = LiquidPlant(weather(wet_bulb))
    plant.reset()
    readings = plant.rollout(setpoints[None], np.full((plant.steps, 2), load))
    return named(readings[-1]), plant.said


def test_every_step_balances() -> None:
    rng = np.random.default_rng(0)
    plant = LiquidPlant(weather(rng.uniform(-5, 29, 1_000), 1_000))
    plant.reset()
    low, high = (np.array([getattr(point, end) for point in SETPOINTS]) for end in ("low", "high"))
    capacity, worst = plant.parameters.plates.capacity, 0.0
    for _ in range(plant.steps):
        told = np.where(rng.random(len(SETPOINTS)) < 0.3, np.nan, rng.uniform(low, high))
        before = plant.state[0]
        r, f = named(plant.step(told, rng.random(2))), plant.ledger
        stored = capacity * (plant.state[0] - before) / plant.step_length
        water = (r["east_airflow"] + r["west_airflow"]) * WATER_CP
        fans = r["east_fan"] + r["west_fan"]
        into_tower = f["exchanged"] + f["room_heat"] + fans + f["facility_pump"] + r["chiller"] + f["tower_pump"]
        sums = [
            (r["it"], f["plates"] + stored + f["room_heat"]),
            (r["it"], r["east_it"] + r["west_it"]),
            (f["plates"], water * (r["east_zone"] - r["east_supply"])),
            (f["plates"] + f["coolant_pump"], f["exchanged"]),
            (into_tower, f["tower_heat"]),
            (r["hvac"], fans + r["evaporative"] + r["chiller"] + r["tower"] + r["pumps"]),
            (r["site"], r["it"] + r["hvac"]),
        ]
        worst = max(worst, *(abs(a - b) / max(r["it"], 1.0, abs(f["exchanged"])) for a, b in sums))
    assert worst < 1e-9


def test_every_reading_is_a_number_and_both_sides_share_the_coolant() -> None:
    plant = LiquidPlant(weather(15.0))
    begun = plant.reset(3)
    after = plant.step(OWN, np.array([0.2, 0.8]))
    assert begun.shape == after.shape == (len(READINGS),)
    assert np.isfinite(begun).all()
    r = named(after)
    assert r["west_it"] == pytest.approx(4 * r["east_it"])
    assert r["east_supply"] == r["west_supply"]
    assert (r["dry_bulb"], r["wet_bulb"]) == (20.0, 15.0)


def test_a_rollout_is_the_same_steps() -> None:
    rng = np.random.default_rng(1)
    load, wet = rng.random((50, 2)), rng.uniform(0, 28, 50)
    told = np.stack([simple(t, f) for t, f in zip(rng.uniform(15, 35, 50), rng.uniform(0.3, 1, 50), strict=True)])
    plant = LiquidPlant(weather(wet, 50))
    plant.reset()
    whole = plant.rollout(told, load)
    plant.reset()
    assert (np.array([plant.step(told[i], load[i]) for i in range(50)]) == whole).all()


def test_the_exchanger_has_the_effectiveness_of_its_transfer_units() -> None:
    (_, own), p = steady(20.0), load_liquid_plant()
    water = own["flow"] * WATER_CP
    units = p.distribution.conductance / water
    pump = p.distribution.pump_power * (own["flow"] / p.distribution.design_flow) ** 3
    hot = own["back"] + pump / water
    assert (hot - own["supply"]) / (hot - own["facility"]) == pytest.approx(units / (1 + units), rel=1e-6)


def test_the_chiller_stands_while_the_tower_is_cold_enough() -> None:
    assert steady(15.0)[0]["chiller"] == 0
    assert steady(15.0)[0]["east_supply"] == pytest.approx(32.0)
    cold = steady(20.0, simple(20.0))[0]
    assert cold["chiller"] > 10_000
    assert cold["east_supply"] == pytest.approx(20.0, abs=0.01)
    assert steady(-5.0, simple(20.0))[0]["chiller"] == 0


def test_warm_water_costs_little() -> None:
    r, own = steady(15.0)
    assert 1.02 < r["site"] / r["it"] < 1.08
    assert own["plate"] > r["east_zone"] > r["east_supply"] > r["east_inlet"]


def test_more_flow_cools_the_plates_and_costs_pumping() -> None:
    (slow, slow_own), (fast, fast_own) = steady(15.0, load=0.5), steady(15.0, simple(32.0, 1.0), load=0.5)
    assert fast_own["plate"] < slow_own["plate"] - 3
    assert fast["pumps"] > slow["pumps"] + 5_000


def test_coolant_is_never_too_cold_nor_too_slow() -> None:
    cold = steady(0.0, simple(10.0))[0]
    assert cold["east_supply"] == pytest.approx(15.0)
    slow, own = steady(15.0, simple(32.0, 0.25))
    assert own["back"] - own["supply"] == pytest.approx(load_liquid_plant().distribution.rise, rel=0.01)
    assert slow == steady(15.0, simple(32.0))[0]


def test_what_both_sides_are_told_is_averaged_and_the_rest_does_nothing() -> None:
    told = OWN.copy()
    told[[3, 8]] = 26.0, 30.0  # supply of both sides
    assert steady(15.0, told)[0] == steady(15.0, simple(28.0))[0]
    told[3] = np.nan
    assert steady(15.0, told)[0] == steady(15.0, simple(30.0))[0]
    others = np.full(len(SETPOINTS), np.nan)
    others[[0, 1, 2, 5, 6, 7]], others[10:] = 14.0, (6.0, 0.0)
    assert steady(15.0, others)[0] == steady(15.0)[0]


def test_what_cannot_be_told() -> None:
    plant = LiquidPlant(weather(10.0))
    plant.reset()
    with pytest.raises(InputError, match="setpoint east_dec 60"):
        plant.step(simple(60.0), HALF)
    with pytest.raises(InputError, match="it_load"):
        plant.step(OWN, np.array([0.5, np.nan]))
    with pytest.raises(InputError, match="97 steps from step 0 on: the weather has 96"):
        plant.rollout(OWN[None], np.full((97, 2), 0.5))
    with pytest.raises(InputError, match="start 96: expected a step of the weather, 0 to 95"):
        plant.reset(96)
    with pytest.raises(InputError, match="liquid"):
        load_liquid_plant("nowhere.yaml")


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"it_curve": "stock"}, "it_curve: expected flat"), ({"preset": "mn-1"}, "plant 'mn-1': expected a YAML file")],
)
def test_cases_that_no_liquid_cooled_plant_has(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    epw = str(write_epw(tmp_path / "sine.epw"))
    with pytest.raises((InputError, ValueError), match=message):
        CoolingCase(weather=epw, plant="liquid", **settings).open()
