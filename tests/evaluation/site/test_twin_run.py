"""``hpcai twin run``: a site from a file to results, alone and beside another."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from hpcai.errors import InputError
from hpcai.evaluation.site.commands import table, twin_app
from hpcai.evaluation.site.config import (
    Falls,
    FaultSource,
    load_other,
    load_site_config,
    merged,
    settings_of,
    site_config,
)
from hpcai.evaluation.site.draws import measure_draws, measured
from hpcai.evaluation.site.inputs import outages_of, prepare
from hpcai.evaluation.site.measures import MEASURES, slowdowns
from hpcai.simulation.energy.it_power import KWH
from hpcai.simulation.site.timeline import COLUMNS

DAY = 86400.0
BASE = {
    "jobs": {"trace": "mn-1-day.parquet"},
    "machine": "mn-1",
    "days": 0.125,
    "faults": {"domains": {"node": {"mtbf_days": 3, "repair_hours": 0.5}}},
    "cooling": {"start": "07-02"},
    "name": "plain",
}


@pytest.fixture(scope="module")
def site_file(tmp_path_factory) -> Path:
    """A site for three hours under weather that is drawn."""
    folder = tmp_path_factory.mktemp("site")
    hours = np.arange(6 * 24 + 1)
    weather = pd.DataFrame(
        {
            "time": [(datetime(2023, 7, 1) + timedelta(hours=int(h))).isoformat(timespec="minutes") for h in hours],
            "temperature_2m": 26 + 6 * np.sin(2 * np.pi * (hours - 9) / 24),
            "relative_humidity_2m": 65.0,
        }
    )
    weather.to_csv(folder / "weather.csv", index=False)
    fields = merged(BASE, {"cooling": {"weather": str(folder / "weather.csv")}, "out": str(folder / "out")})
    (folder / "site.yaml").write_text(yaml.safe_dump(fields))
    (folder / "other.yaml").write_text(yaml.safe_dump({"power": {"limit": 0.6}, "cooling": {"controller": "rules"}}))
    return folder / "site.yaml"


def test_run_writes_results_jobs_report_and_record(site_file):
    folder = site_file.parent
    given = [str(site_file), "--compare", str(folder / "other.yaml"), "--record", str(folder / "line.parquet")]
    done = CliRunner().invoke(twin_app, ["run", *given])
    assert done.exit_code == 0, done.output
    assert "| site, MWh |" in done.output
    results = json.loads((folder / "out/results.json").read_text())
    assert list(results["sites"]) == ["plain", "other"]
    assert results["baseline"] == "plain"
    plain, other = (results["sites"][name]["metrics"] for name in ("plain", "other"))
    assert other["it"] < plain["it"]
    assert plain["site"] == pytest.approx(plain["it"] * plain["pue"], rel=1e-4)
    assert results["sites"]["other"]["ratios"]["it"] == pytest.approx(other["it"] / plain["it"], rel=1e-4)
    recorded = pq.read_table(folder / "line.parquet").to_pandas()
    assert list(recorded.columns) == list(COLUMNS)
    assert len(recorded) == 180
    energy = (recorded["it_east"] + recorded["it_west"]).sum() * 60 / KWH / 1e3
    assert energy == pytest.approx(plain["it"], rel=1e-4)
    assert (folder / "line-other.parquet").is_file()
    jobs = pd.read_parquet(folder / "out/jobs-plain.parquet")
    assert jobs["energy_kwh"].sum() / 1e3 < plain["site"]
    tenants = results["sites"]["plain"]["tenants"]
    assert sum(of["energy"] for of in tenants.values()) == pytest.approx(jobs["energy_kwh"].sum() / 1e3, rel=1e-4)
    page = (folder / "out/report.html").read_text()
    assert "plain" in page
    assert "jobs waiting" in page
    assert MEASURES["goodput"].meaning.split(",")[0] in page


def test_several_others_have_a_table_of_ratios(site_file, tmp_path):
    third = tmp_path / "third.yaml"
    third.write_text(yaml.safe_dump({"power": {"limit": 0.8}}))
    given = ["--compare", str(site_file.parent / "other.yaml"), "--compare", str(third), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(twin_app, ["run", str(site_file), "--days", "0.0625", *given, "--quiet"])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out/report.html").read_text()
    assert "Over plain: other " in page
    assert page.count("third / plain") >= 1
    assert "The same over plain." in page


def test_the_same_configuration_gives_the_same_bytes(site_file, tmp_path):
    for name in ("a", "b"):
        done = CliRunner().invoke(
            twin_app, ["run", str(site_file), "--days", "0.0625", "--out", str(tmp_path / name), "--quiet"]
        )
        assert done.exit_code == 0, done.output
    for file in ("results.json", "report.html", "jobs-plain.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_baseline_is_another_file(site_file):
    results = {"baseline": "b", "sites": {}}
    for name, it in (("b", 2.0), ("a", 1.0)):
        metrics = dict.fromkeys(MEASURES) | {"it": it, "wait": 60.0}
        results["sites"][name] = {
            "metrics": metrics,
            "ratios": dict.fromkeys(MEASURES) | {"it": it / 2.0},
            "intervals": dict.fromkeys(MEASURES, (None, None)) | {"it": (0.4, 0.6)},
        }
    lines = table(results)
    assert lines[0] == "| metric | b | a | a / b |"
    assert "| IT, MWh | 2 | 1 | 0.500 [0.400, 0.600] |" in lines


def test_draws_are_paired_and_an_interrupted_run_goes_on(site_file, tmp_path):
    out = tmp_path / "out"
    small = ["--set", "tick_minutes=5", "--set", 'starts=["07-02", "07-03"]', "--days", "0.125", "--draws", "3"]
    given = ["run", str(site_file), "--compare", str(site_file.parent / "other.yaml"), *small, "--out", str(out)]
    done = CliRunner().invoke(twin_app, given)
    assert done.exit_code == 0, done.output
    results = json.loads((out / "results.json").read_text())
    plain, other = (results["sites"][name] for name in ("plain", "other"))
    assert results["draws"] == len(plain["draws"]) == 3
    assert len({draw["it"] for draw in plain["draws"]}) == 3
    assert plain["metrics"]["it"] == pytest.approx(np.mean([draw["it"] for draw in plain["draws"]]), rel=1e-5)
    low, high = other["intervals"]["it"]
    each = [one["it"] / base["it"] for one, base in zip(other["draws"], plain["draws"], strict=True)]
    assert min(each) - 1e-3 < low < other["ratios"]["it"] < high < max(each) + 1e-3
    assert "Means of 3 draws" in (out / "report.html").read_text()
    file = out / "draws/plain-2.json"
    kept = json.loads(file.read_text())
    file.write_text(json.dumps(kept | {"metrics": kept["metrics"] | {"it": 99.0}}))
    (out / "draws/other-1.json").unlink()
    assert CliRunner().invoke(twin_app, [*given, "--resume", "--quiet"]).exit_code == 0
    again = json.loads((out / "results.json").read_text())["sites"]
    assert again["plain"]["draws"][2]["it"] == 99.0  # believed
    assert again["other"]["draws"] == other["draws"]


def test_draws_in_processes_are_those_made_here(site_file, tmp_path):
    config = load_site_config(site_file, {"days": 0.0625, "tick_minutes": 15, "draws": 3})
    here, there = (measure_draws([config], tmp_path / str(n), n, False, True)["plain"] for n in (1, 2))
    assert pd.DataFrame(here).equals(pd.DataFrame(there))


def test_a_score_is_a_line_of_json(site_file):
    given = ["score", str(site_file), "--days", "0.0625", "--set", "power.limit=0.5", "--draws", "2"]
    done = CliRunner().invoke(twin_app, given)
    assert done.exit_code == 0, done.output
    score = json.loads(done.output)
    config = load_site_config(site_file, {"days": 0.0625, "power": {"limit": 0.5}, "draws": 2})
    assert score["it"] == pytest.approx(np.mean([measured(config.draw(k))["it"] for k in (0, 1)]), rel=1e-5)


@pytest.mark.parametrize(
    ("pairs", "says"), [(["days"], "found 'days'"), (["a={"], "not YAML"), (["=3"], "expected KEY=VALUE")]
)
def test_a_wrong_setting_on_the_command_line_is_told(pairs, says):
    with pytest.raises(InputError, match=says):
        settings_of(pairs)


def test_nobody_looks_better_for_leaving_jobs_undone():
    out = pd.DataFrame({"submit": [0.0, 0.0, 0.0], "work": [100.0, 100.0, 2.0], "end": [150.0, np.nan, 4.0]})
    found = slowdowns(out, pd.Series([100.0, 40.0, 2.0]), 200.0)
    assert found.tolist() == [1.5, 2.6, 1.0]


def test_what_is_otherwise_is_merged_key_by_key(site_file):
    other = load_other(site_file.parent / "other.yaml", site_file)
    base = load_site_config(site_file)
    assert other.name == "other"
    assert other.cooling.controller == "rules"
    assert other.cooling.weather == base.cooling.weather
    assert other.jobs == base.jobs
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}) == {"a": {"b": None, "c": 2}}


def test_more_nodes_have_the_same_jobs():
    few = site_config({"jobs": {"generator": "reference-site", "per_day": 400}, "days": 1}, "few")
    more = few.model_copy(update={"nodes": {"v100": 80}})
    first, second = prepare(few), prepare(more)
    assert second.setting.machine.total_nodes == 128 + 80
    pd.testing.assert_frame_equal(first.jobs, second.jobs)


def test_days_begin_where_they_are_asked_to(site_file):
    config = load_site_config(site_file, {"jobs": {"begin_days": 0.5}})
    prepared = prepare(config)
    whole = prepare(load_site_config(site_file, {"days": 1})).jobs["submit"]
    later = whole[(whole >= 0.5 * DAY) & (whole < 0.625 * DAY)] - 0.5 * DAY
    assert np.allclose(prepared.jobs["submit"], later)
    assert prepared.begin == datetime(2023, 7, 2)
    assert prepared.setting.weather_begin == DAY


def test_faults_are_as_often_as_they_are_said_to_be():
    source = FaultSource(domains={"node": Falls(mtbf_days=10, repair_hours=1, shape=0.7)})
    found = outages_of(source, 200, 100 * DAY, 0)
    assert 200 * 10 * 0.9 < len(found) < 200 * 10 * 1.1
    assert [outage.time for outage in found] == sorted(outage.time for outage in found)
    assert outages_of(source, 200, 100 * DAY, 0) == found
    assert outages_of(source, 200, 100 * DAY, 1) != found
    switches = outages_of(FaultSource(domains={"switch": Falls(mtbf_days=10, size=16)}), 40, 100 * DAY, 0)
    assert {len(outage.nodes) for outage in switches} == {16, 8}


def test_more_nodes_leave_the_faults_of_the_others_alone():
    source = FaultSource(domains={"node": Falls(mtbf_days=10), "switch": Falls(mtbf_days=20, size=16)})
    few, more = (outages_of(source, nodes, 30 * DAY, 0) for nodes in (64, 80))
    assert few == [outage for outage in more if max(outage.nodes) < 64]
    assert len(few) < len(more)


def test_faults_of_a_log():
    log = Path(__file__).parents[4] / "shared/data/failures/lanl_failures_1996-2005.csv.gz"
    if not log.is_file():
        pytest.skip("the log of LANL's failures is not part of the repository")
    found = outages_of(FaultSource(log=str(log), begin_days=2000), 192, 200 * DAY, 0)
    assert found
    assert all(0 <= outage.nodes[0] < 192 and 0 <= outage.time < 200 * DAY for outage in found)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"jobs": {"generator": "nothing"}}, "jobs: expected either"),
        ({"faults": {"log": "failures.csv"}}, "expected one of 'domains', 'model' and 'log'"),
        ({"shift": {"by": "carbon"}}, "shift: expected 'carbon'"),
        ({"days": 0.0003}, "multiple of the tick"),
        ({"discipline": {"placement": "nowhere"}}, "placement 'nowhere'"),
        ({"machines": "mn-1"}, "did you mean 'machine'"),
    ],
)
def test_wrong_settings_are_told_in_one_line(changes, says, site_file):
    fields = merged(yaml.safe_load(site_file.read_text()), changes)
    with pytest.raises(InputError, match=says) as told:
        site_config(fields, "site.yaml")
    assert str(told.value).startswith("site.yaml")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"nodes": {"a100": 3}}, "found group 'a100', expected p100, v100"),
        ({"cooling": {"start": "02-30"}}, "expected a date"),
        ({"cooling": {"start": "09-01"}}, "has 6 days"),
        ({"cooling": {"every_minutes": 2.5}}, "multiple of the tick"),
        ({"machine": "64"}, "expected nodes with GPUs"),
        ({"jobs": {"begin_days": 400}}, "no job within"),
    ],
)
def test_what_cannot_be_had_is_told(changes, says, site_file):
    with pytest.raises(InputError, match=says):
        prepare(load_site_config(site_file, changes))


def test_the_experiments_are_valid():
    folder = Path(__file__).parents[3] / "experiments"
    base = folder / "site.yaml"
    assert load_site_config(base).name == "tokyo"
    others = {
        "hotter": "singapore",
        "warmer": "supply-25",
        "more-nodes": "more-nodes",
        "slurm": "slurm",
        "carbon": "carbon",
    }
    for file, name in others.items():
        assert load_other(folder / f"site-{file}.yaml", base).name == name
    seasons = folder / "site-seasons.yaml"
    for name in ("parts", "scheduled", "joint", "frugal"):
        assert load_other(folder / f"site-{name}.yaml", seasons).name == name
