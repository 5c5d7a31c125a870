"""Weights of a placement and of a choice of victims as bundles: the graph is the compiled policy, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hpcai.cli import app
from hpcai.errors import InputError
from hpcai.learning.bundling import weights as exporting
from hpcai.learning.bundling.checks import ExportError
from hpcai.learning.bundling.drawn import compare_placement, situations
from hpcai.learning.bundling.graph import weighted_graph
from hpcai.learning.bundling.weights import JOB_FEATURES, NODE_FEATURES, export_weights
from hpcai.live.bundle import Bundle, read_bundle
from hpcai.live.cluster.placement import PlacementPolicy
from hpcai.live.cluster.preemption import Need, PreemptionPolicy, Victim
from hpcai.live.ranking import BundleRanker
from hpcai.scheduling.gpu_cluster.discipline import VICTIM_FEATURES
from hpcai.scheduling.placement import GANG_FEATURES, GANG_WEIGHTS
from tests.live.learned_bundles import PLACEMENT, VICTIMS, exported, result


@pytest.fixture(scope="module")
def placement(tmp_path_factory) -> Bundle:
    return exported(tmp_path_factory.mktemp("placement"), "placement", PLACEMENT)


@pytest.fixture(scope="module")
def preemption(tmp_path_factory) -> Bundle:
    return exported(tmp_path_factory.mktemp("victims"), "victims", VICTIMS)


def test_a_bundle_says_what_it_is(placement, preemption):
    manifest = placement.manifest
    assert (manifest.domain, manifest.fallback, manifest.seed) == ("placement", "topology", 0)
    assert tuple(f.name for f in manifest.inputs[0].features) == GANG_FEATURES == tuple(NODE_FEATURES)
    assert manifest.search.ratio == 0.9
    assert manifest.search.config["generator"]["kind"] == "reference-site"
    assert "topology-aware" in placement.files["MODEL_CARD.md"].decode()
    assert (preemption.manifest.domain, preemption.manifest.fallback) == ("preemption", "lowest-priority")
    assert tuple(f.name for f in preemption.manifest.inputs[0].features) == VICTIM_FEATURES == tuple(JOB_FEATURES)
    assert preemption.manifest.inputs[0].features[0].unit == "h"
    for bundle in (placement, preemption):
        assert bundle.manifest.checked["states"] == 20
        assert bundle.manifest.checked["largest_difference"] <= 1e-5


def test_hundreds_of_drawn_placements_cost_and_choose_the_same(tmp_path):
    rng = np.random.default_rng(5)
    given = {name: float(weight) for name, weight in zip(GANG_WEIGHTS, rng.normal(size=24), strict=True)}
    compared = compare_placement(PlacementPolicy(exported(tmp_path, "placement", given)), given, 400, 7)
    assert (compared.states, compared.other_choices) == (400, 0)
    assert compared.choices > 800
    assert compared.difference <= 1e-5


def test_drawn_situations_differ():
    drawn = list(situations(np.random.default_rng(0), 20))
    assert len({(at.step, int(at.pod["gpu"][0])) for at in drawn}) > 10
    assert len({at.step.size for at in drawn}) == 2


def test_a_victim_by_hand(preemption):
    victim = Victim(gpus=8.0, nodes=(0, 0), age=7200.0, unsaved=3480.0, estimate=9000.0)
    (cost,) = PreemptionPolicy(preemption).costs([victim], Need(gpus=8.0, free=2.0, node_gpus=8.0))
    assert cost == pytest.approx(1.0 + 0.3 * 2 / 8 + 0.2)  # an hour with 120 s of restarting; 2 GPUs too many; normal
    assert len(PreemptionPolicy(preemption).costs([], Need(1.0, 0.0, 8.0))) == 0


@pytest.mark.parametrize("domain", ["placement", "preemption", "scheduling"])
def test_another_domain_is_refused_in_one_line(domain, request):
    bundle = request.getfixturevalue("preemption" if domain == "placement" else "placement")
    served = {"placement": PlacementPolicy, "preemption": PreemptionPolicy, "scheduling": BundleRanker}
    with pytest.raises(InputError, match=f"expected the domain {domain}, found p") as caught:
        served[domain](bundle)
    assert "\n" not in str(caught.value)


def test_other_features_are_refused(placement):
    nodes, chosen = placement.manifest.inputs
    fewer = nodes.model_copy(update={"features": nodes.features[1:]})
    manifest = placement.manifest.model_copy(update={"inputs": (fewer, chosen)})
    with pytest.raises(InputError, match="its features are not those of this version"):
        PlacementPolicy(Bundle("b", manifest, placement.files, ""))


def test_a_changed_bundle_is_refused(tmp_path, placement):
    for name, data in placement.files.items():
        (tmp_path / name).write_bytes(data)
    graph = (tmp_path / "policy.onnx").read_bytes()
    (tmp_path / "policy.onnx").write_bytes(graph[:-1] + bytes([graph[-1] ^ 1]))
    with pytest.raises(InputError, match=r"policy.onnx has been changed since the export"):
        read_bundle(tmp_path)


def test_a_graph_that_says_something_else_is_not_exported(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "weighted_graph", lambda rows, axis, table: weighted_graph(rows, axis, -table))
    for learn, given in (("placement", PLACEMENT), ("victims", VICTIMS)):
        with pytest.raises(ExportError, match=r"policy.onnx differs from the policy by"):
            exported(tmp_path, learn, given)
        assert not (tmp_path / f"{learn}.hpcai").exists()


def test_commands(tmp_path):
    path, out = tmp_path / "found.json", tmp_path / "b.tar"
    path.write_text(json.dumps(result("victims", VICTIMS)))
    done = CliRunner().invoke(app, ["export", str(path), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "a formula of the domain preemption" in done.stdout
    assert "measured  mean jct 0.9 of placement topology-aware" in done.stdout
    assert CliRunner().invoke(app, ["bundle", "verify", str(out)]).stdout == f"{read_bundle(out).digest}  {out}\n"
    assert (
        "reads     jobs ['job', 'feature']: lost, age"
        in CliRunner().invoke(app, ["bundle", "inspect", str(out)]).stdout
    )
    done = CliRunner().invoke(app, ["export", str(path), "--rival", "fcfs"])
    assert isinstance(done.exception, InputError)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no JSON", "expected a result of hpcai train cluster"),
        ("[]", "expected a result of hpcai train cluster"),
        (json.dumps({"config": {}, "weights": {}, "validation": []}), "that learned placement or victims"),
        (json.dumps(result("victims", {"speed": 1.0})), "weights: expected numbers for 'lost' and the like"),
        (json.dumps(result("victims", {"lost": float("nan")})), "one that is not finite"),
        (json.dumps(result("victims", VICTIMS, common={"colour": 1})), "colour"),
    ],
)
def test_what_is_no_result_is_one_line(tmp_path, text, message):
    path = tmp_path / "found.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        export_weights(path, tmp_path / "b")
    assert "\n" not in str(caught.value)
    assert not Path(tmp_path / "b").exists()
