"""The fast plant fitted to a log, through the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.cooling.controllers.controller import Fixed
from hpcai.cooling.parameters import load_plant
from hpcai.errors import InputError
from hpcai.evaluation.cooling.fitting import fit_log
from hpcai.evaluation.cooling.records import table_of
from hpcai.simulation.cooling.case import CoolingCase
from tests.cooling_weather import write_epw

DAY = 96  # steps


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_epw(tmp_path_factory.mktemp("weather") / "sine.epw"))


@pytest.fixture(scope="module")
def log(weather: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve days of spring of a plant whose walls let through more and whose coils are worse."""
    folder = tmp_path_factory.mktemp("log")
    other = folder / "other.yaml"
    other.write_text(
        "based_on: two-zone\neast: {zone: {envelope: 300}, coil: {effectiveness: 0.5}}\n"
        "west: {zone: {envelope: 300}, coil: {effectiveness: 0.5}}\n"
    )
    hall = CoolingCase(weather=weather, preset=str(other)).open()
    table_of(hall.play(Fixed(), 120 * DAY, 12 * DAY), hall.surroundings).to_parquet(folder / "log.parquet")
    return folder / "log.parquet"


def test_a_log_teaches_the_plant(log: Path, weather: str, tmp_path: Path) -> None:
    preset = tmp_path / "site.yaml"
    done = CliRunner().invoke(
        app, ["cooling", "fit", str(log), "--weather", weather, "--out", str(preset), "--days", "8"]
    )
    assert done.exit_code == 0, done.output
    assert "later days" in done.output
    fitted, start = load_plant(str(preset), "flat"), load_plant("two-zone", "flat")
    assert abs(fitted.east.zone.envelope - 300) < 0.5 * abs(start.east.zone.envelope - 300)
    tables = fit_log(str(log), weather, "two-zone", days=8, names={"side.zone.envelope": (0.0, 1000.0)})
    assert tables.later is not None
    assert tables.after.cv_rmse["inlet"] < 0.5 * tables.before.cv_rmse["inlet"]
    assert tables.later.cv_rmse["inlet"] < 2 * tables.after.cv_rmse["inlet"] + 0.05


def test_a_log_with_a_gap_or_too_short_is_refused(log: Path, weather: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 to 11 days, found 30"):
        fit_log(str(log), weather, "two-zone", days=30)
    table = pd.read_parquet(log)
    table.drop(index=np.arange(50, 60)).to_parquet(tmp_path / "gap.parquet")
    with pytest.raises(InputError, match="without a gap, found 1 gaps"):
        fit_log(str(tmp_path / "gap.parquet"), weather, "two-zone")
