"""Energy in an evaluation: metrics, intervals, report, and what cannot be measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.errors import InputError
from hpcai.evaluation.config import make_config
from hpcai.evaluation.energy.definitions import ENERGY_NAMES
from hpcai.evaluation.evaluate import Evaluation, evaluate
from tests.browser import browse

SETTINGS = {"windows": "6x60", "resamples": 2000, "quiet": True, "part": "all", "load": 0.2}
POLICIES = "fcfs,sjf,carbon-aware,price-aware:sjf"


def _hourly(folder: Path, name: str, heading: str, values: list[float]) -> str:
    times = pd.date_range("2023-01-01", periods=len(values), freq="h").strftime("%Y-%m-%dT%H:%M:%S")
    path = folder / name
    rows = [f"{time},{value}" for time, value in zip(times, values, strict=True)]
    path.write_text("\n".join([heading, *rows]) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("site")
    hours = np.arange(8760)
    day = np.cos(2 * np.pi * (hours - 14) / 24)
    weather = [f"{dry:.2f},60" for dry in 15 - 12 * np.cos(2 * np.pi * hours / 8760) + 5 * day]
    return {
        "weather": _hourly(folder, "weather.csv", "time,temp,humidity", weather),  # type: ignore[arg-type]
        "price": _hourly(folder, "price.csv", "Time,Price (EUR/MWh)", list(100 + 50 * day)),
        "carbon": _hourly(folder, "carbon.csv", "Time,Carbon Intensity", list(300 + 200 * day)),
    }


@pytest.fixture(scope="module")
def evaluation(swf: Path, site: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    out = tmp_path_factory.mktemp("energy") / "out"
    return evaluate(trace=swf, out=out, policies=POLICIES, power=True, cooling="fast", **site, **SETTINGS)


def _means(evaluation: Evaluation) -> pd.DataFrame:
    return evaluation.metrics.pivot_table(index="policy", columns="metric", values="value")


def test_every_part_of_the_energy_adds_up(evaluation: Evaluation) -> None:
    means = _means(evaluation)
    assert set(ENERGY_NAMES) - set(means) == {"cost_usd", "job_cost_usd"}
    np.testing.assert_allclose(means["job_energy"] + means["idle_energy"], means["it_energy"], rtol=1e-9)
    assert (means["site_energy"] > means["it_energy"] + means["hvac_energy"]).all()
    assert means["pue"].between(1.02, 1.6).all()
    assert (means["peak_power"] * 1.0001 >= means["it_energy"] * 3600 / means["makespan"]).all()
    np.testing.assert_allclose(means["carbon"] / means["site_energy"], 0.3, atol=0.1)
    np.testing.assert_allclose(means["cost_eur"] / means["site_energy"], 0.1, atol=0.03)


def test_jobs_draw_the_same_under_every_order_and_emit_less_when_they_wait(evaluation: Evaluation) -> None:
    means = _means(evaluation)
    np.testing.assert_allclose(means["job_energy"], means.loc["fcfs", "job_energy"], rtol=1e-9)
    assert means.loc["carbon-aware", "job_carbon"] < 0.95 * means.loc["fcfs", "job_carbon"]
    assert means.loc["price-aware:sjf", "job_cost_eur"] < 0.97 * means.loc["sjf", "job_cost_eur"]
    assert means.loc["carbon-aware", "mean_wait"] > means.loc["fcfs", "mean_wait"]


def test_energy_can_be_the_objective_with_paired_intervals(swf: Path, site: dict[str, str], tmp_path: Path) -> None:
    fields = {"policies": "fcfs,carbon-aware", "objective": "job_carbon", "carbon": site["carbon"]}
    ranking = evaluate(trace=swf, out=tmp_path, **fields, **SETTINGS).rankings["tiny"]  # type: ignore[arg-type]
    assert ranking.best.entry.name == "carbon-aware"
    assert ranking.best.to_baseline.low < ranking.best.to_baseline.value < ranking.best.to_baseline.high < 1


def test_the_summary_has_the_ratios_with_their_intervals(evaluation: Evaluation) -> None:
    rows = pd.DataFrame(evaluation.summary["traces"]["tiny"]["energy_to_baseline"]).set_index(["metric", "policy"])
    means = _means(evaluation)
    for metric in ("job_carbon", "peak_power", "pue"):
        expected = means.loc["carbon-aware", metric] / means.loc["fcfs", metric]
        assert rows.loc[(metric, "carbon-aware"), "value"] == pytest.approx(expected)
        assert rows.loc[(metric, "carbon-aware"), "low"] <= expected <= rows.loc[(metric, "carbon-aware"), "high"]
    assert "cost_usd" not in rows.index.get_level_values("metric")


def test_the_summary_names_and_hashes_what_the_site_is_made_of(evaluation: Evaluation, site: dict[str, str]) -> None:
    summary = json.loads((evaluation.folder / "summary.json").read_text())
    assert set(summary["site"]) == set(site.values())
    assert summary["config"]["cooling"] == "fast"
    assert "how hard they worked is drawn" in str(summary["traces"]["tiny"]["notes"])


def test_again_it_writes_the_same(evaluation: Evaluation, swf: Path, site: dict[str, str], tmp_path: Path) -> None:
    again = evaluate(trace=swf, out=tmp_path, policies=POLICIES, power=True, cooling="fast", **site, **SETTINGS)
    for name in ("metrics.csv", "report.html", "summary.json"):
        assert (again.folder / name).read_bytes() == (evaluation.folder / name).read_bytes()


def test_an_evaluation_without_power_says_nothing_of_it(swf: Path, tmp_path: Path) -> None:
    plain = evaluate(trace=swf, out=tmp_path, policies="fcfs", **SETTINGS)
    assert not set(ENERGY_NAMES) & set(plain.metrics["metric"])
    assert "<h3>Energy</h3>" not in plain.report.read_text()
    assert not {"power", "weather", "price", "carbon", "site"} & set(plain.summary["config"])
    assert not [key for key in plain.summary["config"] if key.startswith("cooling")]


def test_a_controller_of_the_plant_can_be_chosen(swf: Path, site: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "warm.yaml").write_text("kind: fixed\npoints: {supply: 25.0, airflow: 0.6}\n")
    arguments = ["evaluate", "--trace", str(swf), "--policies", "fcfs", "--windows", "2x60", "--part", "all", "--quiet"]
    arguments += ["--power", "--cooling", "fast", "--weather", site["weather"]]
    means, summaries = {}, {}
    for name in ("default", str(tmp_path / "warm.yaml"), "rules"):
        out = tmp_path / Path(name).stem
        done = CliRunner().invoke(app, [*arguments, "--cooling-controller", name, "--out", str(out)])
        assert done.exit_code == 0, done.output
        summaries[out.name] = json.loads((out / "summary.json").read_text())
        means[out.name] = summaries[out.name]["traces"]["tiny"]["ranking"][0]["metrics"]
    assert means["warm"]["hvac_energy"] < 0.8 * means["default"]["hvac_energy"]
    assert means["rules"]["hvac_energy"] < means["default"]["hvac_energy"]
    assert means["warm"]["it_energy"] == means["default"]["it_energy"]
    assert "cooling_controller" not in summaries["default"]
    assert summaries["warm"]["cooling_controller"]["points"] == {"supply": 25.0, "airflow": 0.6}
    cooling = summaries["warm"]["traces"]["tiny"]["cooling"]
    assert cooling["scale"] == pytest.approx(cooling["machines_kw"] / cooling["design_kw"], rel=1e-5)
    report = (tmp_path / "warm" / "report.html").read_text()
    assert f"the fast plant two-zone under the controller {tmp_path}/warm.yaml; the" in report
    assert f"count {cooling['scale']:.3g} times" in report


def test_a_plant_that_grows_hot_is_told_apart(swf: Path, site: dict[str, str], tmp_path: Path) -> None:
    hot = {"kind": "fixed", "points": {"supply": 29.0}}
    where = {"cooling": "fast", "weather": site["weather"], "cooling_controller": hot}
    fields: dict[str, Any] = where | {"policies": "fcfs", "out": tmp_path, "fair_start": False}
    done = evaluate(trace=swf, **fields, **SETTINGS | {"windows": "1x60"})
    means = _means(done).loc["fcfs"]
    assert 0 < means["hot_hours"] <= means["makespan"] / 3600 + 0.25
    assert "the controller fixed" in done.report.read_text()
    assert make_config(done.config.as_dict()).controller.points == {"supply": 29.0}
    with pytest.raises(InputError, match="cannot resume: config cooling_controller was"):
        evaluate(trace=swf, **fields | {"cooling_controller": "default"}, **SETTINGS | {"windows": "1x60"}, resume=True)


def test_limits_and_budgets_are_named_policies_too(swf: Path, tmp_path: Path) -> None:
    policies = [
        "fcfs",
        "power-limit:0.6:sjf",
        {"name": "both", "ordering": "saf", "power_limit": 0.8, "power_budget": 0.5, "backfill": "none"},
    ]
    config = make_config({"trace": str(swf), "policies": policies})
    limit, both = config.entries[1:]
    assert (limit.response.power_limit, limit.policy and limit.policy.ordering) == (0.6, "sjf")
    assert (both.response.power_limit, both.response.power_budget, both.backfill) == (0.8, 0.5, "none")
    assert config.measures_power
    assert make_config(config.as_dict()).entries == config.entries
    done = evaluate(trace=swf, out=tmp_path, policies=policies, **SETTINGS)
    schedule = pd.read_parquet(next(done.folder.glob("schedules/tiny/both*.parquet")))
    assert (schedule["power_limit"] == 0.8).all()  # processors are not limited


_COOLED = {"cooling": "fast", "weather": "a.epw"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cooling": "fast"}, "cooling: expected weather with it, found none"),
        ({"weather": "a.epw"}, "weather: expected cooling with it, found none"),
        (
            {"cooling": "slow", "weather": "a.epw"},
            "cooling: input should be 'fast', 'energyplus' or 'liquid', found 'slow'",
        ),
        ({"cooling_controller": "rules"}, "cooling_controller: expected cooling with it, found none"),
        ({**_COOLED, "cooling_controller": "sunny"}, "cooling_controller: sunny: expected 'default' or the folder"),
        ({**_COOLED, "cooling_controller": {"kind": "magic"}}, "cooling_controller: kind: input should be 'default'"),
        ({"policies": "carbon-aware"}, "policies: 'carbon-aware' waits by carbon, of which no file is given"),
        (
            {"policies": "power-limit:0.2"},
            "power_limit: input should be greater than or equal to 0.4, found 0.2",
        ),
        ({"policies": "power-limit:sjf"}, "found 'power-limit:sjf', expected a share as in power-limit:0.7"),
        ({"objective": "pue"}, "objective 'pue': expected power: true with it, found false"),
    ],
)
def test_what_does_not_go_together_is_said(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        make_config({"trace": "a.swf", **fields})
    assert message in str(error.value)


def test_a_weather_file_that_is_none_is_said_on_the_command_line(swf: Path, tmp_path: Path) -> None:
    arguments = ["evaluate", "--trace", str(swf), "--windows", "all", "--cooling", "fast", "--weather", str(swf)]
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path), "--quiet"])
    assert isinstance(done.exception, InputError)
    assert "expected an EPW file, or time and temperature" in str(done.exception)


def test_the_report_draws_energy_in_a_browser(evaluation: Evaluation, tmp_path: Path) -> None:
    page, console = browse(evaluation.report.read_text(), tmp_path)
    assert console == []
    assert "<h3>Energy</h3>" in page
    for name in ("power-0", "energy-0"):
        plot = page[page.index(f'id="{name}"') :][:4000]
        assert "main-svg" in plot
    assert "cooled by the fast plant" in page
