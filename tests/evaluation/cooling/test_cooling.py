"""Cooling controllers compared: metrics against hand-made readings, a comparison through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.cooling.interface import READING_INDEX, READINGS, SETPOINTS, Floats
from hpcai.errors import InputError
from hpcai.evaluation.cooling.config import load_cooling_config
from hpcai.evaluation.cooling.controllers import controller_config
from hpcai.evaluation.cooling.evaluate import evaluate_cooling, weekly
from hpcai.evaluation.cooling.metrics import CLASSES, summary
from hpcai.evaluation.cooling.records import read_log
from hpcai.simulation.cooling.hall import Record
from tests.browser import browse
from tests.cooling_weather import write_epw


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_epw(tmp_path_factory.mktemp("weather") / "sine.epw"))


def a_config(folder: Path, weather: str, **changes: object) -> Path:
    fields: dict[str, object] = {
        "cases": {"sine": {"weather": weather}, "steady": {"weather": weather, "it_load": 0.6}},
        "controllers": {
            "default": "default",
            "warm": {"kind": "fixed", "points": {"supply": 25.0, "airflow": 0.6}},
            "rules": {"kind": "rules", "settings": {"supply.high": 25.0}},
            "night": {"kind": "schedule", "hours": {0: {"supply": 25.0}, 8: {"supply": 23.0}}},
        },
        "days": 2,
        "out": str(folder / "out"),
    }
    path = folder / "cooling.yaml"
    path.write_text(yaml.safe_dump(fields | changes))
    return path


def a_record(setpoints: Floats, readings: Floats) -> Record:
    return Record(np.arange(len(readings)), 900.0, setpoints, readings)


def test_metrics_are_what_their_definitions_say() -> None:
    readings = np.zeros((4, len(READINGS)))
    for name, values in {
        "it": [80e3, 80e3, 100e3, 100e3],
        "hvac": [10e3, 10e3, 20e3, 20e3],
        "site": [91e3, 91e3, 121e3, 121e3],
        "east_fan": [2e3] * 4,
        "west_fan": [1e3] * 4,
        "east_inlet": [17.0, 20.0, 27.5, 29.0],
        "west_inlet": [20.0, 20.0, 28.0, 26.0],
    }.items():
        readings[:, READING_INDEX[name]] = values
    setpoints = np.full((4, len(SETPOINTS)), np.nan)
    of = summary(
        a_record(setpoints, readings),
        price=np.array([50.0, 50, 100, 100]),
        carbon=np.array([500.0, 0, 0, 1000]),
    )
    assert of["it_kwh"] == pytest.approx(90.0)
    assert of["hvac_kwh"] == pytest.approx(15.0)
    assert of["fan_kwh"] == pytest.approx(3.0)
    assert of["pue"] == pytest.approx(106.0 / 90.0)
    assert of["cost"] == pytest.approx((91 * 2 * 0.25 * 50 + 121 * 2 * 0.25 * 100) / 1000)
    assert of["carbon_kg"] == pytest.approx((91 * 0.25 * 500 + 121 * 0.25 * 1000) / 1000)
    assert (of["hot_minutes"], of["cold_minutes"]) == (30.0, 15.0)
    assert of["hot_degree_hours"] == pytest.approx((1.0 + 2.0) * 0.25)
    assert of["cold_degree_hours"] == pytest.approx(0.25)
    assert of["inlet_max"] == 29.0
    assert summary(a_record(setpoints, readings), CLASSES["A1"])["hot_minutes"] == 0.0


def test_weeks_are_compared_or_days_of_a_short_record() -> None:
    readings = np.zeros((3 * 96, len(READINGS)))
    readings[:, READING_INDEX["hvac"]] = np.repeat([1000.0, 2000.0, 3000.0], 96)
    np.testing.assert_allclose(weekly(a_record(readings, readings), "hvac"), [24.0, 48.0, 72.0])
    assert weekly(a_record(readings, np.tile(readings, (7, 1))), "hvac").shape == (3,)


def test_a_comparison_through_the_command_line(weather: str, tmp_path: Path) -> None:
    config = a_config(tmp_path, weather)
    done = CliRunner().invoke(app, ["cooling", "run", str(config)])
    assert done.exit_code == 0, done.output
    assert "| warm |" in done.output
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    default, warm = (results["cases"]["sine"]["controllers"][name] for name in ("default", "warm"))
    assert warm["metrics"]["hvac_kwh"] < default["metrics"]["hvac_kwh"]
    assert warm["hvac_ratio"]["value"] == pytest.approx(
        warm["metrics"]["hvac_kwh"] / default["metrics"]["hvac_kwh"], abs=1e-3
    )
    assert warm["hvac_ratio"]["low"] <= warm["hvac_ratio"]["value"] <= warm["hvac_ratio"]["high"]
    assert default["hvac_ratio"]["value"] == 1.0
    steady = results["cases"]["steady"]["controllers"]["warm"]["metrics"]
    assert steady["it_kwh"] < warm["metrics"]["it_kwh"]
    record = pd.read_parquet(tmp_path / "out" / "records" / "sine.warm.parquet")
    assert len(record) == 2 * 96
    assert set(record["set_east_supply"]) == {25.0}
    log = read_log(tmp_path / "out" / "records" / "sine.warm.parquet")
    assert log.follows.all()
    np.testing.assert_array_equal(log.observations[1:, : len(READINGS)], log.readings[:-1])


def test_weeks_here_and_there_stand_for_a_year(weather: str, tmp_path: Path) -> None:
    controllers = {"default": "default", "{case}": {"kind": "fixed", "points": {"supply": 24.0}}}
    rates = {"price": str(write_prices(tmp_path / "price.csv"))}
    config = load_cooling_config(
        a_config(
            tmp_path,
            weather,
            cases={"sine": {"weather": weather} | rates},
            controllers=controllers,
            days=365,
            every_weeks=13,
        )
    )
    results = evaluate_cooling(config)
    assert results["cases"]["sine"]["steps"] == 4 * 7 * 96
    record = pd.read_parquet(tmp_path / "out" / "records" / "sine.default.parquet")
    assert sorted(set(record["step"] // (7 * 96))) == [0, 13, 26, 39]
    whole = load_cooling_config(a_config(tmp_path, weather, controllers={"default": "default"}, days=365))
    year = summary(whole.halls["sine"][0].open().play(whole.plays("sine")["default"].make()))
    of = results["cases"]["sine"]["controllers"]["default"]["metrics"]
    assert of["hvac_kwh"] * 365 / 28 == pytest.approx(year["hvac_kwh"], rel=0.15)
    # A price of 1 in the first half of the year and of 3 in the second, and the weeks spread over both.
    assert 1.8 < of["cost"] * 1000 / of["site_kwh"] < 2.2


def write_prices(path: Path) -> Path:
    hours = np.datetime64("1999-01-01T00") + np.arange(8784) * np.timedelta64(1, "h")
    rows = [f"{str(hour).replace('T', ' ')}:00,{1 if i < 4380 else 3}" for i, hour in enumerate(hours)]
    path.write_text("\n".join(["Datetime (UTC),Price (USD/MWh)", *rows]) + "\n")
    return path


def test_a_resumed_comparison_plays_what_is_missing_alone(weather: str, tmp_path: Path) -> None:
    config = load_cooling_config(a_config(tmp_path, weather))
    first = evaluate_cooling(config)
    kept, lost = (tmp_path / "out" / "records" / f"sine.{name}.parquet" for name in ("rules", "warm"))
    before = kept.stat().st_mtime_ns
    lost.unlink()
    assert evaluate_cooling(config, resume=True) == first
    assert kept.stat().st_mtime_ns == before
    other = load_cooling_config(a_config(tmp_path, weather), {"days": 1})
    with pytest.raises(InputError, match="cannot resume: config days was 2, is now 1"):
        evaluate_cooling(other, resume=True)


def test_the_report_draws_in_a_browser(weather: str, tmp_path: Path) -> None:
    evaluate_cooling(load_cooling_config(a_config(tmp_path, weather)))
    document, console = browse((tmp_path / "out" / "report.html").read_text(), tmp_path)
    assert not console
    for name in ("parts-0", "inlets-0", "months-0", "days-0", "parts-1"):
        assert f'id="{name}"' in document
    assert document.count("main-svg") >= 8
    assert "hpcai cooling run cooling.yaml" in document


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"baseline": "best"}, "baseline: expected one of default, night, rules, warm, found 'best'"),
        ({"controllers": {"default": "nowhere"}}, "controller default: nowhere: expected 'default' or the folder"),
        ({"controllers": {"default": {"kind": "magic"}}}, "controller default"),
        ({"controllers": {"default": {"kind": "fixed", "points": {"suply": 20}}}}, "setpoint 'suply'"),
        ({"controllers": {"default": {"kind": "rules", "settings": {"supply.hi": 1}}}}, "rules setting 'supply.hi'"),
        ({"controllers": {"default": {"kind": "pid", "settings": {"goal": 1}}}}, "setpoint 'goal'"),
        ({"cases": {"sine": {"weather": "nowhere.epw"}}}, r"nowhere\.epw: cannot be read"),
        ({"cases": {"sine": {}}}, "case sine"),
    ],
)
def test_wrong_input_is_a_line_and_exit_code_2(
    weather: str, tmp_path: Path, changes: dict[str, object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = a_config(tmp_path, weather, **changes)
    with pytest.raises(InputError, match=message):
        evaluate_cooling(load_cooling_config(config))


def test_controllers_that_look_ahead_save_and_keep_the_limit(weather: str, tmp_path: Path) -> None:
    controllers = {
        "default": "default",
        "hot": {"kind": "fixed", "points": {"supply": 27.5, "airflow": 0.3}},
        "guarded": {"kind": "fixed", "points": {"supply": 27.5, "airflow": 0.3}, "shield": True},
        "predictive": {"kind": "predictive", "settings": {"candidates": 32, "rounds": 3}},
    }
    results = evaluate_cooling(load_cooling_config(a_config(tmp_path, weather, controllers=controllers, days=1)))
    of = {name: row["metrics"] for name, row in results["cases"]["sine"]["controllers"].items()}
    assert of["hot"]["hot_degree_hours"] > 3.0
    assert of["guarded"]["hot_degree_hours"] < 0.2
    assert of["predictive"]["hot_degree_hours"] < 0.2
    assert of["predictive"]["hvac_kwh"] < 0.6 * of["default"]["hvac_kwh"]
    with pytest.raises(InputError, match="predictive setting 'candidate'"):
        controller_config({"kind": "predictive", "settings": {"candidate": 3}}, "mpc").make()
    with pytest.raises(InputError, match="expected a case whose plant it can foresee"):
        controller_config({"kind": "predictive"}, "mpc").make()


def test_a_liquid_cooled_plant_is_compared_by_the_limits_of_its_water(weather: str, tmp_path: Path) -> None:
    cases = {"liquid": {"weather": weather, "plant": "liquid"}, "air": {"weather": weather}}
    controllers = {
        "default": "default",
        "hot": {"kind": "fixed", "points": {"supply": 35.0}},
        "night": {"kind": "schedule", "hours": {0: {"supply": 33.0}, 8: {"supply": 32.0, "airflow": 1.0}}},
    }
    config = load_cooling_config(a_config(tmp_path, weather, cases=cases, controllers=controllers))
    assert (config.of_inlets("liquid").high, config.of_inlets("air").high) == (32.0, 27.0)
    results = evaluate_cooling(config)
    of = {name: row["metrics"] for name, row in results["cases"]["liquid"]["controllers"].items()}
    assert of["hot"]["hvac_kwh"] <= of["default"]["hvac_kwh"] < of["night"]["hvac_kwh"]
    assert of["hot"]["hot_minutes"] > 0.0 == of["default"]["hot_minutes"] == of["night"]["hot_minutes"]
    assert of["default"]["evaporative_kwh"] == 0.0
    assert results["cases"]["air"]["controllers"]["default"]["metrics"]["evaporative_kwh"] > 0.0
    assert "liquid-cooled plant liquid" in (tmp_path / "out" / "report.html").read_text()
    for wrong in ({"kind": "rules"}, {"kind": "fixed", "shield": True}):
        with pytest.raises(InputError, match="controller of a liquid-cooled plant: expected default, fixed, schedule"):
            controller_config(wrong, "c").make(config.halls["liquid"][0])


def test_a_controller_may_differ_from_case_to_case(weather: str, tmp_path: Path) -> None:
    for fold, supply in (("a", 24.0), ("b", 25.0)):
        (tmp_path / f"fold-{fold}.yaml").write_text(f"kind: fixed\npoints: {{supply: {supply}}}\n")
    cases = {name: {"weather": weather, "words": {"fold": fold}} for name, fold in (("sine", "a"), ("other", "b"))}
    controllers = {"default": "default", "best": f"{tmp_path}/fold-{{fold}}.yaml", "rules": "rules"}
    config = load_cooling_config(a_config(tmp_path, weather, cases=cases, controllers=controllers))
    assert [config.plays(case)["best"].points["supply"] for case in cases] == [24.0, 25.0]
    assert config.plays("sine")["rules"].kind == "rules"
    with pytest.raises(InputError, match="case sine: words: expected texts by name, found 3"):
        load_cooling_config(a_config(tmp_path, weather, cases={"sine": {"weather": weather, "words": 3}}))


def test_a_file_stands_for_a_controller(tmp_path: Path) -> None:
    (tmp_path / "controller.yaml").write_text("kind: learned\nnetwork: policy.npz\n")
    (tmp_path / "guarded.yaml").write_text(f"run: {tmp_path}\nshield: true\n")
    for given in (str(tmp_path), str(tmp_path / "controller.yaml"), str(tmp_path / "guarded.yaml")):
        config = controller_config(given, "agent")
        assert config.network == str(tmp_path / "policy.npz")
        assert config.shield == given.endswith("guarded.yaml")
    with pytest.raises(InputError, match=r"agent: sunny: expected 'default' or the folder of a training"):
        controller_config("sunny", "agent")
    (tmp_path / "guarded.yaml").write_text("[fixed]")
    with pytest.raises(InputError, match=r"guarded\.yaml: expected a mapping"):
        controller_config(str(tmp_path / "guarded.yaml"), "agent")


def test_a_training_folder_stands_for_its_controller(tmp_path: Path) -> None:
    (tmp_path / "controller.yaml").write_text("kind: fixed\npoints: {supply: 24.5}\n")
    for given in (str(tmp_path), {"run": str(tmp_path)}):
        assert controller_config(given, "best").points == {"supply": 24.5}
    guarded = controller_config({"run": str(tmp_path), "shield": True}, "best")
    assert guarded.shield
    with pytest.raises(InputError, match="controller best"):
        controller_config({"run": str(tmp_path), "kind": "fixed"}, "controller best")
