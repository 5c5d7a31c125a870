"""How good a controller is: played on days, its energy with the time beyond the limits weighed against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from hpcai.cooling.controllers.controller import Controller
from hpcai.evaluation.cooling.metrics import inlets, power
from hpcai.learning.cooling.config import CoolingTraining
from hpcai.simulation.cooling.hall import Hall, Record

HOT_PENALTY = 20.0  # of a K-hour above the limit, as a share of a day's energy of all that cools


@dataclass(frozen=True)
class Score:
    """``value`` is to be low: kWh a day of what counts, and more for each K-hour of heat; the parts beside it."""

    value: float
    energy: float  # kWh a day
    hot_degree_hours: float  # a day


def score(config: CoolingTraining, records: Sequence[Record]) -> Score:
    """Return the score of records of one controller."""
    hours = records[0].step_length / 3600.0
    days = sum(len(record.readings) for record in records) * hours / 24.0
    energy = sum(float(power(record.readings, config.reward.energy).sum()) * hours / 1000.0 for record in records)
    hvac = sum(float(power(record.readings, "hvac").sum()) * hours / 1000.0 for record in records)
    heat = sum(
        float(np.maximum(inlets(record.readings) - config.reward.high, 0.0).max(axis=1).sum()) * hours
        for record in records
    )
    value = (energy + HOT_PENALTY * heat * hvac / days) / days
    return Score(value, energy / days, heat / days)


def play_days(hall: Hall, controller: Controller, days: Sequence[int], length: int) -> list[Record]:
    """Let a controller play ``length`` days from each of the days of the year given."""
    per_day = round(86400.0 / hall.plant.step_length)
    return [hall.play(controller, day * per_day, length * per_day) for day in days]


def spread_days(n: int, first: int) -> list[int]:
    """Return the day of the year, from 0, of day ``first`` of ``n`` months that are spread evenly; 12 at most."""
    months = [1 + i * 12 // n for i in range(min(n, 12))]
    return [date(1991, month, first).timetuple().tm_yday - 1 for month in months]
