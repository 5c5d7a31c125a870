"""Parameters are found again from the record of a plant that has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcai.cooling.parameters import load_plant
from hpcai.errors import InputError
from hpcai.simulation.cooling import FastPlant
from hpcai.simulation.cooling.fit import Driven, excitation, fit, load_record, record, save, validate

STEPS = 96 * 14
CALM = load_plant("two-zone", "flat").changed({"tower.free_drop": 0.0})  # its tower does not hunt


@pytest.fixture(scope="module")
def recorded() -> Driven:
    hours = np.arange(STEPS) / 4
    weather = {
        "dry_bulb": 20 + 8 * np.sin(hours * 2 * np.pi / 24) + hours / 50,
        "relative_humidity": np.full(STEPS, 0.6),
        "pressure": np.full(STEPS, 1e5),
    }
    other = CALM.changed({"chiller.cop": 4.2, "side.zone.envelope": 150.0})
    return record(FastPlant(weather, other), weather, *excitation(STEPS, 900.0))


def test_fit_finds_what_differs(recorded: Driven) -> None:
    before = validate(CALM, recorded)
    fitted = fit(CALM, {"chiller.cop": (3.0, 6.0), "side.zone.envelope": (0.0, 400.0)}, [recorded])
    assert fitted.chiller.cop == pytest.approx(4.2, rel=0.02)
    assert fitted.west.zone.envelope == pytest.approx(150.0, rel=0.2)
    after = validate(fitted, recorded)
    assert before.cv_rmse["hvac"] > 0.02 > 5 * after.cv_rmse["hvac"]
    assert abs(after.bias["hvac"]) < 0.002


def test_a_plant_comes_up_to_itself(recorded: Driven) -> None:
    same = CALM.changed({"chiller.cop": 4.2, "side.zone.envelope": 150.0})
    table = validate(same, recorded)
    assert (table.cv_rmse < 1e-9).all()
    assert list(table.index[-3:]) == ["it", "site", "inlet"]


def test_records_are_kept(recorded: Driven, tmp_path: Path) -> None:
    save(recorded, tmp_path / "record.npz")
    again = load_record(tmp_path / "record.npz")
    assert (again.readings == recorded.readings).all()
    assert again.step_length == recorded.step_length
    with pytest.raises(InputError, match="record of a plant"):
        load_record(tmp_path / "none.npz")


def test_excitation_is_seeded_and_varied() -> None:
    setpoints, load = excitation(2_000, 900.0, seed=1)
    assert np.array_equal(setpoints, excitation(2_000, 900.0, seed=1)[0], equal_nan=True)
    assert not np.array_equal(setpoints, excitation(2_000, 900.0, seed=2)[0], equal_nan=True)
    assert 0.3 <= load.min() < load.max() <= 1.0
    assert 0.2 < np.isnan(setpoints[:, 4]).mean() < 0.8


def test_bounds_that_leave_the_beginning_out(recorded: Driven) -> None:
    with pytest.raises(InputError, match=r"chiller\.cop 5"):
        fit(load_plant("two-zone"), {"chiller.cop": (1.0, 2.0)}, [recorded])
