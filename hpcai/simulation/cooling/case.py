"""What is simulated, as data: plant, weather, load, tariff."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpcai.configuration import Source
from hpcai.cooling.energyplus.building import ItCurve
from hpcai.cooling.interface import SIDES, Floats, Plant
from hpcai.cooling.observation import surroundings
from hpcai.records.grid_signal import read_grid_signal
from hpcai.records.it_load import read_it_load
from hpcai.records.weather import Weather, read_weather
from hpcai.simulation.cooling.hall import Hall

PlantKind = Literal["fast", "energyplus", "liquid"]

_PLANTS: Final[dict[PlantKind, str]] = {
    "fast": "the fast plant {preset}",
    "energyplus": "the two-zone data centre of EnergyPlus",
    "liquid": "the liquid-cooled plant {preset} (inlets are of facility water)",
}


class CoolingCase(BaseModel):
    """A hall to be cooled, from which :meth:`open` makes what can be played."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weather: Source  # a file; for EnergyPlus an EPW file
    plant: PlantKind = "fast"
    preset: str | None = None  # a name, or a YAML file; None: two-zone, of a liquid-cooled plant liquid
    model: Source | None = None  # of EnergyPlus; None: the one fetched
    it_curve: ItCurve = "flat"
    it_load: Annotated[float, Field(ge=0, le=1)] | Source = "daily"
    step_minutes: Annotated[int, Field(ge=1, le=60)] = 15
    rate: Source | None = None  # price or carbon intensity, whose coming values are seen

    @model_validator(mode="after")
    def _has_the_curve(self) -> Self:
        if self.plant == "liquid" and self.it_curve != "flat":
            raise ValueError(f"it_curve: expected flat, all that a liquid-cooled plant has, found {self.it_curve}")
        return self

    @property
    def plant_preset(self) -> str:
        """The preset of the plant."""
        return self.preset or ("liquid" if self.plant == "liquid" else "two-zone")

    @property
    def plant_words(self) -> str:
        """What the plant is, in words."""
        return _PLANTS[self.plant].format(preset=self.plant_preset)

    @property
    def step_length(self) -> float:
        """Length of a step in s."""
        return 60.0 * self.step_minutes

    def read_weather(self) -> Weather:
        """Return the weather as recorded."""
        return read_weather(self.weather)

    def open(self) -> Hall:
        """Return the hall. Raises InputError if a file or a setting cannot be used."""
        weather = self.read_weather()
        at_steps = weather.at(self.step_length)
        steps = len(at_steps.frame)
        load = read_it_load(self.it_load, steps, self.step_length, weather.start, weather.utc_offset)
        load = np.repeat(load[:, None], len(SIDES), axis=1)
        known = surroundings(
            at_steps.arrays(), load, self.step_length, weather.start, self.rates(self.rate, steps, weather)
        )
        return Hall(self.plant_under(at_steps), known, load, weather.start)

    def rates(self, source: str | None, steps: int, weather: Weather) -> Floats | None:
        """Return a price or carbon series over each step, (steps,); the like time of its own year. None: no source."""
        if source is None:
            return None
        utc = weather.start.replace(tzinfo=None) - timedelta(hours=weather.utc_offset) - datetime(1970, 1, 1)
        times: Floats = utc.total_seconds() + self.step_length * np.arange(steps, dtype=np.float64)
        return read_grid_signal(source).at(times)

    def plant_under(self, weather: Weather) -> Plant:
        """Return the plant under ``weather`` in steps; raises InputError as ``open`` does."""
        if self.plant == "energyplus":
            from hpcai.cooling.energyplus.plant import EnergyPlusPlant

            return EnergyPlusPlant(
                self.weather, model=self.model, it_curve=self.it_curve, steps_per_hour=60 // self.step_minutes
            )
        if self.plant == "liquid":
            from hpcai.simulation.cooling.liquid import LiquidPlant

            return LiquidPlant(weather.arrays(), self.plant_preset, step_length=self.step_length)
        from hpcai.simulation.cooling.fast import FastPlant

        return FastPlant(weather.arrays(), self.plant_preset, it_curve=self.it_curve, step_length=self.step_length)
