"""How near the fast plant comes to EnergyPlus: both told the same under the same weather, hour by hour."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from hpcai.cooling.energyplus.building import ItCurve
from hpcai.cooling.interface import OWN, SIDES, Floats, simple
from hpcai.cooling.parameters import load_plant
from hpcai.errors import InputError
from hpcai.records.it_load import read_it_load
from hpcai.records.weather import read_weather
from hpcai.simulation.cooling.fit import COMPONENTS, Driven, excitation, load_record, record, save, validate

STEPS_PER_HOUR: Final = 4

CONTROLS: Final = {
    "own": "the building's own control, daily load",
    "constant": "supply air of 20 °C, all else its own, daily load",
    "random": "setpoints and load of fit.excitation",
}
"""What both plants are told."""


def energyplus_record(
    weather: str | Path, control: str, *, it_curve: ItCurve = "flat", model: str | Path | None = None
) -> Driven:
    """Return a year of the two-zone data centre in EnergyPlus.

    Args:
        weather: an EPW file.
        control: one of CONTROLS.
        it_curve: how the machines' power follows their air.
        model: the building's epJSON, by default the one fetched before.

    Raises InputError if there is no such control, or a file cannot be used.
    """
    from hpcai.cooling.energyplus.plant import EnergyPlusPlant

    if control not in CONTROLS:
        raise InputError(f"control {control!r}: expected one of {', '.join(CONTROLS)}")
    plant = EnergyPlusPlant(weather, model=model, it_curve=it_curve, steps_per_hour=STEPS_PER_HOUR)
    try:
        sky = read_weather(weather)
        setpoints, load = _told(control, plant.steps, plant.step_length, sky.start)
        return record(plant, sky.at(plant.step_length).arrays(), setpoints, load)
    finally:
        plant.close()


def compare(
    weathers: Iterable[str | Path],
    controls: Iterable[str] = tuple(CONTROLS),
    *,
    it_curve: ItCurve = "flat",
    preset: str = "two-zone",
    model: str | Path | None = None,
    records: str | Path | None = None,
) -> pd.DataFrame:
    """Return bias and CV-RMSE of hourly powers of the fast plant against EnergyPlus, a row for weather and control.

    Args:
        weathers: EPW files.
        controls: of CONTROLS.
        it_curve: how the machines' power follows their air.
        preset: of the fast plant, or a YAML file.
        model: the building's epJSON, by default the one fetched before.
        records: folder where EnergyPlus's years are kept, and found again the next time.

    Raises InputError if a file or a control cannot be used.
    """
    plant = load_plant(preset, it_curve)
    rows: list[dict[str, Any]] = []
    for weather in weathers:
        for control in controls:
            recorded = _kept(weather, control, it_curve, model, records)
            found: dict[Any, Any] = validate(plant, recorded).to_dict("index")
            values = {
                f"{part} {what}": found[part][what] for part in COMPONENTS for what in ("bias", "cv_rmse", "daily")
            }
            inlet = {"inlet bias, K": found["inlet"]["bias"], "inlet rms, K": found["inlet"]["cv_rmse"]}
            hvac = {"hvac, kW": found["hvac"]["recorded"] / 1e3}
            rows.append({"weather": _name(weather), "control": control, **hvac, **values, **inlet})
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> list[str]:
    """Return the lines of a Markdown table of what ``compare`` found: HVAC power, its parts, inlet temperatures."""
    parts = ("fans", "evaporative", "chiller", "tower", "pumps")
    lines = [
        "| weather | control | HVAC, kW | bias | CV-RMSE | daily | no tower, pumps | "
        + " | ".join(parts)
        + " | inlet, K |",
        "|---|---|---:|---:|---:|---:|---:|" + "---:|" * (len(parts) + 1),
    ]
    for row in table.to_dict("records"):
        cells = [f"{row['hvac, kW']:.2f}", f"{row['hvac bias']:+.1%}"]
        cells += [f"{row[name]:.1%}" for name in ("hvac cv_rmse", "hvac daily", "thermal cv_rmse")]
        cells += [f"{row[f'{part} bias']:+.0%}" for part in parts]
        lines.append(
            f"| {row['weather']} | {row['control']} | " + " | ".join([*cells, f"{row['inlet rms, K']:.2f}"]) + " |"
        )
    return lines


def _name(weather: str | Path) -> str:
    return Path(weather).name.removesuffix(".gz").removesuffix(".epw")


def _kept(
    weather: str | Path, control: str, it_curve: ItCurve, model: str | Path | None, records: str | Path | None
) -> Driven:
    if records is None:
        return energyplus_record(weather, control, it_curve=it_curve, model=model)
    path = Path(records) / f"{_name(weather)}-{it_curve}-{control}.npz"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        save(energyplus_record(weather, control, it_curve=it_curve, model=model), path)
    return load_record(path)


def _told(control: str, steps: int, step_length: float, start: datetime) -> tuple[Floats, Floats]:
    if control == "random":
        return excitation(steps, step_length)
    daily = read_it_load("daily", steps, step_length, start)
    setpoints = OWN if control == "own" else simple(20.0)
    return np.tile(setpoints, (steps, 1)), np.repeat(daily[:, None], len(SIDES), axis=1)
