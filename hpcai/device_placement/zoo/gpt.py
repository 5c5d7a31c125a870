"""GPT-2; Radford et al., Language Models are Unsupervised Multitask Learners, 2019."""

from __future__ import annotations

from hpcai.device_placement.zoo._layers import Layers
from hpcai.device_placement.zoo._transformer import attention, feed_forward


def gpt2(
    layers: Layers,
    *,
    batch: int = 8,
    length: int = 1024,
    depth: int = 12,
    hidden: int = 768,
    heads: int = 12,
    words: int = 50_257,
    positions: int = 1024,
) -> None:
    """Add GPT-2, by default the small one with 124 million parameters; the output's matrix is that of the embedding.

    The other sizes: depth 24, hidden 1024, heads 16; 36, 1280, 20; 48, 1600, 25.
    """
    tokens = layers.input("tokens", (batch, length))
    table = layers.variable("embedding/words", (words, hidden))
    x = layers.look_up(tokens, table, "embedding/word")
    x = layers.sum(x, layers.embed(tokens, positions, hidden, "embedding/position"), "embedding/sum")
    for block in range(depth):
        name = f"block{block}"
        y = attention(layers, layers.normalize(x, f"{name}/norm1"), heads, f"{name}/attention", fused=True)
        x = layers.sum(y, x, f"{name}/sum1")
        y = feed_forward(layers, layers.normalize(x, f"{name}/norm2"), f"{name}/feed-forward")
        x = layers.sum(y, x, f"{name}/sum2")
    layers.loss(layers.project(layers.normalize(x, "norm"), table, "logits"), "loss")
