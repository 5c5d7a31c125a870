"""A hall through time: cases as data, and controllers played on them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpcai.configuration import validated
from hpcai.cooling.controllers.controller import Fixed
from hpcai.cooling.interface import READING_INDEX, READINGS, Floats, simple
from hpcai.cooling.observation import OBSERVED_INDEX
from hpcai.errors import InputError
from hpcai.records.it_load import read_it_load
from hpcai.simulation.cooling.case import CoolingCase
from hpcai.simulation.cooling.reward import CoolingReward
from tests.cooling_weather import write_epw


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_epw(tmp_path_factory.mktemp("weather") / "sine.epw"))


def test_a_controller_sees_the_readings_of_the_step_before(weather: str) -> None:
    seen = []

    class Looking(Fixed):
        def setpoints(self, observation: Floats) -> Floats:
            seen.append(observation)
            return super().setpoints(observation)

    hall = CoolingCase(weather=weather).open()
    record = hall.play(Looking(supply=22.0, airflow=0.6), 1000, 50)
    np.testing.assert_array_equal(record.steps, 1000 + np.arange(50))
    np.testing.assert_array_equal(np.array(seen)[1:, : len(READINGS)], record.readings[:-1])
    np.testing.assert_array_equal(np.array(seen)[:, len(READINGS) :], hall.surroundings[1000:1050])
    np.testing.assert_array_equal(record.setpoints, np.broadcast_to(simple(22.0, 0.6), record.setpoints.shape))
    dry = record.readings[:, READING_INDEX["dry_bulb"]]
    forecast = np.array(seen)[:, OBSERVED_INDEX["dry_bulb_1h"]]
    np.testing.assert_allclose(forecast[1:-4], dry[4:-1])


def test_setpoints_that_are_held_are_played_as_those_that_look(weather: str) -> None:
    class Looking(Fixed):
        """The same, but asked at each step."""

    hall = CoolingCase(weather=weather).open()
    held, asked = (hall.play(kind(supply=22.0, airflow=0.6), 2000, 60) for kind in (Fixed, Looking))
    np.testing.assert_array_equal(held.readings, asked.readings)
    np.testing.assert_array_equal(held.setpoints, asked.setpoints)


def test_the_load_drives_the_machines(weather: str) -> None:
    half = CoolingCase(weather=weather, it_load=0.5).open().play(Fixed(), 0, 10)
    full = CoolingCase(weather=weather, it_load=1.0).open().play(Fixed(), 0, 10)
    it = READING_INDEX["it"]
    np.testing.assert_allclose(half.readings[:, it], full.readings[:, it] / 2, rtol=1e-6)


def test_plays_end_with_the_weather(weather: str) -> None:
    hall = CoolingCase(weather=weather, step_minutes=60).open()
    assert hall.steps == 8760
    assert len(hall.play(Fixed(), 8750).readings) == 10
    with pytest.raises(InputError, match="start 8760: expected a step from 0 to 8759"):
        hall.begin(8760)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weather": "nowhere.epw"}, r"nowhere\.epw: cannot be read"),
        ({"preset": "three-zone"}, "three-zone"),
        ({"it_load": "loads.csv"}, r"loads\.csv: cannot be read"),
        ({"it_load": 1.5}, "it_load"),
        ({"plant": "slow"}, "plant"),
        ({"wheather": "a.epw"}, "wheather"),
    ],
)
def test_wrong_cases_are_refused_in_a_line(weather: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        validated(CoolingCase, {"weather": weather} | settings, "case").open()
    assert "\n" not in str(caught.value)


def test_loads_are_constant_daily_or_recorded(tmp_path: Path) -> None:
    start = datetime(1999, 1, 1)
    np.testing.assert_array_equal(read_it_load(0.3, 4, 900.0, start), 0.3)
    daily = read_it_load("daily", 96, 900.0, start)
    assert [daily[4 * hour] for hour in (0, 5, 6, 7, 8, 17, 18, 23)] == [0.5, 0.5, 0.75, 0.75, 1.0, 1.0, 0.8, 0.8]
    file = tmp_path / "load.csv"
    file.write_text("hour,cpu_load\n0,0.2\n1,0.4\n")
    np.testing.assert_array_equal(read_it_load(file, 6, 1800.0, start), [0.2, 0.2, 0.4, 0.4, 0.2, 0.2])
    file.write_text("hour,cpu_load\n0,0.2\n1,40\n")
    with pytest.raises(InputError, match=r"load\.csv: line 3: expected a load from 0 to 1, found 40"):
        read_it_load(file, 6, 1800.0, start)
    file.write_text("hour,power\n0,0.2\n")
    with pytest.raises(InputError, match="expected a column cpu_load, load, it_load"):
        read_it_load(file, 6, 1800.0, start)


def dated(folder: Path, first: str, hours: int, name: str = "load.parquet") -> Path:
    """A table whose load says which hour of its week it is, and from the eighth week on 0.2 more."""
    time = pd.date_range(first, periods=hours, freq="h", tz="UTC")
    load = (time.day_of_week * 24 + time.hour) / 400 + 0.2 * (np.arange(hours) >= 7 * 168)
    table = pd.DataFrame({"time": time, "it_load": load})
    path = folder / name
    table.to_parquet(path, index=False) if path.suffix == ".parquet" else table.to_csv(path, index=False)
    return path


def test_loads_with_dates_keep_their_hours_and_days_of_the_week(tmp_path: Path) -> None:
    thursday = datetime(1998, 1, 1)
    file = dated(tmp_path, "2017-10-03T05:00", 24 * 17)  # a Tuesday, two weeks and three days
    load = read_it_load(file, 24 * 30, 3600.0, thursday)
    np.testing.assert_allclose(load, [((3 + i // 24) % 7 * 24 + i % 24) / 400 for i in range(24 * 30)])
    ahead = read_it_load(file, 24, 3600.0, thursday, utc_offset=-6.0)  # midnight is six o'clock UTC
    np.testing.assert_allclose(ahead, load[6:30])
    as_text = read_it_load(dated(tmp_path, "2017-10-03T05:00", 24 * 17, "load.csv"), 24, 3600.0, thursday)
    np.testing.assert_allclose(as_text, load[:24])


def test_loads_of_days_repeat_days_and_those_of_a_year_keep_its_seasons(tmp_path: Path) -> None:
    short = read_it_load(dated(tmp_path, "2017-10-03T05:00", 60), 96, 3600.0, datetime(1998, 1, 1))
    np.testing.assert_allclose(short[:48], short[48:])
    assert [round(400 * x) % 24 for x in short[:30]] == [*range(24), *range(6)]
    year = dated(tmp_path, "2017-01-01", 24 * 365)
    load = read_it_load(year, 24 * 365, 3600.0, datetime(1998, 1, 1))
    assert (load[: 6 * 168] < 0.45).all()  # the first weeks of 2017
    assert (load[8 * 168 : 50 * 168] >= 0.2).all()
    np.testing.assert_allclose(load[8 * 168 : 50 * 168 : 168], 0.2 + 72 / 400)


def test_loads_of_finer_steps_are_averaged_and_coarser_ones_held(tmp_path: Path) -> None:
    time = pd.date_range("1999-01-01", periods=96, freq="15min", tz="UTC")
    file = tmp_path / "load.parquet"
    pd.DataFrame({"time": time, "it_load": np.arange(96) / 100}).to_parquet(file)
    start = datetime(1999, 1, 1)
    np.testing.assert_allclose(read_it_load(file, 3, 3600.0, start), [0.015, 0.055, 0.095])
    np.testing.assert_allclose(read_it_load(file, 6, 300.0, start), [0, 0, 0, 0.01, 0.01, 0.01])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"time": ["2017-01-01", "2017-01-02", "2017-01-04"], "load": [0, 0, 0]}, "line 4: expected a time 86400 s af"),
        ({"time": ["2017-01-01", "soon", "2017-01-03"], "load": [0, 0, 0]}, "time: expected dates, found others"),
        ({"time": ["2017-01-01", None, "2017-01-03"], "load": [0, 0, 0]}, "line 3: expected a time, found none"),
        ({"time": ["2017-01-01"], "load": [1.5]}, "line 2: expected a load from 0 to 1, found 1.5"),
    ],
)
def test_loads_with_wrong_dates_are_told(tmp_path: Path, table: dict[str, list[object]], message: str) -> None:
    for name in ("load.csv", "load.parquet"):
        file, frame = tmp_path / name, pd.DataFrame(table)
        frame.to_csv(file, index=False) if name.endswith("csv") else frame.to_parquet(file)
        with pytest.raises(InputError, match=rf"{name}: {message}"):
            read_it_load(file, 4, 900.0, datetime(1999, 1, 1))
    (tmp_path / "load.parquet").write_text("no Parquet")
    with pytest.raises(InputError, match=r"load\.parquet: expected a table of loads"):
        read_it_load(tmp_path / "load.parquet", 4, 900.0, datetime(1999, 1, 1))


def test_a_reward_is_energy_and_heat() -> None:
    reward = CoolingReward(energy="hvac", scale=0.1, high=27.0, margin=0.5)
    readings = np.zeros(len(READINGS))
    readings[READING_INDEX["hvac"]] = 5_000.0
    readings[[READING_INDEX["east_inlet"], READING_INDEX["west_inlet"]]] = 28.0, 17.0
    assert reward.cost(readings, 100_000.0, 2.0) == pytest.approx(1.0)
    assert reward.beyond(readings) == (1.5, 1.0)
    assert reward.next_multiplier(2.0, 0.5) == 2.5
    assert CoolingReward(budget=3.0).next_multiplier(2.0, 0.0) == 0.0
