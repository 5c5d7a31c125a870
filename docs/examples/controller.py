"""A controller: supply air as warm as the hotter side's inlet allows, corrected a little at every step."""

from datetime import datetime

import numpy as np

from hpcai.cooling.controllers.controller import Controller, Fixed, between, named
from hpcai.cooling.interface import SIDES, Floats
from hpcai.cooling.observation import OBSERVED_INDEX, surroundings
from hpcai.records.weather import WeatherArrays
from hpcai.simulation.cooling import FastPlant
from hpcai.simulation.cooling.hall import Hall

INLETS = [OBSERVED_INDEX[f"{side}_inlet"] for side in SIDES]
APRIL = datetime(2026, 4, 1)


class Warmest:
    """Moves the supply temperature of both sides by a share of what the warmer inlet is below ``target``, °C."""

    def __init__(self, target: float = 26.0, share: float = 0.3) -> None:
        self.target, self.share, self.supply = target, share, 18.0

    def reset(self) -> None:
        """Begin an episode with cold air."""
        self.supply = 18.0

    def setpoints(self, observation: Floats) -> Floats:
        """Return what the plant is told; what is not named stays with its own control."""
        error = self.target - float(observation[INLETS].max())
        self.supply = between(14.0, self.supply + self.share * error, 28.0)
        return named({"supply": self.supply})


def energy(controller: Controller, days: int = 2) -> tuple[float, float]:
    """Return what cooling needs in mild days, kWh, and the warmest inlet but at first, °C."""
    steps, load = 96 * days, np.full((96 * days, 2), 0.8)
    outside = 15.0 + 6.0 * np.sin(2 * np.pi * (np.arange(steps) - 36) / 96)
    rest = [np.full(steps, value) for value in (10.0, 70.0, 0.008, 1e5, 2.0)]
    weather = WeatherArrays(900.0 * np.arange(steps), outside, outside - 4.0, *rest)
    hall = Hall(FastPlant(weather), surroundings(weather, load, 900.0, APRIL), load, APRIL)
    played = hall.play(controller).readings
    return float(played[:, OBSERVED_INDEX["hvac"]].sum() / 4000.0), float(played[8:, INLETS].max())


if __name__ == "__main__":
    for name, controller in {"its own control": Fixed(), "warmest": Warmest()}.items():
        print("{}: {:.0f} kWh, warmest inlet {:.1f} °C".format(name, *energy(controller)))
