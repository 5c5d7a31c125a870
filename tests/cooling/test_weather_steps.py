"""Weather in steps, against what EnergyPlus itself makes of the same file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpcai.cooling.energyplus.plant import EnergyPlusPlant
from hpcai.cooling.interface import OWN, READING_INDEX
from hpcai.records.weather import read_weather


def test_every_step_has_the_weather_that_energyplus_gives_it(building: Path, chicago: Path) -> None:
    plant = EnergyPlusPlant(chicago, model=building, it_curve="flat")
    try:
        plant.reset()
        readings = np.array([plant.step(OWN, np.ones(2)) for _ in range(3 * 96)])
    finally:
        plant.close()
    ours = read_weather(chicago).at(plant.step_length).arrays()
    dry, wet = (readings[:, READING_INDEX[name]] for name in ("dry_bulb", "wet_bulb"))
    np.testing.assert_allclose(ours.dry_bulb[: 3 * 96], dry, atol=1e-9)
    np.testing.assert_allclose(ours.wet_bulb[: 3 * 96], wet, atol=2e-3)  # two iterations for one equation
