"""Many steps of the fast plant without Python between them. Compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcai.cooling.parameters import Arrays
from hpcai.cooling.plant import step
from hpcai.jit import jit

Floats = NDArray[np.float64]


@jit
def roll(
    plant: Arrays,
    state: Floats,
    setpoints: Floats,
    load: Floats,
    weather: Floats,
    start: int,
    density: float,
    dt: float,
    readings: Floats,
    ledger: Floats,
) -> None:
    """Go ``len(readings)`` steps on from step ``start`` of the weather.

    Args:
        plant: parameters.
        state: (3, len(STATE)), overwritten.
        setpoints: (steps or 1, len(SETPOINTS)); a single row holds for all steps.
        load: (steps or 1, 2), likewise.
        weather: (weather steps, len(WEATHER)); one before the first at its end is where nothing goes.
        start: first step.
        density: kg/m3, see ``plant.step``.
        dt: s.
        readings: (steps, len(READINGS)), written.
        ledger: (steps or 1, len(LEDGER)), written; a single row is of the last step.
    """
    for i in range(len(readings)):
        step(
            plant,
            state,
            setpoints[min(i, len(setpoints) - 1)],
            load[min(i, len(load) - 1)],
            weather[start + i],
            density,
            dt,
            readings[i],
            ledger[min(i, len(ledger) - 1)],
        )


@jit
def roll_many(
    plant: Arrays,
    states: Floats,
    setpoints: Floats,
    load: Floats,
    weather: Floats,
    start: int,
    density: float,
    dt: float,
    readings: Floats,
    ledger: Floats,
) -> None:
    """Do ``roll`` for each candidate: (candidates, ...) of states, setpoints and readings; load and weather are one."""
    for i in range(len(states)):
        roll(plant, states[i], setpoints[i], load, weather, start, density, dt, readings[i], ledger)
