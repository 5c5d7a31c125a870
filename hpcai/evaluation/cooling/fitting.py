"""The fast plant fitted to a log of a plant, as a preset that says what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pandas as pd
import yaml

from hpcai.cooling.interface import SIDES
from hpcai.cooling.observation import OBSERVED_INDEX
from hpcai.cooling.parameters import PlantParameters, load_plant
from hpcai.errors import InputError
from hpcai.evaluation.cooling.records import read_log
from hpcai.records.weather import read_weather
from hpcai.simulation.cooling.fast import weather_rows
from hpcai.simulation.cooling.fit import Driven, fit, validate

FITTED: Final[Mapping[str, tuple[float, float]]] = {
    "side.zone.capacity": (3e5, 1e7),
    "side.zone.envelope": (0.0, 1000.0),
    "side.zone.plenum": (0.0, 3000.0),
    "side.zone.floor": (0.0, 1000.0),
    "side.zone.floor_capacity": (1e6, 2e8),
    "side.zone.ground": (0.0, 5000.0),
    "side.control.gain": (300.0, 10000.0),
    "side.coil.effectiveness": (0.3, 0.95),
}
"""Parameters that no data sheet has, by dotted name, and their bounds."""

_SECONDS_PER_DAY: Final = 86400.0


@dataclass(frozen=True)
class Fitted:
    """A fitted plant; tables as of ``validate``, on the days of the fit and on the days after them."""

    parameters: PlantParameters
    before: pd.DataFrame
    after: pd.DataFrame
    later: pd.DataFrame | None  # None: the log has no day after


def fit_log(
    log: str,
    weather: str,
    preset: str,
    *,
    it_curve: str = "flat",
    step_length: float = 900.0,
    days: float | None = None,
    names: Mapping[str, tuple[float, float]] = FITTED,
) -> Fitted:
    """Fit ``preset`` to the first ``days`` of a log under the weather that it was recorded in.

    Raises InputError if the log has gaps or too few steps, or a file or a name cannot be used.
    """
    recorded = _record(log, weather, step_length)
    steps = len(recorded.setpoints)
    chosen = steps if days is None else round(days * _SECONDS_PER_DAY / step_length)
    least = round(_SECONDS_PER_DAY / step_length)
    if not least <= chosen <= steps:
        raise InputError(f"{log}: expected to fit 1 to {steps // least} days, found {chosen / least:g}")
    start, first = load_plant(preset, it_curve), _part(recorded, 0, chosen)
    parameters = fit(start, names, [first])
    later = validate(parameters, _part(recorded, chosen, steps)) if steps - chosen >= least else None
    return Fitted(parameters, validate(start, first), validate(parameters, first), later)


def write_preset(fitted: PlantParameters, based_on: str, path: str | Path, names: Mapping[str, Any] = FITTED) -> None:
    """Write what ``names`` have become as a preset based on the one that was fitted."""
    data: dict[str, Any] = {"based_on": based_on}
    for name in names:
        sides = [f"{side}{name.removeprefix('side')}" for side in SIDES] if name.startswith("side.") else [name]
        for full in sides:
            *parts, last = full.split(".")
            place = data
            for part in parts:
                place = place.setdefault(part, {})
            place[last] = fitted.value(full)
    text = yaml.safe_dump(data, sort_keys=False)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, "utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def _record(source: str, weather: str, step_length: float) -> Driven:
    """Return a log as a record; what the load of its last step was it does not say."""
    log = read_log(source)
    if not log.follows.all():
        raise InputError(f"{source}: expected steps without a gap, found {int((~log.follows).sum())} gaps")
    rows = weather_rows(read_weather(weather).at(step_length).arrays())
    if log.steps[-1] >= len(rows):
        raise InputError(f"{weather}: expected weather of {log.steps[-1] + 1} steps, found {len(rows)}")
    load = log.observations[1:, [OBSERVED_INDEX[f"{side}_load"] for side in SIDES]]  # seen once a step has ended
    steps = log.steps[:-1]
    return Driven(steps, step_length, log.setpoints[:-1], log.readings[:-1], load, rows[steps])


def _part(recorded: Driven, first: int, end: int) -> Driven:
    rows = {name: values[first:end] for name, values in vars(recorded).items() if name != "step_length"}
    return replace(recorded, **rows)
