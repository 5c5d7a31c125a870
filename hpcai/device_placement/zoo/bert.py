"""BERT in its pre-training; Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, NAACL 2019."""

from __future__ import annotations

from hpcai.device_placement.zoo._layers import Layers
from hpcai.device_placement.zoo._transformer import attention, feed_forward


def bert(
    layers: Layers,
    *,
    batch: int = 32,
    length: int = 128,
    depth: int = 12,
    hidden: int = 768,
    heads: int = 12,
    words: int = 30_522,
    positions: int = 512,
) -> None:
    """Add BERT, by default BERT-base with 110 million parameters, with its heads for masked words and next sentence.

    Each position predicts its word; the output's matrix is that of the word embedding.
    """
    tokens, segments = layers.input("tokens", (batch, length)), layers.input("segments", (batch, length))
    table = layers.variable("embedding/words", (words, hidden))
    x = layers.look_up(tokens, table, "embedding/word")
    x = layers.sum(x, layers.embed(segments, 2, hidden, "embedding/segment"), "embedding/sum1")
    x = layers.sum(x, layers.embed(tokens, positions, hidden, "embedding/position"), "embedding/sum2")
    x = layers.normalize(x, "embedding/norm")
    for block in range(depth):
        name = f"block{block}"
        y = attention(layers, x, heads, f"{name}/attention")
        x = layers.normalize(layers.sum(y, x, f"{name}/sum1"), f"{name}/norm1")
        y = feed_forward(layers, x, f"{name}/feed-forward")
        x = layers.normalize(layers.sum(y, x, f"{name}/sum2"), f"{name}/norm2")
    y = layers.linear(x, hidden, "words/dense")
    y = layers.normalize(layers.activate(y, "words/gelu", in_place=False, flops=8), "words/norm")
    bias = layers.variable("words/bias", (words,))
    logits = layers.sum(layers.project(y, table, "words/logits"), bias, "words/sum")
    layers.loss(logits, "words/loss")
    first = layers.linear(layers.view(x, (batch, hidden), "pooler/first"), hidden, "pooler/dense")
    layers.loss(layers.linear(layers.activate(first, "pooler/tanh"), 2, "pooler/classifier"), "pooler/loss")
