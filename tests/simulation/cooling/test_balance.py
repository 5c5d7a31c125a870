"""No heat and no water is lost in any step, whatever the plant is told."""

from __future__ import annotations

import numpy as np
import pytest

from hpcai.cooling.interface import SETPOINTS
from hpcai.cooling.parameters import load_plant
from hpcai.simulation.cooling import FastPlant
from tests.cooling.ledger import imbalances

CLOSED = 1e-9


def weather(rng: np.random.Generator, steps: int) -> dict[str, np.ndarray]:
    dry = np.clip(15 + 15 * np.sin(np.arange(steps) / 300) + rng.normal(0, 3, steps), -25, 44)
    return {
        "dry_bulb": dry,
        "relative_humidity": rng.uniform(0.1, 0.95, steps),
        "pressure": np.full(steps, 99_000.0),
    }


def random_setpoints(rng: np.random.Generator) -> np.ndarray:
    low = np.array([point.low for point in SETPOINTS])
    high = np.array([point.high for point in SETPOINTS])
    told = rng.uniform(low, high)
    told[rng.random(len(told)) < 0.4] = np.nan
    return told


@pytest.mark.parametrize(
    ("preset", "curve"), [("two-zone", "stock"), ("two-zone", "flat"), ("mn-1", "stock"), ("mn-1", "flat")]
)
def test_every_step_balances(preset: str, curve: str) -> None:
    rng = np.random.default_rng(0)
    parameters = load_plant(preset, curve)
    plant = FastPlant(weather(rng, 2_000), plant=parameters)
    plant.reset()
    worst = 0.0
    for _ in range(plant.steps):
        before = plant.state.copy()
        readings = plant.step(random_setpoints(rng), rng.random(2))
        assert np.isfinite(readings).all()
        worst = max(worst, *imbalances(parameters, before, plant.state, plant.ledger, plant.step_length))
    assert worst < CLOSED


def test_a_chiller_and_coils_too_small_for_their_load_balance_and_warm_the_hall() -> None:
    rng = np.random.default_rng(1)
    small = load_plant("two-zone").changed({"chiller.capacity": 30e3, "tower.free_cooling": 0.5})
    hot = {k: v for k, v in weather(rng, 300).items() if k != "dry_bulb"} | {"dry_bulb": np.full(300, 35.0)}
    plant, large = FastPlant(hot, plant=small), FastPlant(hot)
    plant.reset(), large.reset()
    told = np.full(len(SETPOINTS), np.nan)
    for _ in range(300):
        before = plant.state.copy()
        mine, theirs = plant.step(told, np.ones(2)), large.step(told, np.ones(2))
        assert max(imbalances(small, before, plant.state, plant.ledger, 900.0)) < CLOSED
    assert mine[2] > theirs[2] + 2  # zone
