"""``hpcai failures detect`` and ``stragglers`` as a shell sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.errors import InputError
from hpcai.evaluation.detection.report import table
from hpcai.faults.detection.detector import load_detector
from tests.learning.failures.site import write_site


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return write_site(tmp_path_factory.mktemp("site"))


def test_the_command_writes_what_it_found(written, tmp_path):
    out = tmp_path / "run"
    done = CliRunner().invoke(app, ["failures", "detect", str(written / "detection.yaml"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    results = json.loads((out / "results.json").read_text())
    assert set(results["sha256"]) == {"log.parquet", "telemetry.parquet"}
    assert results["chosen"] == "boosting"
    for line in table(results):
        assert line in done.output
    page = (out / "report.html").read_text()
    for words in ("Calibration", "Precision and recall", "What matters", "When it pays to drain", "kept out"):
        assert words in page
    assert results["log"]["parts"]["unseen"]["failing"] > 0
    detector = load_detector(out / "detector.npz")
    assert detector.meta.threshold == results["threshold"]
    assert detector.meta.telemetry
    assert next(iter(results["importance"])).startswith(("ecc", "link", "temperature"))


def test_stragglers_are_named(written):
    found = CliRunner().invoke(app, ["failures", "stragglers", str(written / "telemetry.parquet"), "--json"])
    assert found.exit_code == 0, found.output
    assert {"job", "node", "begin", "end", "slower", "apart"} == set(json.loads(found.stdout)[0])
    text = CliRunner().invoke(app, ["failures", "stragglers", str(written / "telemetry.parquet")]).stdout
    assert len(text.splitlines()) == 1 + len(json.loads(found.stdout))


def test_a_planted_site_is_written_and_its_slow_nodes_are_counted(tmp_path):
    (tmp_path / "p.yaml").write_text("nodes: 16\ndays: 10\nslow: 0.05\n")
    words = ["failures", "plant", "--out", str(tmp_path / "site"), "--parameters", str(tmp_path / "p.yaml")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "site").iterdir()} == {
        *("telemetry.parquet", "failures.parquet", "planted.csv")
    }
    slow = (tmp_path / "site" / "planted.csv").read_text().count("slow,")
    words = ["failures", "stragglers", str(tmp_path / "site" / "telemetry.parquet")]
    counted = CliRunner().invoke(app, [*words, "--planted", str(tmp_path / "site" / "planted.csv")])
    assert f"of {slow} slow nodes that were planted were found; 0 false alarms" in counted.stderr
    found = int(counted.stderr.split()[0])
    assert slow - 1 <= found <= slow
    with pytest.raises(InputError, match=r"cannot be read as planted\.csv"):
        CliRunner().invoke(app, [*words, "--planted", str(tmp_path / "gone.csv")], catch_exceptions=False)
