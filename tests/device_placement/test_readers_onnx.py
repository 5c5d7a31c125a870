"""ONNX files: operators, bytes and FLOPs by shapes, with the arithmetic written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from hpcai.device_placement.costs import default_table
from hpcai.device_placement.graph import OperatorGraph
from hpcai.device_placement.readers import read_graph
from hpcai.errors import InputError

Inputs = dict[str, list[int | str | None] | None]


def model(nodes: list[NodeProto], inputs: Inputs, weights: dict[str, Any], outputs: list[str]) -> ModelProto:
    """A model whose inputs are float32, but for ``tokens``; ``weights`` are arrays, or shapes of float32."""
    types = {name: TensorProto.INT64 if name == "tokens" else TensorProto.FLOAT for name in inputs}
    stored = {
        name: given if isinstance(given, np.ndarray) else np.zeros(given, np.float32) for name, given in weights.items()
    }
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, types[name], shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def saved(tmp_path: Path, made: ModelProto) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def classifier(batch: int | str | None = 2) -> ModelProto:
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        helper.make_node("BatchNormalization", ["c", "s", "t", "m", "v"], ["n"], "norm"),
        helper.make_node("Relu", ["n"], ["r"], "relu"),
        helper.make_node("MaxPool", ["r"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "g", "h"], ["y"], "gemm", transB=1),
    ]
    weights = {"w": (8, 3, 3, 3), "b": (8,), "g": (10, 128), "h": (10,)} | dict.fromkeys("stmv", (8,))
    return model(nodes, {"x": [batch, 3, 8, 8]}, weights, ["y"])


def edges_of(graph: OperatorGraph) -> set[tuple[str, str]]:
    return {(graph.operators[source], graph.operators[target]) for source, target in graph.edges}


def test_a_classifier(tmp_path: Path) -> None:
    graph = read_graph(saved(tmp_path, classifier()), device_kinds=["V100", "CPU"], training=True)
    assert graph.name == "model"
    assert graph.operators == ("x", "conv", "norm", "relu", "pool", "flat", "gemm")
    assert graph.kinds == ("input", "conv", "normalization", "elementwise", "pool", "view", "matmul")
    assert graph.weights.tolist() == [0, 4 * (8 * 27 + 8), 4 * 4 * 8, 0, 0, 0, 4 * (10 * 128 + 10)]
    assert graph.output.tolist() == [4 * n for n in (384, 1024, 1024, 1024, 256, 256, 20)]
    assert len(graph.edges) == 6
    table = default_table()
    conv = ("conv_narrow", 2 * 1024 * 27, 4 * (384 + 224 + 1024))
    pool = ("pool", 256 * 4, 4 * (1024 + 256))
    gemm = ("matmul", 2 * 20 * 128, 4 * (256 + 1290 + 20))
    for i, device in enumerate(graph.device_kinds):
        for operator, (kind, flops, moved) in {1: conv, 4: pool, 6: gemm}.items():
            assert graph.forward[i, operator] == table.seconds(kind, flops, moved, device)
        assert graph.backward[i, 6] == table.seconds(*gemm, device, backward=True)
        assert graph.backward[i, 1] == table.seconds("conv_narrow", conv[1] / 2, conv[2] / 2, device, backward=True)
    assert not read_graph(saved(tmp_path, classifier())).trains


def test_open_dimensions_are_given(tmp_path: Path) -> None:
    path = saved(tmp_path, classifier("batch"))
    assert read_graph(path, sizes={"batch": 4}).output[6] == 4 * 4 * 10
    path = saved(tmp_path, classifier(None))
    assert read_graph(path, sizes={"x.0": 3}).output[6] == 4 * 3 * 10


def test_attention_and_embedding(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["e"], "embed"),
        helper.make_node("MatMul", ["e", "wq"], ["q"], "query"),
        helper.make_node("Transpose", ["e"], ["k"], "key", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "k"], ["s"], "scores"),
        helper.make_node("Softmax", ["s"], ["a"], "softmax"),
        helper.make_node("Einsum", ["a", "e"], ["o"], "context", equation="bij,bjd->bid"),
    ]
    weights = {"table": (50, 16), "wq": (16, 16)}
    graph = read_graph(saved(tmp_path, model(nodes, {"tokens": [2, 5]}, weights, ["o"])))
    kinds = dict(zip(graph.operators, graph.kinds, strict=True))
    assert kinds["embed"] == "embedding"
    assert (kinds["query"], kinds["scores"], kinds["context"]) == ("matmul", "attention", "attention")
    expected = default_table().seconds("attention", 2 * 2 * 5 * 5 * 16, 4 * (2 * 25 + 2 * 80 + 2 * 80), "V100")
    assert graph.forward[0, graph.operators.index("context")] == expected
    assert graph.weights[graph.operators.index("embed")] == 4 * 50 * 16


def test_shared_weights_are_an_operator_and_constants_are_none(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["w"], ["wt"], "turned"),  # of weights: computed once
        helper.make_node("MatMul", ["x", "w"], ["a"], "first"),
        helper.make_node("Constant", [], ["two"], "two", value=numpy_helper.from_array(np.float32(2))),
        helper.make_node("Mul", ["a", "two"], ["m"], "double"),
        helper.make_node("MatMul", ["m", "wt"], ["y"], "second"),
    ]
    graph = read_graph(saved(tmp_path, model(nodes, {"x": [4, 8]}, {"w": (8, 8)}, ["y"])), training=True)
    assert graph.operators == ("x", "w", "first", "double", "second")
    assert graph.kinds[1] == "variable"
    assert graph.weights.tolist() == [0, 256, 0, 0, 0]
    edges = {("x", "first"), ("w", "first"), ("first", "double"), ("double", "second"), ("w", "second")}
    assert edges_of(graph) == edges


def test_the_arithmetic_of_shapes_is_followed_and_takes_no_time(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"], "shape"),
        helper.make_node("Gather", ["shape", "zero"], ["batch"], "batch"),
        helper.make_node("Unsqueeze", ["batch", "zeros"], ["rows"], "rows"),
        helper.make_node("Concat", ["rows", "rest"], ["target"], "target", axis=0),
        helper.make_node("Reshape", ["x", "target"], ["r"], "reshape"),
        helper.make_node("Relu", ["r"], ["y"], ""),
    ]
    weights = {"zero": np.array(0), "zeros": np.array([0]), "rest": np.array([-1])}
    graph = read_graph(saved(tmp_path, model(nodes, {"x": ["n", 3, 4]}, weights, ["y"])), sizes={"n": 2})
    assert graph.operators[-1] == "Relu_5"  # without a name of its own
    assert graph.output[-1] == 4 * 24
    assert graph.forward[0, :-1].tolist() == [0] * 6
    assert graph.weights.sum() == 0


def test_a_recurrent_layer(tmp_path: Path) -> None:
    nodes = [helper.make_node("LSTM", ["x", "w", "r", "", "", ""], ["y", "", "c"], "lstm", hidden_size=4)]
    weights = {"w": (1, 16, 3), "r": (1, 16, 4)}
    graph = read_graph(saved(tmp_path, model(nodes, {"x": [5, 2, 3]}, weights, ["y", "c"])))
    assert graph.kinds == ("input", "recurrent")
    assert graph.output[1] == 4 * (5 * 2 * 4 + 2 * 4)
    assert edges_of(graph) == {("x", "lstm")}
    flops, moved = 2 * 10 * (48 + 64), 4 * (30 + 48 + 64 + 48)
    assert graph.forward[0, 1] == default_table().seconds("recurrent", flops, moved, "V100")


def relu(taken: str, made: str, name: str) -> NodeProto:
    return helper.make_node("Relu", [taken], [made], name)


@pytest.mark.parametrize(
    ("made", "options", "message"),
    [
        (
            classifier("batch"),
            {},
            "input 'x': dimension 0 has no size; give one, such as sizes={'batch': 1}",
        ),
        (classifier(None), {}, "input 'x': dimension 0 has no size; give one, such as sizes={'x.0': 1}"),
        (classifier("n"), {"sizes": {"n": 0}}, "input 'x': dimension 0 has no size; give one, such as sizes={'n': 1}"),
        (classifier(), {"sizes": {"batch": 4}}, "sizes: there is no open dimension 'batch'"),
        (classifier(), {"device_kinds": ["TPU"]}, "device 'TPU': expected one of "),
        (
            model([relu("x", "y", "a")], {"x": None}, {}, ["y"]),
            {},
            "input 'x': expected a tensor with a shape, found none",
        ),
        (model([relu("z", "y", "a")], {"x": [1]}, {}, ["y"]), {}, "operator 'a': there is no tensor 'z'"),
        (
            model([relu("z", "y", "a"), relu("y", "z", "b")], {"x": [1]}, {}, ["y"]),
            {},
            "expected no cycle, found one around ",
        ),
        (
            model([relu("x", "y", "a"), relu("x", "z", "a")], {"x": [1]}, {}, ["y"]),
            {},
            "operator 'a': expected a name of its own, found it twice",
        ),
        (
            model([relu("x", "y", "a"), relu("x", "y", "b")], {"x": [1]}, {}, ["y"]),
            {},
            "tensor 'y': expected one operator that makes it, found two",
        ),
        (
            model([helper.make_node("NonZero", ["x"], ["n"], "non"), relu("n", "y", "a")], {"x": [2, 2]}, {}, ["y"]),
            {},
            "operator 'non' (NonZero): the shape of 'n' cannot be inferred; simplify the model to constant shapes",
        ),
        (
            model([helper.make_node("If", ["x"], ["y"], "choice")], {"x": [1]}, {}, ["y"]),
            {},
            "operator 'choice': expected no control flow, found If",
        ),
        (model([], {"x": [1]}, {}, ["x"]), {}, "expected operators, found none"),
    ],
)
def test_models_that_cannot_be_read(tmp_path: Path, made: ModelProto, options: dict[str, Any], message: str) -> None:
    path = saved(tmp_path, made)
    with pytest.raises(InputError) as caught:
        read_graph(path, **options)
    assert "\n" not in str(caught.value)
    assert str(caught.value).removeprefix(f"{path}: ").startswith(message)


def test_a_model_that_is_cut_short(tmp_path: Path) -> None:
    path = saved(tmp_path, classifier())
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="not a model of ONNX, or cut short"):
        read_graph(path)
