"""What each operator of PyTorch's ATen computes: its class, and the FLOPs of a forward pass by the shapes of tensors.

A multiply-add counts as two; an operator that is not listed is elementwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from hpcai.device_placement.operations import conv_cost

Shape = tuple[int, ...]


class Call(NamedTuple):
    """A call of an operator; in its arguments, shapes stand for tensors."""

    arguments: Sequence[Any]
    output: Shape  # of its first output
    weights: Sequence[Shape]  # those of its arguments that are weights, or made of them


def _each(flops: float) -> Callable[[Call], float]:
    return lambda call: flops * math.prod(call.output)


def _each_input(flops: float) -> Callable[[Call], float]:
    return lambda call: flops * math.prod(call.arguments[0])


def _conv(call: Call) -> float:
    transposed = len(call.arguments) > 6 and call.arguments[6] is True
    return (_conv_transpose if transposed else _conv_forward)(call)


def _conv_forward(call: Call) -> float:
    return float(2 * math.prod(call.output) * math.prod(call.arguments[1][1:]))


def _conv_transpose(call: Call) -> float:
    return float(2 * math.prod(call.arguments[0]) * math.prod(call.arguments[1][1:]))


def _matmul(call: Call) -> float:
    return float(2 * math.prod(call.output) * call.arguments[0][-1])


def _add_matmul(call: Call) -> float:
    return float(2 * math.prod(call.output) * call.arguments[1][-1])


def _attention(call: Call) -> float:
    query, key, value = call.arguments[:3]
    pairs = math.prod(query[:-1]) * key[-2]
    return float(2 * pairs * (query[-1] + value[-1]))


def _recurrent(call: Call) -> float:
    products = sum(math.prod(shape) for shape in call.weights if len(shape) == 2)  # the others are biases
    return float(2 * math.prod(call.arguments[0][:-1]) * products)


def _pool(call: Call) -> float:
    kernel = call.arguments[1]
    sides = kernel if isinstance(kernel, list) else [kernel] * (len(call.output) - 2)
    return float(math.prod(call.output) * math.prod(sides))


_TABLE: Final = (  # class, FLOPs, names of operators in ATen, without what follows the dot or the last underscore
    ("conv", _conv, "conv1d conv2d conv3d convolution _convolution"),
    ("conv", _conv_transpose, "conv_transpose1d conv_transpose2d conv_transpose3d"),
    ("matmul", _matmul, "linear matmul mm bmm mv dot"),
    ("matmul", _add_matmul, "addmm baddbmm addmv"),
    ("recurrent", _recurrent, "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell mkldnn_rnn_layer"),
    (
        "attention",
        _attention,
        "scaled_dot_product_attention _scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention "
        "_scaled_dot_product_efficient_attention _scaled_dot_product_attention_math",
    ),
    (
        "normalization",
        _each(8),
        "batch_norm native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_functional "
        "_native_batch_norm_legit_no_training _batch_norm_with_update layer_norm native_layer_norm group_norm "
        "native_group_norm instance_norm rms_norm local_response_norm",
    ),
    (
        "softmax",
        _each_input(5),
        "softmax _softmax log_softmax _log_softmax cross_entropy_loss nll_loss nll_loss_forward",
    ),
    (
        "pool",
        _pool,
        "max_pool1d max_pool2d max_pool3d max_pool2d_with_indices max_pool3d_with_indices avg_pool1d avg_pool2d "
        "avg_pool3d",
    ),
    (
        "pool",
        _each_input(1),
        "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d adaptive_max_pool2d mean sum "
        "amax amin max min argmax argmin prod var var_mean std topk sort cumsum norm linalg_vector_norm",
    ),
    ("embedding", _each(0), "embedding embedding_bag _embedding_bag"),
    (
        "copy",
        _each(0),
        "cat concat stack clone contiguous index index_select gather scatter repeat repeat_interleave roll flip pad "
        "constant_pad_nd reflection_pad2d copy index_put upsample_nearest2d upsample_bilinear2d pixel_shuffle tril "
        "triu where masked_fill",
    ),
    (
        "view",
        _each(0),
        "view reshape _unsafe_view flatten unflatten transpose permute t mT unsqueeze squeeze select slice split "
        "split_with_sizes chunk unbind expand expand_as detach alias narrow movedim swapaxes lift_fresh_copy "
        "_assert_tensor_metadata to _to_copy",
    ),
    ("elementwise", _each(8), "gelu silu sigmoid tanh exp log erf softplus elu mish hardswish sin cos dropout"),
)
_KINDS: Final = {name: (kind, flops) for kind, flops, names in _TABLE for name in names.split()}


def work(operator: str, call: Call) -> tuple[str, float, str]:
    """Return the class, the FLOPs and the class of cost of an operator; a product without weights is attention."""
    kind, flops = _KINDS.get(operator, ("elementwise", _each(1)))
    if kind == "matmul" and not call.weights:
        kind = "attention"
    if operator == "dropout" and call.arguments[2] is False:
        kind = "view"  # in evaluation it does nothing
    cost = ""
    if flops is _conv:
        after, before, *kernel = call.arguments[1]
        groups = next((n for n in call.arguments[-1:0:-1] if type(n) is int), 1)
        stride = max(call.arguments[3]) if len(call.arguments) > 3 else 1
        cost = conv_cost(tuple(kernel), stride, before * groups, after, groups)
    return kind, flops(call), cost
