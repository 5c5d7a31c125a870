"""Prices and carbon intensities: what is read, in which zone, what is filled, what is refused, and other years."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.errors import InputError
from hpcai.records.calendar import DAY, WEEK, at_like_time
from hpcai.records.grid_signal import read_grid_signal

_RECORDED = Path(__file__).parents[2].parent / "shared" / "data" / "weather"
_START = datetime(2023, 1, 1, tzinfo=UTC).timestamp()
_END = datetime(2024, 1, 1, tzinfo=UTC).timestamp()


def _file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_price_holds_from_its_time_on_and_zones_are_honoured(tmp_path: Path) -> None:
    text = "Datetime (Local),Price (EUR/MWh)\n2023-01-01 01:00:00+01:00,-5\n2023-01-01 02:00:00+01:00,10\n"
    signal = read_grid_signal(_file(tmp_path / "p.csv", text))
    text = (
        "Datetime (UTC),Datetime (Local),Price (EUR/MWh)\n2023-01-01 00:00,2023-01-01 09:00,-5\n2023-01-01 01:00,,10\n"
    )
    same = read_grid_signal(_file(tmp_path / "p.csv", text))
    for read in (signal, same):
        assert (read.kind, read.unit, read.step, read.start) == ("price", "EUR/MWh", 3600.0, _START)
        assert read.at(_START + np.array([0.0, 3599.0, 3600.0, 7199.0])).tolist() == [-5, -5, 10, 10]


def test_of_two_carbon_columns_that_of_the_life_cycle_is_taken_unless_told(tmp_path: Path) -> None:
    columns = "Carbon Intensity gCO₂eq/kWh (direct),Carbon Intensity gCO₂eq/kWh (LCA)"
    path = _file(tmp_path / "c.csv", f"Datetime (UTC),{columns}\n2023-01-01 00:00,100,150\n2023-01-01 01:00,100,150\n")
    assert read_grid_signal(path).frame["value"].tolist() == [150, 150]
    assert read_grid_signal(path, direct=True).frame["value"].tolist() == [100, 100]


def test_missing_steps_are_filled_and_counted(tmp_path: Path) -> None:
    hours = [f"2023-01-01 {hour:02d}:00:00,{'' if hour == 3 else hour}" for hour in range(12) if hour not in (6, 7)]
    signal = read_grid_signal(_file(tmp_path / "c.csv", "\n".join(["Time,Carbon Intensity", *hours])))
    assert signal.filled == 3
    assert signal.frame["value"].tolist() == list(range(12))
    assert signal.notes == ["its times name no zone, taken as UTC"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Time,Carbon Intensity\n2023-01-01,1\nsoon,2\n", "line 3: found 'soon' for the time"),
        ("Time,Carbon Intensity\n2023-01-01T00:00,1\n2023-01-01T00:00,2\n", "line 3: found time"),
        ("Time,Carbon Intensity\n2023-01-01T00:00,1\n2023-01-01T01:00,-2\n", "line 3: found '-2' for carbon"),
        ("Time,Carbon Intensity\n2023-01-01T00:00,1\n2023-01-01T01:00,two\n", "line 3: found 'two' for carbon"),
        ("Time,Carbon Intensity\n2023-01-01T00:00,1\n2023-01-01T01:00\n", "line 3: found 1 fields, expected 2"),
        ("Time,Price\n2023-01-01T00:00,1\n2023-01-01T01:00,2\n", "expected USD/MWh or EUR/MWh"),
        ("Time,Colour\n2023-01-01T00:00,1\n", "expected a time, and a price or carbon intensity"),
        ("Time,Carbon Intensity\n2023-01-01T00:00,1\n", "found 1 rows, expected at least 2"),
        (
            "Time,Carbon Intensity\n2023-01-01T00:00,1\n2023-01-01T01:00,1\n2023-01-01T02:00,1\n2023-01-01T12:00,1\n",
            "line 4: no carbon for 9 hours after it",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        read_grid_signal(_file(tmp_path / "c.csv", text))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_series_of_a_day_says_that_it_is_too_short_for_other_times(tmp_path: Path) -> None:
    text = "Time,Carbon Intensity\n2023-01-01T00:00,1\n2023-01-01T01:00,2\n"
    signal = read_grid_signal(_file(tmp_path / "c.csv", text))
    with pytest.raises(InputError, match="expected some at 2022-12-31 23:59, or a year"):
        signal.at(np.array([_START - 60.0]))


@given(st.floats(min_value=datetime(1985, 1, 1, tzinfo=UTC).timestamp(), max_value=_END + 30 * 365 * DAY))
def test_the_like_time_of_a_year_keeps_time_of_day_weekday_and_season(time: float) -> None:
    for whole, most in ((DAY, 2), (WEEK, 8)):
        (moved,) = at_like_time(np.array([time]), _START, _END, whole=whole)
        assert _START <= moved < _END
        assert (moved - time) / whole == pytest.approx(round((moved - time) / whole), abs=1e-6)
        days = [datetime.fromtimestamp(t, UTC).timetuple().tm_yday for t in (time, float(moved))]
        apart = abs(days[0] - days[1])
        assert min(apart, 365 - apart) <= most
        if _START <= time < _END:
            assert moved == time


@pytest.mark.parametrize(
    ("name", "unit", "values", "filled", "mean"),
    [
        ("price_DE-LU_2023.csv.gz", "USD/MWh", 8760, 0, 102.6),
        ("pvpc_spain_2023.csv.gz", "EUR/MWh", 8760, 0, 146.8),
        ("carbon_US-CAL-CISO_2023.csv.gz", "gCO2/kWh", 8760, 0, 260.7),
        ("carbon2020_ger.csv.gz", "gCO2/kWh", 37149, 2, 315.2),
        ("gridmix_CA_2022.csv.gz", "gCO2/kWh", 8760, 3, 256.2),
    ],
)
def test_recorded_series(name: str, unit: str, values: int, filled: int, mean: float) -> None:
    path = _RECORDED / name
    if not path.is_file():
        pytest.skip(f"the recorded series {name} is not part of the repository")
    signal = read_grid_signal(path)
    assert (signal.unit, len(signal.frame), signal.filled) == (unit, values, filled)
    assert signal.frame["value"].mean() == pytest.approx(mean, abs=0.05)


def test_the_command_line_says_what_a_series_holds(tmp_path: Path) -> None:
    text = "Time,Carbon Intensity\n2023-01-01T00:00,1\n2023-01-01T01:00,3\n"
    said = CliRunner().invoke(app, ["grid", "inspect", str(_file(tmp_path / "c.csv", text))])
    assert said.exit_code == 0
    assert "c: carbon in gCO2/kWh" in said.output
    assert "00 1  01 3" in said.output
