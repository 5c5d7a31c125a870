"""Controllers of cooling as bundles: what a bundle says is what the controller says, step by step."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hpcai.arrays import file_hash
from hpcai.cli import app
from hpcai.cooling.action import Actions
from hpcai.cooling.controllers.learned import Learned, PolicyNetwork
from hpcai.cooling.observation import OBSERVED, OBSERVED_INDEX
from hpcai.errors import InputError
from hpcai.evaluation.cooling.controllers import ControllerConfig
from hpcai.learning.bundling import cooling as exporting
from hpcai.learning.bundling.checks import ExportError
from hpcai.learning.bundling.cooling import drawn_observations, export_cooling
from hpcai.live.bundle import MANIFEST, Bundle, read_bundle, write_bundle
from hpcai.live.cooling.policy import CoolingPolicy
from hpcai.live.ranking import BundleRanker
from tests.cooling_weather import write_epw
from tests.live.cooling_bundles import DESIGN_POWER, controller, exported, network, run_folder

GIVEN = {
    "default": {},
    "fixed": {"points": {"supply": 22.5, "airflow": 0.6, "economizer": 1}},
    "schedule": {"hours": {0: {"supply": 24}, 7.5: {"supply": 21, "airflow": 0.9}}},
    "pid": {"settings": {"target": 25.5, "supply": 23, "proportional": 0.2, "chilled_water": 9}},
    "rules": {"settings": {"limit": 25.5, "supply.high": 25, "airflow.low": 0.4}},
}


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_epw(tmp_path_factory.mktemp("weather") / "sine.epw")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, weather: Path) -> Path:
    return run_folder(tmp_path_factory.mktemp("run") / "agent", weather, network())


@pytest.fixture(scope="module")
def learned(run: Path) -> Bundle:
    return export_cooling(str(run), run.parent / "bundle.tar", states=50)


def test_a_network_says_what_it_is(learned: Bundle) -> None:
    manifest = learned.manifest
    assert (manifest.domain, manifest.kind, manifest.name, manifest.seed) == ("cooling", "network", "agent", 3)
    assert manifest.policy == {"kind": "learned", "step_length": 3600.0}
    assert [feature.name for feature in manifest.inputs[0].features] == [point.name for point in OBSERVED]
    assert manifest.inputs[0].features[OBSERVED_INDEX["dry_bulb"]].scaling == "(x - 17.5) / 27.5, cut off at -3 and 3"
    (action,) = manifest.outputs
    assert [(f.name, f.least, f.most) for f in action.features][-2:] == [("chilled_water", 6, 16), ("economizer", 0, 1)]
    assert manifest.training[0].name == "sine.epw"
    assert "sine.epw" in learned.files["MODEL_CARD.md"].decode()


def test_ranges_are_those_of_a_year_on_its_plant(learned: Bundle) -> None:
    dry = learned.manifest.inputs[0].features[OBSERVED_INDEX["dry_bulb"]]
    assert dry.least == pytest.approx(-5, abs=0.1)
    assert dry.most == pytest.approx(29, abs=0.1)
    assert learned.manifest.validity["dry_bulb"].most == dry.most
    assert learned.manifest.checked["states"] == 50 + 8760


@pytest.mark.parametrize(("scheme", "squash", "activation"), [("simple", "clip", "tanh"), ("stages", "tanh", "relu")])
def test_the_graph_is_the_network(tmp_path: Path, weather: Path, scheme: str, squash: str, activation: str) -> None:
    own = network(scheme, squash, activation, seed=4)  # type: ignore[arg-type]
    policy = CoolingPolicy(export_cooling(str(run_folder(tmp_path / "run", weather, own)), tmp_path / "b", states=20))
    reference = Learned(own)
    for seen in drawn_observations(300, DESIGN_POWER):
        np.testing.assert_allclose(policy.setpoints(seen), reference.setpoints(seen), atol=1e-4)


def test_a_training_whose_weather_is_gone_is_exported_without_ranges(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    gone = write_epw(tmp_path / "gone.epw")
    folder = run_folder(tmp_path / "run", gone, network())
    gone.unlink()
    bundle = export_cooling(str(folder), tmp_path / "bundle", states=10, quiet=False)
    assert "the ranges of its training are not known" in capsys.readouterr().err
    assert (bundle.manifest.validity, bundle.manifest.checked["states"]) == ({}, 10)


@pytest.mark.parametrize("kind", GIVEN)
def test_rules_say_what_the_controller_says(tmp_path: Path, kind: str) -> None:
    bundle = exported(tmp_path, kind=kind, **GIVEN[kind])
    assert (bundle.manifest.kind, "policy.onnx" in bundle.files) == ("rules", False)
    policy, reference = CoolingPolicy(bundle), ControllerConfig(kind=kind, **GIVEN[kind]).make()  # type: ignore[arg-type]
    for seen in drawn_observations(200, DESIGN_POWER):
        np.testing.assert_array_equal(policy.setpoints(seen), reference.setpoints(seen))


def test_rules_keep_the_defaults_of_their_day(tmp_path: Path) -> None:
    policy = exported(tmp_path, kind="rules", settings={"limit": 25}).manifest.policy
    assert policy["settings"] == {"limit": 25, "band": 0.25}
    assert policy["loops"]["supply"]["start"] == 22.0


def test_an_export_that_differs_is_refused(tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(given: PolicyNetwork) -> bytes:
        (matrix, bias), *rest = given.weights
        return graph(replace(given, weights=[(matrix * np.float32(1.01), bias), *rest]))

    graph = exporting.actor_graph
    monkeypatch.setattr(exporting, "actor_graph", other)
    with pytest.raises(ExportError, match="the bundle differs from the controller by"):
        export_cooling(str(run), tmp_path / "bundle", states=20)
    assert not (tmp_path / "bundle").exists()


def write_results(folder: Path, controllers: dict[str, object], sha256: dict[str, str]) -> Path:
    def row(kwh: float, ratio: tuple[float, float | None]) -> dict[str, object]:
        metrics = {"hvac_kwh": kwh, "site_kwh": 5 * kwh, "it_kwh": 4.0, "hot_minutes": 15.0, "hot_degree_hours": 0.0}
        of = {"value": ratio[0], "low": ratio[1], "high": ratio[1]}
        return {"metrics": metrics, "hvac_ratio": of, "site_ratio": of}

    played = {"default": row(100.0, (1.0, 1.0)), "own": row(80.0, (0.8, None))}
    case = {"plant": "fast", "it_curve": "flat", "steps": 96, "controllers": played}
    results = {
        "config": {"baseline": "default"},
        "controllers": controllers,
        "sha256": sha256,
        "cases": {"Chicago": case},
    }
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def test_results_are_taken_from_a_comparison(tmp_path: Path, run: Path) -> None:
    file = str(run / "policy.npz")
    known = {"default": {"kind": "default"}, "own": {"kind": "learned", "network": file}}
    folder = write_results(tmp_path, known, {file: file_hash(file)})
    out = str(tmp_path / "bundle")
    done = CliRunner().invoke(app, ["export", str(run), "-o", out, "--evaluation", str(folder)])
    assert done.exit_code == 0, done.output
    assert "measured  Chicago, fast, flat IT power, 96 steps: hvac kwh 80, 0.80 of default" in done.output
    metrics = {metric.metric: metric for metric in read_bundle(out).manifest.metrics}
    assert metrics["hot_degree_hours"].ratio is None
    assert metrics["site_kwh"].ratio == 0.8
    assert "| Chicago |" in read_bundle(out).files["MODEL_CARD.md"].decode()


def test_results_of_another_are_refused(tmp_path: Path, run: Path) -> None:
    own = {"default": {"kind": "default"}, "own": {"kind": "fixed", "points": {"supply": 20.0}}}
    folder = write_results(tmp_path, own, {})
    given = controller(tmp_path / "own.yaml", kind="fixed", points={"supply": 20.0})
    assert export_cooling(str(given), tmp_path / "b", evaluation=folder, states=5).manifest.metrics[0].value == 80.0
    for source in (str(run), str(controller(tmp_path / "other.yaml", kind="fixed", points={"supply": 21.0}))):
        with pytest.raises(InputError, match="expected results of this controller, found default, own"):
            export_cooling(source, tmp_path / "other", evaluation=folder, states=5)


def test_inspect_and_verify(tmp_path: Path, learned: Bundle) -> None:
    rules = exported(tmp_path, kind="rules")
    for bundle, words in ((learned, "a network of the domain cooling"), (rules, "given, rules of the domain cooling")):
        done = CliRunner().invoke(app, ["bundle", "inspect", bundle.where])
        assert done.exit_code == 0, done.output
        assert words in done.output
        done = CliRunner().invoke(app, ["bundle", "verify", bundle.where])
        assert done.output == f"{bundle.digest}  {bundle.where}\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"domain": "scheduling"}, "expected formula or network in the domain scheduling, found 'rules'"),
        ({"kind": "network"}, "SHA256SUMS: does not list policy.onnx"),
        ({"policy": {"kind": "learned"}}, "a controller of kind learned in a bundle of rules"),
        ({"policy": {"kind": "pid", "settings": {"gain": 1}}}, "policy: setpoint 'gain': expected one of"),
        ({"policy": {"kind": "rules", "loops": {"supply": {}}}}, "policy: .*missing 6 required"),
        ({"policy": {"kind": "oracle"}}, "policy: kind: "),
    ],
)
def test_what_does_not_fit_is_told_in_a_line(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    from tests.learning.bundling.test_bundle import sign

    folder = Path(exported(tmp_path, kind="rules").where)
    fields = json.loads((folder / MANIFEST).read_text()) | changes
    (folder / MANIFEST).write_text(json.dumps(fields))
    sign(folder)
    with pytest.raises(InputError, match=message) as caught:
        CoolingPolicy(read_bundle(folder))
    assert "\n" not in str(caught.value)


def test_features_of_another_version_are_refused(tmp_path: Path, learned: Bundle) -> None:
    (tensor,) = learned.manifest.inputs
    first = tensor.features[0].model_copy(update={"scaling": "(x - 0) / 1"})
    other = tensor.model_copy(update={"features": (first, *tensor.features[1:])})
    changed = learned.manifest.model_copy(update={"inputs": (other,)})
    bundle = write_bundle(tmp_path / "b", changed, learned.files)
    with pytest.raises(InputError, match="its features are not those of this version"):
        CoolingPolicy(bundle)


def test_who_serves_queues_refuses_cooling(learned: Bundle) -> None:
    with pytest.raises(InputError, match="expected the domain scheduling, found cooling"):
        BundleRanker(learned)


def test_options_for_queues_are_refused(tmp_path: Path) -> None:
    given = controller(tmp_path / "a.yaml", kind="fixed", points={"supply": 20.0})
    done = CliRunner().invoke(app, ["export", str(given), "--trace", "x", "--out", str(tmp_path / "b")])
    assert isinstance(done.exception, InputError)
    assert "--trace is for orderings of a queue, not for cooling" in str(done.exception)


def test_the_action_ranges_are_those_of_the_scheme(learned: Bundle) -> None:
    actions = Actions("simple")
    assert [feature.most for feature in learned.manifest.outputs[0].features] == actions.high.tolist()
