"""Presets of plants, and what is wrong with a plant that is no plant."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcai.cooling.parameters import as_arrays, load_plant, preset_names
from hpcai.errors import InputError


def test_presets_load_with_both_curves() -> None:
    for name in preset_names():
        if name != "liquid":
            stock, flat = load_plant(name, "stock"), load_plant(name, "flat")
            assert stock.east.machines != flat.east.machines


def test_the_west_says_what_differs() -> None:
    plant = load_plant("two-zone")
    assert plant.west.fan.design_flow < plant.east.fan.design_flow
    assert plant.west.fan.polynomial == plant.east.fan.polynomial


def test_arrays_have_every_number() -> None:
    plant = load_plant("two-zone")
    arrays = as_arrays(plant)
    assert arrays.sides[1]["machines_power_2"] == plant.west.machines.power[2]
    assert arrays.water[0]["tower_design_power"] == plant.tower.design_power


def test_changed() -> None:
    plant = load_plant("two-zone").changed({"side.zone.envelope": 3.0, "chiller.capacity_curve.1": -0.05})
    assert plant.value("side.zone.envelope") == plant.west.zone.envelope == 3.0
    assert plant.chiller.capacity_curve == (0.944836, -0.05, -0.00185486)
    with pytest.raises(InputError, match="'envelop'"):
        plant.changed({"east.zone.envelop": 3.0})
    with pytest.raises(InputError, match="cop"):
        plant.changed({"chiller.cop": -1.0})


def test_a_file_says_what_differs_from_what_it_is_based_on(tmp_path: Path) -> None:
    file = tmp_path / "quiet.yaml"
    file.write_text("based_on: two-zone\npumps: {stray: 0.05}\n")
    preset, own = load_plant("two-zone", "flat"), load_plant(file, "flat")
    assert own.pumps.stray == 0.05
    assert own == preset.changed({"pumps.stray": 0.05})
    file.write_text("based_on: three-zone\n")
    with pytest.raises(InputError, match="plant 'three-zone': expected"):
        load_plant(file)


def test_what_is_no_plant(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two-zone"):
        load_plant("three-zone")
    with pytest.raises(InputError, match="stock or flat"):
        load_plant("two-zone", "steep")
    path = tmp_path / "plant.yaml"
    path.write_text("name: mine\neast: {machines: {design_power: -1}}\n")
    with pytest.raises(InputError, match=r"east\.machines\.design_power"):
        load_plant(path)
