"""The liquid-cooled plant: its balance, and when its chiller runs."""

from __future__ import annotations

import numpy as np
import pytest

from hpcai.cooling.coil import WATER_CP
from hpcai.cooling.liquid import LIQUID_READINGS, LIQUID_SETPOINTS, load_liquid_plant
from hpcai.errors import InputError
from hpcai.simulation.cooling.liquid import LiquidPlant

OWN = np.full(len(LIQUID_SETPOINTS), np.nan)


def weather(wet_bulb: float | np.ndarray, steps: int = 96) -> dict[str, np.ndarray]:
    wet = np.broadcast_to(wet_bulb, steps).astype(float)
    return {"dry_bulb": wet + 5, "wet_bulb": wet, "pressure": np.full(steps, 1e5)}


def steady(wet_bulb: float, setpoints: np.ndarray = OWN, load: float = 1.0) -> dict[str, float]:
    plant = LiquidPlant(weather(wet_bulb))
    for _ in range(plant.steps):
        readings = plant.step(setpoints, load)
    return dict(zip((point.name for point in LIQUID_READINGS), readings.tolist(), strict=True))


def test_every_step_balances() -> None:
    rng = np.random.default_rng(0)
    plant = LiquidPlant(weather(rng.uniform(-5, 29, 1_000), 1_000))
    capacity, worst = plant.parameters.plates.capacity, 0.0
    for _ in range(plant.steps):
        told = np.where(rng.random(2) < 0.3, np.nan, rng.uniform([15, 0.2], [50, 1.0]))
        before, load = plant.state[0], rng.random()
        r = plant.step(told, load)
        f = plant.ledger
        stored = capacity * (plant.state[0] - before) / plant.step_length
        sums = [
            (f["it"], f["plates"] + stored + f["room_heat"]),
            (f["plates"], r[4] * WATER_CP * (r[1] - r[0])),
            (f["plates"] + f["coolant_pump"], f["exchanged"]),
            (
                f["exchanged"]
                + f["room_heat"]
                + f["room_fans"]
                + f["facility_pump"]
                + f["compressor"]
                + f["tower_pump"],
                f["tower_heat"],
            ),
        ]
        worst = max(worst, *(abs(a - b) / max(f["it"], 1.0, abs(f["exchanged"])) for a, b in sums))
    assert worst < 1e-9


def test_the_exchanger_has_the_effectiveness_of_its_transfer_units() -> None:
    r, p = steady(20.0), load_liquid_plant()
    units = p.distribution.conductance / (r["flow"] * WATER_CP)
    hot = r["back"] + p.distribution.pump_power * (r["flow"] / p.distribution.design_flow) ** 3 / (r["flow"] * WATER_CP)
    assert (hot - r["supply"]) / (hot - r["facility"]) == pytest.approx(units / (1 + units), rel=1e-6)


def test_the_chiller_stands_while_the_tower_is_cold_enough() -> None:
    assert steady(15.0)["chiller"] == 0
    assert steady(15.0)["supply"] == pytest.approx(32.0)
    cold = np.array([20.0, np.nan])
    assert steady(20.0, cold)["chiller"] > 10_000
    assert steady(20.0, cold)["supply"] == pytest.approx(20.0, abs=0.01)
    assert steady(-5.0, cold)["chiller"] == 0


def test_warm_water_costs_little() -> None:
    r = steady(15.0)
    assert 1.02 < r["site"] / r["it"] < 1.08
    assert r["plate"] > r["back"] > r["supply"] > r["facility"]


def test_more_flow_cools_the_plates_and_costs_pumping() -> None:
    slow, fast = steady(15.0, np.array([32.0, 0.5])), steady(15.0, np.array([32.0, 1.0]))
    assert fast["plate"] < slow["plate"]
    assert fast["cdu"] > 4 * slow["cdu"]


def test_what_cannot_be_told() -> None:
    plant = LiquidPlant(weather(10.0))
    with pytest.raises(InputError, match="supply 60"):
        plant.step(np.array([60.0, 1.0]), 0.5)
    with pytest.raises(InputError, match="it_load"):
        plant.step(OWN, float("nan"))
    with pytest.raises(InputError, match="liquid"):
        load_liquid_plant("nowhere.yaml")
