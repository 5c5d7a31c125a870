"""What cools the machines and what a site's energy costs: scaled, conserved, at the right time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpcai.cooling.controllers.controller import Controller, Fixed
from hpcai.cooling.interface import READING_INDEX, Floats
from hpcai.cooling.observation import OBSERVED_INDEX
from hpcai.errors import InputError
from hpcai.records.grid_signal import GridSignal, read_grid_signal
from hpcai.simulation.cooling.case import CoolingCase
from hpcai.simulation.energy.cooling import SiteCooling
from hpcai.simulation.energy.it_power import KWH, ItPower
from hpcai.simulation.energy.site import Site

_START = datetime(2023, 1, 1, tzinfo=UTC).timestamp()


def _cooling(
    folder: Path, dry: float, days: int = 366, controller: Controller | None = None, **case: Any
) -> SiteCooling:
    """A plant under weather of ``dry`` °C, in the second half of the year 20 K more."""
    times = pd.date_range("2023-01-01", periods=24 * days, freq="h").strftime("%Y-%m-%dT%H:%M")
    rows = [f"{time},{dry + 20 * (day >= 182)},50" for day, time in zip(np.arange(24 * days) // 24, times, strict=True)]
    path = folder / "weather.csv"
    path.write_text("\n".join(["time,temp,humidity", *rows]) + "\n")
    return SiteCooling(CoolingCase(weather=str(path), **case), controller)


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
    cooling = _cooling(tmp_path, 10.0)
    machines = _machines([1e6] * 48)
    winter = Site(cooling, origin=_START).power(machines)
    assert winter.energy("hvac") > 0
    assert winter.energy("site") > winter.energy("it") + winter.energy("hvac")  # lights
    larger = ItPower(machines.time, 3 * machines.watts, machines.of_jobs, np.zeros(0), 0.0, 3 * machines.maximum)
    assert Site(cooling, origin=_START).power(larger).energy("hvac") == pytest.approx(3 * winter.energy("hvac"))
    summer = Site(cooling, origin=_START + 200 * 86400).power(machines)
    assert summer.energy("hvac") > 1.1 * winter.energy("hvac")
    another = Site(cooling, origin=datetime(1999, 7, 20, tzinfo=UTC).timestamp()).power(machines)
    assert another.energy("hvac") == pytest.approx(summer.energy("hvac"), rel=1e-3)


def test_a_log_longer_than_the_year_goes_on_into_the_next(tmp_path: Path) -> None:
    machines = _machines([1e6] * 96)
    origin = datetime(2023, 12, 31, tzinfo=UTC).timestamp()
    power = Site(_cooling(tmp_path, 10.0, days=365), origin=origin).power(machines)
    assert len(power.hvac) == 96 * 4
    assert (power.hvac > 0).all()


def test_weather_of_a_month_serves_only_its_own_time(tmp_path: Path) -> None:
    cooling = _cooling(tmp_path, 10.0, days=30)
    Site(cooling, origin=_START + 86400).power(_machines([1e6]))
    with pytest.raises(InputError, match="found 30 days from 2023-01-01 00:00:00, expected the log's 2024"):
        Site(cooling, origin=_START + 365 * 86400).power(_machines([1e6]))


def test_a_log_without_a_date_begins_with_the_weather(tmp_path: Path) -> None:
    cooling = _cooling(tmp_path, 10.0)
    unknown, known = Site(cooling), Site(cooling, origin=_START)
    assert unknown.power(_machines([1e6])).hvac.tolist() == known.power(_machines([1e6])).hvac.tolist()


def test_powers_count_as_many_times_as_the_machines_are_larger(tmp_path: Path) -> None:
    cooling, machines = _cooling(tmp_path, 10.0), _machines([1e6] * 6)
    power = Site(cooling, origin=_START).power(machines)
    readings = cooling.play(np.full(24, 0.5), 0)
    scale = cooling.scale(machines.maximum)
    assert scale == pytest.approx(2e6 / cooling.design_power)
    np.testing.assert_allclose(power.hvac, scale * readings[:, READING_INDEX["hvac"]])
    np.testing.assert_allclose(power.it, scale * readings[:, READING_INDEX["it"]])
    np.testing.assert_allclose(power.site, scale * readings[:, READING_INDEX["site"]])
    assert power.inlet.tolist() == readings[:, [1, 7]].max(axis=1).tolist()


def test_a_controller_runs_the_plant_and_sees_load_and_time_as_they_are(tmp_path: Path) -> None:
    seen: list[Floats] = []

    class Looking(Fixed):
        def setpoints(self, observation: Floats) -> Floats:
            seen.append(observation)
            return super().setpoints(observation)

    machines = _machines([1e6, 2e6, 0.5e6])
    own = Site(_cooling(tmp_path, 10.0), origin=_START).power(machines)
    warm = Site(_cooling(tmp_path, 10.0, controller=Looking(supply=25.0, airflow=0.6)), origin=_START + 6 * 3600)
    power = warm.power(machines)
    assert power.energy("hvac") < 0.8 * own.energy("hvac")
    assert power.inlet.mean() > own.inlet.mean() + 3
    loads = [observation[OBSERVED_INDEX["east_load"]] for observation in seen]
    assert loads == [0.5] * 5 + [1.0] * 4 + [0.25] * 3
    assert seen[0][OBSERVED_INDEX["hour_sin"]] == pytest.approx(1.0)  # six o'clock


def test_a_hot_plant_says_so(tmp_path: Path) -> None:
    power = Site(_cooling(tmp_path, 10.0, controller=Fixed(supply=30.0)), origin=_START).power(_machines([1e6] * 12))
    assert power.inlet[-1] > 29.0
    assert np.isnan(Site(origin=_START).power(_machines([1e6])).inlet).all()


def test_any_plant_may_cool_in_steps_of_a_quarter_of_an_hour(tmp_path: Path) -> None:
    machines = _machines([1e6] * 24)
    liquid = Site(_cooling(tmp_path, 25.0, plant="liquid"), origin=_START).power(machines)
    air = Site(_cooling(tmp_path, 25.0, preset="mn-1"), origin=_START).power(machines)
    assert liquid.energy("site") == pytest.approx(liquid.energy("it") + liquid.energy("hvac"))
    assert liquid.energy("hvac") < air.energy("hvac")
    with pytest.raises(InputError, match="step_minutes 5: expected 15 for a site"):
        Site(_cooling(tmp_path, 10.0, step_minutes=5))


def test_energyplus_cools_a_cluster_too(building: Path, chicago: Path) -> None:
    case = CoolingCase(weather=str(chicago), plant="energyplus", model=str(building))
    machines = _machines([0.5e6] * 12 + [2e6] * 12)
    own = Site(SiteCooling(case), origin=_START + 180 * 86400).power(machines)
    np.testing.assert_allclose(own.site - own.hvac, own.it + own.site[0] - own.hvac[0] - own.it[0], rtol=1e-3)  # lights
    warm = Site(SiteCooling(case, Fixed(supply=24.0, airflow=0.6)), origin=_START + 180 * 86400).power(machines)
    assert warm.energy("hvac") < 0.9 * own.energy("hvac")
    assert np.isfinite(warm.inlet).all()
