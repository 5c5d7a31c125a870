"""Fit the fast plant to a record of another plant, and say how near it comes.

A record holds what the other plant was told, hour after hour, and its readings: of a site, or of EnergyPlus driven by
:func:`excitation`. The fast plant replays it, told the same under the same weather; least squares on hourly means
brings the two together, and :func:`validate` measures what is left on weather that the fit has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import least_squares

from hpcai.cooling.interface import READINGS, SETPOINT_INDEX, SETPOINTS, SIDES, Plant
from hpcai.cooling.parameters import PlantParameters
from hpcai.errors import InputError
from hpcai.simulation.cooling.fast import FastPlant, WeatherColumns, weather_rows
from hpcai.simulation.cooling.hall import Record

Floats = NDArray[np.float64]

HOUR: Final = 3600.0  # s
_HOURS: Final = 24  # of a day

COMPONENTS: Final = ("fans", "evaporative", "chiller", "tower", "pumps", "thermal", "hvac", "it", "site")
"""Powers that are compared; fans are those of both air handlers, thermal is hvac without tower and pumps."""

WEIGHTS: Final = {
    "hvac": 1.0,
    "chiller": 1.0,
    "evaporative": 0.5,
    "tower": 0.5,
    "pumps": 0.5,
    "fans": 0.5,
    "it": 2.0,
}
"""How much a component's hourly error counts in the fit, over the mean HVAC power of the record."""

INLET_WEIGHT: Final = 0.02  # the same of a K at the inlets


@dataclass(frozen=True)
class Driven(Record):
    """A record with all that drove the plant, so that another can be driven likewise."""

    load: Floats  # (steps, 2)
    weather: Floats  # (steps, len(hpcai.cooling.plant.WEATHER))

    def hourly(self, readings: Floats | None = None) -> pd.DataFrame:
        """Return hourly means of readings, by default the recorded ones, and of the COMPONENTS made of them."""
        values = self.readings if readings is None else readings
        per_hour = round(HOUR / self.step_length)
        hours = len(values) // per_hour
        means = values[: hours * per_hour].reshape(hours, per_hour, -1).mean(axis=1)
        table = pd.DataFrame(means, columns=[point.name for point in READINGS])
        fans = table["east_fan"] + table["west_fan"]
        return table.assign(fans=fans, thermal=fans + table["evaporative"] + table["chiller"])


def record(
    plant: Plant,
    weather: WeatherColumns | Mapping[str, Any],
    setpoints: Floats,
    load: Floats,
    start: int = 0,
) -> Driven:
    """Drive ``plant`` from step ``start`` of its ``weather`` on and return the record.

    Args:
        plant: any.
        weather: what the plant sees, a value for each of its steps; see ``fast.weather_rows``.
        setpoints: (steps, len(SETPOINTS)).
        load: (steps, 2).
        start: first step.
    """
    plant.reset(start)
    readings = plant.rollout(setpoints, load)
    rows = weather_rows(weather)[start : start + len(setpoints)]
    return Driven(start + np.arange(len(load)), plant.step_length, setpoints, readings, load, rows)


def excitation(steps: int, step_length: float, seed: int = 0) -> tuple[Floats, Floats]:
    """Return setpoints (steps, len(SETPOINTS)) and load (steps, 2) that try a plant out over its working range.

    Everything changes at once every one to six hours: supply air of 14 to 26 °C with the sides up to 1 K apart, in a
    third of the time the stages apart from it by up to 3 K; airflow, chilled water and economizer left to the plant
    half of the time; load from 30 to 100 %.
    """
    rng = np.random.default_rng(seed)
    setpoints, load = np.full((steps, len(SETPOINTS)), np.nan), np.empty((steps, len(SIDES)))
    i = 0
    while i < steps:
        end = i + round(rng.integers(1, 7) * HOUR / step_length)
        supply = rng.uniform(14.0, 26.0)
        for j, side in enumerate(SIDES):
            own = supply + rng.uniform(-0.5, 0.5)
            apart = rng.random() < 1 / 3
            for stage in ("dec", "iec", "coil"):
                setpoints[i:end, SETPOINT_INDEX[f"{side}_{stage}"]] = own + apart * rng.uniform(-3.0, 3.0)
            setpoints[i:end, SETPOINT_INDEX[f"{side}_supply"]] = own
            if rng.random() < 0.5:
                setpoints[i:end, SETPOINT_INDEX[f"{side}_airflow"]] = rng.uniform(0.5, 1.0)
            load[i:end, j] = rng.uniform(0.3, 1.0)
        if rng.random() < 0.5:
            setpoints[i:end, SETPOINT_INDEX["chilled_water"]] = rng.uniform(6.0, 14.0)
        if rng.random() < 0.5:
            setpoints[i:end, SETPOINT_INDEX["economizer"]] = rng.uniform(0.0, 1.0)
        i = end
    return setpoints, load


def replay(parameters: PlantParameters, recorded: Driven) -> Floats:
    """Return the readings (steps, len(READINGS)) of the fast plant, told what the record's plant was told."""
    columns = ("dry_bulb", "humidity_ratio", "wet_bulb", "dew_point", "pressure")
    weather = dict(zip(columns, recorded.weather.T, strict=True))
    plant = FastPlant(weather, parameters, step_length=recorded.step_length)
    plant.reset()
    return plant.rollout(recorded.setpoints, recorded.load)


def fit(
    parameters: PlantParameters,
    names: Mapping[str, tuple[float, float]],
    records: Sequence[Driven],
    weights: Mapping[str, float] = WEIGHTS,
) -> PlantParameters:
    """Return ``parameters`` with those of ``names`` fitted to ``records``.

    Args:
        parameters: where to begin.
        names: dotted names, see ``PlantParameters.changed``, each with its bounds.
        records: of the plant to come near to.
        weights: of each component's hourly power in the sum of squares.

    Raises InputError if a parameter begins outside its bounds.
    """
    start = np.array([parameters.value(name) for name in names])
    low, high = np.array(list(names.values())).T
    for name, value, a, b in zip(names, start, low, high, strict=True):
        if not a <= value <= b:
            raise InputError(f"{name} {value:g}: expected to begin within {a:g} to {b:g}")
    targets = [r.hourly() for r in records]

    def residuals(share: Floats) -> Floats:
        values = dict(zip(names, (low + share * (high - low)).tolist(), strict=True))
        changed = parameters.changed(values)
        return np.concatenate(
            [_errors(r.hourly(replay(changed, r)), target, weights) for r, target in zip(records, targets, strict=True)]
        )

    found = least_squares(
        residuals,
        (start - low) / (high - low),
        bounds=(0.0, 1.0),
        diff_step=1e-3,
        loss="soft_l1",
        f_scale=0.1,
        ftol=1e-5,
    )
    fitted = low + found.x * (high - low)
    return parameters.changed({name: float(f"{x:.5g}") for name, x in zip(names, fitted, strict=True)})


def _errors(mine: pd.DataFrame, theirs: pd.DataFrame, weights: Mapping[str, float]) -> Floats:
    """Return weighted hourly errors of powers, relative to the mean HVAC power, and of inlet temperatures."""
    scale = theirs["hvac"].mean() * np.sqrt(len(theirs))
    errors = [w * (mine[name] - theirs[name]).to_numpy() / scale for name, w in weights.items()]
    inlet = INLET_WEIGHT / np.sqrt(len(theirs))
    errors += [inlet * (mine[f"{side}_inlet"] - theirs[f"{side}_inlet"]).to_numpy() for side in SIDES]
    return np.concatenate(errors)


def validate(parameters: PlantParameters, recorded: Driven) -> pd.DataFrame:
    """Return how near the fast plant comes to a record, a row for each of COMPONENTS.

    Columns: ``recorded`` and ``fast``, mean power in W; ``bias``, the difference by the recorded mean; ``cv_rmse``, the
    root mean square of hourly differences by the recorded mean (ASHRAE Guideline 14); ``daily``, that of daily means.
    A last row has the inlet temperatures of both sides in °C, with bias and root mean squares in K.
    """
    mine, theirs = recorded.hourly(replay(parameters, recorded)), recorded.hourly()
    rows = {}
    for name in COMPONENTS:
        difference, mean = mine[name] - theirs[name], theirs[name].mean()
        scale = mean if mean else 1.0
        errors = (difference.mean() / scale, _rms(difference.to_numpy()) / scale, _daily(difference.to_numpy()) / scale)
        rows[name] = (mean, mine[name].mean(), *errors)
    inlets = [f"{side}_inlet" for side in SIDES]
    off = (mine[inlets] - theirs[inlets]).to_numpy()
    means = (theirs[inlets].to_numpy().mean(), mine[inlets].to_numpy().mean())
    rows["inlet"] = (*means, off.mean(), _rms(off), _daily(off))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["recorded", "fast", "bias", "cv_rmse", "daily"])


def _rms(values: Floats) -> float:
    return float(np.sqrt((values**2).mean()))


def _daily(hourly: Floats) -> float:
    """Return the root mean square of the means of each whole day; of all if there is none."""
    days = len(hourly) // _HOURS
    return _rms(hourly[: days * _HOURS].reshape(days, _HOURS, -1).mean(axis=1) if days else hourly)


def save(recorded: Driven, path: str | Path) -> None:
    """Write a record to an .npz file."""
    np.savez_compressed(path, **recorded.__dict__)


def load_record(path: str | Path) -> Driven:
    """Return the record in an .npz file. Raises InputError if it holds none."""
    try:
        with np.load(path) as data:
            return Driven(
                **{name: data[name] for name in Driven.__dataclass_fields__ if name != "step_length"},
                step_length=float(data["step_length"]),
            )
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: expected a record of a plant: {error}") from error
