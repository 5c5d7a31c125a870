"""What each operator of ONNX computes: its class, and the FLOPs of a forward pass by the shapes of its tensors.

Source: https://onnx.ai/onnx/operators. A multiply-add counts as two; an operator that is not listed has one FLOP for
each value of its output, and the class 'unknown'.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from hpcai.device_placement.operations import conv_cost

Shape = tuple[int, ...]


class Node(NamedTuple):
    """An operator: shapes of its inputs (of one that is left out, ``()``) and of its first output."""

    inputs: Sequence[Shape]
    output: Shape
    attributes: Mapping[str, Any]


def _each(flops: float) -> Callable[[Node], float]:
    return lambda node: flops * math.prod(node.output)


def _each_input(flops: float) -> Callable[[Node], float]:
    return lambda node: flops * math.prod(node.inputs[0])


def _conv(node: Node) -> float:
    return 2.0 * math.prod(node.output) * math.prod(node.inputs[1][1:])


def _conv_transpose(node: Node) -> float:
    return 2.0 * math.prod(node.inputs[0]) * math.prod(node.inputs[1][1:])


def _matmul(node: Node) -> float:
    return 2.0 * math.prod(node.output) * (node.inputs[0] or (1,))[-1]


def _gemm(node: Node) -> float:
    inner = node.inputs[0][0 if node.attributes.get("transA") else -1]
    return 2.0 * math.prod(node.output) * inner


def _einsum(node: Node) -> float:
    sizes: dict[str, int] = {}
    terms = node.attributes["equation"].decode().split("->")[0].replace(" ", "").split(",")
    for term, shape in zip(terms, node.inputs, strict=False):
        sizes |= dict(zip(term, shape, strict=False))
    return 2.0 * math.prod(sizes.values())


def _recurrent(node: Node) -> float:
    length_and_batch = math.prod(node.inputs[0][:2])
    return 2.0 * length_and_batch * (math.prod(node.inputs[1]) + math.prod(node.inputs[2]))  # all directions


def _pool(node: Node) -> float:
    return float(math.prod(node.output) * math.prod(node.attributes["kernel_shape"]))


_TABLE: Final = (  # class, FLOPs, names of operators
    ("conv", _conv, "Conv ConvInteger QLinearConv DeformConv"),
    ("conv", _conv_transpose, "ConvTranspose"),
    ("matmul", _matmul, "MatMul MatMulInteger"),
    ("matmul", _gemm, "Gemm"),
    ("matmul", _einsum, "Einsum"),
    ("recurrent", _recurrent, "LSTM GRU RNN"),
    (
        "normalization",
        _each(8),
        "BatchNormalization LayerNormalization InstanceNormalization GroupNormalization RMSNormalization LRN "
        "LpNormalization MeanVarianceNormalization",
    ),
    ("softmax", _each_input(5), "Softmax LogSoftmax SoftmaxCrossEntropyLoss NegativeLogLikelihoodLoss"),
    ("pool", _pool, "MaxPool AveragePool LpPool"),
    (
        "pool",
        _each_input(1),
        "GlobalAveragePool GlobalMaxPool GlobalLpPool ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 "
        "ReduceL2 ReduceSumSquare ReduceLogSum ReduceLogSumExp ArgMax ArgMin TopK CumSum",
    ),
    (
        "copy",
        _each(0),
        "Concat Transpose Slice Split Pad Expand Tile Gather GatherElements GatherND Where ScatterND ScatterElements "
        "Resize DepthToSpace SpaceToDepth Range ConstantOfShape OneHot Compress ReverseSequence",
    ),
    ("view", _each(0), "Reshape Flatten Squeeze Unsqueeze Identity Shape Size Dropout"),
    (
        "elementwise",
        _each(1),
        "Add Sub Mul Div Pow Mod Neg Abs Min Max Sum Mean Relu LeakyRelu PRelu Clip Cast CastLike Not And Or Xor Equal "
        "Less LessOrEqual Greater GreaterOrEqual Sign Floor Ceil Round Sqrt Reciprocal IsNaN IsInf ThresholdedRelu "
        "QuantizeLinear DequantizeLinear DynamicQuantizeLinear BitShift Trilu",
    ),
    (
        "elementwise",
        _each(8),
        "Exp Log Tanh Sigmoid Erf Gelu Elu Selu Celu Softplus Softsign HardSigmoid HardSwish Swish Mish Sin Cos",
    ),
)
_KINDS: Final = {name: (kind, flops) for kind, flops, names in _TABLE for name in names.split()}


def work(operator: str, node: Node, from_weights: Sequence[bool]) -> tuple[str, float, str]:
    """Return the class, the FLOPs and the class of cost of an operator; ``from_weights`` says which inputs are weights.

    A product of two tensors neither of which is a weight is attention, a look-up in weights an embedding.
    """
    kind, flops = _KINDS.get(operator, ("unknown", _each(1)))
    if operator in ("MatMul", "Einsum") and not any(from_weights):
        kind = "attention"
    if operator == "Gather" and from_weights[0]:
        kind = "embedding"
    cost = ""
    if kind == "conv" and operator == "Conv":
        after, before, *kernel = node.inputs[1]
        groups = int(node.attributes.get("group", 1))
        stride = max(node.attributes.get("strides", (1,)))
        cost = conv_cost(tuple(kernel), stride, before * groups, after, groups)
    return kind, flops(node), cost
