"""``hpcai failures detect`` and ``stragglers`` as a shell sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpcai.cli import app
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
