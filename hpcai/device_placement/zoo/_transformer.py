"""Blocks of transformers; Vaswani et al., Attention Is All You Need, NeurIPS 2017."""

from __future__ import annotations

from hpcai.device_placement.zoo._layers import Layers, Tensor
from hpcai.errors import InputError


def attention(layers: Layers, x: Tensor, heads: int, name: str, *, fused: bool = False) -> Tensor:
    """Add self-attention (batch, sequence, hidden); queries, keys and values come of one product if ``fused``."""
    batch, length, hidden = x.shape
    if hidden % heads:
        raise InputError(f"{name}: expected heads that divide the hidden size {hidden}, found {heads}")
    if fused:
        projected = layers.linear(x, 3 * hidden, f"{name}/qkv")
        query, key, value = (layers.view(projected, x.shape, f"{name}/{part}") for part in ("query", "key", "value"))
    else:
        query, key, value = (layers.linear(x, hidden, f"{name}/{part}") for part in ("query", "key", "value"))
    square = (batch, heads, length, length)
    n = 2 * batch * length * length * hidden
    scores = layers.add(f"{name}/scores", "attention", [query, key], square, flops=n, saves=0)
    shares = layers.add(f"{name}/softmax", "softmax", [scores], square, flops=5 * scores.values)
    context = layers.add(f"{name}/context", "attention", [shares, value], x.shape, flops=n)
    return layers.linear(context, hidden, f"{name}/output")


def feed_forward(layers: Layers, x: Tensor, name: str) -> Tensor:
    """Add two products with GELU between them, four times as wide inside."""
    hidden = x.shape[-1]
    inner = layers.activate(layers.linear(x, 4 * hidden, f"{name}/in"), f"{name}/gelu", in_place=False, flops=8)
    return layers.linear(inner, hidden, f"{name}/out")
