"""Point maps as data, and values in registers."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client import ModbusTcpClient
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.errors import InputError
from hpcai.live.cooling.modbus import Connection, _runs
from hpcai.live.cooling.points import load_points
from hpcai.live.cooling.registers import Register
from hpcai.live.cooling.service import Service
from hpcai.live.cooling.steering import Steering
from tests.live.cooling_bundles import exported
from tests.live.cooling_site import point_map, write_points

SUPPLY = {"address": 100, "scale": 0.1, "low": 16, "high": 27, "own": 18}


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("kind", ["int16", "uint16", "int32", "uint32", "float32"])
@given(share=st.floats(0, 1))
def test_words_are_those_that_pymodbus_makes(kind: str, order: str, share: float) -> None:
    low, high = {"int16": (-32768, 32767), "uint16": (0, 65535), "int32": (-(2**31), 2**31 - 1),
                 "uint32": (0, 2**32 - 1), "float32": (-1e6, 1e6)}[kind]  # fmt: skip
    number = low + share * (high - low)
    number = number if kind == "float32" else round(number)
    register = Register(address=0, type=kind, word_order=order, scale=0.5, offset=3.0)  # type: ignore[arg-type]
    value = number * 0.5 + 3.0
    theirs = ModbusTcpClient.convert_to_registers(
        number,
        getattr(ModbusTcpClient.DATATYPE, kind.upper()),
        word_order=order,  # type: ignore[arg-type]
    )
    assert register.encode(value) == theirs
    assert register.decode(theirs) == pytest.approx(value, rel=1e-6)
    assert register.same(value, register.decode(theirs))


def test_what_a_register_cannot_hold() -> None:
    register = Register(address=0, scale=0.1, missing=-32768)
    assert register.holds(3276.7)
    assert not register.holds(3276.8)
    assert not register.holds(math.nan)
    assert not register.same(math.nan, math.nan)
    assert math.isnan(register.decode([0x8000]))


def test_one_request_reads_what_lies_together() -> None:
    registers = {
        "a": Register(address=0, type="float32"),
        "b": Register(address=2),
        "gap": Register(address=4),
        "input": Register(address=3, table="input"),
        "unit": Register(address=3, unit=2),
        "long": Register(address=200),
    } | {f"r{i}": Register(address=300 + i) for i in range(150)}
    runs = [list(run) for run in _runs(registers)]
    assert ["a", "b"] in runs
    assert [len(run) for run in runs if "r0" in run or "r149" in run] == [100, 50]
    assert sorted(name for run in runs for name in run) == sorted(registers)


def changed(**changes: Any) -> dict[str, Any]:
    return point_map() | changes


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"readings": {"east_inlt": {"address": 1}}}, "readings: unknown 'east_inlt'; did you mean 'east_inlet'?"),
        ({"setpoints": {"east_suply": SUPPLY}}, "setpoints: unknown 'east_suply'; did you mean 'east_supply'?"),
        ({"setpoints": {}}, "setpoints: dictionary should have at least 1 item after validation, not 0, found {}"),
        ({"setpoints": {"east_supply": SUPPLY | {"high": 45}}}, "setpoints.east_supply: expected low <= high from 10 "
         "to 35 °C, found 16 to 45"),
        ({"setpoints": {"east_supply": SUPPLY | {"low": 28}}}, "setpoints.east_supply: expected low <= high"),
        ({"setpoints": {"east_supply": SUPPLY | {"type": "uint16", "scale": 0.0001}}}, "setpoints.east_supply: 16 °C "
         "does not fit uint16"),
        ({"setpoints": {"east_supply": SUPPLY | {"scale": 0}}}, "setpoints.east_supply: 16 °C does not fit int16"),
        ({"setpoints": {"east_supply": {"address": 1, "scale": 0.1}}, "release": None}, "setpoints.east_supply: "
         "expected own, what gives it back to the plant, or a release register"),
        ({"setpoints": {"east_supply": SUPPLY | {"table": "input"}}}, "setpoints.east_supply.table: input should be "
         "'holding', found 'input'"),
        ({"setpoints": {"east_supply": SUPPLY, "west_supply": SUPPLY}}, "west_supply: register 100 of unit 3 is "
         "east_supply's"),
        ({"release": {"address": 101}}, "release: register 101 of unit 3 is west_supply's"),
        ({"release": {"address": 120, "type": "uint16", "own": -1}}, "release: ours or own does not fit uint16"),
        ({"readings": {"it": {"address": 70000}}}, "readings.it.address: input should be less than or equal to 65535"),
        ({"readings": {"it": {"type": "int64", "address": 1}}}, "readings.it.type: input should be 'int16'"),
        ({"constants": {"it": 5.0}}, "it: expected a reading or a constant, found both"),
        ({"loads": {"load": {"address": 1}}}, "loads: unknown 'load'"),
        ({"design_power": 1e5, "idle_power": 2e5}, "idle_power 200000: expected less than design_power 100000"),
        ({"watchdog": 5}, "unknown key 'watchdog'"),
        ({"readings": [1]}, "readings: input should be a valid dictionary, found [1]"),
    ],
)  # fmt: skip
def test_a_bad_map_is_told_in_one_line(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    path = tmp_path / "points.yaml"
    path.write_text(yaml.safe_dump(changed(**fields)))
    with pytest.raises(InputError) as caught:
        load_points(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_units_and_word_order_hold_for_all_that_do_not_say_otherwise(tmp_path: Path) -> None:
    points = load_points(write_points(tmp_path / "points.yaml", word_order="little"))
    assert {register.unit for register in points.read.values()} == {3}
    assert points.readings["it"].word_order == "little"


def test_steering_begins_within_the_range(tmp_path: Path) -> None:
    steering = Steering(load_points(write_points(tmp_path / "points.yaml")))
    steering.begin({"east_supply": 30.0})
    assert steering.toward({"east_supply": 20.0}, 60.0) == {"east_supply": pytest.approx(26.9)}


# What is said at the start


def settings(tmp_path: Path, bundle: str, *more: str) -> list[str]:
    return [
        "live", "cooling", "--bundle", bundle, "--points", str(tmp_path / "points.yaml"), "--host", "127.0.0.1",
        "--state", str(tmp_path / "state"), *more,
    ]  # fmt: skip


def refused(words: list[str]) -> str:
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, InputError), done.output
    return str(done.exception)


def test_readings_that_a_controller_needs_are_asked_for(tmp_path: Path) -> None:
    bundle = exported(tmp_path / "rules", kind="rules").where
    readings = {name: of for name, of in point_map()["readings"].items() if name not in ("east_inlet", "dry_bulb")}
    write_points(tmp_path / "points.yaml", readings=readings)
    assert refused(settings(tmp_path, bundle)) == "points: the bundle's controller needs east_inlet, dry_bulb"


def test_another_bundle_is_refused(tmp_path: Path) -> None:
    write_points(tmp_path / "points.yaml")
    assert "no such folder or .tar" in refused(settings(tmp_path, str(tmp_path / "none")))
    bundle = exported(tmp_path / "rules", kind="rules").where
    assert "expected digest abc" in refused(settings(tmp_path, bundle, "--digest", "abc"))


def test_what_is_missing_or_wrong_is_told_in_one_line(tmp_path: Path) -> None:
    bundle = exported(tmp_path / "rules", kind="rules").where
    write_points(tmp_path / "points.yaml")
    assert refused(["live", "cooling", "--bundle", bundle]) == "live cooling: points: required, not given"
    assert "interval 1 s: expected at least one poll" in refused(settings(tmp_path, bundle, "--interval", "1s"))
    assert "port: input should be less than" in refused(settings(tmp_path, bundle, "--port", "99999"))
    assert "cannot be read" in refused(settings(tmp_path, bundle, "--forecast", str(tmp_path / "none.epw")))


def test_pymodbus_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymodbus.client", None)
    with pytest.raises(InputError, match=r"needs pymodbus; install hpcai\[modbus\]"):
        Connection("127.0.0.1", 502, 1.0)


def test_the_lock_goes_when_a_start_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hpcai.live.cooling.config import load_cooling_config

    bundle = exported(tmp_path / "rules", kind="rules").where
    points = write_points(tmp_path / "points.yaml")
    given = {"bundle": bundle, "points": str(points), "host": "127.0.0.1", "state": str(tmp_path / "state")}
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pymodbus.client", None)
        with pytest.raises(InputError, match="needs pymodbus"):
            Service(load_cooling_config(None, given))
    Service(load_cooling_config(None, given)).end()
