"""PyTorch modules: operators, bytes and FLOPs by shapes, with the arithmetic written out."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from hpcai.device_placement.costs import default_table
from hpcai.device_placement.graph import OperatorGraph
from hpcai.device_placement.readers.torch_module import read_module
from hpcai.errors import InputError


def edges_of(graph: OperatorGraph) -> set[tuple[str, str]]:
    return {(graph.operators[source], graph.operators[target]) for source, target in graph.edges}


class Classifier(nn.Module):
    """With ``choosy``, which way it goes depends on a value, which no export can follow."""

    def __init__(self, choosy: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.Linear(128, 10)
        self.choosy = choosy

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv(images)))
        if self.choosy and x.sum() < 0:
            x = -x
        return self.last(nn.functional.max_pool2d(x, 2).flatten(1))


@pytest.mark.parametrize("choosy", [False, True])
def test_a_classifier_exported_or_recorded(choosy: bool) -> None:
    module = Classifier(choosy)
    before = module.norm.running_mean.clone()
    graph = read_module(module, [torch.randn(2, 3, 8, 8)], device_kinds=["V100", "CPU"])
    assert torch.equal(module.norm.running_mean, before)
    assert graph.name == "Classifier"
    if not choosy:
        assert graph.kinds == ("input", "conv", "normalization", "elementwise", "pool", "view", "matmul")
    assert graph.weights.sum() == sum(4 * parameter.numel() for parameter in module.parameters())
    table = default_table()
    conv, gemm = graph.kinds.index("conv"), graph.kinds.index("matmul")
    for i, device in enumerate(graph.device_kinds):
        work = ("conv_narrow", 2 * 1024 * 27, 4 * (384 + 224 + 1024))
        assert graph.forward[i, conv] == table.seconds(*work, device)
        work = ("matmul", 2 * 20 * 128, 4 * (256 + 1290 + 20))
        assert graph.forward[i, gemm] == table.seconds(*work, device)
        assert graph.backward[i, gemm] == table.seconds(*work, device, backward=True)
    assert graph.weights[[conv, gemm]].tolist() == [4 * 224, 4 * 1290]


def test_an_encoder() -> None:
    layer = nn.TransformerEncoderLayer(64, 4, 256, dropout=0.0, activation="gelu", batch_first=True)
    graph = read_module(layer, [torch.randn(2, 16, 64)], training=False)
    count = {kind: graph.kinds.count(kind) for kind in ("matmul", "attention", "normalization")}
    assert count == {"matmul": 4, "attention": 1, "normalization": 2}
    assert graph.weights.sum() == sum(4 * parameter.numel() for parameter in layer.parameters())
    table, n = default_table(), 2 * 16 * 64
    pairs = 2 * 4 * 16 * 16  # batch, heads, positions by positions
    attention = table.seconds("attention", 2 * pairs * (16 + 16), 4 * (3 * n + n), "V100")
    assert graph.forward[0, graph.kinds.index("attention")] == attention
    weights = 64 * 192 + 192
    first = table.seconds("matmul", 2 * n * 192, 4 * (n + weights + 3 * n), "V100")
    assert graph.forward[0, graph.kinds.index("matmul")] == first
    norm = table.seconds("normalization", 8 * n, 4 * (2 * n + 2 * 64 + n), "V100")  # it reads its input twice
    assert graph.forward[0, graph.kinds.index("normalization")] == norm


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.lstm = nn.LSTM(16, 16, batch_first=True)
        self.last = nn.Linear(16, 50, bias=False)
        self.last.weight = self.embedding.weight
        self.register_buffer("scale", torch.ones(16))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm(self.embedding(tokens))
        return self.last(states * (self.scale + 1))


def test_tied_parameters_are_an_operator_and_constants_are_none() -> None:
    graph = read_module(Tied(), [torch.zeros(2, 5, dtype=torch.int64)])
    assert graph.operators == ("embedding.weight", "tokens", "embedding", "lstm", "mul", "linear")
    assert graph.kinds == ("variable", "input", "embedding", "recurrent", "elementwise", "matmul")
    assert edges_of(graph) == {
        ("tokens", "embedding"),
        ("embedding.weight", "embedding"),
        ("embedding", "lstm"),
        ("lstm", "mul"),
        ("mul", "linear"),
        ("embedding.weight", "linear"),
    }
    cell = 4 * 64 * (16 + 16 + 2)
    assert graph.weights.tolist() == [4 * 800, 0, 0, cell, 0, 0]
    moved = 4 * (160 + 2 * 32) + cell + 4 * 160  # also the first states, zeros
    assert graph.forward[0, 3] == default_table().seconds("recurrent", 2 * 10 * 2 * 64 * 16, moved, "V100")


def test_tying_holds_where_a_module_is_recorded() -> None:
    class Choosy(Tied):
        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return super().forward(tokens) if tokens.sum() == 0 else super().forward(tokens + 1)

    graph = read_module(Choosy(), [torch.zeros(2, 5, dtype=torch.int64)])
    assert graph.weights[graph.operators.index("embedding.weight")] == 4 * 800
    assert graph.weights.sum() == 4 * 800 + 4 * 64 * (16 + 16 + 2)


def test_a_module_that_cannot_run_is_told_in_one_line() -> None:
    with pytest.raises(InputError) as caught:
        read_module(Classifier(), [torch.randn(2, 4, 8, 8)])
    assert str(caught.value).startswith("module Classifier: cannot be traced: RuntimeError: ")
    assert "\n" not in str(caught.value)


def test_other_readers_do_without_torch() -> None:
    code = "import sys; from hpcai.device_placement import readers, zoo, grouping; zoo.build('rnnlm'); " + "; ".join(
        f"import hpcai.device_placement.readers.{name}" for name in ("native", "pipedream", "dnn_partitioning", "onnx")
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print('torch' in sys.modules)"], capture_output=True, text=True
    )
    assert done.stdout == "False\n", done.stderr
