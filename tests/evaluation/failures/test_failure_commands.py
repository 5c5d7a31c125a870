"""``hpcai failures`` as a user runs it, on small logs and on drawn ones."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.errors import InputError
from hpcai.evaluation.failures.report import Report
from hpcai.evaluation.failures.summary import describe
from hpcai.faults.fit_log import fit_log
from hpcai.faults.fitted import ClassModel, FittedFailures
from hpcai.faults.lifetimes import Lifetime
from hpcai.records.failure_selection import select
from hpcai.records.failure_writers import write_failures
from hpcai.records.failures import FailureLog, read_failures
from tests.browser import browse
from tests.failure_samples import FAILURE_SAMPLES

DAY = 86400.0
LOGS = Path(__file__).parents[3].parent / "shared" / "data" / "failures"


def run(*arguments: object) -> str:
    words = ["failures", *(str(argument) for argument in arguments)]
    result = CliRunner(env={"COLUMNS": "150"}).invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def model() -> FittedFailures:
    repair = Lifetime("lognormal", 3600.0, 1.2)
    shares = {"memory": 2.0, "gpu": 1.0, "<odd>": 0.5}
    kinds = {"cpu": Lifetime("weibull", 60 * DAY, 0.7), "gpu": Lifetime("gamma", 30 * DAY, 0.6)}
    classes = {
        name: ClassModel(nodes=40, failures=1, mtbf=1.0, uptime=uptime, repair=repair, components=shares)
        for name, uptime in kinds.items()
    }
    return FittedFailures(name="site", classes=classes)


@pytest.fixture(scope="module")
def drawn(model: FittedFailures) -> FailureLog:
    """A log of 80 nodes in racks of eight, over 300 days, with dates."""
    log = model.sample({f"n{i:02d}": "gpu" if i % 4 == 0 else "cpu" for i in range(80)}, 300 * DAY, seed=4)
    racks = [f"r{i // 8}" for i in range(80)]
    log.nodes = log.nodes.assign(rack=pd.Series(racks, dtype="str"))
    log.events["component"] = log.events["component"].replace("<odd>", "unknown")
    log.origin = 1.7e9
    return log


@pytest.fixture(scope="module")
def file(drawn: FailureLog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("failures") / "site.parquet"
    write_failures(drawn, path)
    return path


@pytest.mark.parametrize("format", FAILURE_SAMPLES)
def test_inspect_every_format(tmp_path: Path, format: str) -> None:
    path = tmp_path / "log"
    path.write_text(FAILURE_SAMPLES[format])
    text = run("inspect", path)
    assert f"({format})" in text
    summary = json.loads(run("inspect", path, "--json"))
    assert summary["dropped"].keys() == read_failures(path).dropped.count.keys()


def test_inspect_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(
        "node,start,end,cause\na,2024-01-02 00:00,2024-01-02 02:00,gpu: gone\n"
        "a,2024-01-02 01:00,2024-01-02 03:00,gpu: gone\n"
        "b,2024-01-05 00:00,2024-01-05 01:00,power: cut\nb,2024-01-01 00:00,2024-01-01 12:00,power: cut\n"
    )
    summary = describe(read_failures(path, until="2024-01-11"))
    assert summary["all"]["outages"] == 3
    assert summary["all"]["mtbf_node"] == pytest.approx(20 * DAY / 3)
    assert summary["all"]["mtbf"] == pytest.approx(10 * DAY / 3)
    assert summary["all"]["mean_repair"] == pytest.approx((3 + 1 + 12) * 3600 / 3)
    assert summary["all"]["median_repair"] == 3 * 3600
    assert summary["all"]["availability"] == pytest.approx(1 - 16 / 480)
    assert summary["by_cause"]["power"] == {
        "failures": 2,
        "share": 0.5,
        "mean_repair": 6.5 * 3600,
        "median_repair": 6.5 * 3600,
    }
    assert list(summary["by_cause"]) == ["gpu", "power"]
    text = run("inspect", path, "--option", "until=2024-01-11")
    for part in ("3 outages", "6.67\u00a0d of a node", "96.6667% of a node", "1 failures begin while", "gpu", "50.0%"):
        assert part in text


def test_inspect_without_fatal_failures(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("node,start,severity\na,1,degraded\na,9,degraded\n")
    assert "none that is fatal; --severity takes in others" in run("inspect", path)
    assert "2 outages" in run("inspect", path, "--severity", "degraded,info")
    with pytest.raises(InputError, match="found 'bad', expected one or more of fatal, degraded, info"):
        run("inspect", path, "--severity", "bad")


def test_selection(drawn: FailureLog) -> None:
    part = select(drawn, ["node_class=gpu", "component=memory,gpu"], since="30d", until="2023-12-31")
    assert set(part.nodes["node_class"]) == {"gpu"}
    assert set(part.events["component"]) <= {"memory", "gpu"}
    assert part.events["start"].between(30 * DAY, part.observed[1]).all()
    assert part.observed == (30 * DAY, pd.Timestamp("2023-12-31").timestamp() - 1.7e9)
    assert not (part.events["end"] > part.observed[1]).any()
    assert select(drawn, ["cause=sam"]).events.equals(drawn.events)
    assert select(drawn).equals(drawn)


@pytest.mark.parametrize(
    ("only", "since", "words"),
    [
        (["rack=x"], None, "found no node of 'rack=x', expected one of: r0, r1"),
        (["colour=red"], None, "found condition 'colour=red', expected COLUMN=VALUE of system, node_class"),
        ([], "soon", "since: found 'soon', expected a date"),
        ([], "2099-01-01", "found nothing from 2099-01-01"),
    ],
)
def test_wrong_selection(drawn: FailureLog, only: list[str], since: str | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        select(drawn, only, since=since)


def test_dates_of_a_log_without(model: FittedFailures) -> None:
    log = model.sample({"n": "cpu"}, 900 * DAY, seed=0)
    with pytest.raises(InputError, match="expected a time such as 90d: site has no dates"):
        select(log, since="2024-01-01")


@pytest.fixture(scope="module")
def fitted(file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("fit")
    return folder, run("fit", file, "--out", folder)


def test_fit(fitted: tuple[Path, str]) -> None:
    folder, text = fitted
    assert "| cpu | uptime |" in text
    table = pd.read_csv(folder / "parameters.csv")
    assert set(table["group"]) == {"cpu", "gpu"}
    assert set(table["quantity"]) == {"uptime", "between", "repair"}
    chosen = table[table["chosen"]]
    assert (chosen["shape_low"] < chosen["shape"])[chosen["family"] != "exponential"].all()
    for _, rows in table.groupby(["group", "quantity"]):
        assert rows["aic"].is_monotonic_increasing
    assert FittedFailures.load(folder / "model.yaml").classes["cpu"].nodes == 60


def test_fit_is_seeded(file: Path, tmp_path: Path) -> None:
    part = ("--by", "system", "--only", "node=n00,n01,n02,n03,n04,n05", "--quiet")
    for name in ("a", "b"):
        assert run("fit", file, "--out", tmp_path / name, *part) == ""
    for name in ("parameters.csv", "model.yaml"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_sample_and_convert(file: Path, fitted: tuple[Path, str], tmp_path: Path) -> None:
    model = fitted[0] / "model.yaml"
    assert "of 80 nodes in 365 days" in run("sample", model, tmp_path / "all.parquet")
    text = run("sample", model, tmp_path / "some.csv", "--nodes", "cpu=5", "--days", "1000", "--seed", "3", "--new")
    assert "of 5 nodes in 1000 days" in text
    assert len(read_failures(tmp_path / "some.csv", nodes=tmp_path / "some.nodes.csv").nodes) == 5
    assert "failures of 20 nodes" in run("convert", file, tmp_path / "gpu.parquet", "--only", "node_class=gpu")
    assert set(read_failures(tmp_path / "gpu.parquet").nodes["node_class"]) == {"gpu"}
    with pytest.raises(InputError, match="--nodes 'cpu': expected CLASS=NUMBER"):
        run("sample", model, tmp_path / "x.csv", "--nodes", "cpu")
    with pytest.raises(InputError, match=r"expected a file name that ends in \.parquet or \.csv"):
        run("sample", model, tmp_path / "x.txt")


@pytest.fixture(scope="module")
def reported(file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("report")
    return folder, run("report", file, "--out", folder, "--only", "node_class=cpu,gpu")


def test_report(reported: tuple[Path, str]) -> None:
    folder, answer = reported
    page = (folder / "report.html").read_text()
    assert re.search(r"A node fails every [\d.]+.d in service", answer)
    assert answer.split("\n")[0] in page
    assert "hpcai failures report site.parquet --by node_class --severity fatal --only node_class=cpu,gpu" in page
    drawn = json.loads(re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    assert set(drawn) >= {
        "timeline-0",
        "dots-0",
        "lorenz-0",
        "km-group-0",
        "ages-0",
        "correlation-0",
        "qq-uptime-1",
        "hazard-2",
    }
    assert all(figure["data"] for figure in drawn.values())
    assert {trace["type"] for figure in drawn.values() for trace in figure["data"]} == {"bar", "scatter"}  # no WebGL
    assert "same rack, within an hour" in page


def test_report_is_the_same_each_time(drawn: FailureLog) -> None:
    fitted = fit_log(drawn, resamples=9)
    first, again = (Report(drawn, "node_class", fitted, ["fatal"], 0).html("command") for _ in range(2))
    assert first == again


def test_report_in_a_browser(reported: tuple[Path, str], tmp_path: Path) -> None:
    document, console = browse((reported[0] / "report.html").read_text(), tmp_path)
    assert not console
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', document, re.DOTALL)[1])  # type: ignore[index]
    assert f'data-drawn="{len(figures)}"' in document


def test_report_of_a_tiny_log(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("node,start,end\na,1,2\na,100,200\nb,300,\n")
    assert "A node fails every" in run("report", path, "--out", tmp_path / "out")


def test_templates(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(
        "".join(f"Jan  5 10:00:0{i} n{i} kernel: link eth{i} down after {i} s\n" for i in range(5)) + "odd\n"
    )
    text = run("templates", path, "--out", tmp_path / "t.csv")
    assert "6 messages, 2 templates" in text
    table = pd.read_csv(tmp_path / "t.csv")
    assert table["count"].tolist() == [5, 1]
    assert table["template"][0] == "kernel: link <*> down after <NUM> s"
    with pytest.raises(InputError, match="expected 0 to 1, and 3 or more"):
        run("templates", path, "--similarity", "2")


def test_templates_without_drain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "drain3", None)
    path = tmp_path / "log"
    path.write_text("a line\n")
    with pytest.raises(InputError, match=r"drain3 is not installed; pip install 'hpcai\[failures\]'"):
        run("templates", path)


@pytest.mark.parametrize(("name", "least"), [("BGL", 0.96), ("HPC", 0.88)])
def test_templates_agree_with_the_publisher(name: str, least: float) -> None:
    """Zhu et al., ICSE-SEIP 2019, have Drain at 0.963 and 0.887."""
    path = LOGS / f"loghub_{name}_2k.csv.gz"
    if not path.exists():
        pytest.skip(f"the recorded log {path.name} is not part of the repository")
    found = re.search(r"grouping accuracy (\S+)", run("templates", path))
    assert found is not None
    assert float(found[1]) >= least


def test_grouping_accuracy_by_hand() -> None:
    from hpcai.records.failure_templates import Templates

    mined = Templates(pd.DataFrame(), np.array([0, 0, 1, 1, 2]))
    assert mined.grouping_accuracy(["a", "a", "b", "c", "c"]) == pytest.approx(2 / 5)
    assert mined.grouping_accuracy(["a", "a", "b", "b", "c"]) == 1
