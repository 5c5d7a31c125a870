"""The comparison with EnergyPlus, from a record that is at hand so that it needs none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcai.cooling.interface import simple
from hpcai.cooling.parameters import load_plant
from hpcai.errors import InputError
from hpcai.simulation.cooling import FastPlant
from hpcai.simulation.cooling.fit import record, save
from hpcai.simulation.cooling.validation import compare, energyplus_record, markdown

STEPS = 96 * 3


def test_kept_records_are_compared(tmp_path: Path) -> None:
    weather = {"dry_bulb": np.full(STEPS, 25.0), "wet_bulb": np.full(STEPS, 18.0), "pressure": np.full(STEPS, 1e5)}
    plant = FastPlant(weather, load_plant("two-zone", "flat").changed({"chiller.cop": 4.5}))
    kept = record(plant, weather, np.tile(simple(18.0), (STEPS, 1)), np.full((STEPS, 2), 0.7))
    save(kept, tmp_path / "XXX_City-flat-constant.npz")
    table = compare(["XXX_City.epw.gz"], ["constant"], records=tmp_path)
    assert table.loc[0, "chiller bias"] == pytest.approx(4.5 / 5 - 1, abs=0.02)
    lines = markdown(table)
    assert lines[2].startswith("| XXX_City | constant |")
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")


def test_an_unknown_control() -> None:
    with pytest.raises(InputError, match="own, constant, random"):
        energyplus_record("nowhere.epw", "clever")
