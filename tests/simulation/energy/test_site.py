"""What cools the machines and what a site's energy costs: scaled, conserved, at the right time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpcai.errors import InputError
from hpcai.records.grid_signal import GridSignal, read_grid_signal
from hpcai.records.weather import Weather, read_weather
from hpcai.simulation.energy.it_power import KWH, ItPower
from hpcai.simulation.energy.site import Site

_START = datetime(2023, 1, 1, tzinfo=UTC).timestamp()


def _weather(folder: Path, dry: float, days: int = 366) -> Weather:
    times = pd.date_range("2023-01-01", periods=24 * days, freq="h").strftime("%Y-%m-%dT%H:%M")
    rows = [f"{time},{dry + 20 * (day >= 182)},50" for day, time in zip(np.arange(24 * days) // 24, times, strict=True)]
    path = folder / "weather.csv"
    path.write_text("\n".join(["time,temp,humidity", *rows]) + "\n")
    return read_weather(path)


def _signal(folder: Path, name: str, values: list[float]) -> GridSignal:
    times = pd.date_range("2023-01-01", periods=len(values), freq="h").strftime("%Y-%m-%dT%H:%M:%S")
    path = folder / "signal.csv"
    path.write_text("\n".join([f"Time,{name}", *(f"{t},{v}" for t, v in zip(times, values, strict=True))]) + "\n")
    return read_grid_signal(path)


def _machines(watts: list[float], each: float = 3600.0) -> ItPower:
    time = each * np.arange(len(watts) + 1)
    return ItPower(time, np.array(watts), np.array(watts) / 2, np.zeros(0), 0.0, 2e6)


def test_money_and_carbon_follow_the_hours(tmp_path: Path) -> None:
    price = _signal(tmp_path, "Price (USD/MWh)", [100.0, -50.0, 10.0])
    carbon = _signal(tmp_path, "Carbon Intensity", [400.0, 0.0, 100.0])
    power = Site(price=price, carbon=carbon, origin=_START).power(_machines([1e6, 2e6, 0.5e6]))
    assert power.energy("site") == power.energy("it") == pytest.approx(3500)
    assert power.bill(power.site, power.price) == pytest.approx(100 - 100 + 5)
    assert power.bill(power.site, power.carbon) == pytest.approx(400 + 0 + 50)
    assert power.bill(power.site_of_jobs, power.carbon) == pytest.approx((400 + 0 + 50) / 2)


def test_a_last_step_that_is_not_whole_counts_for_its_length(tmp_path: Path) -> None:
    power = Site(origin=_START).power(_machines([1e6, 3e6], each=1000.0))
    assert power.edges.tolist() == [0, 900, 1800, 2000]
    assert power.energy("it") == pytest.approx(4e9 / KWH)
    assert np.isnan(power.bill(power.site, power.price))


def test_cooling_grows_with_the_machine_and_with_the_heat_outdoors(tmp_path: Path) -> None:
    weather = _weather(tmp_path, 10.0)
    machines = _machines([1e6] * 48)
    winter = Site(weather, origin=_START).power(machines)
    assert winter.energy("hvac") > 0
    assert winter.energy("site") > winter.energy("it") + winter.energy("hvac")  # lights
    larger = ItPower(machines.time, 3 * machines.watts, machines.of_jobs, np.zeros(0), 0.0, 3 * machines.maximum)
    assert Site(weather, origin=_START).power(larger).energy("hvac") == pytest.approx(3 * winter.energy("hvac"))
    summer = Site(weather, origin=_START + 200 * 86400).power(machines)
    assert summer.energy("hvac") > 1.1 * winter.energy("hvac")
    another = Site(weather, origin=datetime(1999, 7, 20, tzinfo=UTC).timestamp()).power(machines)
    assert another.energy("hvac") == pytest.approx(summer.energy("hvac"), rel=1e-3)


def test_a_log_longer_than_the_year_goes_on_into_the_next(tmp_path: Path) -> None:
    machines = _machines([1e6] * 96)
    origin = datetime(2023, 12, 31, tzinfo=UTC).timestamp()
    power = Site(_weather(tmp_path, 10.0, days=365), origin=origin).power(machines)
    assert len(power.hvac) == 96 * 4
    assert (power.hvac > 0).all()


def test_weather_of_a_month_serves_only_its_own_time(tmp_path: Path) -> None:
    weather = _weather(tmp_path, 10.0, days=30)
    Site(weather, origin=_START + 86400).power(_machines([1e6]))
    with pytest.raises(InputError, match="found 30 days from 2023-01-01 00:00:00, expected the log's 2024"):
        Site(weather, origin=_START + 365 * 86400).power(_machines([1e6]))


def test_a_log_without_a_date_begins_with_the_weather(tmp_path: Path) -> None:
    weather = _weather(tmp_path, 10.0)
    unknown, known = Site(weather), Site(weather, origin=_START)
    assert unknown.power(_machines([1e6])).hvac.tolist() == known.power(_machines([1e6])).hvac.tolist()
