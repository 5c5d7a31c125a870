"""Readers on the published graphs, where they are at hand: as many operators and edges as their list says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcai.device_placement.readers import dnn_partitioning, read_graph

_GRAPHS = Path(__file__).parents[2].parent / "shared" / "data" / "graphs"

PIPEDREAM = {  # operators, edges, millions of parameters
    "vgg16": (41, 41, 138.36),
    "resnet50": (177, 193, 25.56),
    "inception_v3": (326, 362, 27.16),
    "alexnet": (23, 23, 61.10),
    "gnmt": (48, 58, 193.77),
    "gnmt_large": (96, 122, 277.72),
    "resnet101": (347, 380, 44.55),
    "nasnetalarge": (1251, 1468, 92.24),
}
DNN_PARTITIONING = {  # operators, edges, accelerators
    "throughput_layer_inceptionv3_training": (652, 726, 6),
    "throughput_layer_gnmt_training": (192, 244, 6),
    "throughput_layer_resnet50_training": (354, 386, 6),
    "latency_layer_inceptionv3_inference": (326, 363, 12),
    "latency_layer_gnmt_inference": (96, 122, 6),
    "throughput_operator_bert_l-3_training": (600, 817, 3),
    "throughput_operator_bert_l-3_inference": (235, 250, 3),
    "throughput_operator_bert_l-6_inference": (418, 448, 3),
    "latency_operator_bert_l-6_inference": (418, 448, 6),
    "latency_layer_resnet50_inference": (177, 193, 14),
}


def recorded(name: str) -> Path:
    if not (_GRAPHS / name).is_file():
        pytest.skip(f"the published graph {name} is not part of the repository")
    return _GRAPHS / name


@pytest.mark.parametrize("name", PIPEDREAM)
def test_profiles_of_pipedream(name: str) -> None:
    graph = read_graph(recorded(f"pipedream_{name}.graph.txt"))
    operators, edges, parameters = PIPEDREAM[name]
    assert (len(graph), len(graph.edges)) == (operators, edges)
    assert graph.weights.sum() / 4e6 == pytest.approx(parameters, abs=0.01)
    assert "unknown" not in graph.kinds
    assert graph.trains


@pytest.mark.parametrize("name", DNN_PARTITIONING)
def test_graphs_of_dnn_partitioning(name: str) -> None:
    path = recorded(f"dnnpart_{name}.json")
    graph = read_graph(path, fold=False)
    operators, edges, accelerators = DNN_PARTITIONING[name]
    assert (len(graph), len(graph.edges)) == (operators, edges)
    assert dnn_partitioning.machine(path).accelerators == accelerators
    assert graph.trains == name.endswith("training")
    assert (graph.group >= 0).any() == ("operator" in name or "training" in name)


@pytest.mark.parametrize("model", ["gnmt_large", "inception_v3", "resnet50"])
def test_both_publish_the_same_times_of_a_model(model: str) -> None:
    profile = read_graph(recorded(f"pipedream_{model}.graph.txt"), loading=True)
    name = model.replace("_large", "").replace("_", "")
    folded = read_graph(recorded(f"dnnpart_throughput_layer_{name}_training.json"))
    assert len(folded) == len(profile)
    by_name = [profile.operators.index(operator) for operator in folded.operators]
    np.testing.assert_allclose(folded.forward[0], profile.forward[0, by_name], rtol=1e-9)
    np.testing.assert_allclose(folded.backward[0], profile.backward[0, by_name], rtol=1e-9)
    np.testing.assert_allclose(folded.forward[1], 10 * folded.forward[0], rtol=1e-9)  # their CPU is ten times slower


def test_a_size_is_the_parameters_and_the_output_in_layer_graphs() -> None:
    profile = read_graph(recorded("pipedream_resnet50.graph.txt"))
    graph = read_graph(recorded("dnnpart_latency_layer_resnet50_inference.json"))
    by_name = [profile.operators.index(operator) for operator in graph.operators]
    np.testing.assert_allclose(graph.weights, (profile.weights + profile.output)[by_name])
    has_edge = np.isin(np.arange(len(graph)), graph.edges[:, 0])
    np.testing.assert_allclose(graph.output[has_edge], profile.output[by_name][has_edge])
