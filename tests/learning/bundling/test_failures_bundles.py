"""Detectors, drain policies and checkpoint policies as bundles: what a bundle says is what was exported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.errors import InputError
from hpcai.faults.checkpoints.by_age import Hazard, Lazy, Renewal
from hpcai.faults.checkpoints.constant import ConstantRate, Fixed, TwoLevel
from hpcai.faults.checkpoints.job import CheckpointedJob
from hpcai.faults.checkpoints.observation import OBSERVED, OWN_RATES
from hpcai.faults.checkpoints.recent import Memory
from hpcai.faults.detection.detector import load_detector
from hpcai.faults.fitted import ClassModel, FittedFailures
from hpcai.faults.lifetimes import Lifetime
from hpcai.learning.bundling.checkpointing import export_checkpointing
from hpcai.learning.bundling.failures import export_detector, export_drains
from hpcai.learning.failures.config import DetectionConfig
from hpcai.learning.failures.detecting import detect
from hpcai.learning.failures.rows import rows_of
from hpcai.live.bundle import DETECTOR, MANIFEST, Bundle, read_bundle, write_bundle
from hpcai.live.faults.advisor import Advisor, observed
from hpcai.live.faults.drainer import Drainer
from hpcai.records.failure_writers import write_failures
from hpcai.records.generators.telemetry import Parameters, generate
from hpcai.records.telemetry import Telemetry, write_telemetry
from tests.faults.detection.small_logs import DAY, known_at, log_of
from tests.live.failing_site import detector_bundle

LIFE = Lifetime("weibull", 8e6, 0.7)
COSTS = {"write": 120.0, "restart": 60.0, "down": 10.0}


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Bundle:
    return detector_bundle(tmp_path_factory.mktemp("learned"))


def test_a_detector_says_what_it_is(exported):
    manifest = exported.manifest
    assert (manifest.domain, manifest.kind, manifest.name) == ("detection", "rules", "detection")
    results = json.loads((Path(exported.where).parent / "detection" / "results.json").read_text())
    assert manifest.policy["threshold"] == results["threshold"]
    assert manifest.policy["costs"] == {"missed": 500.0, "idle": 1.0}
    metric = next(m for m in manifest.metrics if m.part == "later time, nodes kept out")
    own = results["models"]["boosting"]["unseen"]
    assert (metric.value, metric.low) == (own["average_precision"]["value"], own["lift"]["low"])
    assert metric.value / metric.rival_value == pytest.approx(metric.ratio)
    since = next(f for f in manifest.inputs[0].features if f.name == "since_last")
    assert 0 <= since.least < since.most <= 600 * DAY
    assert manifest.training[0].sha256 == results["sha256"]
    card = exported.files["MODEL_CARD.md"].decode()
    assert "a missed failure 500 node-hours" in card
    assert f"from a risk of {manifest.policy['threshold']:.4g} on" in card


def test_its_risks_are_those_of_the_run(exported):
    own = load_detector(Path(exported.where).parent / "detection" / "detector.npz")
    log = log_of([("a", 9.5, np.nan, "fatal", "gpu", "Xid 79"), ("b", 1, np.nan)], ["a", "b", "c"], 10, gpus=[8.0] * 3)
    judged = Drainer(read_bundle(exported.where)).judge(log, 10 * DAY)
    x = np.column_stack([judged.seen[name] for name in own.meta.seen])
    np.testing.assert_array_equal(judged.risk, own.risk(x))
    assert judged.risk[0] > judged.risk[2]


def test_a_detector_of_telemetry_sees_live_what_it_saw_in_training(tmp_path):
    """At every moment of a planted site's last day, from the log and telemetry as they stood then."""
    site = generate(Parameters(nodes=24, days=24, step=1800, thermal=0.03, memory=0.03, network=0.03), seed=1)
    write_failures(site.failures, tmp_path / "log.parquet")
    write_telemetry(site.telemetry, tmp_path / "telemetry.parquet")
    config = DetectionConfig(
        log=str(tmp_path / "log.parquet"), telemetry=str(tmp_path / "telemetry.parquet"), models=("boosting",),
        rounds=20, resamples=100, out=str(tmp_path / "run"),
    )  # fmt: skip
    detect(config)
    drainer = Drainer(export_detector(tmp_path / "run", tmp_path / "b"))
    assert drainer.needs_telemetry
    rows = rows_of(site.failures, site.telemetry, config)
    for moment in np.unique(rows.samples.time)[-3:]:
        seen = Telemetry(site.telemetry.table[site.telemetry.table["time"] <= moment])
        judged = drainer.judge(known_at(site.failures, moment), moment, seen)
        at = rows.samples.time == moment
        x = np.column_stack([judged.seen[name] for name in rows.names])[rows.samples.node[at]]
        np.testing.assert_allclose(x, rows.x[at], rtol=1e-9, atol=1e-9)


def test_a_drain_policy_gives_a_detector_another_threshold(tmp_path, exported):
    given = {"domain": "draining", "kind": "detector", "detector": f"{Path(exported.where).parent}/detection"}
    (tmp_path / "d.yaml").write_text(yaml.safe_dump(given | {"threshold": 0.9, "most": 0.3}))
    bundle = export_drains(tmp_path / "d.yaml", tmp_path / "d.tar")
    policy = bundle.manifest.policy
    assert (bundle.manifest.domain, policy["threshold"], policy["most"]) == ("draining", 0.9, 0.3)
    assert (policy["hold"], policy["costs"]["missed"]) == (DAY, 500)
    assert DETECTOR in bundle.files
    assert Drainer(bundle).parameters.rule.threshold == 0.9


def test_the_command_exports_verifies_and_inspects(tmp_path, exported):
    folder = Path(exported.where).parent / "detection"
    done = CliRunner().invoke(app, ["export", str(folder), "--out", str(tmp_path / "b")])
    assert done.exit_code == 0, done.output
    for word in ("rule      kind detector", "threshold", "since_last", "largest difference: 0"):
        assert word in done.output
    assert CliRunner().invoke(app, ["bundle", "verify", str(tmp_path / "b")]).exit_code == 0
    with pytest.raises(InputError, match="--rival is for orderings of a queue, not for detection"):
        CliRunner().invoke(app, ["export", str(folder), "--rival", "saf"], catch_exceptions=False)


def policy_file(folder: Path, **fields: object) -> Path:
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump({"domain": "checkpointing", "costs": COSTS} | fields))
    return path


WEIGHTS = (0.1, 0, 0, 0.1, 0.4, 0.2, 0, 0, 0, 0, 0.2, 0, 0)
POLICIES = {
    "fixed": ({"interval": 777.0, "every": 3}, Fixed(777.0, 3)),
    "young": ({"mtbf": 4e6}, ConstantRate(4e6, "young")),
    "daly-first": ({"mtbf": 4e6}, ConstantRate(4e6, "daly-first")),
    "daly": ({"mtbf": 4e6}, ConstantRate(4e6, "daly")),
    "best": ({"mtbf": 4e6}, ConstantRate(4e6, "best")),
    "two-level": ({"local_mtbf": 1e6, "global_mtbf": 8e6}, TwoLevel(1e6, 8e6)),
    "lazy": ({"mtbf": 4e6, "shape": 0.6}, Lazy(4e6, 0.6)),
    "hazard": ({"lifetime": LIFE.as_data()}, Hazard(LIFE)),
    "renewal": ({"lifetime": LIFE.as_data()}, Renewal(LIFE)),
    "recent": (
        {"mtbf": 4e6, "memory": {"weights": WEIGHTS, "bends": (0.1, 0, -0.1, 0)}},
        Memory(WEIGHTS, (0.1, 0, -0.1, 0)).policy(1 / 4e6),
    ),
}


@pytest.mark.parametrize("kind", POLICIES)
def test_a_checkpoint_policy_advises_what_it_says(tmp_path, kind):
    fields, policy = POLICIES[kind]
    costs = COSTS if kind != "two-level" else {"bytes_of_gpu": 4e10, "shared": 1e10, "local": 2e9}
    plain = json.loads(json.dumps(fields))
    bundle = export_checkpointing(policy_file(tmp_path, kind=kind, **plain, costs=costs), tmp_path / "b")
    log = log_of([("a", 1, np.nan), ("b", 4, np.nan)], ["a", "b", "c"], 5)
    advised = Advisor(read_bundle(bundle.where)).advise(log, ("a", "c"), 16.0, 5 * DAY)
    write = COSTS["write"] if kind != "two-level" else 16 * 4e10 / 1e10
    local = 0.0 if kind != "two-level" else 16 * 4e10 / 4e9
    job = CheckpointedJob(write, 60.0, 10.0, 2, local, local, others=1)
    seen = observed(log, ("a", "c"), 5 * DAY, 1 / 4e6)
    assert advised["interval"] == pytest.approx(policy.checkpoint_interval(job, seen))
    assert (advised["write"], advised["since_own_fault"]) == (write, 4 * DAY)
    assert kind in bundle.files["MODEL_CARD.md"].decode()


def test_what_is_observed_by_hand():
    log = log_of([("a", 1, np.nan), ("b", 4, np.nan), ("c", 2, np.nan, "info")], ["a", "b", "c"], 5)
    seen = observed(log, ("a",), 5 * DAY, 0.0)
    assert seen[:2].tolist() == [4 * DAY, DAY]
    scale = 86400.0
    assert seen[OWN_RATES + 2] == pytest.approx(np.exp(-4.0) / scale)
    assert seen.shape == (OBSERVED,)


@pytest.mark.parametrize(
    ("kind", "name", "value"), [("daly", "mtbf", 5e6), ("renewal", "lifetime", LIFE.as_data()), ("lazy", "shape", 0.7)]
)
def test_a_fitted_model_gives_the_numbers(tmp_path, kind, name, value):
    model = ClassModel(nodes=9, failures=7, mtbf=5e6, uptime=LIFE)
    FittedFailures(name="site", classes={"gpu": model}, source={"log": "0" * 64}).save(tmp_path / "fitted.yaml")
    bundle = export_checkpointing(policy_file(tmp_path, kind=kind, failures_of="fitted.yaml"), tmp_path / "b")
    assert bundle.manifest.policy[name] == value
    assert bundle.manifest.training[0].sha256 == {"log": "0" * 64}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "daly"}, "mtbf: required for the kind daly, not given"),
        ({"kind": "daly", "mtbf": 1e6, "shape": 0.5}, "shape: not one of the kind daly, which has mtbf"),
        ({"kind": "daily", "mtbf": 1e6}, "kind: .*found 'daily'"),
        ({"kind": "daly", "mtbf": 1e6, "costs": {}}, "costs: expected either write or bytes_of_gpu"),
        ({"kind": "daly", "mtbf": 1e6, "costs": {"bytes_of_gpu": 1}}, "expected bytes_of_gpu and shared together"),
        ({"kind": "recent", "memory": {"weights": [1], "bends": []}}, "memory: expected weights and bends, and mtbf"),
        (
            {"kind": "recent", "mtbf": 1, "memory": {"weights": [1], "bends": []}},
            "memory: expected 13 weights, found 1",
        ),
        ({"kind": "renewal", "lifetime": {"family": "x", "scale": 1}}, "found family 'x'"),
        ({"kind": "daly", "failures_of": "gone.yaml"}, "gone.yaml: cannot be read"),
    ],
)
def test_bad_checkpoint_policies_are_told(tmp_path, fields, message):
    with pytest.raises(InputError, match=message):
        export_checkpointing(policy_file(tmp_path, **fields), tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "count"}, "window: expected one for the kind count"),
        ({"kind": "count", "window": 60, "weights": [1]}, "weights: expected none for the kind count"),
        ({"kind": "rates", "weights": [1]}, "weights: expected 6, found 1"),
        ({"kind": "detector", "detector": "gone"}, "not a detector's .npz file"),
    ],
)
def test_bad_drain_policies_are_told(tmp_path, fields, message):
    (tmp_path / "d.yaml").write_text(yaml.safe_dump({"domain": "draining", "threshold": 1, "hold": 60} | fields))
    with pytest.raises(InputError, match=message):
        export_drains(tmp_path / "d.yaml", tmp_path / "b")


def test_a_domain_that_is_none_is_told(tmp_path):
    (tmp_path / "d.yaml").write_text("domain: drainage\n")
    with pytest.raises(InputError, match="domain: expected draining or checkpointing, found 'drainage'"):
        CliRunner().invoke(app, ["export", str(tmp_path / "d.yaml")], catch_exceptions=False)


def test_a_bundle_of_another_version_or_domain_is_refused(tmp_path, exported):
    manifest = exported.manifest
    fewer = manifest.inputs[0].model_copy(update={"features": manifest.inputs[0].features[1:]})
    with pytest.raises(InputError, match="its features are not those of this version"):
        Drainer(write_bundle(tmp_path / "a", manifest.model_copy(update={"inputs": (fewer,)}), exported.files))
    files = {name: data for name, data in exported.files.items() if name not in (DETECTOR, MANIFEST)}
    with pytest.raises(InputError, match=r"expected detector\.npz, which its policy needs"):
        Drainer(write_bundle(tmp_path / "b", manifest, files))
    with pytest.raises(InputError, match="expected the domain checkpointing, found detection"):
        Advisor(exported)
    policy = export_checkpointing(policy_file(tmp_path, kind="daly", mtbf=1e6), tmp_path / "c")
    with pytest.raises(InputError, match="expected the domain detection or draining, found checkpointing"):
        Drainer(policy)


def test_what_is_followed_live_needs_no_learner(exported, tmp_path):
    policy = export_checkpointing(policy_file(tmp_path, kind="daly", mtbf=1e6), tmp_path / "c")
    code = (
        "import sys\nfrom hpcai.live.bundle import read_bundle\nfrom hpcai.live.faults.advisor import Advisor\n"
        "from hpcai.live.faults.drainer import Drainer\n"
        "import hpcai.live.slurm.drain_service, hpcai.live.slurm.advice\n"
        f"Drainer(read_bundle({exported.where!r})); Advisor(read_bundle({policy.where!r}))\n"
        "print(*{'torch', 'sklearn', 'stable_baselines3', 'optuna'} & {name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == ""
